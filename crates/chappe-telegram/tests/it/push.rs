//! Who is pushed to, in which order, and how far back a client may ask.

use chappe_api::functions::help::GetConfig;
use chappe_api::functions::langpack::GetLanguages;
use chappe_api::functions::messages::{DeleteMessages, EditMessage, ReadHistory};
use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::functions::users::GetUsers;
use chappe_api::functions::{self, InvokeWithoutUpdates};
use chappe_api::types::updates::Difference;
use chappe_api::types::{self, Update};
use chappe_telegram::Config;
use chappe_tl::Raw;

use crate::client::{Client, Home};
use crate::messages::{find, new_message, say, texts};
use crate::sign_in::{enter, test_numbers};

/// Two people of whom one writes to the other.
struct Two {
    home: Home,
    ada: Client,
    bob: Client,
    to_bob: types::InputPeer,
}

impl Two {
    async fn new(config: Config) -> Self {
        let mut home = Home::open(config).await;
        let (mut ada, mut bob) = (home.client().await, home.client().await);
        enter(&mut ada, "9996620001").await;
        enter(&mut bob, "9996620002").await;
        bob.ask(GetState {}).await.unwrap();
        let to_bob = find(&mut ada, "9996620002").await;
        Self { home, ada, bob, to_bob }
    }

    async fn say(&mut self, text: &str, random_id: i64) {
        self.ada.ask(say(&self.to_bob, text, random_id)).await.unwrap();
    }
}

/// Rule:   sessions hear of what happens once they have made a call that is neither for files nor
///         of those before a sign-in, outside `invokeWithoutUpdates`, and from then on; one that
///         begins hears of what happens next, and asks for the rest.
/// Source: API-13, UPD-09, QRK-14.
#[tokio::test]
async fn session_hears_once_it_has_called_for_itself() {
    let mut two = Two::new(test_numbers()).await;
    let mut media = two.bob.beside(&two.home, 8).await;
    let quiet = InvokeWithoutUpdates { query: raw(&GetState {}) };
    media.call(&quiet).await.unwrap();
    media.ask(GetConfig {}).await.unwrap();
    media.ask(GetLanguages { lang_pack: "".into() }).await.unwrap();
    let file =
        functions::upload::SaveFilePart { file_id: 1, file_part: 0, bytes: vec![1; 1024].into() };
    // Whatever comes of it.
    let _ = media.call(&file).await;
    let export = functions::auth::ExportAuthorization { dc_id: 3 };
    let _ = media.call(&export).await;

    two.say("one", 1).await;
    assert_eq!(new_message(&two.bob.pushed().await.updates[0]).0.message, "one");
    let state = media.ask(GetState {}).await.unwrap();
    assert_eq!(media.take_pushed().len(), 0, "of what was before it asks");
    media.call(&quiet).await.unwrap();
    two.say("two", 2).await;
    for client in [&mut two.bob, &mut media] {
        let (message, pts, _) = new_message(&client.pushed().await.updates[0]);
        assert_eq!((message.message, pts), ("two".into(), state.pts + 1));
    }
}

/// Rule:   what a call made happen its session has as the answer and no other way; every other
///         session of the account is pushed it, of the same key as well.
/// Source: API-15, UPD-03.
#[tokio::test]
async fn other_session_of_the_key_is_pushed_to() {
    let mut two = Two::new(test_numbers()).await;
    let mut second = two.ada.beside(&two.home, 8).await;
    second.ask(GetState {}).await.unwrap();
    two.say("one", 1).await;
    assert_eq!(new_message(&second.pushed().await.updates[0]).0.message, "one");
    two.ada.ask(GetState {}).await.unwrap();
    assert_eq!(two.ada.take_pushed().len(), 0);
}

