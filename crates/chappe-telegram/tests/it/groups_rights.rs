//! Who may do what in a group: one test for each boundary.

use chappe_api::ctors;
use chappe_api::functions::messages::{
    AddChatUser, CheckChatInvite, DeleteChat, DeleteChatUser, DeleteHistory, DeleteMessages,
    EditChatAbout, EditChatAdmin, EditChatDefaultBannedRights, EditChatTitle,
    EditExportedChatInvite, EditMessage, ExportChatInvite, GetChatInviteImporters, GetChats,
    GetExportedChatInvites, GetFullChat, GetHistory, ImportChatInvite, ReadHistory, SetTyping,
};
use chappe_api::functions::updates::GetState;
use chappe_api::types::{self, Update};
use chappe_backend::sql::sql;

use crate::client::Client;
use crate::groups::{Group, action, user};
use crate::messages::{history, new_message, say, updates, window};

/// Rule:   a group that one never was in is like none: nothing is told of it, nothing done.
/// Source: UPD-30, 20-telegram-api-service §2.2.
#[tokio::test]
async fn outsiders_find_no_group() {
    let mut group = Group::new().await;
    let (peer, chat_id) = (group.peer(), group.chat_id);
    let other = types::InputPeer::InputPeerChat(ctors::InputPeerChat { chat_id: 999 });
    let dan = &mut group.dan;
    let no_peer = (400, "PEER_ID_INVALID".to_owned());
    let no_chat = (400, "CHAT_ID_INVALID".to_owned());
    for (peer, chat_id) in [(peer, chat_id), (other, 999)] {
        assert_eq!(dan.fail(say(&peer, "hello", 1)).await, no_peer);
        assert_eq!(dan.fail(window(&peer)).await, no_peer);
        assert_eq!(dan.fail(ReadHistory { peer: peer.clone(), max_id: 0 }).await, no_peer);
        let typing = types::SendMessageAction::SendMessageTypingAction;
        let typing = SetTyping { peer: peer.clone(), top_msg_id: None, action: typing };
        assert_eq!(dan.fail(typing).await, no_peer);
        assert_eq!(dan.fail(export(&peer)).await, no_peer);
        let about = EditChatAbout { peer: peer.clone(), about: "x".into() };
        assert_eq!(dan.fail(about).await, no_peer);
        assert_eq!(dan.fail(GetChats { id: vec![chat_id] }).await, no_chat);
        assert_eq!(dan.fail(GetFullChat { chat_id }).await, no_chat);
        assert_eq!(dan.fail(EditChatTitle { chat_id, title: "x".into() }).await, no_chat);
        assert_eq!(dan.fail(DeleteChat { chat_id }).await, no_chat);
        let user_id = types::InputUser::InputUserSelf;
        let add = AddChatUser { chat_id, user_id: user_id.clone(), fwd_limit: 0 };
        assert_eq!(dan.fail(add).await, no_chat);
        assert_eq!(dan.fail(remove(chat_id, user_id)).await, no_chat);
        // A message of theirs has no id in Dan's box.
        let message = Some("x".into());
        let edit = EditMessage { peer, id: 1, message, ..chappe_tl::blank() };
        assert_eq!(dan.fail(edit).await, no_peer);
    }
    let gone = dan.ask(DeleteMessages { revoke: true, id: vec![1] }).await.unwrap();
    assert_eq!(gone.pts_count, 0);
    assert_eq!(history(&mut group.ada, window(&group_peer(chat_id))).await.0.len(), 1);
}

