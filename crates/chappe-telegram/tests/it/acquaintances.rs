//! Who is told what of somebody, and who wants to hear nothing.

use chappe_api::functions::account::{UpdateProfile, UpdateStatus, UpdateUsername};
use chappe_api::functions::contacts::{Block, GetBlocked, GetStatuses, ImportContacts, Unblock};
use chappe_api::functions::messages::{
    AddChatUser, EditMessage, SetTyping, UnpinAllMessages, UpdatePinnedMessage,
};
use chappe_api::functions::updates::GetState;
use chappe_api::functions::users::GetFullUser;
use chappe_api::types::contacts::Blocked;
use chappe_api::types::{self, Update};
use chappe_backend::sql::sql;

use crate::bots::user_of;
use crate::client::{Client, Home};
use crate::groups::{create, number};
use crate::messages::{Pair, find, new_message, say, updates};
use crate::sign_in::{enter, test_numbers};
use crate::statements::Statements;

/// Rule:   those who know somebody are told that they are there, and what they are called now, as
///         are their own other devices; others are not.
/// Source: 20-telegram-api-service §2.1, `account.updateStatus`, `updateProfile`, `updateUsername`,
///         `contacts.getStatuses`; API-09.
#[tokio::test]
async fn who_knows_somebody_is_told() {
    let mut home = Home::open(test_numbers()).await;
    let (mut ada, mut bob) = (home.client().await, home.client().await);
    let (mut second, mut carl) = (home.client().await, home.client().await);
    let of_ada = enter(&mut ada, "9996620001").await.id;
    enter(&mut second, "9996620001").await;
    enter(&mut bob, "9996620002").await;
    enter(&mut carl, "9996620003").await;
    for client in [&mut second, &mut bob, &mut carl] {
        client.ask(GetState {}).await.unwrap();
    }
    let contacts = vec![types::InputContact {
        client_id: 1,
        phone: "9996620001".into(),
        first_name: "Ada".into(),
        last_name: "".into(),
        note: None,
    }];
    bob.ask(ImportContacts { contacts }).await.unwrap();
    ada.ask(UpdateStatus { offline: false }).await.unwrap();
    let name = UpdateProfile { first_name: Some("A".into()), last_name: None, about: None };
    ada.ask(name).await.unwrap();
    // A contact keeps the name that it was given.
    for (client, called) in [(&mut bob, "Ada"), (&mut second, "A")] {
        let [Update::UpdateUserStatus(status)] = &client.pushed().await.updates[..] else {
            panic!("not told")
        };
        assert_eq!(status.user_id, of_ada);
        assert!(matches!(status.status, types::UserStatus::UserStatusOnline(_)));
        let told = client.pushed().await;
        let [Update::UpdateUserName(name)] = &told.updates[..] else { panic!("not told") };
        assert!(name.first_name == called && name.usernames.is_empty());
        assert!(matches!(&told.users[..], [types::User::User(user)]
            if user.first_name.as_ref().unwrap() == called));
    }
    ada.ask(UpdateUsername { username: "ada_l".into() }).await.unwrap();
    for client in [&mut bob, &mut second] {
        let [Update::UpdateUserName(name)] = &client.pushed().await.updates[..] else {
            panic!("not told")
        };
        assert!(matches!(&name.usernames[..], [one] if one.username == "ada_l"));
    }
    let statuses = bob.ask(GetStatuses {}).await.unwrap();
    assert!(matches!(&statuses[..], [one] if one.user_id == of_ada));
    for client in [&mut ada, &mut carl] {
        client.ask(GetState {}).await.unwrap();
        assert_eq!(client.take_pushed().len(), 0);
    }
}

