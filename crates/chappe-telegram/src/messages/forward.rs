//! `messages.forwardMessages`.

use std::collections::BTreeMap;

use chappe_api::functions::messages::ForwardMessages;
use chappe_api::types;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};

use super::post::Post;
use super::send::replied;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{Content, Forwarded, Markup, Message, NewMessage, Peer};

/// Messages forwarded at once.
const FORWARDED_MAX: usize = 100;

/// Messages go in the order of the call, each under its own `random_id`, and name who said them
/// first unless their authors are dropped.
pub(crate) async fn forward_messages(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ForwardMessages,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let from = service.peer(me, &call.from_peer).await?;
    let to = service.peer(me, &call.to_peer).await?;
    if call.id.is_empty() {
        return Err(bad("MESSAGE_IDS_EMPTY"));
    }
    if call.id.len() > FORWARDED_MAX {
        return Err(bad("MESSAGE_IDS_TOO_MUCH"));
    }
    if call.random_id.len() != call.id.len() {
        return Err(bad("RANDOM_ID_INVALID"));
    }
    if call.schedule_date.is_some() {
        return Err(bad("SCHEDULE_DATE_INVALID"));
    }
    let reply_to = call.reply_to.as_ref().and_then(replied);
    // What was shown as one is shown as one there, too.
    let mut albums = BTreeMap::new();
    let mut messages = Vec::with_capacity(call.id.len());
    for (id, random_id) in call.id.iter().zip(&call.random_id) {
        let found = service.store.message(me, *id).await?;
        let found = found.filter(|it| it.peer == from && it.content.action.is_none());
        let found = found.ok_or_else(|| bad("MESSAGE_ID_INVALID"))?;
        if found.content.noforwards {
            return Err(Failure::Rpc(RpcError::new(403, "CHAT_FORWARDS_RESTRICTED")));
        }
        let forwarded = (!call.drop_author).then(|| origin(&found, to == Peer::Account(me)));
        let mut fresh = || (service.rng().u64() >> 1).cast_signed();
        let album =
            found.content.album.map(|album| *albums.entry(album).or_insert_with(&mut fresh));
        let mut content = found.content;
        if call.drop_media_captions && content.media.is_some() {
            (content.text, content.entities) = (String::new(), Vec::new());
        }
        messages.push(NewMessage {
            sender: me,
            peer: to,
            random_id: Some(*random_id),
            reply_to,
            date: caller.now.unix_seconds(),
            mentioned: Default::default(),
            content: Content {
                silent: call.silent,
                noforwards: call.noforwards,
                forwarded,
                album,
                // A button that asks its bot would be pressed where the bot is not.
                markup: content.markup.filter(Markup::leads_elsewhere),
                ..content
            },
        });
    }
    let post = Post { peer: to, messages, sent: Vec::new(), clear_draft: false };
    service.post((me, &caller), &pusher, post).await
}

/// Who said a message first; of one kept for oneself, also where it was.
fn origin(found: &Message, is_saved: bool) -> Forwarded {
    let before = found.content.forwarded.as_ref();
    Forwarded {
        account: before.map_or(found.sender, |before| before.account),
        date: before.map_or(found.date, |before| before.date),
        saved_from: is_saved.then_some((found.peer, found.id)),
    }
}
