//! Private messages between two people, and what each of their devices hears.

use chappe_api::ctors;
use chappe_api::functions::contacts::ResolvePhone;
use chappe_api::functions::messages::{
    DeleteMessages, EditMessage, GetDialogs, GetHistory, GetMessages, GetPeerDialogs, ReadHistory,
    SendMessage, SetTyping,
};
use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::types::updates::Difference;
use chappe_api::types::{self, Update};
use chappe_telegram::Config;

use crate::client::{Client, Home};
use crate::sign_in::{enter, test_numbers};

/// Two people who know each other by what they sent, each as the other names it.
pub(crate) struct Pair {
    pub(crate) home: Home,
    pub(crate) ada: Client,
    pub(crate) bob: Client,
    /// Bob, to Ada.
    pub(crate) to_bob: types::InputPeer,
    /// Ada, to Bob.
    pub(crate) to_ada: types::InputPeer,
    pub(crate) ids: (i64, i64),
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::with(test_numbers()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::at(Home::open(config).await).await
    }

    pub(crate) async fn at(mut home: Home) -> Self {
        let (mut ada, mut bob) = (home.client().await, home.client().await);
        let of_ada = enter(&mut ada, "9996620001").await;
        let of_bob = enter(&mut bob, "9996620002").await;
        let ids = (of_ada.id, of_bob.id);
        let to_bob = find(&mut ada, "9996620002").await;
        let to_ada = find(&mut bob, "9996620001").await;
        Self { home, ada, bob, to_bob, to_ada, ids }
    }

    /// Ada says something, and Bob hears it.
    pub(crate) async fn say(
        &mut self,
        text: &str,
        random_id: i64,
    ) -> (ctors::Message, ctors::Message) {
        let sent = self.ada.ask(say(&self.to_bob, text, random_id)).await.unwrap();
        let heard = self.bob.pushed().await;
        (new_message(&updates(sent).updates[1]).0, new_message(&heard.updates[0]).0)
    }
}

/// Rule:   what is sent is in both boxes under ids of their own; its sender hears first the id it
///         got and then the message, with everybody in it; the other person's device is told at
///         once, the sending one not again, the sender's other device as well.
/// Source: API-08, API-09, UPD-01, UPD-02, UPD-03, UPD-05, UPD-06, UPD-14, UPD-34.
#[tokio::test]
async fn message_reaches_every_device_but_its_own() {
    let mut pair = Pair::new().await;
    let mut second = pair.home.client().await;
    enter(&mut second, "9996620001").await;
    second.ask(GetState {}).await.unwrap();

    let sent = pair.ada.ask(say(&pair.to_bob, "hello", 77)).await.unwrap();
    let sent = updates(sent);
    assert_eq!(sent.seq, 0);
    let Update::UpdateMessageId(name) = &sent.updates[0] else { panic!("no id first") };
    let (message, pts, count) = new_message(&sent.updates[1]);
    assert_eq!((name.random_id, name.id, pts, count), (77, message.id, 2, 1));
    assert!(message.out && message.message.as_str() == Ok("hello"));
    assert_eq!(peer_id(&message.peer_id), pair.ids.1);
    assert_eq!(user_ids(&sent.users), [pair.ids.0, pair.ids.1]);

    let heard = pair.bob.pushed().await;
    let (theirs, pts, count) = new_message(&heard.updates[0]);
    assert_eq!((pts, count, theirs.out), (2, 1, false));
    assert_eq!(peer_id(&theirs.peer_id), pair.ids.0);
    assert_eq!(theirs.from_id.as_ref().map(peer_id), Some(pair.ids.0));
    assert_eq!(user_ids(&heard.users), [pair.ids.0]);

    let (also, pts, _) = new_message(&second.pushed().await.updates[0]);
    assert_eq!((also.id, pts, also.out), (message.id, 2, true));
    let state = pair.ada.ask(GetState {}).await.unwrap();
    assert_eq!((state.pts, state.unread_count), (2, 0));
    assert!(pair.ada.take_pushed().is_empty());
    assert_eq!(pair.bob.ask(GetState {}).await.unwrap().unread_count, 1);
}

