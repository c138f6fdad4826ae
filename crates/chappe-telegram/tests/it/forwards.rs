//! Messages that are passed on.

use chappe_api::ctors;
use chappe_api::functions::messages::{EditMessage, ForwardMessages, SendMessage};
use chappe_api::types::{self, InlineButtonType, ReplyMarkup, Update};

use crate::bots::{self, inline, press};
use crate::groups::Group;
use crate::messages::{Pair, history, new_message, replied, say, updates, window, wrong};

/// Rule:   what is passed on names who said it first and when, in the order of the call and under a
///         `random_id` each; passed on again it names the first still; in one's own notes also
///         where it was. With `drop_author` it names nobody.
/// Source: 20-telegram-api-service §2.1, `messages.forwardMessages`; API-08, API-12, UPD-05.
#[tokio::test]
async fn forwarded_message_names_who_said_it_first() {
    let mut group = Group::new().await;
    let peer = group.peer();
    let sent = updates(group.bob.ask(say(&peer, "first", 1)).await.unwrap());
    let date = new_message(&sent.updates[1]).0.date;
    group.bob.ask(say(&peer, "second", 2)).await.unwrap();
    group.ada.pushed().await;
    group.ada.pushed().await;
    let to_dan = crate::messages::find(&mut group.ada, &crate::groups::number(3)).await;
    let call = || forward(&peer, &to_dan, vec![3, 2], vec![8, 9]);
    let sent = updates(group.ada.ask(call()).await.unwrap());
    let [Update::UpdateMessageId(eight), Update::UpdateMessageId(nine), one, two] =
        &sent.updates[..]
    else {
        panic!("not two messages")
    };
    assert_eq!((eight.random_id, nine.random_id), (8, 9));
    let ((one, pts, _), (two, last, _)) = (new_message(one), new_message(two));
    assert_eq!((one.message.as_str(), two.message.as_str()), (Ok("second"), Ok("first")));
    assert_eq!((eight.id, nine.id, last), (one.id, two.id, pts + 1));
    assert_eq!(origin(&two), (group.ids[1], date));
    assert!(two.fwd_from.unwrap().saved_from_peer_and_saved_from_msg_id.is_none());
    // A repeat makes no second ones.
    let again = updates(group.ada.ask(call()).await.unwrap());
    assert_eq!(new_message(&again.updates[3]).0.id, two.id);

    group.dan.pushed().await;
    let told = group.dan.pushed().await;
    let (heard, ..) = new_message(&told.updates[0]);
    assert_eq!(origin(&heard), (group.ids[1], date));
    assert!(told.users.len() == 2 && heard.from_id.is_some());
    let to_ada = crate::messages::find(&mut group.dan, &crate::groups::number(0)).await;
    let myself = types::InputPeer::InputPeerSelf;
    let keep = forward(&to_ada, &myself, vec![heard.id], vec![1]);
    let kept = updates(group.dan.ask(keep).await.unwrap());
    let (kept, ..) = new_message(&kept.updates[1]);
    assert_eq!(origin(&kept), (group.ids[1], date));
    let (place, id) = kept.fwd_from.unwrap().saved_from_peer_and_saved_from_msg_id.unwrap();
    assert!(matches!(place, types::Peer::PeerUser(ada) if ada.user_id == group.ids[0]));
    assert_eq!(id, heard.id);
    let mut quiet = forward(&to_ada, &to_ada, vec![heard.id], vec![2]);
    (quiet.drop_author, quiet.silent) = (true, true);
    let sent = updates(group.dan.ask(quiet).await.unwrap());
    let (nameless, ..) = new_message(&sent.updates[1]);
    assert!(nameless.fwd_from.is_none() && nameless.silent);
    // Nobody changes what somebody else said.
    let message = Some("mine".into());
    let edit = EditMessage { peer: myself, id: kept.id, message, ..chappe_tl::blank() };
    let required = (403, "MESSAGE_AUTHOR_REQUIRED".to_owned());
    assert_eq!(group.dan.fail(edit).await, required);
}

