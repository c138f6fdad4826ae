//! `messages.sendMessage`.

use chappe_api::functions::messages::SendMessage;
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};

use super::post::Post;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::NewMessage;

pub(crate) async fn send_message(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SendMessage,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    if call.schedule_date.is_some() {
        return Err(bad("SCHEDULE_DATE_INVALID"));
    }
    let entities = call.entities.unwrap_or_default();
    let mut content = service.content(me, &call.message, &entities).await?;
    (content.silent, content.noforwards) = (call.silent, call.noforwards);
    content.markup = service.markup(me, call.reply_markup.as_deref()).await?;
    let new = NewMessage {
        sender: me,
        peer,
        random_id: Some(call.random_id),
        reply_to: call.reply_to.as_ref().and_then(replied),
        date: caller.now.unix_seconds(),
        mentioned: Default::default(),
        content,
    };
    let (messages, clear_draft) = (vec![new], call.clear_draft);
    let post = Post { peer, messages, sent: Vec::new(), clear_draft };
    service.post((me, &caller), &pusher, post).await
}

/// The message of one's own box that is replied to; a story or a draft is none.
pub(crate) fn replied(reply_to: &types::InputReplyTo) -> Option<i32> {
    match reply_to {
        types::InputReplyTo::InputReplyToMessage(message) if message.reply_to_msg_id > 0 => {
            Some(message.reply_to_msg_id)
        }
        _ => None,
    }
}