/// Rule:   the same random_id makes no second message, however often it is sent; with another
///         message it is refused.
/// Source: API-12.
#[tokio::test]
async fn repeat_makes_no_second_message() {
    let mut pair = Pair::new().await;
    let (first, _) = pair.say("once", 5).await;
    for _ in 0..3 {
        let again = updates(pair.ada.ask(say(&pair.to_bob, "once", 5)).await.unwrap());
        let (message, pts, _) = new_message(&again.updates[1]);
        assert_eq!((message.id, pts), (first.id, 2));
    }
    assert_eq!(history(&mut pair.bob, window(&pair.to_ada)).await.0.len(), 1);
    assert!(pair.bob.take_pushed().is_empty());
    let duplicate = (400, "RANDOM_ID_DUPLICATE".to_owned());
    assert_eq!(pair.ada.fail(say(&pair.to_bob, "twice", 5)).await, duplicate);
    let myself = types::InputPeer::InputPeerSelf;
    assert_eq!(pair.ada.fail(say(&myself, "once", 5)).await, duplicate);
}

/// Rule:   texts have bounds; peers are named by their hash; what one says to oneself is kept once.
/// Source: 20-telegram-api-service §2.1, `messages.sendMessage`, UPD-30, UPD-34.
#[tokio::test]
async fn message_has_a_text_and_a_peer() {
    let mut pair = Pair::new().await;
    let to_bob = pair.to_bob.clone();
    let long = "x".repeat(4097);
    for (text, error) in
        [("", "MESSAGE_EMPTY"), (" \n\t", "MESSAGE_EMPTY"), (&*long, "MESSAGE_TOO_LONG")]
    {
        assert_eq!(pair.ada.fail(say(&to_bob, text, 1)).await, (400, error.to_owned()));
    }
    let emoji = "\u{1f600}".repeat(2048);
    pair.ada.ask(say(&to_bob, &emoji, 2)).await.unwrap();
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    for peer in [wrong(&to_bob), types::InputPeer::InputPeerEmpty] {
        assert_eq!(pair.ada.fail(say(&peer, "x", 3)).await, invalid);
    }
    // A hash is of no use to anybody else.
    let mut third = pair.home.client().await;
    enter(&mut third, "9996620003").await;
    assert_eq!(third.fail(say(&to_bob, "x", 3)).await, invalid);
    let myself = types::InputPeer::InputPeerSelf;
    let sent = updates(pair.ada.ask(say(&myself, "note", 4)).await.unwrap());
    let (message, ..) = new_message(&sent.updates[1]);
    assert!(!message.out && peer_id(&message.peer_id) == pair.ids.0);
    assert_eq!(history(&mut pair.ada, window(&myself)).await.0.len(), 1);
}

/// Rule:   entities come back as they went, clipped to the text; those out of bounds are refused.
/// Source: 20-telegram-api-service §2.1, `messages.sendMessage`; LAY-01.
#[tokio::test]
async fn text_keeps_its_dress() {
    let mut pair = Pair::new().await;
    let bold = |offset, length| {
        types::MessageEntity::MessageEntityBold(ctors::MessageEntityBold { offset, length })
    };
    let link = types::MessageEntity::MessageEntityTextUrl(ctors::MessageEntityTextUrl {
        offset: 1,
        length: 2,
        url: "https://example.org".into(),
    });
    let mut call = say(&pair.to_bob, "bold", 1);
    call.entities = Some(vec![bold(0, 100), link, bold(9, 1)]);
    pair.ada.ask(call).await.unwrap();
    let (heard, ..) = new_message(&pair.bob.pushed().await.updates[0]);
    let entities = heard.entities.unwrap();
    assert!(matches!(
        &entities[..],
        [types::MessageEntity::MessageEntityBold(bold), types::MessageEntity::MessageEntityTextUrl(link)]
            if bold.length == 4 && (link.offset, link.length) == (1, 2)
                && link.url.as_str() == Ok("https://example.org")
    ));
    let mut call = say(&pair.to_bob, "bold", 2);
    call.entities = Some(vec![bold(-1, 2)]);
    assert_eq!(pair.ada.fail(call).await, (400, "ENTITY_BOUNDS_INVALID".to_owned()));
    let mut call = say(&pair.to_bob, "bold", 3);
    call.entities = Some(vec![bold(0, 1); 101]);
    assert_eq!(pair.ada.fail(call).await, (400, "ENTITIES_TOO_LONG".to_owned()));
}

