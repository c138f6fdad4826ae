//! `messages.checkChatInvite` and `messages.importChatInvite`: coming by a link.

use chappe_api::functions::messages::{CheckChatInvite, ImportChatInvite};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};
use chappe_tl::Str;

use super::{MEMBERS_MAX, Room};
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{self, Action, Invite, Role};

/// What a group is called and how many are there is for everybody with a link to it.
pub(crate) async fn check_chat_invite(
    State(service): State<Service>,
    caller: Caller,
    call: CheckChatInvite,
) -> Result<types::ChatInvite, Failure> {
    let me = service.me(&caller).await?;
    let invite = service.open_invite(&call.hash, caller.now.unix_seconds()).await?;
    let member = service.store.member(invite.chat, me).await?;
    if member.is_some_and(|member| member.standing.is_in()) {
        let chat = service.seen_chat(me, invite.chat).await?;
        let already = ctors::ChatInviteAlready { chat };
        return Ok(types::ChatInvite::ChatInviteAlready(already));
    }
    let chat = service.store.chat(invite.chat).await?.filter(|chat| !chat.is_over);
    let chat = chat.ok_or_else(|| bad("INVITE_HASH_EXPIRED"))?;
    Ok(types::ChatInvite::ChatInvite(Box::new(ctors::ChatInvite {
        title: chat.title.into(),
        about: Some(chat.about).filter(|about| !about.is_empty()).map(Into::into),
        photo: types::Photo::PhotoEmpty(ctors::PhotoEmpty { id: 0 }),
        participants_count: chat.members,
        ..chappe_tl::blank()
    })))
}

/// Who was removed cannot come back by themselves.
pub(crate) async fn import_chat_invite(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ImportChatInvite,
) -> Result<types::messages::ChatInviteJoinResult, Failure> {
    let me = service.me(&caller).await?;
    let now = caller.now.unix_seconds();
    let chat = service.open_invite(&call.hash, now).await?.chat;
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::of(&mut change, chat).await?.filter(|room| !room.chat.is_over);
    let room = room.ok_or_else(|| bad("INVITE_HASH_EXPIRED"))?;
    let role = match room.standing(me) {
        Some(before) if before.is_in() => return Err(bad("USER_ALREADY_PARTICIPANT")),
        Some(before) if before.state == store::State::Removed => return Err(bad("USER_KICKED")),
        Some(before) if before.role == Role::Creator => Role::Creator,
        _ => Role::Member,
    };
    if room.inside().len() >= MEMBERS_MAX {
        return Err(bad("USERS_TOO_MUCH"));
    }
    // Once more, now that nobody else can take the last place.
    let invite = change.use_invite(text(&call.hash)?, now).await?;
    let Invite { creator: inviter, hash, .. } = invite.ok_or_else(|| bad("INVITE_HASH_EXPIRED"))?;
    let standing = (role, store::State::In);
    change.set_member(chat, me, standing, (inviter, now), Some(&hash)).await?;
    let version = change.next_version(chat).await?;
    let room = Room::enter(&mut change, me, chat).await?;
    let action = Action::JoinByLink { inviter, version };
    let sent = service.declare(&mut change, (me, &room), action, None, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let updates = service.declared(&caller, me, sent).await?;
    let joined = ctors::messages::ChatInviteJoinResultOk { updates };
    Ok(types::messages::ChatInviteJoinResult::ChatInviteJoinResultOk(joined))
}

impl Service {
    async fn open_invite(&self, hash: &Str, now: i64) -> Result<Invite, Failure> {
        let hash = text(hash)?;
        if hash.is_empty() {
            return Err(bad("INVITE_HASH_EMPTY"));
        }
        let invite = self.store.invite(hash).await?.ok_or_else(|| bad("INVITE_HASH_INVALID"))?;
        if invite.is_open(now) { Ok(invite) } else { Err(bad("INVITE_HASH_EXPIRED")) }
    }
}
