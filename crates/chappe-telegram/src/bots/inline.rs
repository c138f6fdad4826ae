//! Inline queries: somebody types a bot's name and a text, the bot says what there is to choose.

use std::collections::HashSet;
use std::sync::Arc;

use chappe_api::functions::messages::{GetInlineBotResults, SetInlineBotResults};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::markup::shown_markup;
use super::queries::Queries;
use super::results::{Answer, InlineResult, Question};
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::shown_entities;
use crate::store::{Content, Peer};

/// What people have asked and wait to hear.
pub(crate) type InlineQueries = Queries<Question, Arc<Answer>>;

/// Results of one answer.
const RESULTS_MAX: usize = 50;
/// Bytes of the name of a result, and of an offset.
const ID_MAX: usize = 64;
/// Characters of a query.
const QUERY_MAX: usize = 256;

pub(crate) async fn get_inline_results(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: GetInlineBotResults,
) -> Result<types::messages::BotResults, Failure> {
    let me = service.me(&caller).await?;
    let bot = service.meant_bot(me, &call.bot).await?;
    if bot.inline_placeholder.is_none() {
        return Err(bad("BOT_INLINE_DISABLED"));
    }
    let query: String = text(&call.query)?.trim().chars().take(QUERY_MAX).collect();
    let offset = text(&call.offset)?.to_owned();
    if offset.len() > ID_MAX {
        return Err(bad("NEXT_OFFSET_INVALID"));
    }
    let question = Question { bot: bot.id, query, offset, asker: Some(me) };
    if let Some(answer) = service.results.fresh(&question, caller.now.mono) {
        return Ok(shown(&answer));
    }
    let query_id = service.rng().u64().cast_signed();
    let too_late = || bad("BOT_RESPONSE_TIMEOUT");
    let waiting =
        service.inline_queries.ask(bot.id, query_id, question.clone()).ok_or_else(too_late)?;
    let update = types::Update::UpdateBotInlineQuery(Box::new(ctors::UpdateBotInlineQuery {
        query_id,
        user_id: me,
        query: question.query.as_str().into(),
        geo: None,
        peer_type: service.peer_type(me, bot.id, &call.peer).await?,
        offset: question.offset.as_str().into(),
    }));
    service.ask_bot(&pusher, &caller, (me, bot.id), None, update).await?;
    let answer = waiting.answer(service.config.inline_wait).await.ok_or_else(too_late)?;
    Ok(shown(&answer))
}

pub(crate) async fn set_inline_results(
    State(service): State<Service>,
    caller: Caller,
    call: SetInlineBotResults,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let size = chappe_tl::to_bytes(&call).map_or(0, |bytes| bytes.len());
    let SetInlineBotResults { gallery, private, query_id, results, cache_time, .. } = call;
    if results.len() > RESULTS_MAX {
        return Err(bad("RESULTS_TOO_MUCH"));
    }
    if call.next_offset.as_ref().is_some_and(|offset| offset.len() > ID_MAX) {
        return Err(bad("NEXT_OFFSET_INVALID"));
    }
    let mut ids = HashSet::new();
    let mut read = Vec::with_capacity(results.len());
    for result in results {
        let result = service.result(me, result).await?;
        if result.id.is_empty() || result.id.len() > ID_MAX {
            return Err(bad("RESULT_ID_INVALID"));
        }
        if !ids.insert(result.id.to_bytes()) {
            return Err(bad("RESULT_ID_DUPLICATE"));
        }
        read.push(result);
    }
    let taken = service.inline_queries.take(me, query_id);
    let (question, waits) = taken.ok_or_else(|| bad("QUERY_ID_INVALID"))?;
    let asker = question.asker.filter(|_| private);
    let answer = Arc::new(Answer {
        query_id,
        question: Question { asker, ..question },
        gallery,
        cache_time: cache_time.max(0),
        next_offset: call.next_offset.filter(|offset| !offset.is_empty()),
        switch_pm: call.switch_pm,
        switch_webview: call.switch_webview,
        results: read,
        size,
    });
    service.results.keep(Arc::clone(&answer), caller.now.mono);
    // Who asked may be gone by now, which is nothing to the bot.
    let _ = waits.send(answer);
    Ok(true)
}

/// An answer as clients hear it.
fn shown(answer: &Answer) -> types::messages::BotResults {
    let results = answer.results.iter().map(shown_result).collect();
    types::messages::BotResults {
        gallery: answer.gallery,
        query_id: answer.query_id,
        next_offset: answer.next_offset.clone(),
        switch_pm: answer.switch_pm.clone(),
        switch_webview: answer.switch_webview.clone(),
        results,
        cache_time: answer.cache_time,
        users: Vec::new(),
    }
}

fn shown_result(result: &InlineResult) -> types::BotInlineResult {
    let Content { text, markup, .. } = &result.content;
    let message = ctors::BotInlineMessageText {
        no_webpage: false,
        invert_media: false,
        message: text.as_str().into(),
        entities: shown_entities(&result.content),
        reply_markup: markup.as_ref().map(shown_markup).map(Box::new),
    };
    types::BotInlineResult::BotInlineResult(Box::new(ctors::BotInlineResult {
        id: result.id.clone(),
        r#type: result.kind.clone(),
        title: result.title.clone(),
        description: result.description.clone(),
        url: result.url.clone(),
        thumb: result.thumb.clone().map(Box::new),
        content: None,
        send_message: types::BotInlineMessage::BotInlineMessageText(message),
    }))
}

impl Service {
    /// What a bot offers. Texts alone: nothing here fetches what is elsewhere in the net.
    async fn result(
        &self,
        me: i64,
        result: types::InputBotInlineResult,
    ) -> Result<InlineResult, Failure> {
        let types::InputBotInlineResult::InputBotInlineResult(result) = result else {
            return Err(bad("RESULT_TYPE_INVALID"));
        };
        let types::InputBotInlineMessage::InputBotInlineMessageText(said) = &result.send_message
        else {
            return Err(bad("SEND_MESSAGE_TYPE_INVALID"));
        };
        let entities = said.entities.as_deref().unwrap_or_default();
        let mut content = self.content(me, &said.message, entities).await?;
        content.markup = self.markup(me, said.reply_markup.as_deref()).await?;
        content.via_bot = Some(me);
        let thumb = result.thumb.map(|thumb| {
            let types::InputWebDocument { url, size, mime_type, attributes } = *thumb;
            let document = ctors::WebDocumentNoProxy { url, size, mime_type, attributes };
            types::WebDocument::WebDocumentNoProxy(document)
        });
        Ok(InlineResult {
            id: result.id,
            kind: result.r#type,
            title: result.title,
            description: result.description,
            url: result.url,
            thumb,
            content,
        })
    }

    /// Where the query is typed, as far as the bot is told.
    async fn peer_type(
        &self,
        me: i64,
        bot: i64,
        peer: &types::InputPeer,
    ) -> Result<Option<types::InlineQueryPeerType>, Failure> {
        use types::InlineQueryPeerType as T;
        Ok(Some(match peer {
            types::InputPeer::InputPeerEmpty => return Ok(None),
            peer => match self.peer(me, peer).await? {
                Peer::Chat(_) => T::InlineQueryPeerTypeChat,
                Peer::Account(peer) if peer == bot => T::InlineQueryPeerTypeSameBotPm,
                Peer::Account(peer) if self.store.is_bot(peer).await? => {
                    T::InlineQueryPeerTypeBotPm
                }
                Peer::Account(_) => T::InlineQueryPeerTypePm,
            },
        }))
    }
}