/// Rule:   a reply names the message by the id that it has in the box of whoever looks.
/// Source: LAY-12, 20-telegram-api-service §2.1.
#[tokio::test]
async fn reply_is_to_the_same_message_in_both_boxes() {
    let mut pair = Pair::new().await;
    // A note first, so that the boxes do not count alike.
    pair.ada.ask(say(&types::InputPeer::InputPeerSelf, "note", 9)).await.unwrap();
    let (in_ada, in_bob) = pair.say("question", 1).await;
    assert_ne!(in_ada.id, in_bob.id);
    let mut call = say(&pair.to_ada, "answer", 2);
    let to = ctors::InputReplyToMessage { reply_to_msg_id: in_bob.id, ..chappe_tl::blank() };
    call.reply_to = Some(types::InputReplyTo::InputReplyToMessage(Box::new(to)));
    let sent = updates(pair.bob.ask(call).await.unwrap());
    assert_eq!(replied(&new_message(&sent.updates[1]).0), Some(in_bob.id));
    let heard = pair.ada.pushed().await;
    assert_eq!(replied(&new_message(&heard.updates[0]).0), Some(in_ada.id));
}

/// Rule:   every page of a history: from the newest, from an id, from a date, moved to older and to
///         newer ones, between two ids; all at once, or as a slice that says how many there are, or
///         that the client has it already.
/// Source: QRK-40, 20-telegram-api-service §2.1, `messages.getHistory`, `messages.getMessages`.
#[tokio::test]
async fn history_has_pages() {
    let mut pair = Pair::new().await;
    for number in 1..=10 {
        pair.say(&number.to_string(), number).await;
    }
    let to_bob = pair.to_bob.clone();
    let (ids, count) = history(&mut pair.ada, window(&to_bob)).await;
    assert_eq!((ids, count), ((1..=10).rev().collect(), None));
    let page = |offset_id, add_offset, limit, max_id, min_id| GetHistory {
        offset_id,
        add_offset,
        limit,
        max_id,
        min_id,
        ..window(&to_bob)
    };
    for (asked, expected) in [
        (page(0, 0, 3, 0, 0), vec![10, 9, 8]),
        (page(8, 0, 3, 0, 0), vec![7, 6, 5]),
        (page(8, 2, 3, 0, 0), vec![5, 4, 3]),
        (page(5, -2, 4, 0, 0), vec![6, 5, 4, 3]),
        (page(5, -3, 2, 0, 0), vec![7, 6]),
        (page(10, -5, 10, 0, 0), vec![10, 9, 8, 7, 6, 5]),
        (page(0, 0, 100, 5, 2), vec![4, 3]),
        (page(2, 0, 10, 0, 0), vec![1]),
        (page(1, 0, 10, 0, 0), vec![]),
        (page(0, 0, 0, 0, 0), vec![]),
    ] {
        let (ids, count) = history(&mut pair.ada, asked).await;
        assert_eq!((ids, count), (expected, Some(10)));
    }
    let hash = (1..=10).rev().fold(0_u64, |hash, id| mixed(mixed(hash, id), 0)).cast_signed();
    let same = GetHistory { hash, ..window(&to_bob) };
    let same = pair.ada.ask(same).await.unwrap();
    assert!(matches!(
        same,
        types::messages::Messages::MessagesNotModified(same) if same.count == 10
    ));
    let other = GetHistory { hash: hash ^ 1, ..window(&to_bob) };
    assert_eq!(history(&mut pair.ada, other).await.0.len(), 10);
    let early = GetHistory { offset_date: 1, ..window(&to_bob) };
    assert_eq!(history(&mut pair.ada, early).await.0, [0; 0]);
    let late = GetHistory { offset_date: i32::MAX, ..window(&to_bob) };
    assert_eq!(history(&mut pair.ada, late).await.0.len(), 10);
    // Where an id says it, the second says nothing.
    let by_id = GetHistory { offset_date: 1, ..page(8, 0, 3, 0, 0) };
    assert_eq!(history(&mut pair.ada, by_id).await.0, [7, 6, 5]);

    let id = |id| types::InputMessage::InputMessageId(ctors::InputMessageId { id });
    let asked = GetMessages { id: vec![id(3), id(99), id(1)] };
    let types::messages::Messages::Messages(found) = pair.ada.ask(asked).await.unwrap() else {
        panic!("a slice")
    };
    assert!(matches!(
        &found.messages[..],
        [types::Message::Message(three), types::Message::MessageEmpty(none), types::Message::Message(one)]
            if (three.id, none.id, one.id) == (3, 99, 1)
    ));
}

