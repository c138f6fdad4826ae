//! A group as somebody sees it, and what its members are told of its changes.

use chappe_api::{ctors, types};

use super::rights::rights_of;
use crate::Service;
use crate::error::Failure;
use crate::messages::Named;
use crate::store::{Action, Chat, Member, Message, Role, Standing, State};

impl Service {
    /// A group as `viewer` sees it.
    pub(crate) async fn seen_chat(&self, viewer: i64, id: i64) -> Result<types::Chat, Failure> {
        let seen = self.seen_chats(viewer, &[id]).await?.pop();
        Ok(seen.unwrap_or(types::Chat::ChatEmpty(ctors::ChatEmpty { id })))
    }

    /// Groups as `viewer` sees them, in the order asked for.
    pub(crate) async fn seen_chats(
        &self,
        viewer: i64,
        ids: &[i64],
    ) -> Result<Vec<types::Chat>, Failure> {
        let seen = self.store.chats_seen(viewer, ids).await?;
        let shown = |id: &i64| match seen.get(id) {
            Some((chat, standing)) => self.shown_chat(chat, *standing),
            None => types::Chat::ChatEmpty(ctors::ChatEmpty { id: *id }),
        };
        Ok(ids.iter().map(shown).collect())
    }

    /// What a message in a group says of its members, to who was there when it was said.
    pub(crate) async fn membership(
        &self,
        viewer: i64,
        message: &Message,
        named: &mut Named,
    ) -> Result<Vec<types::Update>, Failure> {
        let (Some(chat_id), Some(action)) = (message.peer.chat(), &message.content.action) else {
            return Ok(Vec::new());
        };
        let (user_id, inviter_id, version) = match action {
            Action::CreateChat { .. } => {
                return Ok(vec![self.participants_update(viewer, chat_id, named).await?]);
            }
            Action::AddMember { account, version } => (*account, message.sender, *version),
            Action::JoinByLink { inviter, version } => (message.sender, *inviter, *version),
            Action::RemoveMember { account, version } => {
                let (user_id, version) = (*account, *version);
                named.account(user_id);
                let removed = ctors::UpdateChatParticipantDelete { chat_id, user_id, version };
                return Ok(vec![types::Update::UpdateChatParticipantDelete(removed)]);
            }
            Action::EditTitle { .. }
            | Action::EditPhoto { .. }
            | Action::DeletePhoto
            | Action::Pin => return Ok(Vec::new()),
        };
        if user_id == viewer {
            return Ok(vec![self.participants_update(viewer, chat_id, named).await?]);
        }
        named.account(user_id);
        named.account(inviter_id);
        let date = clamp(message.date);
        let added = ctors::UpdateChatParticipantAdd { chat_id, user_id, inviter_id, date, version };
        Ok(vec![types::Update::UpdateChatParticipantAdd(added)])
    }

    async fn participants_update(
        &self,
        viewer: i64,
        chat: i64,
        named: &mut Named,
    ) -> Result<types::Update, Failure> {
        let participants = self.participants(viewer, chat, named).await?;
        let all = ctors::UpdateChatParticipants { participants };
        Ok(types::Update::UpdateChatParticipants(all))
    }

    /// Who is in a group, for who is as well.
    pub(super) async fn participants(
        &self,
        viewer: i64,
        chat_id: i64,
        named: &mut Named,
    ) -> Result<types::ChatParticipants, Failure> {
        let members = self.store.members(chat_id).await?;
        let inside = |member: &&Member| member.standing.is_in();
        if !members.iter().filter(inside).any(|member| member.account == viewer) {
            let closed = ctors::ChatParticipantsForbidden { chat_id, self_participant: None };
            return Ok(types::ChatParticipants::ChatParticipantsForbidden(closed));
        }
        let version = self.store.chat(chat_id).await?.map_or(0, |chat| chat.version);
        let mut participants = Vec::with_capacity(members.len());
        for member in members.iter().filter(inside) {
            named.account(member.account);
            participants.push(participant(member));
        }
        let all = ctors::ChatParticipants { chat_id, participants, version };
        Ok(types::ChatParticipants::ChatParticipants(all))
    }

    fn shown_chat(&self, chat: &Chat, Standing { role, state }: Standing) -> types::Chat {
        let (id, title) = (chat.id, chat.title.as_str().into());
        if state == State::Removed && !chat.is_over {
            return types::Chat::ChatForbidden(ctors::ChatForbidden { id, title });
        }
        let is_in = state == State::In;
        types::Chat::Chat(Box::new(ctors::Chat {
            creator: role == Role::Creator,
            left: state == State::Left,
            deactivated: chat.is_over,
            id,
            title,
            photo: match &chat.photo {
                Some(photo) if is_in => self.shown_chat_photo(photo),
                _ => types::ChatPhoto::ChatPhotoEmpty,
            },
            // Whoever left sees no more.
            participants_count: if is_in { chat.members } else { 0 },
            date: clamp(chat.created),
            version: if is_in { chat.version } else { 0 },
            admin_rights: (is_in && role == Role::Admin).then(admin_rights),
            default_banned_rights: Some(rights_of(chat.banned)),
            ..chappe_tl::blank()
        }))
    }
}

/// What every administrator of a basic group may do.
fn admin_rights() -> types::ChatAdminRights {
    types::ChatAdminRights {
        change_info: true,
        delete_messages: true,
        ban_users: true,
        invite_users: true,
        pin_messages: true,
        manage_call: true,
        other: true,
        ..chappe_tl::blank()
    }
}

fn participant(member: &Member) -> types::ChatParticipant {
    let (user_id, inviter_id, date) = (member.account, member.inviter, clamp(member.date));
    let rank = None;
    match member.standing.role {
        Role::Creator => {
            let creator = ctors::ChatParticipantCreator { user_id, rank };
            types::ChatParticipant::ChatParticipantCreator(creator)
        }
        Role::Admin => {
            let admin = ctors::ChatParticipantAdmin { user_id, inviter_id, date, rank };
            types::ChatParticipant::ChatParticipantAdmin(admin)
        }
        Role::Member => {
            let member = ctors::ChatParticipant { user_id, inviter_id, date, rank };
            types::ChatParticipant::ChatParticipant(member)
        }
    }
}

/// A Unix second as the API has it.
pub(super) fn clamp(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
