//! `messages.addChatUser` and `messages.deleteChatUser`.

use chappe_api::functions::messages::{AddChatUser, DeleteChatUser};
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};

use super::create::uninvited;
use super::{MEMBERS_MAX, Room};
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{self, Action, Role};

/// Whoever left by their own will is brought back by people they know, or comes by a link. Nobody is
/// brought by whom they have blocked.
pub(crate) async fn add_chat_user(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: AddChatUser,
) -> Result<types::messages::InvitedUsers, Failure> {
    let me = service.me(&caller).await?;
    let found = service.meant(me, &call.user_id).await?;
    let account = found.ok_or_else(|| bad("USER_ID_INVALID"))?.id;
    let is_known = service.store.contact_name(account, me).await?.is_some();
    let is_willing = account == me || !service.store.is_blocked(account, me).await?;
    let now = caller.now.unix_seconds();
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::open(&mut change, me, call.chat_id).await?;
    let room = room.ok_or_else(|| bad("CHAT_ID_INVALID"))?;
    let before = room.standing(account);
    // Whoever made a group and left it may come back.
    let is_return = account == me
        && !room.chat.is_over
        && before.is_some_and(|it| it.role == Role::Creator && it.state == store::State::Left);
    if !is_return {
        room.check_inside(me)?;
        room.check_invite(me)?;
    }
    match before.map(|standing| standing.state) {
        Some(store::State::In) => return Err(bad("USER_ALREADY_PARTICIPANT")),
        Some(store::State::Removed) => room.check_admin(me)?,
        Some(store::State::Left) | None => {}
    }
    let has_left = before.is_some_and(|standing| standing.state == store::State::Left);
    if !is_willing || (has_left && !is_return && !is_known) {
        let updates = service.updates(me, Vec::new(), Default::default(), now).await?;
        let missing_invitees = vec![uninvited(account)];
        return Ok(types::messages::InvitedUsers { updates, missing_invitees });
    }
    if room.inside().len() >= MEMBERS_MAX {
        return Err(bad("USERS_TOO_MUCH"));
    }
    let (chat, role) = (room.chat.id, if is_return { Role::Creator } else { Role::Member });
    change.set_member(chat, account, (role, store::State::In), (me, now), None).await?;
    let version = change.next_version(chat).await?;
    let room = Room::enter(&mut change, me, chat).await?;
    let action = Action::AddMember { account, version };
    let sent = service.declare(&mut change, (me, &room), action, None, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let updates = service.declared(&caller, me, sent).await?;
    Ok(types::messages::InvitedUsers { updates, missing_invitees: Vec::new() })
}

/// Leaving, and removing others. Who goes hears of it as the last thing.
pub(crate) async fn delete_chat_user(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: DeleteChatUser,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let found = service.meant(me, &call.user_id).await?;
    let account = found.ok_or_else(|| bad("USER_ID_INVALID"))?.id;
    let now = caller.now.unix_seconds();
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, call.chat_id).await?;
    let member = room.member(account).filter(|member| member.standing.is_in());
    let member = member.ok_or_else(|| bad("USER_NOT_PARTICIPANT"))?;
    let state = if account == me {
        store::State::Left
    } else {
        room.check_remove(me, member)?;
        store::State::Removed
    };
    let version = change.next_version(room.chat.id).await?;
    // Whoever comes back is an ordinary member, but for who made the group.
    if member.standing.role == Role::Admin {
        change.set_role((room.chat.id, account), Role::Member).await?;
    }
    change.set_state((room.chat.id, account), state).await?;
    let action = Action::RemoveMember { account, version };
    let sent = service.declare(&mut change, (me, &room), action, None, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.declared(&caller, me, sent).await
}