/// Rule:   outer `seq` is 0, which skips the check, in pushes, states and differences alike; dates
///         do not go back; people are shown whole, under ids that clients can mark.
/// Source: UPD-07, UPD-08, UPD-32, UPD-33, UPD-35.
#[tokio::test]
async fn updates_are_whole_and_have_no_seq() {
    let mut two = Two::new(test_numbers()).await;
    let before = two.bob.ask(GetState {}).await.unwrap();
    two.say("one", 1).await;
    two.say("two", 2).await;
    let mut date = before.date;
    for _ in 0..2 {
        let pushed = two.bob.pushed().await;
        assert!(pushed.seq == 0 && pushed.date >= date);
        date = pushed.date;
        assert_eq!(pushed.users.len(), 1);
        for user in pushed.users {
            let types::User::User(user) = user else { panic!("nobody") };
            assert!(!user.min && user.first_name.is_some() && user.access_hash.is_some());
            assert!((1_000_000..1 << 40).contains(&user.id));
        }
    }
    let Difference::Difference(missed) = difference(&mut two.bob, before.pts).await else {
        panic!("no difference")
    };
    assert_eq!((before.seq, missed.state.seq), (0, 0));
    let at = missed.state.pts;
    let Difference::DifferenceEmpty(none) = difference(&mut two.bob, at).await else {
        panic!("something new")
    };
    assert_eq!(none.seq, 0);
}

/// Rule:   updates of one answer are in the order in which their pts begin, and pushes come in the
///         order of pts.
/// Source: UPD-04, UPD-02.
#[tokio::test]
async fn updates_are_in_the_order_of_their_pts() {
    let mut two = Two::new(test_numbers()).await;
    for number in 1..=4 {
        two.say(&number.to_string(), number).await;
    }
    let mut ids = Vec::new();
    for number in 1..=4_i32 {
        let (message, pts, count) = new_message(&two.bob.pushed().await.updates[0]);
        assert_eq!((pts, count), (1 + number, 1));
        ids.push(message.id);
    }
    let before = two.bob.ask(GetState {}).await.unwrap().pts;
    let to_ada = find(&mut two.bob, "9996620001").await;
    two.bob.ask(ReadHistory { peer: to_ada, max_id: ids[1] }).await.unwrap();
    two.bob.ask(DeleteMessages { revoke: false, id: vec![ids[0]] }).await.unwrap();
    let edit = EditMessage {
        peer: two.to_bob.clone(),
        id: ids[3],
        message: Some("four".into()),
        ..chappe_tl::blank()
    };
    two.ada.ask(edit).await.unwrap();
    two.bob.ask(DeleteMessages { revoke: false, id: ids[1..3].to_vec() }).await.unwrap();
    let Difference::Difference(missed) = difference(&mut two.bob, before).await else {
        panic!("no difference")
    };
    let begins: Vec<i32> = missed.other_updates.iter().map(begin).collect();
    assert_eq!(begins, [before, before + 1, before + 2, before + 3]);
    assert_eq!(missed.state.pts, before + 5);
}

