//! `messages.getHistory` and `messages.getMessages`.

use chappe_api::functions::messages::{GetHistory, GetMessages};
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use super::view::Named;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::Window;

/// Messages of one answer.
const MESSAGES_MAX: i32 = 100;

pub(crate) async fn get_history(
    State(service): State<Service>,
    caller: Caller,
    call: GetHistory,
) -> Result<types::messages::Messages, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let window = Window {
        peer: peer.id,
        offset_id: call.offset_id,
        offset_date: call.offset_date.into(),
        add_offset: call.add_offset.clamp(-MESSAGES_MAX, i32::MAX),
        limit: call.limit.clamp(0, MESSAGES_MAX),
        max_id: call.max_id,
        min_id: call.min_id,
    };
    let found = service.store.history(me, &window).await?;
    let count = service.store.count_messages(me, peer.id).await?;
    let now = caller.now.unix_seconds();
    let mut named = Named::default();
    named.account(peer.id);
    let messages: Vec<_> =
        found.iter().map(|found| service.shown_message(now, found, &mut named)).collect();
    let users = service.users(&caller, me, named).await?;
    if usize::try_from(count) == Ok(messages.len()) {
        let all = ctors::messages::Messages { messages, users, ..chappe_tl::blank() };
        return Ok(types::messages::Messages::Messages(all));
    }
    let slice = ctors::messages::MessagesSlice { count, messages, users, ..chappe_tl::blank() };
    Ok(types::messages::Messages::MessagesSlice(Box::new(slice)))
}

/// One entry for each that is asked for; `messageEmpty` for what is not there.
pub(crate) async fn get_messages(
    State(service): State<Service>,
    caller: Caller,
    call: GetMessages,
) -> Result<types::messages::Messages, Failure> {
    let me = service.me(&caller).await?;
    if call.id.len() > MESSAGES_MAX as usize {
        return Err(bad("LIMIT_INVALID"));
    }
    let now = caller.now.unix_seconds();
    let mut named = Named::default();
    let mut messages = Vec::with_capacity(call.id.len());
    for asked in &call.id {
        let (id, found) = match asked {
            types::InputMessage::InputMessageId(asked) => {
                (asked.id, service.store.message(me, asked.id).await?)
            }
            types::InputMessage::InputMessageReplyTo(asked) => {
                let reply = service.store.message(me, asked.id).await?;
                match reply.and_then(|reply| reply.reply_to) {
                    Some(id) => (id, service.store.message(me, id).await?),
                    None => (asked.id, None),
                }
            }
            _ => (0, None),
        };
        messages.push(match found {
            Some(found) => service.shown_message(now, &found, &mut named),
            None => types::Message::MessageEmpty(ctors::MessageEmpty { id, peer_id: None }),
        });
    }
    let users = service.users(&caller, me, named).await?;
    let all = ctors::messages::Messages { messages, users, ..chappe_tl::blank() };
    Ok(types::messages::Messages::Messages(all))
}
