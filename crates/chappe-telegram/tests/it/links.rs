//! Who has a hand in which link to a group.

use std::time::Duration;

use chappe_api::functions::messages::{
    DeleteExportedChatInvite, EditChatAdmin, EditExportedChatInvite, ExportChatInvite,
    GetChatInviteImporters, GetExportedChatInvite,
};
use chappe_api::types;
use chappe_backend::sql::sql;
use chappe_tl::Str;

use crate::client::Client;
use crate::groups::{Group, user};

/// Rule:   an administrator looks at, changes, revokes and deletes links of their own; whoever made
///         the group does so with all of them.
/// Source: 20-telegram-api-service §2.2, `messages.exportChatInvite` and the family of invites,
///         `CHAT_ADMIN_REQUIRED`.
#[tokio::test]
async fn links_of_others_are_for_the_creator() {
    let mut group = open().await;
    let peer = group.peer();
    let of_ada = link(&mut group.ada, &peer).await;
    let of_bob = link(&mut group.bob, &peer).await;
    let edit = |link: &Str, revoked| EditExportedChatInvite {
        revoked,
        peer: peer.clone(),
        link: link.clone(),
        title: (!revoked).then(|| "Friends".into()),
        ..chappe_tl::blank()
    };
    let delete = |link: &Str| DeleteExportedChatInvite { peer: peer.clone(), link: link.clone() };
    let get = |link: &Str| GetExportedChatInvite { peer: peer.clone(), link: link.clone() };
    let importers = |link: &Str| GetChatInviteImporters {
        peer: peer.clone(),
        link: Some(link.clone()),
        offset_user: types::InputUser::InputUserEmpty,
        limit: 10,
        ..chappe_tl::blank()
    };
    let bob = &mut group.bob;
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    assert_eq!(bob.fail(edit(&of_ada, false)).await, required);
    assert_eq!(bob.fail(edit(&of_ada, true)).await, required);
    assert_eq!(bob.fail(get(&of_ada)).await, required);
    assert_eq!(bob.fail(importers(&of_ada)).await, required);
    bob.ask(edit(&of_bob, false)).await.unwrap();
    bob.ask(importers(&of_bob)).await.unwrap();
    group.ada.ask(edit(&of_ada, true)).await.unwrap();
    assert_eq!(group.bob.fail(delete(&of_ada)).await, required);
    assert!(group.ada.ask(delete(&of_ada)).await.unwrap());
    let invalid = (400, "INVITE_HASH_INVALID".to_owned());
    assert_eq!(group.ada.fail(get(&of_ada)).await, invalid);

    group.ada.ask(get(&of_bob)).await.unwrap();
    group.ada.ask(edit(&of_bob, true)).await.unwrap();
    let expired = (400, "INVITE_HASH_EXPIRED".to_owned());
    assert_eq!(group.bob.fail(edit(&of_bob, false)).await, expired);
    // Ordinary members have nothing to do with links, and strangers with none of the group.
    assert_eq!(group.cy.fail(get(&of_bob)).await, required);
    assert_eq!(group.dan.fail(get(&of_bob)).await, (400, "PEER_ID_INVALID".to_owned()));
}

/// Rule:   a link that was revoked while it is being changed stays revoked.
/// Source: 20-telegram-api-service §2.2, `INVITE_HASH_EXPIRED`; docs/decisions/0017.
#[tokio::test]
async fn revoked_link_is_not_opened_by_another_change() {
    let mut group = open().await;
    let peer = group.peer();
    let link = link(&mut group.bob, &peer).await;
    let mut rival = group.home.database().begin().await.unwrap();
    let hold = sql("UPDATE chat SET version = version WHERE id = $1").bind(group.chat_id);
    rival.run(hold).await.unwrap();
    let hash = link.as_str().unwrap().strip_prefix("https://t.me/+").unwrap();
    let revoke = sql("UPDATE chat_invite SET is_revoked = 1 WHERE hash = $1").bind(hash);
    assert_eq!(rival.run(revoke).await, Ok(1));
    let title = Some("Friends".into());
    let edit = EditExportedChatInvite { peer, link, title, ..chappe_tl::blank() };
    let (refused, ()) = tokio::join!(group.bob.fail(edit), async {
        // Enough for the call to be in the middle of it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        rival.commit().await.unwrap();
    });
    assert_eq!(refused, (400, "INVITE_HASH_EXPIRED".to_owned()));
}

/// A group with Bob as an administrator.
async fn open() -> Group {
    let mut group = Group::new().await;
    let (chat_id, user_id) = (group.chat_id, user(&mut group.ada, 1).await);
    group.ada.ask(EditChatAdmin { chat_id, user_id, is_admin: true }).await.unwrap();
    group
}

/// A link with a bound, so that it is not the one that its maker has always.
async fn link(client: &mut Client, peer: &types::InputPeer) -> Str {
    let call = ExportChatInvite { peer: peer.clone(), usage_limit: Some(5), ..chappe_tl::blank() };
    let types::ExportedChatInvite::ChatInviteExported(invite) = client.ask(call).await.unwrap()
    else {
        panic!("no link")
    };
    invite.link
}