/// Rule:   reading moves the mark of one's own inbox and the other's outbox, an event each, and
///         never back; dialogs show both, and what is unread.
/// Source: UPD-01, UPD-03, 20-telegram-api-service §2.1, `messages.readHistory`, `getDialogs`.
#[tokio::test]
async fn reading_is_seen_on_both_sides() {
    let mut pair = Pair::new().await;
    for number in 1..=3 {
        pair.say(&number.to_string(), number).await;
    }
    assert_eq!(dialog(&mut pair.bob).await, (3, 0, 0, 3));
    let peer = pair.to_ada.clone();
    let read = pair.bob.ask(ReadHistory { peer: peer.clone(), max_id: 2 }).await.unwrap();
    assert_eq!((read.pts, read.pts_count), (5, 1));
    let told = pair.ada.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateReadHistoryOutbox(read)] if (read.max_id, read.pts, read.pts_count) == (2, 5, 1)
    ));
    assert_eq!(dialog(&mut pair.bob).await, (3, 2, 0, 1));
    assert_eq!(dialog(&mut pair.ada).await, (3, 0, 2, 0));
    let read = pair.bob.ask(ReadHistory { peer: peer.clone(), max_id: 1 }).await.unwrap();
    assert_eq!((read.pts, read.pts_count), (5, 0));
    pair.bob.ask(ReadHistory { peer: peer.clone(), max_id: 0 }).await.unwrap();
    assert_eq!(dialog(&mut pair.bob).await, (3, 3, 0, 0));

    let asked = ctors::InputDialogPeer { peer };
    let peers = vec![types::InputDialogPeer::InputDialogPeer(asked)];
    let found = pair.bob.ask(GetPeerDialogs { peers: peers.clone() }).await.unwrap();
    assert_eq!((found.dialogs.len(), found.messages.len(), found.state.pts), (1, 1, 6));
    let twice = [peers.clone(), peers].concat();
    let found = pair.bob.ask(GetPeerDialogs { peers: twice }).await.unwrap();
    let top = |dialog: &types::Dialog| match dialog {
        types::Dialog::Dialog(dialog) => dialog.top_message,
        _ => 0,
    };
    assert_eq!(found.dialogs.iter().map(top).collect::<Vec<_>>(), [3, 3], "named twice");
}

