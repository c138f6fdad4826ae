//! `messages.createChat` and `messages.deleteChat`.

use chappe_api::functions::messages::{CreateChat, DeleteChat};
use chappe_api::types;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};

use super::{MEMBERS_MAX, Room, TITLE_MAX};
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Action, Content, Peer};

/// Who has blocked whoever makes a group is not put into it.
pub(crate) async fn create_chat(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: CreateChat,
) -> Result<types::messages::InvitedUsers, Failure> {
    let me = service.me(&caller).await?;
    let title = title_of(&call.title)?;
    if call.users.len() >= MEMBERS_MAX {
        return Err(bad("USERS_TOO_MUCH"));
    }
    let (mut accounts, mut missing) = (Vec::with_capacity(call.users.len()), Vec::new());
    for user in &call.users {
        let account = service.meant(me, user).await?.ok_or_else(|| bad("USER_ID_INVALID"))?.id;
        if account == me || accounts.contains(&account) || missing.contains(&account) {
            continue;
        }
        let is_willing = !service.store.is_blocked(account, me).await?;
        if is_willing { accounts.push(account) } else { missing.push(account) }
    }
    if accounts.is_empty() {
        let is_refused = !missing.is_empty();
        return Err(if is_refused { unwilling() } else { bad("USERS_TOO_FEW") });
    }
    let now = caller.now.unix_seconds();
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let chat = change.create_chat(me, title, &accounts, now).await?;
    let room = Room::enter(&mut change, me, chat).await?;
    let action = Action::CreateChat { title: title.to_owned(), accounts };
    let sent = service.declare(&mut change, (me, &room), action, None, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let updates = service.declared(&caller, me, sent).await?;
    Ok(types::messages::InvitedUsers {
        updates,
        missing_invitees: missing.into_iter().map(uninvited).collect(),
    })
}

/// Everybody is removed, and nobody can write there again. What was said stays with who has it.
pub(crate) async fn delete_chat(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: DeleteChat,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, call.chat_id).await?;
    room.check_creator(me)?;
    change.next_version(room.chat.id).await?;
    change.end_chat(room.chat.id).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let update = chappe_api::ctors::UpdateChat { chat_id: room.chat.id };
    let update = types::Update::UpdateChat(update);
    service.push_to_members(&pusher, &caller, &room, &update, false).await?;
    Ok(true)
}

/// A title as it is kept.
pub(super) fn title_of(title: &chappe_tl::Str) -> Result<&str, Failure> {
    let title = text(title)?.trim();
    if title.is_empty() || title.chars().count() > TITLE_MAX {
        return Err(bad("CHAT_TITLE_EMPTY"));
    }
    Ok(title)
}

/// The error where nobody of those who were named wants to be in a group with who named them.
fn unwilling() -> Failure {
    Failure::Rpc(RpcError::new(403, "USER_PRIVACY_RESTRICTED"))
}

/// Somebody who was named and is not in the group.
pub(super) fn uninvited(user_id: i64) -> types::MissingInvitee {
    types::MissingInvitee { user_id, ..chappe_tl::blank() }
}

impl Service {
    /// Lets the service say something in a group in the name of a member.
    pub(crate) async fn declare(
        &self,
        change: &mut crate::store::Change<'_>,
        (me, room): (i64, &Room),
        action: Action,
        reply_to: Option<i32>,
        now: i64,
    ) -> Result<crate::store::Sent, Failure> {
        let peer = Peer::Chat(room.chat.id);
        let content = Content { action: Some(action), ..Content::default() };
        self.declare_to(change, (me, peer), &room.inside(), content, reply_to, now).await
    }
}