/// Rule:   only what is in that dialog of one's own box is passed on, and not what its author
///         forbids; where one may not write nothing is.
/// Source: 20-telegram-api-service §2.1, `messages.forwardMessages`; UPD-30.
#[tokio::test]
async fn foreign_messages_are_not_passed_on() {
    let mut pair = Pair::new().await;
    let (to_bob, to_ada) = (pair.to_bob.clone(), pair.to_ada.clone());
    let myself = types::InputPeer::InputPeerSelf;
    let secret = SendMessage { noforwards: true, ..say(&to_bob, "secret", 1) };
    pair.ada.ask(secret).await.unwrap();
    pair.ada.ask(say(&myself, "note", 2)).await.unwrap();
    let invalid = |text: &str| (400, text.to_owned());
    for (call, error) in [
        (forward(&to_bob, &myself, vec![], vec![]), invalid("MESSAGE_IDS_EMPTY")),
        (forward(&to_bob, &myself, vec![2], vec![3]), invalid("MESSAGE_ID_INVALID")),
        (forward(&to_bob, &myself, vec![77], vec![3]), invalid("MESSAGE_ID_INVALID")),
        (forward(&to_bob, &myself, vec![1, 2], vec![3]), invalid("RANDOM_ID_INVALID")),
        (forward(&wrong(&to_bob), &myself, vec![1], vec![3]), invalid("PEER_ID_INVALID")),
        (forward(&myself, &wrong(&to_bob), vec![2], vec![3]), invalid("PEER_ID_INVALID")),
        (forward(&to_bob, &myself, vec![1], vec![3]), (403, "CHAT_FORWARDS_RESTRICTED".into())),
        (forward(&myself, &myself, vec![2; 101], vec![3; 101]), invalid("MESSAGE_IDS_TOO_MUCH")),
    ] {
        assert_eq!(pair.ada.fail(call).await, error);
    }
    let restricted = (403, "CHAT_FORWARDS_RESTRICTED".to_owned());
    let call = forward(&to_ada, &types::InputPeer::InputPeerSelf, vec![1], vec![1]);
    assert_eq!(pair.bob.fail(call).await, restricted);
    assert_eq!(history(&mut pair.ada, window(&myself)).await.0, [2]);
    // A reply to what is elsewhere, or nowhere, is refused as well.
    for id in [2, 77] {
        let reply_to = Some(crate::groups::reply(id));
        let call = SendMessage { reply_to, ..say(&to_bob, "why", 4) };
        assert_eq!(pair.ada.fail(call).await, invalid("REPLY_MESSAGE_ID_INVALID"));
    }
    let reply_to = Some(crate::groups::reply(2));
    let mut call = forward(&myself, &myself, vec![2], vec![5]);
    call.reply_to = reply_to;
    let sent = updates(pair.ada.ask(call).await.unwrap());
    assert_eq!(replied(&new_message(&sent.updates[1]).0), Some(2));
}

/// Rule:   of keyboards those alone are passed on that are made of links: what else a button does it
///         does with its bot, where the bot put it; and nobody's screen gets the keys of another.
/// Source: 20-telegram-api-service §2.1, `messages.forwardMessages`, `messages.getBotCallbackAnswer`.
#[tokio::test]
async fn keyboards_that_ask_a_bot_are_not_passed_on() {
    let mut pair = bots::Pair::new(crate::sign_in::test_numbers()).await;
    let to_ada = pair.begin().await;
    let url = ctors::InlineButtonTypeUrl { url: "https://example.org/".into() };
    let link = || InlineButtonType::InlineButtonTypeUrl(url.clone());
    let force =
        ctors::ReplyKeyboardForceReply { single_use: false, selective: false, placeholder: None };
    let force = ReplyMarkup::ReplyKeyboardForceReply(force);
    let myself = types::InputPeer::InputPeerSelf;
    for (place, (markup, is_kept)) in [
        (inline(vec![link(), link()]), true),
        (inline(vec![press(b"yes")]), false),
        (inline(vec![link(), press(b"yes")]), false),
        (force, false),
    ]
    .into_iter()
    .enumerate()
    {
        let random_id = place as i64 + 1;
        pair.bot.ask(bots::with(&to_ada, "look", random_id, &markup)).await.unwrap();
        let (heard, ..) = new_message(&pair.ada.pushed().await.updates[0]);
        assert!(heard.reply_markup.is_some());
        let call = forward(&pair.to_bot, &myself, vec![heard.id], vec![100 + random_id]);
        let sent = updates(pair.ada.ask(call).await.unwrap());
        assert_eq!(new_message(&sent.updates[1]).0.reply_markup.is_some(), is_kept, "{place}");
    }
}

fn forward(
    from: &types::InputPeer,
    to: &types::InputPeer,
    id: Vec<i32>,
    random_id: Vec<i64>,
) -> ForwardMessages {
    let (from_peer, to_peer) = (from.clone(), to.clone());
    ForwardMessages { from_peer, id, random_id, to_peer, ..chappe_tl::blank() }
}

fn origin(message: &ctors::Message) -> (i64, i32) {
    let header = message.fwd_from.as_ref().unwrap();
    let Some(types::Peer::PeerUser(user)) = &header.from_id else { panic!("nobody") };
    (user.user_id, header.date)
}
