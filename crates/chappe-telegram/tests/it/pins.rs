//! Messages that are kept in sight, and such as one has yet to look at.

use chappe_api::functions::messages::{
    EditChatDefaultBannedRights, GetFullChat, GetUnreadMentions, ReadMentions, ReadMessageContents,
    Search, UnpinAllMessages, UpdatePinnedMessage,
};
use chappe_api::functions::updates::{GetDifference, GetState};
use chappe_api::types::updates::Difference;
use chappe_api::types::{self, MessagesFilter, Update};

use crate::client::Client;
use crate::groups::{Group, action};
use crate::messages::{Pair, new_message, replied, say, updates};

/// Rule:   a pinned message is pinned for both, each by its own id, and a message of the service
///         points to it; on one side alone the other hears nothing.
/// Source: 20-telegram-api-service §2.1, `messages.updatePinnedMessage`, `unpinAllMessages`;
///         UPD-01, UPD-02, UPD-04.
#[tokio::test]
async fn pinned_message_is_pinned_for_both() {
    let mut pair = Pair::new().await;
    pair.ada.ask(say(&types::InputPeer::InputPeerSelf, "note", 9)).await.unwrap();
    let (one, in_bob) = pair.say("one", 1).await;
    let (two, _) = pair.say("two", 2).await;
    let to_bob = pair.to_bob.clone();
    let pin = |id| UpdatePinnedMessage { peer: to_bob.clone(), id, ..chappe_tl::blank() };
    let before = pair.bob.ask(GetState {}).await.unwrap().pts;
    let done = updates(pair.ada.ask(pin(one.id)).await.unwrap());
    let [Update::UpdatePinnedMessages(pinned), Update::UpdateMessageId(_), said] =
        &done.updates[..]
    else {
        panic!("not the pin and the message")
    };
    assert!(pinned.pinned && pinned.messages == [one.id]);
    assert!(matches!(action(said), types::MessageAction::MessageActionPinMessage));
    let told = pair.bob.pushed().await;
    let [Update::UpdatePinnedMessages(pinned)] = &told.updates[..] else { panic!("no pin") };
    assert_eq!((&pinned.messages[..], pinned.pts_count), (&[in_bob.id][..], 1));
    let told = pair.bob.pushed().await;
    let Update::UpdateNewMessage(new) = &told.updates[0] else { panic!("no message") };
    let types::Message::MessageService(said) = &new.message else { panic!("not service") };
    assert!(matches!(
        &said.reply_to,
        Some(types::MessageReplyHeader::MessageReplyHeader(to)) if to.reply_to_msg_id == Some(in_bob.id)
    ));
    let same = (400, "CHAT_NOT_MODIFIED".to_owned());
    assert_eq!(pair.ada.fail(pin(one.id)).await, same);
    let invalid = (400, "MESSAGE_ID_INVALID".to_owned());
    for id in [1, 99] {
        assert_eq!(pair.ada.fail(pin(id)).await, invalid);
    }
    let aside = UpdatePinnedMessage { pm_oneside: true, ..pin(two.id) };
    let done = updates(pair.ada.ask(aside).await.unwrap());
    assert!(matches!(&done.updates[..], [Update::UpdatePinnedMessages(_)]));
    let asked = |peer: &types::InputPeer| Search {
        peer: peer.clone(),
        filter: MessagesFilter::InputMessagesFilterPinned,
        limit: 10,
        ..chappe_tl::blank()
    };
    assert_eq!(found(&mut pair.ada, asked(&to_bob)).await, [two.id, one.id]);
    assert_eq!(found(&mut pair.bob, asked(&pair.to_ada)).await, [in_bob.id]);

    let off = UpdatePinnedMessage { unpin: true, ..pin(two.id) };
    updates(pair.ada.ask(off).await.unwrap());
    let peer = pair.to_ada.clone();
    let unpin = UnpinAllMessages { peer, ..chappe_tl::blank() };
    let done = pair.bob.ask(unpin).await.unwrap();
    assert_eq!((done.pts_count, done.offset), (1, 0));
    assert!(found(&mut pair.ada, asked(&to_bob)).await.is_empty());
    let ask = GetDifference { pts: before, ..chappe_tl::blank() };
    let Difference::Difference(all) = pair.bob.ask(ask).await.unwrap() else { panic!("not all") };
    let pins = all.other_updates.iter().map(|update| match update {
        Update::UpdatePinnedMessages(pinned) => pinned.pinned,
        _ => panic!("another update"),
    });
    assert_eq!(pins.collect::<Vec<_>>(), [true, false]);
}

/// Rule:   who pins silently is told of like anybody, in a silent message.
/// Source: QRK-52, 20-telegram-api-service §2.1, `messages.updatePinnedMessage`.
#[tokio::test]
async fn silent_pin_is_told_of_silently() {
    let mut pair = Pair::new().await;
    for silent in [true, false] {
        let (said, _) = pair.say("one", silent.into()).await;
        let peer = pair.to_bob.clone();
        let pin = UpdatePinnedMessage { silent, peer, id: said.id, ..chappe_tl::blank() };
        pair.ada.ask(pin).await.unwrap();
        pair.bob.pushed().await;
        let told = pair.bob.pushed().await;
        let Update::UpdateNewMessage(new) = &told.updates[0] else { panic!("no message") };
        let types::Message::MessageService(told) = &new.message else { panic!("not service") };
        assert_eq!(told.silent, silent);
    }
}

