//! How often the database is asked: what many rows are about is read at once.

use std::fmt::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chappe_api::functions::contacts::{GetStatuses, ImportContacts};
use chappe_api::functions::messages::{
    DeleteHistory, GetDialogs, GetHistory, GetOnlines, GetPeerDialogs, GetPinnedDialogs,
    GetSearchCounters, GetUnreadMentions, SaveDraft, Search, SetTyping,
};
use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::functions::users::GetUsers;
use chappe_api::types::MessagesFilter as Filter;
use chappe_api::types::updates::Difference;
use chappe_api::{ctors, types};
use chappe_backend::sql::sql;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

use crate::bots::user_of;
use crate::client::{Client, Home};
use crate::engine;
use crate::files::{few_bytes, show};
use crate::groups::{create, number, user};
use crate::messages::{Pair, find, say, updates, window};
use crate::sign_in::{enter, test_numbers};

/// Hears the statements of this thread, on which a test has its server, too.
#[derive(Clone, Default)]
pub(crate) struct Statements(Arc<Mutex<Vec<String>>>, Arc<Mutex<Option<Meanwhile>>>);

/// What is to happen before the first statement of such a text.
type Meanwhile = (&'static str, Box<dyn FnOnce() + Send>);

impl Statements {
    /// From when nothing is asked any more beside the calls of before.
    pub(crate) async fn listen() -> (Self, DefaultGuard) {
        // Of one dispatcher alone `tracing` asks it on whatever thread comes to a callsite first: on
        // that of another test, which has none, and then nobody hears of that callsite any more.
        static BESIDE: OnceLock<Dispatch> = OnceLock::new();
        BESIDE.get_or_init(|| Dispatch::new(Self::default()));
        let statements = Self::default();
        let guard = tracing::subscriber::set_default(statements.clone());
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if statements.take("") == 0 {
                return (statements, guard);
            }
        }
    }

    /// Does something before the first statement of such a text.
    fn before(&self, part: &'static str, what: impl FnOnce() + Send + 'static) {
        *self.1.lock().unwrap() = Some((part, Box::new(what)));
    }

    /// How many there were of such a text since this was last asked.
    pub(crate) fn take(&self, part: &str) -> usize {
        self.take_texts(part).len()
    }

    /// Those of such a text since this was last asked.
    fn take_texts(&self, part: &str) -> Vec<String> {
        let said = std::mem::take(&mut *self.0.lock().unwrap());
        said.into_iter().filter(|text| text.contains(part)).collect()
    }
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "chappe_backend::sql"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "text" {
                    write!(self.0, "{value:?}").unwrap();
                }
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let is_due = |(part, _): &mut Meanwhile| text.0.contains(*part);
        let due = self.1.lock().unwrap().take_if(is_due);
        if let Some((_, what)) = due {
            what();
        }
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Rule:   what a slice of the difference is about is read at once, not message by message: so many
///         statements for each 32 of them.
/// Source: UPD-04, 20-telegram-api-service §3.4.
#[tokio::test]
async fn messages_of_a_difference_are_read_at_once() {
    let mut pair = Pair::new().await;
    let before = pair.bob.ask(GetState {}).await.unwrap().pts;
    for number in 1..=40 {
        pair.ada.ask(say(&pair.to_bob, "text", number)).await.unwrap();
    }
    let (statements, _guard) = Statements::listen().await;
    let call = GetDifference { pts: before, date: 0, qts: 0, ..chappe_tl::blank() };
    let Difference::Difference(missed) = pair.bob.ask(call).await.unwrap() else {
        panic!("no difference")
    };
    assert_eq!(missed.new_messages.len(), 40);
    assert_eq!(statements.take("JOIN message"), 2, "32 and 8");
}

/// Rule:   whoever asks for the difference and misses nothing costs one look at where it is, whatever
///         it changed before that moves no pts.
/// Source: UPD-08, 20-telegram-api-service §3.4.
#[tokio::test]
async fn nothing_new_costs_one_look() {
    let mut pair = Pair::new().await;
    let draft =
        SaveDraft { peer: pair.to_bob.clone(), message: "text".into(), ..chappe_tl::blank() };
    pair.ada.ask(draft).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1050)).await;
    let state = pair.ada.ask(GetState {}).await.unwrap();
    let (statements, _guard) = Statements::listen().await;
    let call = GetDifference { pts: state.pts, date: state.date, qts: 0, ..chappe_tl::blank() };
    let answer = pair.ada.ask(call).await.unwrap();
    assert!(matches!(answer, Difference::DifferenceEmpty(_)));
    let texts = statements.take_texts("");
    let (who, rest): (Vec<_>, Vec<_>) =
        texts.iter().partition(|text| text.contains("session_of_account"));
    assert!(who.len() == 1 && rest.len() == 1 && rest[0].contains("pruned_pts"), "{texts:?}");
}