/// Rule:   only whoever made a group makes administrators of its members, and ends it.
/// Source: 20-telegram-api-service §2.2, `messages.editChatAdmin`, `deleteChat`.
#[tokio::test]
async fn only_the_creator_makes_administrators() {
    let mut group = Group::new().await;
    let chat_id = group.chat_id;
    let set = |user_id, is_admin| EditChatAdmin { chat_id, user_id, is_admin };
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    let cy = user(&mut group.bob, 2).await;
    assert_eq!(group.bob.fail(set(cy.clone(), true)).await, required);
    let bob = user(&mut group.ada, 1).await;
    assert!(group.ada.ask(set(bob.clone(), true)).await.unwrap());
    let told = group.cy.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateChatParticipantAdmin(admin)]
            if (admin.user_id, admin.is_admin, admin.version) == (group.ids[1], true, 2)
    ));
    // Administrators make none, and end nothing.
    assert_eq!(group.bob.fail(set(cy, true)).await, required);
    assert_eq!(group.bob.fail(DeleteChat { chat_id }).await, required);
    let dan = user(&mut group.ada, 3).await;
    let absent = (400, "USER_NOT_PARTICIPANT".to_owned());
    assert_eq!(group.ada.fail(set(dan, true)).await, absent);
    let myself = set(types::InputUser::InputUserSelf, false);
    assert_eq!(group.ada.fail(myself).await, (400, "USER_ID_INVALID".to_owned()));
    // A hash of somebody else's is of no use.
    let foreign = user(&mut group.dan, 1).await;
    assert_eq!(group.ada.fail(set(foreign, true)).await, (400, "USER_ID_INVALID".to_owned()));

    assert!(group.ada.ask(DeleteChat { chat_id }).await.unwrap());
    let peer = group.peer();
    for client in [&mut group.ada, &mut group.bob, &mut group.cy] {
        let forbidden = (403, "CHAT_WRITE_FORBIDDEN".to_owned());
        assert_eq!(client.fail(say(&peer, "x", 9)).await, forbidden);
    }
}

/// Rule:   members remove whom they brought, administrators ordinary members, creators anybody;
///         who was removed comes back by administrators, who left by people they know.
/// Source: 20-telegram-api-service §2.2, `messages.deleteChatUser`, `addChatUser`.
#[tokio::test]
async fn people_are_removed_by_their_betters() {
    let mut group = Group::new().await;
    let chat_id = group.chat_id;
    let add = |user_id| AddChatUser { chat_id, user_id, fwd_limit: 0 };
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    let cy = user(&mut group.bob, 2).await;
    let ada = user(&mut group.bob, 0).await;
    assert_eq!(group.bob.fail(remove(chat_id, cy.clone())).await, required);
    assert_eq!(group.bob.fail(remove(chat_id, ada.clone())).await, required);
    let dan = user(&mut group.bob, 3).await;
    assert_eq!(
        group.bob.fail(remove(chat_id, dan.clone())).await,
        (400, "USER_NOT_PARTICIPANT".to_owned())
    );
    group.bob.ask(add(dan.clone())).await.unwrap();
    assert_eq!(
        group.bob.fail(add(dan.clone())).await,
        (400, "USER_ALREADY_PARTICIPANT".to_owned())
    );
    group.bob.ask(remove(chat_id, dan.clone())).await.unwrap();
    assert_eq!(group.bob.fail(add(dan.clone())).await, required);

    let (to_bob, to_cy) = (user(&mut group.ada, 1).await, user(&mut group.ada, 2).await);
    for user_id in [to_bob.clone(), to_cy] {
        group.ada.ask(EditChatAdmin { chat_id, user_id, is_admin: true }).await.unwrap();
    }
    group.bob.ask(add(dan.clone())).await.unwrap();
    assert_eq!(group.bob.fail(remove(chat_id, cy)).await, required);
    assert_eq!(group.bob.fail(remove(chat_id, ada)).await, required);
    group.ada.ask(remove(chat_id, to_bob.clone())).await.unwrap();
    group.ada.ask(add(to_bob.clone())).await.unwrap();
    // An administrator no longer.
    assert_eq!(group.bob.fail(export(&group_peer(chat_id))).await, required);

    group.bob.ask(remove(chat_id, types::InputUser::InputUserSelf)).await.unwrap();
    let done = group.ada.ask(add(to_bob)).await.unwrap();
    assert!(matches!(&done.missing_invitees[..], [bob] if bob.user_id == group.ids[1]));
    let myself = || add(types::InputUser::InputUserSelf);
    let forbidden = (403, "CHAT_WRITE_FORBIDDEN".to_owned());
    assert_eq!(group.bob.fail(myself()).await, forbidden);
    // Whoever made the group may come back.
    group.ada.ask(remove(chat_id, types::InputUser::InputUserSelf)).await.unwrap();
    group.ada.ask(myself()).await.unwrap();
    let set = EditChatAdmin { chat_id, user_id: user(&mut group.ada, 2).await, is_admin: false };
    assert!(group.ada.ask(set).await.unwrap());
}

