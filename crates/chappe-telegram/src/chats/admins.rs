//! `messages.editChatAdmin` and `messages.editChatDefaultBannedRights`.

use chappe_api::functions::messages::{EditChatAdmin, EditChatDefaultBannedRights};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::Room;
use super::rights::{VIEW_MESSAGES, bits_of, rights_of};
use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::{Named, peer_of};
use crate::store::{Peer, Role};

pub(crate) async fn edit_chat_admin(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditChatAdmin,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let found = service.meant(me, &call.user_id).await?;
    let user_id = found.ok_or_else(|| bad("USER_ID_INVALID"))?.id;
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, call.chat_id).await?;
    room.check_creator(me)?;
    let standing = room.standing(user_id).filter(|standing| standing.is_in());
    let before = standing.ok_or_else(|| bad("USER_NOT_PARTICIPANT"))?.role;
    let role = if call.is_admin { Role::Admin } else { Role::Member };
    if before == Role::Creator {
        return Err(bad("USER_ID_INVALID"));
    }
    if before == role {
        return Ok(true);
    }
    let chat_id = room.chat.id;
    change.set_role((chat_id, user_id), role).await?;
    let version = change.next_version(chat_id).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let is_admin = call.is_admin;
    let update = ctors::UpdateChatParticipantAdmin { chat_id, user_id, is_admin, version };
    let update = types::Update::UpdateChatParticipantAdmin(update);
    service.push_to_members(&pusher, &caller, &room, &update, false).await?;
    Ok(true)
}

pub(crate) async fn edit_chat_default_banned_rights(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditChatDefaultBannedRights,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let Peer::Chat(chat) = service.peer(me, &call.peer).await? else {
        return Err(bad("PEER_ID_INVALID"));
    };
    let banned = bits_of(&call.banned_rights);
    // Whoever may see nothing is no member.
    if banned & VIEW_MESSAGES != 0 {
        return Err(bad("BANNED_RIGHTS_INVALID"));
    }
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, chat).await?;
    room.check_admin(me)?;
    if room.chat.banned == banned {
        return Err(bad("CHAT_NOT_MODIFIED"));
    }
    change.set_banned(chat, banned).await?;
    let version = change.next_version(chat).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let update = ctors::UpdateChatDefaultBannedRights {
        peer: peer_of(Peer::Chat(chat)),
        default_banned_rights: rights_of(banned),
        version,
    };
    let update = types::Update::UpdateChatDefaultBannedRights(update);
    service.push_to_members(&pusher, &caller, &room, &update, true).await?;
    let mut named = Named::default();
    named.peer(Peer::Chat(chat));
    service.updates(me, vec![update], named, caller.now.unix_seconds()).await
}