/// Rule:   dialogs are listed with their newest messages and drafts in a few statements, however
///         many they are; and so are people.
/// Source: 20-telegram-api-service §2.1, `messages.getDialogs`, `messages.getPeerDialogs`,
///         `users.getUsers`, `contacts.getStatuses`.
#[tokio::test]
async fn lists_are_read_at_once() {
    let (_home, mut ada, peers) = eight_friends().await;
    let dialog = |peer: &types::InputPeer| {
        types::InputDialogPeer::InputDialogPeer(ctors::InputDialogPeer { peer: peer.clone() })
    };
    let (statements, _guard) = Statements::listen().await;
    let limit = GetDialogs { limit: 100, ..chappe_tl::blank() };
    let call = GetDialogs { offset_peer: types::InputPeer::InputPeerEmpty, ..limit };
    let types::messages::Dialogs::Dialogs(all) = ada.ask(call).await.unwrap() else {
        panic!("not all")
    };
    assert_eq!((all.dialogs.len(), all.messages.len()), (8, 8));
    assert!(statements.take("") <= 8, "each dialog costs its own");
    let call = GetPeerDialogs { peers: peers.iter().map(dialog).collect() };
    assert_eq!(ada.ask(call).await.unwrap().dialogs.len(), 8);
    // Whether each may be named is asked one by one.
    assert!(statements.take("") <= 8 + 8, "each dialog costs its own");
    let users = ada.ask(GetUsers { id: peers.iter().map(user_of).collect() }).await.unwrap();
    assert_eq!(users.len(), 8);
    assert!(statements.take("") <= 2, "each user costs its own");
    assert_eq!(ada.ask(GetStatuses {}).await.unwrap().len(), 8);
    assert!(statements.take("") <= 3, "each contact costs its own");
}

/// Rule:   what is told to a group costs no statement for each member: neither that somebody types,
///         nor who of them listens to a message, nor how many are there.
/// Source: 20-telegram-api-service §2.1, `messages.setTyping`, `messages.getOnlines`; UPD-14.
#[tokio::test]
async fn members_are_looked_up_at_once() {
    let (_home, mut ada, _) = eight_friends().await;
    let mut users = Vec::new();
    for place in 1..=8 {
        users.push(user(&mut ada, place).await);
    }
    let made = ada.ask(create(users, "Engines")).await.unwrap();
    let [types::Chat::Chat(chat)] = &updates(made.updates).chats[..] else { panic!("no group") };
    let input = ctors::InputPeerChat { chat_id: chat.id };
    let peer = types::InputPeer::InputPeerChat(input);
    let (statements, _guard) = Statements::listen().await;
    let action = types::SendMessageAction::SendMessageTypingAction;
    ada.ask(SetTyping { peer: peer.clone(), top_msg_id: None, action }).await.unwrap();
    assert_eq!(statements.take("SELECT account, key_id"), 1);
    ada.ask(GetOnlines { peer: peer.clone() }).await.unwrap();
    assert!(statements.take("") <= 4, "each member costs its own");
    ada.ask(say(&peer, "hello", 100)).await.unwrap();
    // What nobody listens to is not read; who listens is asked beside the call.
    ada.ask(GetState {}).await.unwrap();
    assert!((1..=2).contains(&statements.take("SELECT account, key_id")), "9 boxes: 8 and 1");
}

