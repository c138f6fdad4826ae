//! One's own list of dialogs, and emptying them.

use chappe_api::ctors;
use chappe_api::functions::messages::{
    DeleteHistory, GetDialogUnreadMarks, GetDialogs, GetMessageReadParticipants, GetMessagesViews,
    GetOnlines, GetOutboxReadDate, GetPeerSettings, GetPinnedDialogs, GetUnreadReactions,
    GetWebPagePreview, HidePeerSettingsBar, MarkDialogUnread, ReadHistory, ReadReactions,
    ReceivedMessages, ReorderPinnedDialogs, ToggleDialogPin,
};
use chappe_api::functions::updates::GetState;
use chappe_api::types::{self, Update};

use crate::client::Client;
use crate::groups::{Group, number};
use crate::messages::{Pair, find, history, say, window, wrong};
use crate::sign_in::enter;

/// Rule:   pinned dialogs come first, in their order, on the first page or where they are asked for;
///         the others by their newest message, page by page; one's other devices hear of every
///         change, and nobody else.
/// Source: 20-telegram-api-service §2.1, `messages.getDialogs`, `getPinnedDialogs`,
///         `toggleDialogPin`, `reorderPinnedDialogs`.
#[tokio::test]
async fn dialogs_have_an_order() {
    let mut pair = Pair::new().await;
    let mut peers = Vec::new();
    for place in 3..11 {
        let mut other = pair.home.client().await;
        enter(&mut other, &number(place)).await;
        let peer = find(&mut pair.ada, &number(place)).await;
        pair.ada.ask(say(&peer, "hello", place as i64)).await.unwrap();
        peers.push(peer);
    }
    let mut second = pair.home.client().await;
    enter(&mut second, "9996620001").await;
    second.ask(GetState {}).await.unwrap();
    let ada = &mut pair.ada;
    let pin = |place: usize, pinned| ToggleDialogPin { pinned, peer: dialog(&peers[place]) };
    assert!(ada.ask(pin(1, true)).await.unwrap());
    assert!(ada.ask(pin(3, true)).await.unwrap());
    let told = second.pushed().await;
    assert!(matches!(&told.updates[..], [Update::UpdateDialogPinned(new)] if new.pinned));
    assert_eq!(order(ada, page(3, 0)).await, [4, 2, 8, 7, 6]);
    assert_eq!(order(ada, page(3, 6)).await, [5, 3, 1]);
    let rest = GetDialogs { exclude_pinned: true, ..page(100, 0) };
    assert_eq!(order(ada, rest).await, [8, 7, 6, 5, 3, 1]);
    let early = GetDialogs { offset_date: 1, ..page(100, 0) };
    assert!(order(ada, early).await.is_empty());
    let late = GetDialogs { offset_date: i32::MAX, ..page(100, 0) };
    assert_eq!(order(ada, late).await.len(), 6);
    let turn = |force, places: &[usize]| ReorderPinnedDialogs {
        force,
        folder_id: 0,
        order: places.iter().map(|place| dialog(&peers[*place])).collect(),
    };
    assert!(ada.ask(turn(false, &[1, 5])).await.unwrap());
    assert_eq!(pinned(ada).await, [2, 4]);
    assert!(ada.ask(turn(true, &[5, 6, 7])).await.unwrap());
    assert_eq!(pinned(ada).await, [6, 7, 8]);
    ada.ask(pin(6, false)).await.unwrap();
    assert_eq!(pinned(ada).await, [6, 8]);
    for place in [0, 1, 2] {
        ada.ask(pin(place, true)).await.unwrap();
    }
    let too_much = (400, "PINNED_DIALOGS_TOO_MUCH".to_owned());
    assert_eq!(ada.fail(pin(3, true)).await, too_much);
    let nobody = ToggleDialogPin { pinned: true, peer: dialog(&pair.to_bob) };
    ada.ask(pin(0, false)).await.unwrap();
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(ada.fail(nobody).await, invalid);
    let folder = GetDialogs { folder_id: Some(7), ..page(10, 0) };
    assert_eq!(ada.fail(folder).await, (400, "FOLDER_ID_INVALID".to_owned()));
    assert!(ada.take_pushed().is_empty());
}