/// Rule:   an edit shows in both boxes; only one's own can be edited, and only to something else.
/// Source: 20-telegram-api-service §2.1, `messages.editMessage`; UPD-03.
#[tokio::test]
async fn edit_shows_on_both_sides() {
    let mut pair = Pair::new().await;
    let (mine, theirs) = pair.say("tyop", 1).await;
    let edit = |peer: &types::InputPeer, id, text: &str| EditMessage {
        peer: peer.clone(),
        id,
        message: Some(text.into()),
        ..chappe_tl::blank()
    };
    let done = updates(pair.ada.ask(edit(&pair.to_bob, mine.id, "typo")).await.unwrap());
    let Update::UpdateEditMessage(edited) = &done.updates[0] else { panic!("no edit") };
    assert_eq!((edited.pts, edited.pts_count), (3, 1));
    let told = pair.bob.pushed().await;
    let Update::UpdateEditMessage(edited) = &told.updates[0] else { panic!("no edit") };
    let types::Message::Message(message) = &edited.message else { panic!("no message") };
    assert_eq!((message.id, message.message.as_str()), (theirs.id, Ok("typo")));
    assert!(message.edit_date.is_some());
    for (call, code, error) in [
        (edit(&pair.to_bob, mine.id, "typo"), 400, "MESSAGE_NOT_MODIFIED"),
        (edit(&pair.to_bob, 99, "typo"), 400, "MESSAGE_ID_INVALID"),
        (edit(&pair.to_bob, mine.id, ""), 400, "MESSAGE_EMPTY"),
    ] {
        assert_eq!(pair.ada.fail(call).await, (code, error.to_owned()));
    }
    let call = edit(&pair.to_ada, theirs.id, "mine");
    assert_eq!(pair.bob.fail(call).await, (403, "MESSAGE_AUTHOR_REQUIRED".to_owned()));
}

/// Rule:   deleting takes messages out of one's box, with `revoke` out of the other's as well, each
///         told its own ids; as many pts as messages.
/// Source: UPD-01, 20-telegram-api-service §2.1, `messages.deleteMessages`.
#[tokio::test]
async fn deleted_message_is_gone_where_it_should_be() {
    let mut pair = Pair::new().await;
    pair.ada.ask(say(&types::InputPeer::InputPeerSelf, "note", 9)).await.unwrap();
    for number in 1..=3 {
        pair.say(&number.to_string(), number).await;
    }
    let delete = |id: Vec<i32>, revoke| DeleteMessages { revoke, id };
    let done = pair.ada.ask(delete(vec![2, 99], false)).await.unwrap();
    assert_eq!((done.pts, done.pts_count), (6, 1));
    assert_eq!(history(&mut pair.bob, window(&pair.to_ada)).await.0, [3, 2, 1]);
    let done = pair.ada.ask(delete(vec![3, 4], true)).await.unwrap();
    assert_eq!((done.pts, done.pts_count), (8, 2));
    let told = pair.bob.pushed().await;
    let Update::UpdateDeleteMessages(deleted) = &told.updates[0] else { panic!("nothing deleted") };
    assert_eq!((&deleted.messages[..], deleted.pts, deleted.pts_count), (&[2, 3][..], 6, 2));
    assert_eq!(history(&mut pair.bob, window(&pair.to_ada)).await.0, [1]);
    assert_eq!(history(&mut pair.ada, window(&pair.to_bob)).await.0, [0; 0]);
    let none = pair.ada.ask(delete(vec![], true)).await.unwrap();
    assert_eq!((none.pts, none.pts_count), (8, 0));
}

/// Rule:   typing is told at once, to the other person alone, and moves no pts.
/// Source: 20-telegram-api-service §2.1, `messages.setTyping`; UPD-06.
#[tokio::test]
async fn typing_is_told() {
    let mut pair = Pair::new().await;
    pair.bob.ask(GetState {}).await.unwrap();
    let action = types::SendMessageAction::SendMessageTypingAction;
    let call = SetTyping { peer: pair.to_bob.clone(), top_msg_id: None, action };
    assert!(pair.ada.ask(call).await.unwrap());
    let mut told = Vec::new();
    while told.is_empty() {
        pair.bob.ask(GetState {}).await.unwrap();
        told = pair.bob.take_pushed();
    }
    let types::Updates::UpdateShort(short) = &told[0] else { panic!("not short") };
    let Update::UpdateUserTyping(typing) = &short.update else { panic!("not typing") };
    assert_eq!(typing.user_id, pair.ids.0);
    assert_eq!(pair.bob.ask(GetState {}).await.unwrap().pts, 1);
}