/// Rule:   that a file is shown in many boxes is noted once.
/// Source: 20-telegram-api-service §5.
#[tokio::test]
async fn uses_of_a_file_are_counted_at_once() {
    let mut pair = Pair::new().await;
    let media = few_bytes(&mut pair.ada).await;
    let (statements, _guard) = Statements::listen().await;
    let call = show(&pair.to_bob, media, 1);
    pair.ada.ask(call).await.unwrap();
    assert_eq!(statements.take("UPDATE file SET uses"), 1);
}

/// Rule:   what is unread, and what is left to heed, is counted without walking through a dialog,
///         in whatever list or mark it is shown.
/// Source: 20-telegram-api-service §2.1, `messages.getDialogs`; UPD-01, `updateReadHistoryInbox`.
#[tokio::test]
async fn unread_is_counted_by_an_index() {
    if engine::is_postgres() {
        // It takes no index where there are few rows.
        return;
    }
    let mut pair = Pair::new().await;
    pair.ada.ask(say(&pair.to_bob, "text", 1)).await.unwrap();
    let (statements, _guard) = Statements::listen().await;
    let call = GetPinnedDialogs { folder_id: 0 };
    pair.bob.ask(call).await.unwrap();
    let counts = statements.take_texts("count(*)");
    assert!(counts.iter().any(|text| text.contains("unheeded")) && counts.len() == 2);
    for text in counts {
        for walk in walks(&pair.home, &text).await {
            let is_few = walk.contains("INDEX message_unheeded")
                || walk.ends_with("COVERING INDEX message_by_peer (owner=? AND peer=? AND id>?)");
            assert!(is_few, "{walk}");
        }
    }
}

/// Rule:   pages of a dialog are read by its own messages, not by those of the whole box.
/// Source: 20-telegram-api-service §2.1, `messages.getHistory`.
#[tokio::test]
async fn pages_are_found_by_an_index() {
    if engine::is_postgres() {
        // It takes no index where there are few rows.
        return;
    }
    let mut pair = Pair::new().await;
    pair.ada.ask(say(&pair.to_bob, "text", 1)).await.unwrap();
    let (statements, _guard) = Statements::listen().await;
    let page = GetHistory { add_offset: -1, limit: 2, ..window(&pair.to_bob) };
    pair.ada.ask(page).await.unwrap();
    check_walks(&pair.home, &statements, "message_by_peer", 2).await;
    let clear = DeleteHistory { peer: pair.to_bob.clone(), ..chappe_tl::blank() };
    pair.ada.ask(clear).await.unwrap();
    let texts = statements.take_texts("ORDER BY id DESC LIMIT");
    let [text] = &texts[..] else { panic!("{texts:?}") };
    for walk in walks(&pair.home, text).await {
        assert!(walk.contains("INDEX message_by_peer (owner=? AND peer=? AND id<?)"), "{walk}");
    }
}

/// Rule:   what is pinned, shows something or is left to heed is found, and counted, without walking
///         through a dialog.
/// Source: 20-telegram-api-service §2.1, `messages.search`, `messages.getSearchCounters`,
///         `messages.getUnreadMentions`.
#[tokio::test]
async fn few_are_found_by_an_index() {
    if engine::is_postgres() {
        // It takes no index where there are few rows.
        return;
    }
    let mut pair = Pair::new().await;
    pair.ada.ask(say(&pair.to_bob, "text", 1)).await.unwrap();
    let peer = pair.to_bob.clone();
    let (statements, _guard) = Statements::listen().await;
    for (filter, index) in [
        (Filter::InputMessagesFilterPinned, "message_pinned"),
        (Filter::InputMessagesFilterPhotos, "message_with_kinds"),
    ] {
        let filters = vec![filter.clone()];
        let count = GetSearchCounters { peer: peer.clone(), filters, ..chappe_tl::blank() };
        pair.ada.ask(count).await.unwrap();
        let page = Search { peer: peer.clone(), filter, limit: 1, ..chappe_tl::blank() };
        pair.ada.ask(page).await.unwrap();
        check_walks(&pair.home, &statements, index, 2).await;
    }
    let unheeded = GetUnreadMentions { peer, limit: 1, ..chappe_tl::blank() };
    pair.ada.ask(unheeded).await.unwrap();
    check_walks(&pair.home, &statements, "message_unheeded", 1).await;
}