/// Rule:   what is taken from members is taken from ordinary ones alone, by administrators alone.
/// Source: 20-telegram-api-service §2.2, `messages.editChatDefaultBannedRights`.
#[tokio::test]
async fn rights_are_taken_from_members() {
    let mut group = Group::new().await;
    let (peer, chat_id) = (group.peer(), group.chat_id);
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    let ban =
        |banned_rights| EditChatDefaultBannedRights { peer: group_peer(chat_id), banned_rights };
    let all = types::ChatBannedRights {
        send_messages: true,
        change_info: true,
        invite_users: true,
        until_date: 0,
        ..chappe_tl::blank()
    };
    assert_eq!(group.bob.fail(ban(all.clone())).await, required);
    let blind = types::ChatBannedRights { view_messages: true, ..all.clone() };
    let invalid = (400, "BANNED_RIGHTS_INVALID".to_owned());
    assert_eq!(group.ada.fail(ban(blind)).await, invalid);
    group.ada.ask(ban(all.clone())).await.unwrap();
    let told = group.bob.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateChatDefaultBannedRights(new)]
            if new.version == 2 && new.default_banned_rights.send_messages
    ));
    assert_eq!(group.ada.fail(ban(all)).await, (400, "CHAT_NOT_MODIFIED".to_owned()));
    let forbidden = (403, "CHAT_WRITE_FORBIDDEN".to_owned());
    assert_eq!(group.bob.fail(say(&peer, "x", 1)).await, forbidden);
    let title = || EditChatTitle { chat_id, title: "Mills".into() };
    assert_eq!(group.bob.fail(title()).await, required);
    let about = || EditChatAbout { peer: group_peer(chat_id), about: "Wind".into() };
    assert_eq!(group.bob.fail(about()).await, required);
    let user_id = user(&mut group.bob, 3).await;
    let add = || AddChatUser { chat_id, user_id: user_id.clone(), fwd_limit: 0 };
    assert_eq!(group.bob.fail(add()).await, required);
    let to_bob = user(&mut group.ada, 1).await;
    let promote = EditChatAdmin { chat_id, user_id: to_bob, is_admin: true };
    group.ada.ask(promote).await.unwrap();
    group.bob.ask(say(&peer, "x", 1)).await.unwrap();
    group.bob.ask(title()).await.unwrap();
    assert!(group.bob.ask(about()).await.unwrap());
    let same = (400, "CHAT_ABOUT_NOT_MODIFIED".to_owned());
    assert_eq!(group.bob.fail(about()).await, same);
    group.bob.ask(add()).await.unwrap();
    let same = (400, "CHAT_NOT_MODIFIED".to_owned());
    assert_eq!(group.bob.fail(title()).await, same);
    let silent = types::ChatBannedRights { send_plain: true, ..chappe_tl::blank() };
    group.ada.ask(ban(silent)).await.unwrap();
    let plain = (403, "CHAT_SEND_PLAIN_FORBIDDEN".to_owned());
    assert_eq!(group.cy.fail(say(&peer, "x", 1)).await, plain);
}

/// Rule:   members take back what they said, administrators what anybody said; what was not taken
///         back is gone from one's own box alone. Only its author edits a message.
/// Source: 20-telegram-api-service §2.1, `messages.deleteMessages`, `deleteHistory`,
///         `editMessage`.
#[tokio::test]
async fn messages_are_taken_back_by_their_authors() {
    let mut group = Group::new().await;
    let (peer, chat_id) = (group.peer(), group.chat_id);
    let sent = updates(group.bob.ask(say(&peer, "of Bob", 1)).await.unwrap());
    let (in_bob, ..) = new_message(&sent.updates[1]);
    let (in_ada, ..) = new_message(&group.ada.pushed().await.updates[0]);
    let (in_cy, ..) = new_message(&group.cy.pushed().await.updates[0]);
    let delete = |id: i32, revoke| DeleteMessages { revoke, id: vec![id] };
    let forbidden = (403, "MESSAGE_DELETE_FORBIDDEN".to_owned());
    assert_eq!(group.cy.fail(delete(in_cy.id, true)).await, forbidden);
    let message = Some("of Cy".into());
    let edit = EditMessage { peer: peer.clone(), id: in_cy.id, message, ..chappe_tl::blank() };
    let author = (403, "MESSAGE_AUTHOR_REQUIRED".to_owned());
    assert_eq!(group.cy.fail(edit).await, author);
    let clear = |revoke| DeleteHistory { revoke, peer: group_peer(chat_id), ..chappe_tl::blank() };
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    assert_eq!(group.cy.fail(clear(true)).await, required);
    let gone = group.cy.ask(clear(false)).await.unwrap();
    assert_eq!((gone.pts_count, gone.offset), (2, 0));
    assert_eq!(history(&mut group.bob, window(&peer)).await.0.len(), 2);
    group.ada.ask(delete(in_ada.id, true)).await.unwrap();
    let told = group.bob.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateDeleteMessages(gone)] if gone.messages == [in_bob.id]
    ));
    // Whoever is out takes nothing back.
    let sent = updates(group.bob.ask(say(&peer, "again", 2)).await.unwrap());
    let (again, ..) = new_message(&sent.updates[1]);
    let out = remove(chat_id, types::InputUser::InputUserSelf);
    group.bob.ask(out).await.unwrap();
    assert_eq!(group.bob.fail(delete(again.id, true)).await, forbidden);
    group.bob.ask(delete(again.id, false)).await.unwrap();
    let read = GetHistory { peer: peer.clone(), limit: 10, ..chappe_tl::blank() };
    assert_eq!(history(&mut group.ada, read).await.0.len(), 3);
}