/// Rule:   of who comes and goes at the same moment those who know them hear last what is so; who
///         knows them is told however many others do, and costs nothing while signed in nowhere.
/// Source: 20-telegram-api-service §2.1, `account.updateStatus`, `contacts.getStatuses`.
#[tokio::test]
async fn everybody_who_is_there_is_told_the_newest() {
    let mut pair = Pair::new().await;
    let contacts = vec![types::InputContact {
        client_id: 1,
        phone: "9996620001".into(),
        first_name: "Ada".into(),
        last_name: "".into(),
        note: None,
    }];
    pair.bob.ask(ImportContacts { contacts }).await.unwrap();
    let mut transaction = pair.home.database().begin().await.unwrap();
    for owner in 1..=1200 {
        let insert = sql("INSERT INTO contact (owner, account, first_name, last_name)
             VALUES ($1, $2, $3, $4)");
        let insert = insert.bind(owner).bind(pair.ids.0).bind("Ada").bind("");
        transaction.run(insert).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let (statements, _guard) = Statements::listen().await;
    let calls = (0..10).map(|number| UpdateStatus { offline: number % 2 == 0 }).collect();
    pair.ada.ask_at_once(calls).await;
    let said = pair.bob.ask(GetStatuses {}).await.unwrap().remove(0).status;
    let name = UpdateProfile { first_name: Some("A".into()), last_name: None, about: None };
    pair.ada.ask(name).await.unwrap();
    let mut heard = None;
    loop {
        match pair.bob.pushed().await.updates.remove(0) {
            Update::UpdateUserStatus(told) => heard = Some(told.status),
            Update::UpdateUserName(_) => break,
            _ => panic!("another update"),
        }
    }
    let written = |status: &types::UserStatus| chappe_tl::to_bytes(status).unwrap();
    assert_eq!(written(&heard.unwrap()), written(&said), "what is old comes last");
    assert!(statements.take("") < 400, "the others cost");
}

/// Rule:   nobody writes to who has blocked them, nor to whom they have blocked; who is blocked is
///         listed, and one's other devices are told.
/// Source: 20-telegram-api-service §2.1, `contacts.block`, `messages.sendMessage`,
///         `USER_IS_BLOCKED`, `YOU_BLOCKED_USER`.
#[tokio::test]
async fn blocked_people_do_not_write() {
    let mut home = Home::open(test_numbers()).await;
    let (mut ada, mut bob) = (home.client().await, home.client().await);
    let mut second = home.client().await;
    enter(&mut ada, "9996620001").await;
    enter(&mut second, "9996620001").await;
    second.ask(GetState {}).await.unwrap();
    let of_bob = enter(&mut bob, "9996620002").await.id;
    let to_bob = find(&mut ada, "9996620002").await;
    let to_ada = find(&mut bob, "9996620001").await;
    let block = |id: &types::InputPeer| Block { my_stories_from: false, id: id.clone() };
    let invalid = (400, "CONTACT_ID_INVALID".to_owned());
    assert_eq!(ada.fail(block(&types::InputPeer::InputPeerSelf)).await, invalid);
    assert!(ada.ask(block(&to_bob)).await.unwrap());
    let [Update::UpdatePeerBlocked(told)] = &second.pushed().await.updates[..] else {
        panic!("not told")
    };
    assert!(told.blocked);
    let blocked = (400, "USER_IS_BLOCKED".to_owned());
    assert_eq!(bob.fail(say(&to_ada, "hello", 1)).await, blocked);
    let own = (400, "YOU_BLOCKED_USER".to_owned());
    assert_eq!(ada.fail(say(&to_bob, "hello", 1)).await, own);
    assert_eq!(list(&mut ada).await, [of_bob]);
    let full = ada.ask(GetFullUser { id: user_of(&to_bob) }).await.unwrap();
    assert!(full.full_user.blocked);

    let unblock = Unblock { my_stories_from: false, id: to_bob };
    assert!(ada.ask(unblock).await.unwrap());
    assert_eq!(list(&mut ada).await, Vec::<i64>::new());
    bob.ask(say(&to_ada, "hello", 1)).await.unwrap();
}

/// Rule:   nothing that a blocked person does in the dialog reaches who blocked them: no edit, no pin
///         and none taken away, no typing; nor do they bring them into a group.
/// Source: 20-telegram-api-service §2.1, `messages.setTyping`, `editMessage`,
///         `updatePinnedMessage`; §2.2, `messages.createChat`, `addChatUser`, `USER_IS_BLOCKED`.
#[tokio::test]
async fn blocked_people_reach_nobody_by_other_ways() {
    let mut pair = Pair::new().await;
    let mut cy = pair.home.client().await;
    let of_cy = enter(&mut cy, &number(3)).await.id;
    let (to_ada, to_cy) = (pair.to_ada.clone(), find(&mut pair.bob, &number(3)).await);
    let sent = updates(pair.bob.ask(say(&to_ada, "hello", 1)).await.unwrap());
    let (mine, ..) = new_message(&sent.updates[1]);
    pair.ada.pushed().await;
    let id = pair.to_bob.clone();
    pair.ada.ask(Block { my_stories_from: false, id }).await.unwrap();

    let bob = &mut pair.bob;
    let blocked = (400, "USER_IS_BLOCKED".to_owned());
    let message = Some("still here".into());
    let edit = EditMessage { peer: to_ada.clone(), id: mine.id, message, ..chappe_tl::blank() };
    assert_eq!(bob.fail(edit).await, blocked);
    let pin = |pm_oneside| UpdatePinnedMessage {
        pm_oneside,
        peer: to_ada.clone(),
        id: mine.id,
        ..chappe_tl::blank()
    };
    assert_eq!(bob.fail(pin(false)).await, blocked);
    let unpin = UnpinAllMessages { peer: to_ada.clone(), ..chappe_tl::blank() };
    assert_eq!(bob.fail(unpin).await, blocked);
    let action = types::SendMessageAction::SendMessageTypingAction;
    let typing = SetTyping { peer: to_ada.clone(), top_msg_id: None, action };
    assert_eq!(bob.fail(typing).await, blocked);
    // On one's own side one pins what one likes.
    bob.ask(pin(true)).await.unwrap();

    let (ada, other) = (user_of(&to_ada), user_of(&to_cy));
    let privacy = (403, "USER_PRIVACY_RESTRICTED".to_owned());
    assert_eq!(bob.fail(create(vec![ada.clone()], "Two")).await, privacy);
    let made = bob.ask(create(vec![ada.clone(), other], "Three")).await.unwrap();
    let [missing] = &made.missing_invitees[..] else { panic!("nobody is missing") };
    assert_ne!(missing.user_id, of_cy);
    let made = updates(made.updates);
    let types::Chat::Chat(chat) = &made.chats[0] else { panic!("no group") };
    assert_eq!(chat.participants_count, 2);
    let add = AddChatUser { chat_id: chat.id, user_id: ada, fwd_limit: 0 };
    assert_eq!(bob.ask(add).await.unwrap().missing_invitees.len(), 1);
    // An answer comes after what was pushed before it.
    assert_eq!(pair.ada.ask(GetState {}).await.unwrap().pts, 2);
    assert_eq!(pair.ada.take_pushed().len(), 0);
}

async fn list(client: &mut Client) -> Vec<i64> {
    let call = GetBlocked { my_stories_from: false, offset: 0, limit: 10 };
    let Blocked::Blocked(all) = client.ask(call).await.unwrap() else { panic!("not all") };
    let id = |blocked: &types::PeerBlocked| match &blocked.peer_id {
        types::Peer::PeerUser(user) => user.user_id,
        _ => panic!("not a person"),
    };
    all.blocked.iter().map(id).collect()
}