/// Rule:   a dialog that is marked as unread by hand stays so until it is read, which one's other
///         devices hear.
/// Source: 20-telegram-api-service §2.1, `messages.markDialogUnread`, `getDialogUnreadMarks`.
#[tokio::test]
async fn dialog_is_marked_by_hand() {
    let mut pair = Pair::new().await;
    pair.say("one", 1).await;
    let to_ada = pair.to_ada.clone();
    pair.bob.ask(ReadHistory { peer: to_ada.clone(), max_id: 0 }).await.unwrap();
    let mark = |peer: &types::InputPeer, unread| MarkDialogUnread {
        unread,
        parent_peer: None,
        peer: dialog(peer),
    };
    assert!(pair.bob.ask(mark(&to_ada, true)).await.unwrap());
    let marks = || GetDialogUnreadMarks { parent_peer: None };
    assert_eq!(pair.bob.ask(marks()).await.unwrap().len(), 1);
    let mut second = pair.bob.beside(&pair.home, 8).await;
    second.ask(GetState {}).await.unwrap();
    let read = pair.bob.ask(ReadHistory { peer: to_ada.clone(), max_id: 0 }).await.unwrap();
    assert_eq!(read.pts_count, 0);
    let [Update::UpdateDialogUnreadMark(told)] = &second.pushed().await.updates[..] else {
        panic!("not told")
    };
    assert!(!told.unread);
    pair.bob.ask(ReadHistory { peer: to_ada.clone(), max_id: 0 }).await.unwrap();
    second.ask(GetState {}).await.unwrap();
    assert!(second.take_pushed().is_empty(), "nothing changed");
    assert!(pair.bob.ask(marks()).await.unwrap().is_empty());
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(pair.bob.fail(mark(&wrong(&to_ada), true)).await, invalid);
    let myself = types::InputPeer::InputPeerSelf;
    assert_eq!(pair.bob.fail(mark(&myself, true)).await, invalid);
}

/// Rule:   a history goes from one's own box, or with `revoke` from both; up to an id or between
///         dates; as many pts as messages.
/// Source: 20-telegram-api-service §2.1, `messages.deleteHistory`; UPD-01.
#[tokio::test]
async fn history_is_emptied() {
    let mut pair = Pair::new().await;
    for number in 1..=5 {
        pair.say(&number.to_string(), number).await;
    }
    let clear =
        |peer: &types::InputPeer| DeleteHistory { peer: peer.clone(), ..chappe_tl::blank() };
    let (to_bob, to_ada) = (pair.to_bob.clone(), pair.to_ada.clone());
    let call = DeleteHistory { max_id: 2, ..clear(&to_bob) };
    let gone = pair.ada.ask(call).await.unwrap();
    assert_eq!((gone.pts, gone.pts_count, gone.offset), (8, 2, 0));
    assert_eq!(history(&mut pair.ada, window(&to_bob)).await.0, [5, 4, 3]);
    assert_eq!(history(&mut pair.bob, window(&to_ada)).await.0.len(), 5);
    let call = DeleteHistory { min_date: Some(1), max_date: Some(2), ..clear(&to_bob) };
    assert_eq!(pair.ada.ask(call).await.unwrap().pts_count, 0);
    let call = DeleteHistory { min_date: Some(2), max_date: Some(1), ..clear(&to_bob) };
    assert_eq!(pair.ada.fail(call).await, (400, "MAX_DATE_INVALID".to_owned()));
    let call = DeleteHistory { revoke: true, ..clear(&to_bob) };
    assert_eq!(pair.ada.ask(call).await.unwrap().pts_count, 3);
    let told = pair.bob.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateDeleteMessages(gone)] if gone.messages == [3, 4, 5]
    ));
    assert_eq!(history(&mut pair.bob, window(&to_ada)).await.0, [2, 1]);
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(pair.ada.fail(clear(&wrong(&to_bob))).await, invalid);
}