/// Rule:   taking a history back from everybody is done in steps, smaller the more boxes there are:
///         the answer says whether to ask again.
/// Source: 20-telegram-api-service §2.1, `messages.deleteHistory`, `offset`; UPD-01, UPD-02.
#[tokio::test]
async fn large_histories_are_taken_back_in_steps() {
    let mut group = Group::new().await;
    let peer = group.peer();
    for random_id in 1..=110 {
        group.ada.ask(say(&peer, "x", random_id)).await.unwrap();
    }
    // As many as make a hundred with those who are there: who has left may have a message still.
    let mut change = group.home.database().begin().await.unwrap();
    for account in 1..=97 {
        let member = sql("INSERT INTO chat_member (chat, account, inviter, date, role, state)
             VALUES ($1, $2, $2, 0, 1, 2)");
        change.run(member.bind(group.chat_id).bind(9_000_000_000_i64 + account)).await.unwrap();
    }
    change.commit().await.unwrap();
    let clear = || DeleteHistory { revoke: true, peer: peer.clone(), ..chappe_tl::blank() };
    let gone = group.ada.ask(clear()).await.unwrap();
    assert_eq!((gone.pts_count, gone.offset), (100, 1));
    assert_eq!(history(&mut group.bob, window(&peer)).await.0.len(), 11);
    let gone = group.ada.ask(clear()).await.unwrap();
    assert_eq!((gone.pts_count, gone.offset), (11, 0));
    assert!(history(&mut group.bob, window(&peer)).await.0.is_empty());
    // The group, what was said there, and all of that gone again.
    assert_eq!(group.cy.ask(GetState {}).await.unwrap().pts, 1 + 1 + 110 + 111);
}

/// Rule:   administrators make links; whoever has an open one joins by it, but for who was removed;
///         a link shows the title and no people.
/// Source: 20-telegram-api-service §2.2, `messages.exportChatInvite`, `checkChatInvite`,
///         `importChatInvite`.
#[tokio::test]
async fn links_lead_into_a_group() {
    let mut group = Group::new().await;
    let (peer, chat_id) = (group.peer(), group.chat_id);
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    assert_eq!(group.bob.fail(export(&peer)).await, required);
    let main = link(&mut group.ada, export(&peer)).await;
    assert!(main.permanent && !main.revoked);
    let once = ExportChatInvite { usage_limit: Some(1), ..export(&peer) };
    let once = link(&mut group.ada, once).await;
    assert!(!once.permanent);
    let past = ExportChatInvite { expire_date: Some(1), ..export(&peer) };
    assert_eq!(group.ada.fail(past).await, (400, "EXPIRE_DATE_INVALID".to_owned()));
    let check = |hash: &str| CheckChatInvite { hash: hash.into() };
    let join = |hash: &str| ImportChatInvite { hash: hash.into() };
    for (hash, error) in [("", "INVITE_HASH_EMPTY"), ("00", "INVITE_HASH_INVALID")] {
        assert_eq!(group.dan.fail(check(hash)).await, (400, error.to_owned()));
        assert_eq!(group.dan.fail(join(hash)).await, (400, error.to_owned()));
    }
    let hash = hash_of(&once);
    let types::ChatInvite::ChatInvite(seen) = group.dan.ask(check(&hash)).await.unwrap() else {
        panic!("in it already")
    };
    assert_eq!((seen.title.as_str(), seen.participants_count), (Ok("Engines"), 3));
    assert!(seen.participants.is_none());
    let already = group.bob.ask(check(&hash)).await.unwrap();
    assert!(matches!(already, types::ChatInvite::ChatInviteAlready(_)));
    let inside = (400, "USER_ALREADY_PARTICIPANT".to_owned());
    assert_eq!(group.bob.fail(join(&hash)).await, inside);

    let joined = group.dan.ask(join(&hash)).await.unwrap();
    let types::messages::ChatInviteJoinResult::ChatInviteJoinResultOk(joined) = joined else {
        panic!("not at once")
    };
    let joined = updates(joined.updates);
    assert!(matches!(&joined.updates[1], Update::UpdateChatParticipants(_)));
    let told = group.cy.pushed().await;
    assert!(matches!(
        &told.updates[0],
        Update::UpdateChatParticipantAdd(new)
            if (new.user_id, new.inviter_id, new.version) == (group.ids[3], group.ids[0], 2)
    ));
    assert!(matches!(
        action(&told.updates[1]),
        types::MessageAction::MessageActionChatJoinedByLink(_)
    ));
    let importers = |link: Option<&str>| GetChatInviteImporters {
        peer: peer.clone(),
        link: link.map(Into::into),
        offset_user: types::InputUser::InputUserEmpty,
        limit: 10,
        ..chappe_tl::blank()
    };
    let came = group.ada.ask(importers(once.link.as_str().ok())).await.unwrap();
    assert!(matches!(&came.importers[..], [dan] if dan.user_id == group.ids[3]));
    let came = group.ada.ask(importers(main.link.as_str().ok())).await.unwrap();
    assert_eq!(came.count, 0);
    assert_eq!(group.bob.fail(importers(None)).await, required);

    // The only place is taken; and who was removed has none at all.
    let out = remove(chat_id, types::InputUser::InputUserSelf);
    group.dan.ask(out).await.unwrap();
    let expired = (400, "INVITE_HASH_EXPIRED".to_owned());
    assert_eq!(group.dan.fail(join(&hash)).await, expired);
    group.dan.ask(join(&hash_of(&main))).await.unwrap();
    let dan = user(&mut group.ada, 3).await;
    group.ada.ask(remove(chat_id, dan)).await.unwrap();
    assert_eq!(group.dan.fail(join(&hash_of(&main))).await, (400, "USER_KICKED".to_owned()));

    let revoke = EditExportedChatInvite {
        revoked: true,
        peer: peer.clone(),
        link: main.link.clone(),
        ..chappe_tl::blank()
    };
    group.ada.ask(revoke).await.unwrap();
    assert_eq!(group.dan.fail(check(&hash_of(&main))).await, expired);
    let list = |admin_id, revoked| GetExportedChatInvites {
        revoked,
        peer: peer.clone(),
        admin_id,
        limit: 10,
        ..chappe_tl::blank()
    };
    let myself = types::InputUser::InputUserSelf;
    let mine = group.ada.ask(list(myself.clone(), true)).await.unwrap();
    assert_eq!(mine.invites.len(), 1);
    assert_eq!(group.bob.fail(list(myself, false)).await, required);
}

fn group_peer(chat_id: i64) -> types::InputPeer {
    types::InputPeer::InputPeerChat(ctors::InputPeerChat { chat_id })
}

fn remove(chat_id: i64, user_id: types::InputUser) -> DeleteChatUser {
    DeleteChatUser { revoke_history: false, chat_id, user_id }
}

fn export(peer: &types::InputPeer) -> ExportChatInvite {
    ExportChatInvite { peer: peer.clone(), ..chappe_tl::blank() }
}

async fn link(client: &mut Client, call: ExportChatInvite) -> ctors::ChatInviteExported {
    let types::ExportedChatInvite::ChatInviteExported(invite) = client.ask(call).await.unwrap()
    else {
        panic!("no link")
    };
    *invite
}

fn hash_of(invite: &ctors::ChatInviteExported) -> String {
    invite.link.as_str().unwrap().strip_prefix("https://t.me/+").unwrap().to_owned()
}