/// Rule:   whoever was away is told everything once, in slices that move on: new messages as they
///         are now, edits of older ones, deletions, the last marks; a gap that is too long is said.
/// Source: UPD-02, UPD-12, 20-telegram-api-service §3.4.
#[tokio::test]
async fn difference_tells_what_was_missed() {
    let mut pair = Pair::new().await;
    let (_, old) = pair.say("old", 100).await;
    let before = pair.bob.ask(GetState {}).await.unwrap().pts;
    for number in 1..=5 {
        pair.say(&number.to_string(), number).await;
    }
    let edit = |id, text: &str| EditMessage {
        peer: pair.to_bob.clone(),
        id,
        message: Some(text.into()),
        ..chappe_tl::blank()
    };
    pair.ada.ask(edit(1, "older")).await.unwrap();
    pair.ada.ask(edit(3, "two")).await.unwrap();
    pair.ada.ask(DeleteMessages { revoke: true, id: vec![4] }).await.unwrap();
    let peer = pair.to_ada.clone();
    for max_id in [2, 6] {
        pair.bob.ask(ReadHistory { peer: peer.clone(), max_id }).await.unwrap();
    }
    let ask = |pts, pts_limit| GetDifference { pts, pts_limit, ..chappe_tl::blank() };
    let Difference::Difference(all) = pair.bob.ask(ask(before, None)).await.unwrap() else {
        panic!("not all")
    };
    assert_eq!(texts(&all.new_messages), ["1", "two", "4", "5"]);
    assert_eq!(all.state.pts, pair.bob.ask(GetState {}).await.unwrap().pts);
    let mut kinds = [0; 3];
    for update in &all.other_updates {
        match update {
            Update::UpdateEditMessage(edit) => {
                kinds[0] += 1;
                let types::Message::Message(message) = &edit.message else { panic!("no message") };
                assert_eq!((message.id, message.message.as_str()), (old.id, Ok("older")));
            }
            Update::UpdateDeleteMessages(deleted) => {
                kinds[1] += 1;
                assert_eq!(deleted.messages, [4]);
            }
            Update::UpdateReadHistoryInbox(read) => {
                kinds[2] += 1;
                assert_eq!((read.max_id, read.still_unread_count), (6, 0));
            }
            _ => panic!("another update"),
        }
    }
    assert_eq!(kinds, [1, 1, 1]);
    assert_eq!(user_ids(&all.users), [pair.ids.0]);

    let (mut pts, mut heard) = (before, Vec::new());
    loop {
        match pair.bob.ask(ask(pts, Some(2))).await.unwrap() {
            Difference::DifferenceSlice(slice) => {
                assert!(slice.intermediate_state.pts > pts);
                pts = slice.intermediate_state.pts;
                heard.extend(texts(&slice.new_messages));
            }
            Difference::Difference(last) => {
                heard.extend(texts(&last.new_messages));
                assert_eq!(last.state.pts, all.state.pts);
                break;
            }
            _ => panic!("not the rest"),
        }
    }
    assert_eq!(heard, ["1", "two", "4", "5"]);
    let far = GetDifference { pts: before, pts_total_limit: Some(1), ..chappe_tl::blank() };
    let Difference::DifferenceTooLong(too_long) = pair.bob.ask(far).await.unwrap() else {
        panic!("not too long")
    };
    assert_eq!(too_long.pts, all.state.pts);
    let end = pair.bob.ask(ask(too_long.pts, None)).await.unwrap();
    assert!(matches!(end, Difference::DifferenceEmpty(_)));
}

/// The API's arithmetic over what a client has.
fn mixed(hash: u64, value: u64) -> u64 {
    let hash = hash ^ (hash >> 21);
    let hash = hash ^ (hash << 35);
    let hash = hash ^ (hash >> 4);
    hash.wrapping_add(value)
}