/// Rule:   what is not kept is answered shortly, and about peers and messages of one's own alone.
/// Source: 20-telegram-api-service §1.4, §2.1, `messages.getMessagesViews`, `getOutboxReadDate`,
///         `getMessageReadParticipants`, `getPeerSettings`, `getWebPagePreview`.
#[tokio::test]
async fn short_questions_have_short_answers() {
    let mut group = Group::new().await;
    let peer = group.peer();
    group.ada.ask(say(&peer, "one", 1)).await.unwrap();
    let ada = &mut group.ada;
    let views = |peer: &types::InputPeer| GetMessagesViews {
        peer: peer.clone(),
        id: vec![1, 2],
        increment: true,
    };
    assert_eq!(ada.ask(views(&peer)).await.unwrap().views.len(), 2);
    let date = |msg_id| GetOutboxReadDate { peer: peer.clone(), msg_id };
    assert_eq!(ada.fail(date(2)).await, (400, "MESSAGE_NOT_READ_YET".to_owned()));
    assert_eq!(ada.fail(date(9)).await, (400, "MSG_ID_INVALID".to_owned()));
    let readers = |msg_id| GetMessageReadParticipants { peer: peer.clone(), msg_id };
    assert!(ada.ask(readers(2)).await.unwrap().is_empty());
    assert_eq!(ada.fail(readers(9)).await, (400, "MSG_ID_INVALID".to_owned()));
    let settings = ada.ask(GetPeerSettings { peer: peer.clone() }).await.unwrap();
    assert_eq!(settings.chats.len(), 1);
    assert!(ada.ask(HidePeerSettingsBar { peer: peer.clone() }).await.unwrap());
    let call = GetUnreadReactions { peer: peer.clone(), ..chappe_tl::blank() };
    assert!(crate::pins::found(ada, call).await.is_empty());
    let call = ReadReactions { peer: peer.clone(), ..chappe_tl::blank() };
    assert_eq!(ada.ask(call).await.unwrap().pts_count, 0);
    assert!(ada.ask(ReceivedMessages { max_id: 9 }).await.unwrap().is_empty());
    let page = |message: &str| GetWebPagePreview { message: message.into(), entities: None };
    let media = ada.ask(page("https://example.org")).await.unwrap().media;
    assert!(matches!(media, types::MessageMedia::MessageMediaEmpty));
    assert_eq!(ada.fail(page(" ")).await, (400, "MESSAGE_EMPTY".to_owned()));
    let onlines = ada.ask(GetOnlines { peer: peer.clone() }).await.unwrap();
    assert_eq!(onlines.onlines, 0);
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(group.dan.fail(views(&peer)).await, invalid);
    assert_eq!(group.dan.fail(date(2)).await, invalid);
    assert_eq!(group.dan.fail(readers(2)).await, invalid);
    assert_eq!(group.dan.fail(GetPeerSettings { peer: peer.clone() }).await, invalid);
    assert_eq!(group.dan.fail(GetOnlines { peer }).await, invalid);
}

pub(crate) fn dialog(peer: &types::InputPeer) -> types::InputDialogPeer {
    let peer = peer.clone();
    types::InputDialogPeer::InputDialogPeer(ctors::InputDialogPeer { peer })
}

fn page(limit: i32, offset_id: i32) -> GetDialogs {
    let offset_peer = types::InputPeer::InputPeerEmpty;
    GetDialogs { limit, offset_id, offset_peer, ..chappe_tl::blank() }
}

/// Top messages of dialogs in their order.
async fn order(client: &mut Client, call: GetDialogs) -> Vec<i32> {
    match client.ask(call).await.unwrap() {
        types::messages::Dialogs::Dialogs(all) => tops(&all.dialogs),
        types::messages::Dialogs::DialogsSlice(slice) => tops(&slice.dialogs),
        _ => panic!("no dialogs"),
    }
}

async fn pinned(client: &mut Client) -> Vec<i32> {
    tops(&client.ask(GetPinnedDialogs { folder_id: 0 }).await.unwrap().dialogs)
}

fn tops(dialogs: &[types::Dialog]) -> Vec<i32> {
    let top = |dialog: &types::Dialog| match dialog {
        types::Dialog::Dialog(dialog) => dialog.top_message,
        _ => panic!("no dialog"),
    };
    dialogs.iter().map(top).collect()
}