/// Rule:   members pin unless it is taken from them; the newest pinned one is shown with the group.
/// Source: 20-telegram-api-service §2.1, `messages.updatePinnedMessage`.
#[tokio::test]
async fn members_pin_while_they_may() {
    let mut group = Group::new().await;
    let peer = group.peer();
    group.ada.ask(say(&peer, "one", 1)).await.unwrap();
    group.bob.pushed().await;
    let pin =
        || UpdatePinnedMessage { silent: true, peer: peer.clone(), id: 2, ..chappe_tl::blank() };
    let banned_rights = types::ChatBannedRights { pin_messages: true, ..chappe_tl::blank() };
    let ban = EditChatDefaultBannedRights { peer: peer.clone(), banned_rights };
    group.bob.ask(pin()).await.unwrap();
    let full = group.ada.ask(GetFullChat { chat_id: group.chat_id }).await.unwrap();
    let types::ChatFull::ChatFull(full) = full.full_chat else { panic!("another kind") };
    assert_eq!(full.pinned_msg_id, Some(2));
    group.ada.ask(ban).await.unwrap();
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    let unpin = || UnpinAllMessages { peer: peer.clone(), ..chappe_tl::blank() };
    assert_eq!(group.cy.fail(pin()).await, required);
    assert_eq!(group.cy.fail(unpin()).await, required);
    let invalid = (400, "PEER_ID_INVALID".to_owned());
    assert_eq!(group.dan.fail(pin()).await, invalid);
    assert_eq!(group.ada.ask(unpin()).await.unwrap().pts_count, 1);
}

/// Rule:   a name or an answer in a group marks the message for whom it means, until they have
///         looked at it; everybody else sees no mark.
/// Source: 20-telegram-api-service §2.1, `messages.readMessageContents`, `readMentions`,
///         `getUnreadMentions`; UPD-01.
#[tokio::test]
async fn mention_is_marked_until_it_is_seen() {
    let mut group = Group::new().await;
    let peer = group.peer();
    let username = "bob_m".into();
    let name = chappe_api::functions::account::UpdateUsername { username };
    group.bob.ask(name).await.unwrap();
    for (random_id, text) in ["ask @Bob_M", "or x@bob_m.", "not @bob"].into_iter().enumerate() {
        group.ada.ask(say(&peer, text, random_id as i64 + 1)).await.unwrap();
    }
    for expected in [true, true, false] {
        let (heard, ..) = new_message(&group.bob.pushed().await.updates[0]);
        assert_eq!((heard.mentioned, heard.media_unread), (expected, expected));
        let (heard, ..) = new_message(&group.cy.pushed().await.updates[0]);
        assert!(!heard.mentioned && replied(&heard).is_none());
    }
    let unread = || GetUnreadMentions { peer: peer.clone(), limit: 10, ..chappe_tl::blank() };
    assert_eq!(found(&mut group.bob, unread()).await, [3, 2]);
    let seen = group.bob.ask(ReadMessageContents { id: vec![2, 2, 4, 99] }).await.unwrap();
    assert_eq!((seen.pts, seen.pts_count), (6, 1));
    assert_eq!(found(&mut group.bob, unread()).await, [3]);
    let mine = Search {
        filter: MessagesFilter::InputMessagesFilterMyMentions,
        peer: peer.clone(),
        limit: 10,
        ..chappe_tl::blank()
    };
    assert_eq!(found(&mut group.bob, mine).await, [3, 2]);
    let read = ReadMentions { peer: peer.clone(), top_msg_id: None };
    let seen = group.bob.ask(read).await.unwrap();
    assert_eq!((seen.pts, seen.pts_count, seen.offset), (7, 1, 0));
    assert!(found(&mut group.bob, unread()).await.is_empty());
    let ask = GetDifference { pts: 5, ..chappe_tl::blank() };
    let Difference::Difference(all) = group.bob.ask(ask).await.unwrap() else { panic!("not all") };
    assert!(matches!(
        &all.other_updates[..],
        [Update::UpdateReadMessagesContents(one), Update::UpdateReadMessagesContents(two)]
            if one.messages == [2] && two.messages == [3]
    ));
}

/// Ids of what is found.
pub(crate) async fn found<C>(client: &mut Client, call: C) -> Vec<i32>
where
    C: chappe_tl::Function<Return = types::messages::Messages>,
{
    let messages = match client.ask(call).await.unwrap() {
        types::messages::Messages::Messages(all) => all.messages,
        types::messages::Messages::MessagesSlice(slice) => slice.messages,
        _ => panic!("no messages"),
    };
    let id = |message: &types::Message| match message {
        types::Message::Message(message) => message.id,
        _ => panic!("no message"),
    };
    messages.iter().map(id).collect()
}
