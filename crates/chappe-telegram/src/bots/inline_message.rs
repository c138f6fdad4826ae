//! Messages that somebody chose from what a bot offered, which the bot may edit.

use chappe_api::functions::messages::{EditInlineBotMessage, SendInlineBotResult};
use chappe_api::{ctors, types};
use chappe_crypto::{equal, sha256};
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::{both, replied};
use crate::store::Peer;

pub(crate) async fn send_inline_result(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SendInlineBotResult,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let answer = service.results.answer(call.query_id, me, caller.now.mono);
    let answer = answer.ok_or_else(|| bad("INLINE_RESULT_EXPIRED"))?;
    let chosen = answer.results.iter().find(|result| result.id == call.id);
    let chosen = chosen.ok_or_else(|| bad("RESULT_ID_INVALID"))?;
    let mut content = chosen.content.clone();
    content.silent = call.silent;
    let is_editable = content.markup.as_ref().is_some_and(|markup| markup.is_inline());
    let reply_to = call.reply_to.as_ref().and_then(replied);
    let place = (me, peer, call.random_id);
    let updates = service.say(&caller, &pusher, place, reply_to, content).await?;
    let bot = answer.question.bot;
    let msg_id = sent_id(&updates).filter(|_| is_editable);
    let sent = ctors::UpdateBotInlineSend {
        user_id: me,
        query: answer.question.query.as_str().into(),
        geo: None,
        id: call.id,
        msg_id: msg_id.map(|id| service.inline_id(bot, me, id)),
    };
    let update = types::Update::UpdateBotInlineSend(Box::new(sent));
    service.ask_bot(&pusher, &caller, (me, bot), None, update).await?;
    Ok(updates)
}

pub(crate) async fn edit_inline_message(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditInlineBotMessage,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let invalid = || bad("MESSAGE_ID_INVALID");
    let types::InputBotInlineMessageId::InputBotInlineMessageId64(named) = &call.id else {
        return Err(invalid());
    };
    let (owner, id) = (named.owner_id, named.id);
    let hash = service.inline_hash(me, owner, id);
    if !equal(&hash.to_le_bytes(), &named.access_hash.to_le_bytes()) {
        return Err(invalid());
    }
    let before = service.store.message(owner, id).await?;
    let before = before.filter(|message| message.content.via_bot == Some(me));
    let before = before.ok_or_else(invalid)?;
    // Who may say nothing any more has nothing said for them either.
    if let Peer::Account(peer) = before.peer
        && service.store.is_blocked(peer, owner).await?
    {
        return Err(invalid());
    }
    let mut content = match &call.message {
        Some(said) => {
            let entities = call.entities.as_deref().unwrap_or_default();
            service.content(me, said, entities).await?
        }
        None => before.content.clone(),
    };
    content.markup = service.markup(me, call.reply_markup.as_deref()).await?;
    (content.via_bot, content.silent) = (Some(me), before.content.silent);
    if content == before.content {
        return Err(bad("MESSAGE_NOT_MODIFIED"));
    }
    let gate = service.lines.gate().await;
    let owners = match service.room_as_it_is(owner, before.peer).await? {
        Some(room) => room.inside(),
        None => both(owner, before.peer),
    };
    let turn = service.lines.turn_of(gate, &owners).await;
    let mut change = service.store.change_apart().await?;
    let now = caller.now.unix_seconds();
    let edited = service.store.edit(&mut change, (owner, id), (&content, now), &owners).await?;
    edited.ok_or_else(invalid)?;
    // The bot may have the message, too, and hears nothing of it by the answer.
    service.announce_to_all(turn, change, &pusher, &caller).await?;
    Ok(true)
}

/// The id that a message just sent was given.
fn sent_id(updates: &types::Updates) -> Option<i32> {
    let types::Updates::Updates(updates) = updates else { return None };
    updates.updates.iter().find_map(|update| match update {
        types::Update::UpdateMessageId(named) => Some(named.id),
        _ => None,
    })
}

impl Service {
    /// By what a bot names a message that somebody sent for it: in the box of its sender.
    pub(super) fn inline_id(
        &self,
        bot: i64,
        owner_id: i64,
        id: i32,
    ) -> types::InputBotInlineMessageId {
        types::InputBotInlineMessageId::InputBotInlineMessageId64(
            ctors::InputBotInlineMessageId64 {
                dc_id: self.config.dc,
                owner_id,
                id,
                access_hash: self.inline_hash(bot, owner_id, id),
            },
        )
    }

    fn inline_hash(&self, bot: i64, owner: i64, id: i32) -> i64 {
        let (bot, owner, id) = (bot.to_le_bytes(), owner.to_le_bytes(), id.to_le_bytes());
        let hash = sha256(&[&self.secret[..], b"inline_message", &bot, &owner, &id]);
        hash.first_chunk().map_or(1, |bytes| i64::from_le_bytes(*bytes))
    }
}
