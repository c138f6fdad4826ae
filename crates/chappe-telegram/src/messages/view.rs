//! A message as its owner's clients hear it, and who has to be shown with it (API-09).

use std::collections::BTreeSet;

use chappe_api::{ctors, types};
use chappe_server::Caller;

use super::entities::shown;
use super::peer::peer_of;
use crate::Service;
use crate::bots::shown_markup;
use crate::error::Failure;
use crate::store::{Action, EntityKind, Forwarded, Media, Message, Peer};

/// Who is named in an answer.
#[derive(Debug, Default)]
pub(crate) struct Named {
    accounts: BTreeSet<i64>,
    chats: BTreeSet<i64>,
}

/// Whoever is named, as somebody sees them.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) users: Vec<types::User>,
    pub(crate) chats: Vec<types::Chat>,
}

impl Named {
    pub(crate) fn account(&mut self, account: i64) {
        self.accounts.insert(account);
    }

    pub(crate) fn peer(&mut self, peer: Peer) {
        match peer {
            Peer::Account(account) => self.accounts.insert(account),
            Peer::Chat(chat) => self.chats.insert(chat),
        };
    }

    fn message(&mut self, message: &Message) {
        self.peer(message.peer);
        self.account(message.sender);
        self.accounts.extend(message.content.via_bot);
        for entity in &message.content.entities {
            if let EntityKind::MentionName { account } = entity.kind {
                self.account(account);
            }
        }
        if let Some(Forwarded { account, saved_from, .. }) = &message.content.forwarded {
            self.account(*account);
            if let Some((peer, _)) = saved_from {
                self.peer(*peer);
            }
        }
        match &message.content.action {
            Some(Action::CreateChat { accounts, .. }) => self.accounts.extend(accounts),
            Some(Action::AddMember { account, .. } | Action::RemoveMember { account, .. }) => {
                self.account(*account);
            }
            Some(Action::JoinByLink { inviter, .. }) => self.account(*inviter),
            Some(
                Action::EditTitle { .. }
                | Action::EditPhoto { .. }
                | Action::DeletePhoto
                | Action::Pin,
            )
            | None => {}
        }
        if let Some(Media::Contact { account, .. }) = message.content.media {
            self.account(account);
        }
    }
}

impl Service {
    /// A message of its owner's box at a Unix second, whose people are noted.
    pub(crate) fn shown_message(
        &self,
        now: i64,
        message: &Message,
        named: &mut Named,
    ) -> types::Message {
        named.message(message);
        let content = &message.content;
        // To oneself nothing goes out.
        let out = message.sender == message.owner && message.peer != Peer::Account(message.owner);
        let from_id = Some(peer_of(Peer::Account(message.sender)));
        let (id, peer_id, date) = (message.id, peer_of(message.peer), clamp(message.date));
        let reply_to = message.reply_to.map(|id| {
            types::MessageReplyHeader::MessageReplyHeader(Box::new(ctors::MessageReplyHeader {
                reply_to_msg_id: Some(id),
                ..chappe_tl::blank()
            }))
        });
        if let Some(action) = &content.action {
            return types::Message::MessageService(Box::new(ctors::MessageService {
                out,
                silent: content.silent,
                id,
                from_id,
                peer_id,
                reply_to,
                date,
                action: self.shown_action(now, message.owner, action),
                ..chappe_tl::blank()
            }));
        }
        let media = content.media.as_ref();
        types::Message::Message(Box::new(ctors::Message {
            out,
            mentioned: message.is_mention,
            media_unread: message.is_unheeded,
            silent: content.silent,
            pinned: message.is_pinned,
            noforwards: content.noforwards,
            id,
            from_id,
            peer_id,
            fwd_from: content.forwarded.as_ref().map(|forwarded| Box::new(shown_origin(forwarded))),
            reply_to,
            date,
            edit_date: message.edited.map(clamp),
            via_bot_id: content.via_bot,
            reply_markup: content.markup.as_ref().map(shown_markup).map(Box::new),
            message: content.text.as_str().into(),
            entities: shown(content),
            media: media.map(|media| Box::new(self.shown_media(now, message.owner, media))),
            grouped_id: content.album,
            ..chappe_tl::blank()
        }))
    }

    fn shown_action(&self, now: i64, viewer: i64, action: &Action) -> types::MessageAction {
        use types::MessageAction as A;
        match action {
            Action::CreateChat { title, accounts } => {
                let (title, users) = (title.as_str().into(), accounts.clone());
                A::MessageActionChatCreate(ctors::MessageActionChatCreate { title, users })
            }
            Action::EditTitle { title } => {
                let title = title.as_str().into();
                A::MessageActionChatEditTitle(ctors::MessageActionChatEditTitle { title })
            }
            Action::AddMember { account, .. } => {
                let users = vec![*account];
                A::MessageActionChatAddUser(ctors::MessageActionChatAddUser { users })
            }
            Action::JoinByLink { inviter, .. } => {
                let inviter_id = *inviter;
                A::MessageActionChatJoinedByLink(ctors::MessageActionChatJoinedByLink {
                    inviter_id,
                })
            }
            Action::RemoveMember { account, .. } => {
                let user_id = *account;
                A::MessageActionChatDeleteUser(ctors::MessageActionChatDeleteUser { user_id })
            }
            Action::EditPhoto { photo } => {
                let photo = self.shown_photo(now, viewer, photo);
                A::MessageActionChatEditPhoto(ctors::MessageActionChatEditPhoto { photo })
            }
            Action::DeletePhoto => A::MessageActionChatDeletePhoto,
            Action::Pin => A::MessageActionPinMessage,
        }
    }

    /// Everybody who is named, as `viewer` sees them.
    pub(crate) async fn users(
        &self,
        caller: &Caller,
        viewer: i64,
        named: Named,
    ) -> Result<Vec<types::User>, Failure> {
        Ok(self.named(caller.now.unix_seconds(), viewer, named).await?.users)
    }

    /// Everybody who is named, and every group, as `viewer` sees them at a Unix second.
    pub(crate) async fn named(
        &self,
        now: i64,
        viewer: i64,
        named: Named,
    ) -> Result<Shown, Failure> {
        let mut shown = Shown::default();
        let accounts: Vec<i64> = named.accounts.into_iter().collect();
        for (account, known) in self.store.accounts_seen(viewer, &accounts).await? {
            shown.users.push(self.seen_as(now, viewer, &account, known));
        }
        let chats: Vec<i64> = named.chats.into_iter().collect();
        shown.chats = self.seen_chats(viewer, &chats).await?;
        Ok(shown)
    }
}

fn shown_origin(forwarded: &Forwarded) -> types::MessageFwdHeader {
    types::MessageFwdHeader {
        from_id: Some(peer_of(Peer::Account(forwarded.account))),
        date: clamp(forwarded.date),
        saved_from_peer_and_saved_from_msg_id: forwarded
            .saved_from
            .map(|(peer, message)| (peer_of(peer), message)),
        ..chappe_tl::blank()
    }
}

/// A Unix second as the API has it.
fn clamp(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
