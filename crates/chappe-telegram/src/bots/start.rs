//! `messages.startBot`: somebody follows a link to a bot.

use std::collections::BTreeSet;

use chappe_api::functions::messages::StartBot;
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::Post;
use crate::store::{Content, Entity, EntityKind, NewMessage, Peer};

/// Longest parameter of a link.
const PARAM_MAX: usize = 64;

const START: &str = "/start";

pub(crate) async fn start_bot(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: StartBot,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let bot = service.meant_bot(me, &call.bot).await?;
    let is_private = match &call.peer {
        types::InputPeer::InputPeerEmpty => true,
        peer => service.peer(me, peer).await? == Peer::Account(bot.id),
    };
    if !is_private {
        return Err(bad("PEER_ID_INVALID"));
    }
    let param = text(&call.start_param)?;
    if param.len() > PARAM_MAX {
        return Err(bad("START_PARAM_TOO_LONG"));
    }
    let is_of_them = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !param.bytes().all(is_of_them) {
        return Err(bad("START_PARAM_INVALID"));
    }
    let command = Entity { offset: 0, length: START.len() as i32, kind: EntityKind::BotCommand };
    let content = Content {
        text: format!("{START} {param}").trim_end().to_owned(),
        entities: vec![command],
        ..Content::default()
    };
    service.say(&caller, &pusher, (me, Peer::Account(bot.id), call.random_id), None, content).await
}

impl Service {
    /// Sends what `me` says to a peer; the answer to who calls.
    pub(super) async fn say(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        (me, peer, random_id): (i64, Peer, i64),
        reply_to: Option<i32>,
        content: Content,
    ) -> Result<types::Updates, Failure> {
        let new = NewMessage {
            sender: me,
            peer,
            random_id: Some(random_id),
            reply_to,
            date: caller.now.unix_seconds(),
            mentioned: BTreeSet::new(),
            content,
        };
        let post = Post { peer, messages: vec![new], sent: Vec::new(), clear_draft: false };
        self.post((me, caller), pusher, post).await
    }
}
