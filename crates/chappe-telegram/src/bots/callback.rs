//! Buttons under messages: somebody presses one, its bot says what to show.

use chappe_api::functions::messages::{GetBotCallbackAnswer, SetBotCallbackAnswer};
use chappe_api::{ctors, types};
use chappe_crypto::sha256;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};
use chappe_tl::Str;

use super::markup::is_url;
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::{Named, peer_of};
use crate::store::Peer;

/// What a bot has shown when a button was pressed.
pub(crate) type CallbackAnswer = types::messages::BotCallbackAnswer;

/// Longest text of an answer, in characters.
const TEXT_MAX: usize = 200;

pub(crate) async fn get_callback_answer(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: GetBotCallbackAnswer,
) -> Result<CallbackAnswer, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let found = service.store.message(me, call.msg_id).await?;
    let found = found.filter(|found| found.peer == peer);
    let found = found.ok_or_else(|| bad("MESSAGE_ID_INVALID"))?;
    let data = call.data.filter(|_| !call.game).ok_or_else(|| bad("DATA_INVALID"))?;
    let wants_password = found.content.markup.as_ref().and_then(|markup| markup.callback(&data));
    if wants_password.ok_or_else(|| bad("DATA_INVALID"))? {
        let said = call.password.ok_or_else(|| bad("PASSWORD_HASH_INVALID"))?;
        service.check_own_password(me, &said, caller.now).await?;
    }
    let bot = found.content.via_bot.unwrap_or(found.sender);
    if !service.store.is_bot(bot).await? {
        return Err(bad("MESSAGE_ID_INVALID"));
    }
    let query_id = service.rng().u64().cast_signed();
    let too_late = || bad("BOT_RESPONSE_TIMEOUT");
    let waiting = service.callbacks.ask(bot, query_id, ()).ok_or_else(too_late)?;
    let (chat_instance, data) = (service.chat_instance(me, peer), Some(data));
    let mut place = None;
    let update = if found.content.via_bot.is_some() {
        types::Update::UpdateInlineBotCallbackQuery(Box::new(ctors::UpdateInlineBotCallbackQuery {
            query_id,
            user_id: me,
            msg_id: service.inline_id(bot, found.sender, found.origin),
            chat_instance,
            data,
            game_short_name: None,
        }))
    } else {
        let peer = peer.seen_by_other(me);
        place = Some(peer);
        types::Update::UpdateBotCallbackQuery(ctors::UpdateBotCallbackQuery {
            query_id,
            user_id: me,
            peer: peer_of(peer),
            // It is the bot's message: what the bot calls it.
            msg_id: found.origin,
            chat_instance,
            data,
            game_short_name: None,
        })
    };
    service.ask_bot(&pusher, &caller, (me, bot), place, update).await?;
    waiting.answer(service.config.callback_wait).await.ok_or_else(too_late)
}

pub(crate) async fn set_callback_answer(
    State(service): State<Service>,
    caller: Caller,
    call: SetBotCallbackAnswer,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let SetBotCallbackAnswer { alert, query_id, message, url, cache_time } = call;
    if message.as_ref().map_or(Ok(""), text)?.chars().count() > TEXT_MAX {
        return Err(bad("MESSAGE_TOO_LONG"));
    }
    if !url.as_ref().map_or(Ok("https://"), text).is_ok_and(is_url) {
        return Err(bad("URL_INVALID"));
    }
    let ((), waits) =
        service.callbacks.take(me, query_id).ok_or_else(|| bad("QUERY_ID_INVALID"))?;
    let message = message.filter(|message: &Str| !message.is_empty());
    let (has_url, cache_time) = (url.is_some(), cache_time.max(0));
    // Who asked may be gone by now, which is nothing to the bot.
    let _ =
        waits.send(CallbackAnswer { alert, has_url, native_ui: true, message, url, cache_time });
    Ok(true)
}

impl Service {
    /// Tells a bot that somebody asks something of it, and where if the bot is there.
    pub(super) async fn ask_bot(
        &self,
        pusher: &Pusher,
        caller: &Caller,
        (me, bot): (i64, i64),
        place: Option<Peer>,
        update: types::Update,
    ) -> Result<(), Failure> {
        let mut named = Named::default();
        named.account(me);
        if let Some(place) = place {
            named.peer(place);
        }
        let updates = self.updates(bot, vec![update], named, caller.now.unix_seconds()).await?;
        self.push(pusher, bot, &updates, None).await
    }

    /// Names a chat to a bot, the same for all its buttons, and says nothing of who is in it.
    fn chat_instance(&self, me: i64, peer: Peer) -> i64 {
        let (one, other) = match peer {
            Peer::Account(peer) => (me.min(peer).to_le_bytes(), me.max(peer).to_le_bytes()),
            Peer::Chat(chat) => ([0; 8], chat.to_le_bytes()),
        };
        let hash = sha256(&[&self.secret[..], b"chat_instance", &one, &other]);
        hash.first_chunk().map_or(1, |bytes| i64::from_le_bytes(*bytes))
    }

    async fn check_own_password(
        &self,
        me: i64,
        said: &types::InputCheckPasswordSrp,
        now: chappe_proto::Now,
    ) -> Result<(), Failure> {
        if self.store.password(me).await?.is_none() {
            return Err(Failure::Rpc(RpcError::bad_request("PASSWORD_MISSING")));
        }
        self.check_knowledge(me, said, now).await
    }
}