/// So many statements went through messages, all by this index.
async fn check_walks(home: &Home, statements: &Statements, index: &str, expected: usize) {
    let texts = statements.take_texts("FROM message");
    assert_eq!(texts.len(), expected, "{texts:#?}");
    for text in texts {
        for walk in walks(home, &text).await {
            let is_by = |rest| walk.contains(&format!("INDEX {index} (owner=? AND {rest}"));
            assert!(is_by("peer=?") || is_by("(peer,id)>(?,?) AND (peer,id)<(?,?)"), "{walk}");
        }
    }
    // To explain was to ask.
    statements.take("");
}

/// How SQLite goes through messages for a statement.
async fn walks(home: &Home, text: &str) -> Vec<String> {
    let explained = sql(format!("EXPLAIN QUERY PLAN {text}").leak());
    let mut walks = Vec::new();
    for mut row in home.database().rows(explained.bind(1)).await.unwrap() {
        for _ in ["id", "parent", "notused"] {
            row.read::<i64>().unwrap();
        }
        walks.push(row.read::<String>().unwrap());
    }
    walks.retain(|walk| walk.contains(" message "));
    assert!(!walks.is_empty());
    walks
}

/// Rule:   who asks for events that leave the log at this very moment is told that they are gone,
///         not the rest as if it were all.
/// Source: UPD-13.
#[tokio::test]
async fn log_that_is_pruned_meanwhile_is_not_told_in_part() {
    if engine::is_postgres() {
        // Its connections wait for the thread that the server is on.
        return;
    }
    let mut pair = Pair::new().await;
    let before = pair.bob.ask(GetState {}).await.unwrap().pts;
    for number in 1..=3 {
        pair.ada.ask(say(&pair.to_bob, "text", number)).await.unwrap();
    }
    let (database, bob) = (pair.home.database().clone(), pair.ids.1);
    let prune = async move {
        let mut transaction = database.begin().await.unwrap();
        let delete = sql("DELETE FROM event WHERE owner = $1 AND pts <= $2");
        transaction.run(delete.bind(bob).bind(before + 1)).await.unwrap();
        let note = sql("UPDATE account SET pruned_pts = $2 WHERE id = $1");
        transaction.run(note.bind(bob).bind(before + 1)).await.unwrap();
        transaction.commit().await.unwrap();
        // Its connection goes back.
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (statements, _guard) = Statements::listen().await;
    statements.before("FROM event", move || {
        let beside = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(prune);
        });
        beside.join().unwrap();
    });
    let call = GetDifference { pts: before, date: 0, qts: 0, ..chappe_tl::blank() };
    let Difference::DifferenceTooLong(too_long) = pair.bob.ask(call).await.unwrap() else {
        panic!("the first message is passed over")
    };
    assert_eq!(too_long.pts, before + 3);
}

/// Ada, her server, and eight people whom she knows and has written to.
async fn eight_friends() -> (Home, Client, Vec<types::InputPeer>) {
    let mut home = Home::open(test_numbers()).await;
    let mut ada = home.client().await;
    enter(&mut ada, &number(0)).await;
    let mut peers = Vec::new();
    for place in 1..=8 {
        let mut other = home.client().await;
        enter(&mut other, &number(place)).await;
        let contact = types::InputContact {
            client_id: 1,
            phone: number(place).as_str().into(),
            first_name: "A friend".into(),
            last_name: "".into(),
            note: None,
        };
        ada.ask(ImportContacts { contacts: vec![contact] }).await.unwrap();
        let peer = find(&mut ada, &number(place)).await;
        ada.ask(say(&peer, "hello", place as i64)).await.unwrap();
        peers.push(peer);
    }
    (home, ada, peers)
}
