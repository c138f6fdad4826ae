//! Links to a group, which its administrators make.

use chappe_api::functions::messages::{
    DeleteExportedChatInvite, EditExportedChatInvite, ExportChatInvite, GetChatInviteImporters,
    GetExportedChatInvite, GetExportedChatInvites,
};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::Room;
use super::view::clamp;
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::Named;
use crate::store::{Invite, Member, Peer, Role};

/// What a link begins with; clients know it.
const PREFIX: &str = "https://t.me/+";
/// Links and people of one answer.
const LIMIT_MAX: i32 = 100;
/// Characters by which its makers tell a link from others.
const TITLE_MAX: usize = 32;

/// The first without bounds is the one that its maker has always.
pub(crate) async fn export_chat_invite(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ExportChatInvite,
) -> Result<types::ExportedChatInvite, Failure> {
    let me = service.me(&caller).await?;
    let chat = service.chat_of(me, &call.peer).await?;
    // Nobody could let them in.
    if call.request_needed || call.subscription_pricing.is_some() {
        return Err(bad("METHOD_INVALID"));
    }
    let now = caller.now.unix_seconds();
    let mut invite = Invite {
        hash: service.fresh_name(),
        chat,
        creator: me,
        date: now,
        expires: call.expire_date.map(i64::from),
        usage_limit: call.usage_limit,
        used: 0,
        title: call.title.as_ref().map(title_of).transpose()?,
        is_permanent: call.legacy_revoke_permanent,
        is_revoked: false,
    };
    check_bounds(&invite, now)?;
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, chat).await?;
    room.check_admin(me)?;
    if invite.is_permanent {
        change.revoke_permanent(chat, me).await?;
    } else if (invite.expires, invite.usage_limit) == (None, None) && invite.title.is_none() {
        invite.is_permanent = service.store.permanent_invite(chat, me).await?.is_none();
    }
    change.insert_invite(&invite).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    Ok(shown(&invite))
}

pub(crate) async fn edit_exported_chat_invite(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditExportedChatInvite,
) -> Result<types::messages::ExportedChatInvite, Failure> {
    let me = service.me(&caller).await?;
    let chat = service.chat_of(me, &call.peer).await?;
    let hash = hash_in(&call.link)?;
    let now = caller.now.unix_seconds();
    if call.request_needed == Some(true) {
        return Err(bad("METHOD_INVALID"));
    }
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::open(&mut change, me, chat).await?;
    let found = change.invite(hash).await?;
    let mut invite = in_hand(me, room.as_ref().and_then(|room| room.member(me)), chat, found)?;
    if invite.is_revoked {
        return Err(bad("INVITE_HASH_EXPIRED"));
    }
    if !call.revoked {
        if invite.is_permanent {
            return Err(bad("CHAT_INVITE_PERMANENT"));
        }
        // 0 takes a bound away.
        let bound = |value: i32| (value != 0).then_some(value);
        invite.expires = call.expire_date.map_or(invite.expires, |it| bound(it).map(i64::from));
        invite.usage_limit = call.usage_limit.map_or(invite.usage_limit, bound);
        invite.title = call.title.as_ref().map(title_of).transpose()?.or(invite.title);
        check_bounds(&invite, now)?;
    }
    invite.is_revoked = call.revoked;
    change.set_invite(&invite).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.one_invite(&caller, me, &invite).await
}

pub(crate) async fn delete_exported_chat_invite(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: DeleteExportedChatInvite,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let chat = service.chat_of(me, &call.peer).await?;
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::open(&mut change, me, chat).await?;
    let found = change.invite(hash_in(&call.link)?).await?;
    let invite = in_hand(me, room.as_ref().and_then(|room| room.member(me)), chat, found)?;
    if !change.forget_invite(&invite).await? {
        return Err(bad("INVITE_REVOKED_MISSING"));
    }
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    Ok(true)
}

pub(crate) async fn get_exported_chat_invite(
    State(service): State<Service>,
    caller: Caller,
    call: GetExportedChatInvite,
) -> Result<types::messages::ExportedChatInvite, Failure> {
    let me = service.me(&caller).await?;
    let invite = service.invite_of(me, &call.peer, &call.link).await?;
    service.one_invite(&caller, me, &invite).await
}

pub(crate) async fn get_exported_chat_invites(
    State(service): State<Service>,
    caller: Caller,
    call: GetExportedChatInvites,
) -> Result<types::messages::ExportedChatInvites, Failure> {
    let me = service.me(&caller).await?;
    let chat = service.chat_of(me, &call.peer).await?;
    service.check_own_invites(me, chat).await?;
    let maker = service.meant(me, &call.admin_id).await?.ok_or_else(|| bad("ADMIN_ID_INVALID"))?;
    let (whose, limit) = ((chat, maker.id), call.limit.clamp(1, LIMIT_MAX));
    // Links of others are for who made the group.
    let standing = service.store.member(chat, me).await?.map(|member| member.standing);
    if maker.id != me && standing.is_none_or(|standing| standing.role != Role::Creator) {
        return Err(bad("ADMIN_ID_INVALID"));
    }
    let found = service.store.invites(whose, call.revoked, limit.into()).await?;
    let mut named = Named::default();
    named.account(maker.id);
    let invites: Vec<_> = found.iter().map(shown).collect();
    let count = i32::try_from(invites.len()).unwrap_or(i32::MAX);
    let users = service.users(&caller, me, named).await?;
    Ok(types::messages::ExportedChatInvites { count, invites, users })
}

