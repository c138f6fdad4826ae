//! `messages.getHistory` and `messages.getMessages`.

use chappe_api::functions::messages::{GetHistory, GetMessages};
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use super::view::{Named, Shown};
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{Message, Sieve, Window};

/// Messages of one answer.
pub(super) const MESSAGES_MAX: i32 = 100;

pub(crate) async fn get_history(
    State(service): State<Service>,
    caller: Caller,
    call: GetHistory,
) -> Result<types::messages::Messages, Failure> {
    let me = service.me(&caller).await?;
    let window = Window {
        peer: service.peer(me, &call.peer).await?,
        offset_id: call.offset_id,
        offset_date: call.offset_date.into(),
        add_offset: call.add_offset,
        limit: call.limit,
        max_id: call.max_id,
        min_id: call.min_id,
        sieve: Sieve::default(),
    };
    service.page(&caller, me, window, call.hash).await
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
    let Shown { users, chats } = service.named(caller.now.unix_seconds(), me, named).await?;
    let all = ctors::messages::Messages { messages, users, chats, ..chappe_tl::blank() };
    Ok(types::messages::Messages::Messages(all))
}

impl Service {
    /// A page of a dialog: all there is, or a slice of it, or that the client has it already.
    pub(super) async fn page(
        &self,
        caller: &Caller,
        me: i64,
        mut window: Window,
        hash: i64,
    ) -> Result<types::messages::Messages, Failure> {
        window.add_offset = window.add_offset.max(-MESSAGES_MAX);
        window.limit = window.limit.clamp(0, MESSAGES_MAX);
        let found = self.store.history(me, &window).await?;
        let seen = i32::try_from(found.len()).unwrap_or(i32::MAX);
        let count = match window.is_open() && seen < window.limit {
            // A page that is not full is all there is.
            true => seen,
            false => self.store.count_messages(me, window.peer, &window.sieve).await?,
        };
        if hash != 0 && hash == hash_of(&found) {
            let same = ctors::messages::MessagesNotModified { count };
            return Ok(types::messages::Messages::MessagesNotModified(same));
        }
        let now = caller.now.unix_seconds();
        let mut named = Named::default();
        named.peer(window.peer);
        let messages: Vec<_> =
            found.iter().map(|found| self.shown_message(now, found, &mut named)).collect();
        let Shown { users, chats } = self.named(caller.now.unix_seconds(), me, named).await?;
        if usize::try_from(count) == Ok(messages.len()) {
            let all = ctors::messages::Messages { messages, users, chats, ..chappe_tl::blank() };
            return Ok(types::messages::Messages::Messages(all));
        }
        let slice =
            ctors::messages::MessagesSlice { count, messages, users, chats, ..chappe_tl::blank() };
        Ok(types::messages::Messages::MessagesSlice(Box::new(slice)))
    }
}

/// By which clients say which messages they have: the API's own arithmetic over ids and edits.
fn hash_of(messages: &[Message]) -> i64 {
    let step = |hash: u64, value: i64| {
        let hash = hash ^ (hash >> 21);
        let hash = hash ^ (hash << 35);
        let hash = hash ^ (hash >> 4);
        hash.wrapping_add(value.cast_unsigned())
    };
    let of =
        |hash, message: &Message| step(step(hash, message.id.into()), message.edited.unwrap_or(0));
    messages.iter().fold(0, of).cast_signed()
}