/// A person whose number is known, as one names them.
pub(crate) async fn find(client: &mut Client, number: &str) -> types::InputPeer {
    let found = client.ask(ResolvePhone { phone: number.into() }).await.unwrap();
    let [types::User::User(user)] = &found.users[..] else { panic!("nobody") };
    let (user_id, access_hash) = (user.id, user.access_hash.unwrap());
    types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash })
}

pub(crate) fn say(peer: &types::InputPeer, text: &str, random_id: i64) -> SendMessage {
    SendMessage { peer: peer.clone(), message: text.into(), random_id, ..chappe_tl::blank() }
}

pub(crate) fn window(peer: &types::InputPeer) -> GetHistory {
    GetHistory { peer: peer.clone(), limit: 100, ..chappe_tl::blank() }
}

pub(crate) fn wrong(peer: &types::InputPeer) -> types::InputPeer {
    match peer {
        types::InputPeer::InputPeerUser(user) => {
            let (user_id, access_hash) = (user.user_id, user.access_hash ^ 1);
            types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash })
        }
        other => other.clone(),
    }
}

pub(crate) fn updates(updates: types::Updates) -> ctors::Updates {
    let types::Updates::Updates(updates) = updates else { panic!("not the long form") };
    updates
}

pub(crate) fn new_message(update: &Update) -> (ctors::Message, i32, i32) {
    let Update::UpdateNewMessage(new) = update else { panic!("no new message") };
    let types::Message::Message(message) = &new.message else { panic!("no message") };
    ((**message).clone(), new.pts, new.pts_count)
}

fn peer_id(peer: &types::Peer) -> i64 {
    let types::Peer::PeerUser(user) = peer else { panic!("not a person") };
    user.user_id
}

pub(crate) fn replied(message: &ctors::Message) -> Option<i32> {
    match &message.reply_to {
        Some(types::MessageReplyHeader::MessageReplyHeader(header)) => header.reply_to_msg_id,
        _ => None,
    }
}

pub(crate) fn user_ids(users: &[types::User]) -> Vec<i64> {
    let id = |user: &types::User| match user {
        types::User::User(user) => user.id,
        types::User::UserEmpty(user) => user.id,
    };
    users.iter().map(id).collect()
}

pub(crate) fn texts(messages: &[types::Message]) -> Vec<String> {
    let text = |message: &types::Message| {
        let types::Message::Message(message) = message else { panic!("no message") };
        message.message.to_string_lossy().into_owned()
    };
    messages.iter().map(text).collect()
}

/// Ids of a history, and how many there are in all if these are not all.
pub(crate) async fn history(client: &mut Client, asked: GetHistory) -> (Vec<i32>, Option<i32>) {
    let id = |message: &types::Message| match message {
        types::Message::Message(message) => message.id,
        types::Message::MessageService(message) => message.id,
        types::Message::MessageEmpty(message) => message.id,
    };
    match client.ask(asked).await.unwrap() {
        types::messages::Messages::Messages(all) => (all.messages.iter().map(id).collect(), None),
        types::messages::Messages::MessagesSlice(slice) => {
            (slice.messages.iter().map(id).collect(), Some(slice.count))
        }
        _ => panic!("no messages"),
    }
}

/// Of the only dialog: top message, marks of inbox and outbox, unread.
async fn dialog(client: &mut Client) -> (i32, i32, i32, i32) {
    let asked = GetDialogs { limit: 10, ..chappe_tl::blank() };
    let types::messages::Dialogs::Dialogs(found) = client.ask(asked).await.unwrap() else {
        panic!("not all dialogs")
    };
    let [types::Dialog::Dialog(dialog)] = &found.dialogs[..] else { panic!("not one dialog") };
    assert!(found.messages.len() == 1 && !found.users.is_empty());
    let (inbox, outbox) = (dialog.read_inbox_max_id, dialog.read_outbox_max_id);
    (dialog.top_message, inbox, outbox, dialog.unread_count)
}