/// Rule:   events older than the log, or more of them than it holds, are gone; who asks for them is
///         told where the account is, and then that there is nothing more. Half of what is kept is
///         told as ever.
/// Source: UPD-13, 20-telegram-api-service §3.4.
#[tokio::test]
async fn log_goes_back_only_so_far() {
    let mut config = test_numbers();
    config.log_max = 20;
    let mut two = Two::new(config).await;
    for number in 1..=200 {
        two.say(&number.to_string(), number).await;
    }
    let now = two.bob.ask(GetState {}).await.unwrap().pts;
    assert_eq!(now, 201);
    // The log is pruned beside the calls, with the hundredth and the two hundredth event.
    let mut tries = 0;
    while !matches!(difference(&mut two.bob, 50).await, Difference::DifferenceTooLong(_)) {
        tries += 1;
        assert!(tries < 1000, "nothing was pruned");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let Difference::DifferenceTooLong(too_long) = difference(&mut two.bob, 50).await else {
        panic!("it is there again")
    };
    assert_eq!(too_long.pts, now);
    assert!(matches!(difference(&mut two.bob, now).await, Difference::DifferenceEmpty(_)));
    let Difference::Difference(missed) = difference(&mut two.bob, now - 10).await else {
        panic!("the newest are gone")
    };
    assert_eq!((missed.new_messages.len(), missed.state.pts), (10, now));
}

/// Rule:   a service that does not keep events for long forgets those that are older.
/// Source: UPD-13.
#[tokio::test]
async fn old_events_are_forgotten() {
    let mut config = test_numbers();
    config.log_life = 0;
    let mut two = Two::new(config).await;
    two.say("old", 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    for number in 2..=101 {
        two.say("new", number).await;
    }
    let mut tries = 0;
    while !matches!(difference(&mut two.bob, 1).await, Difference::DifferenceTooLong(_)) {
        tries += 1;
        assert!(tries < 1000, "nothing was pruned");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(two.bob.ask(GetUsers { id: Vec::new() }).await.is_ok());
}

/// Rule:   a client that hands on whatever comes at once, also while it asks for the difference, and
///         then hands on all of the difference, hands on each message once and in order: what is
///         said meanwhile comes after the last part of the difference.
/// Source: UPD-09, UPD-03, UPD-04, QRK-54.
#[tokio::test]
async fn naive_client_hands_on_each_message_once() {
    let mut two = Two::new(test_numbers()).await;
    let before = two.bob.ask(GetState {}).await.unwrap().pts;
    let (mut home, mut ada, to_bob) = (two.home, two.ada, two.to_bob);
    for number in 1..=60 {
        ada.ask(say(&to_bob, &number.to_string(), number)).await.unwrap();
    }
    let mut bob = two.bob.beside(&home, 8).await;
    drop(two.bob);
    let sender = tokio::spawn(async move {
        for number in 61..=120 {
            ada.ask(say(&to_bob, &number.to_string(), number)).await.unwrap();
        }
    });
    let mut naive = Naive::default();
    let mut pts = before;
    loop {
        let call = GetDifference { pts, pts_limit: Some(4), ..chappe_tl::blank() };
        let difference = bob.ask(call).await.unwrap();
        bob.take_early().into_iter().for_each(|pushed| naive.hear(pushed));
        match difference {
            Difference::DifferenceSlice(slice) => {
                naive.hand_on(slice.new_messages);
                pts = slice.intermediate_state.pts;
            }
            Difference::Difference(rest) => {
                naive.hand_on(rest.new_messages);
                break;
            }
            _ => panic!("nothing was missed"),
        }
    }
    assert!(naive.0.len() < 120, "nothing was said meanwhile");
    while naive.0.len() < 120 {
        naive.hear(bob.told().await);
    }
    sender.await.unwrap();
    let all: Vec<String> = (1..=120).map(|number| number.to_string()).collect();
    assert_eq!(naive.0, all);
    let _ = home.client().await;
    assert!(bob.take_pushed().is_empty());
}

/// The texts that a client has handed on.
#[derive(Default)]
struct Naive(Vec<String>);

impl Naive {
    fn hear(&mut self, pushed: types::Updates) {
        let types::Updates::Updates(pushed) = pushed else { panic!("it was told to ask") };
        for update in pushed.updates {
            let Update::UpdateNewMessage(new) = update else { continue };
            self.hand_on(vec![new.message]);
        }
    }

    fn hand_on(&mut self, messages: Vec<types::Message>) {
        self.0.extend(texts(&messages));
    }
}

async fn difference(client: &mut Client, pts: i32) -> Difference {
    client.ask(GetDifference { pts, date: 0, qts: 0, ..chappe_tl::blank() }).await.unwrap()
}

fn begin(update: &Update) -> i32 {
    match update {
        Update::UpdateDeleteMessages(update) => update.pts - update.pts_count,
        Update::UpdateEditMessage(update) => update.pts - update.pts_count,
        Update::UpdateReadHistoryInbox(update) => update.pts - update.pts_count,
        _ => panic!("another update"),
    }
}

fn raw(call: &impl chappe_tl::Encode) -> Raw {
    Raw(chappe_tl::to_bytes(call).unwrap())
}
