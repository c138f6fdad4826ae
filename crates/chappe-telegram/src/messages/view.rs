//! A message as its owner's clients hear it, and who has to be shown with it (API-09).

use std::collections::BTreeSet;

use chappe_api::{ctors, types};
use chappe_server::Caller;

use super::entities::shown;
use super::peer::peer_of;
use crate::Service;
use crate::error::Failure;
use crate::store::{EntityKind, Media, Message};

/// Who is named in an answer.
#[derive(Debug, Default)]
pub(crate) struct Named(BTreeSet<i64>);

impl Named {
    pub(crate) fn account(&mut self, account: i64) {
        self.0.insert(account);
    }

    fn message(&mut self, message: &Message) {
        self.0.extend([message.peer, message.sender]);
        for entity in &message.content.entities {
            if let EntityKind::MentionName { account } = entity.kind {
                self.0.insert(account);
            }
        }
        if let Some(Media::Contact { account, .. }) = message.content.media {
            self.0.insert(account);
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
        let reply_to = message.reply_to.map(|id| {
            types::MessageReplyHeader::MessageReplyHeader(Box::new(ctors::MessageReplyHeader {
                reply_to_msg_id: Some(id),
                ..chappe_tl::blank()
            }))
        });
        let media = message.content.media.as_ref();
        types::Message::Message(Box::new(ctors::Message {
            // To oneself nothing goes out.
            out: message.sender == message.owner && message.peer != message.owner,
            silent: message.content.silent,
            noforwards: message.content.noforwards,
            id: message.id,
            from_id: Some(peer_of(message.sender)),
            peer_id: peer_of(message.peer),
            reply_to,
            date: i32::try_from(message.date).unwrap_or(i32::MAX),
            edit_date: message.edited.map(|date| i32::try_from(date).unwrap_or(i32::MAX)),
            message: message.content.text.as_str().into(),
            entities: shown(&message.content),
            media: media.map(|media| Box::new(self.shown_media(now, message.owner, media))),
            grouped_id: message.content.album,
            ..chappe_tl::blank()
        }))
    }

    /// Everybody who is named, as `viewer` sees them.
    pub(crate) async fn users(
        &self,
        caller: &Caller,
        viewer: i64,
        named: Named,
    ) -> Result<Vec<types::User>, Failure> {
        self.users_at(caller.now.unix_seconds(), viewer, named).await
    }

    pub(crate) async fn users_at(
        &self,
        now: i64,
        viewer: i64,
        named: Named,
    ) -> Result<Vec<types::User>, Failure> {
        let mut users = Vec::with_capacity(named.0.len());
        for id in named.0 {
            if let Some(account) = self.store.account(id).await? {
                users.push(self.seen(now, viewer, &account).await?);
            }
        }
        Ok(users)
    }
}