/// Who came by a link, or by any.
pub(crate) async fn get_chat_invite_importers(
    State(service): State<Service>,
    caller: Caller,
    call: GetChatInviteImporters,
) -> Result<types::messages::ChatInviteImporters, Failure> {
    let me = service.me(&caller).await?;
    let chat = service.chat_of(me, &call.peer).await?;
    service.check_own_invites(me, chat).await?;
    let invite = match &call.link {
        Some(link) => Some(service.invite_of(me, &call.peer, link).await?),
        None => None,
    };
    let mut named = Named::default();
    let mut importers = Vec::new();
    for member in service.store.members(chat).await? {
        let came = match &invite {
            Some(invite) => invite.brought(&member),
            None => member.invite.is_some(),
        };
        // Nobody has to ask.
        if came && member.standing.is_in() && !call.requested {
            named.account(member.account);
            let (user_id, date) = (member.account, clamp(member.date));
            importers.push(types::ChatInviteImporter { user_id, date, ..chappe_tl::blank() });
        }
    }
    let count = i32::try_from(importers.len()).unwrap_or(i32::MAX);
    importers.sort_by_key(|importer| std::cmp::Reverse(importer.date));
    importers.truncate(call.limit.clamp(1, LIMIT_MAX) as usize);
    let users = service.users(&caller, me, named).await?;
    Ok(types::messages::ChatInviteImporters { count, importers, users })
}

impl Service {
    /// The group that an `inputPeer` of `me` means.
    pub(super) async fn chat_of(&self, me: i64, peer: &types::InputPeer) -> Result<i64, Failure> {
        match self.peer(me, peer).await? {
            Peer::Chat(chat) => Ok(chat),
            Peer::Account(_) => Err(bad("PEER_ID_INVALID")),
        }
    }

    /// The link that `me` sees for itself.
    pub(super) async fn main_invite(
        &self,
        me: i64,
        chat: i64,
    ) -> Result<Option<types::ExportedChatInvite>, Failure> {
        Ok(self.store.permanent_invite(chat, me).await?.as_ref().map(shown))
    }

    async fn check_own_invites(&self, me: i64, chat: i64) -> Result<(), Failure> {
        match self.store.member(chat, me).await? {
            Some(member) if member.standing.is_admin() => Ok(()),
            _ => Err(super::admin_required()),
        }
    }

    /// A link that `me` may look at.
    async fn invite_of(
        &self,
        me: i64,
        peer: &types::InputPeer,
        link: &chappe_tl::Str,
    ) -> Result<Invite, Failure> {
        let chat = self.chat_of(me, peer).await?;
        let member = self.store.member(chat, me).await?;
        let found = self.store.invite(hash_in(link)?).await?;
        in_hand(me, member.as_ref(), chat, found)
    }

    async fn one_invite(
        &self,
        caller: &Caller,
        me: i64,
        invite: &Invite,
    ) -> Result<types::messages::ExportedChatInvite, Failure> {
        let mut named = Named::default();
        named.account(invite.creator);
        let users = self.users(caller, me, named).await?;
        let one = ctors::messages::ExportedChatInvite { invite: shown(invite), users };
        Ok(types::messages::ExportedChatInvite::ExportedChatInvite(one))
    }
}

fn hash_in(link: &chappe_tl::Str) -> Result<&str, Failure> {
    let link = text(link)?;
    Ok(link.strip_prefix(PREFIX).unwrap_or(link))
}

/// A link of a group that a member has something to do with: administrators with their own, whoever
/// made the group with all.
fn in_hand(
    me: i64,
    member: Option<&Member>,
    chat: i64,
    found: Option<Invite>,
) -> Result<Invite, Failure> {
    let standing = member.map(|member| member.standing).filter(|standing| standing.is_admin());
    let role = standing.ok_or_else(super::admin_required)?.role;
    let invite = found.filter(|invite| invite.chat == chat);
    let invite = invite.ok_or_else(|| bad("INVITE_HASH_INVALID"))?;
    if invite.creator != me && role != Role::Creator {
        return Err(super::admin_required());
    }
    Ok(invite)
}

fn check_bounds(invite: &Invite, now: i64) -> Result<(), Failure> {
    if invite.expires.is_some_and(|expires| expires <= now) {
        return Err(bad("EXPIRE_DATE_INVALID"));
    }
    if invite.usage_limit.is_some_and(|limit| limit <= 0) {
        return Err(bad("USAGE_LIMIT_INVALID"));
    }
    Ok(())
}

fn title_of(title: &chappe_tl::Str) -> Result<String, Failure> {
    Ok(text(title)?.trim().chars().take(TITLE_MAX).collect())
}

fn shown(invite: &Invite) -> types::ExportedChatInvite {
    types::ExportedChatInvite::ChatInviteExported(Box::new(ctors::ChatInviteExported {
        revoked: invite.is_revoked,
        permanent: invite.is_permanent,
        link: format!("{PREFIX}{}", invite.hash).into(),
        admin_id: invite.creator,
        date: clamp(invite.date),
        expire_date: invite.expires.map(clamp),
        usage_limit: invite.usage_limit,
        usage: Some(invite.used),
        title: invite.title.as_deref().map(Into::into),
        ..chappe_tl::blank()
    }))
}
