//! `messages.sendMedia`, `messages.sendMultiMedia` and `messages.uploadMedia`.

use chappe_api::functions::messages::{SendMedia, SendMultiMedia, UploadMedia};
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};
use chappe_tl::Str;

use super::post::Post;
use super::send::replied;
use crate::Service;
use crate::error::{Failure, bad};
use crate::media::may_be;
use crate::store::{Content, Message, NewMessage, Peer};

/// Messages of one album.
const ALBUM_MAX: usize = 10;

pub(crate) async fn send_media(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SendMedia,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    if call.schedule_date.is_some() {
        return Err(bad("SCHEDULE_DATE_INVALID"));
    }
    let markup = service.markup(me, call.reply_markup.as_deref()).await?;
    let single = Single {
        random_id: call.random_id,
        text: &call.message,
        entities: call.entities.as_deref().unwrap_or(&[]),
        media: &call.media,
    };
    let content = match service.shown_once(&caller, (me, peer), single).await? {
        Once::Before(sent) => return service.own_messages(&caller, me, &[sent]).await,
        Once::Now(content) => *content,
    };
    let (silent, noforwards) = (call.silent, call.noforwards);
    let content = Content { silent, noforwards, markup, ..content };
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

/// An album: messages that are sent at once, or none of them, and shown as one.
pub(crate) async fn send_multi_media(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SendMultiMedia,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    if call.schedule_date.is_some() {
        return Err(bad("SCHEDULE_DATE_INVALID"));
    }
    if call.multi_media.is_empty() {
        return Err(bad("MEDIA_EMPTY"));
    }
    if call.multi_media.len() > ALBUM_MAX {
        return Err(bad("MULTI_MEDIA_TOO_LONG"));
    }
    let now = caller.now.unix_seconds();
    let album = (service.rng().u64() >> 1).cast_signed();
    let mut news = Vec::with_capacity(call.multi_media.len());
    let mut repeated = Vec::new();
    for single in &call.multi_media {
        let random_id = single.random_id;
        let single = Single {
            random_id,
            text: &single.message,
            entities: single.entities.as_deref().unwrap_or(&[]),
            media: &single.media,
        };
        let mut content = match service.shown_once(&caller, (me, peer), single).await? {
            Once::Before(sent) => {
                repeated.push(sent);
                continue;
            }
            Once::Now(content) => *content,
        };
        (content.silent, content.noforwards) = (call.silent, call.noforwards);
        content.album = Some(album);
        news.push(NewMessage {
            sender: me,
            peer,
            random_id: Some(random_id),
            reply_to: call.reply_to.as_ref().and_then(replied),
            date: now,
            mentioned: Default::default(),
            content,
        });
    }
    let clear_draft = call.clear_draft;
    let post = Post { peer, messages: news, sent: repeated, clear_draft };
    service.post((me, &caller), &pusher, post).await
}

/// Keeps what is to be sent with others at once.
pub(crate) async fn upload_media(
    State(service): State<Service>,
    caller: Caller,
    call: UploadMedia,
) -> Result<types::MessageMedia, Failure> {
    let me = service.me(&caller).await?;
    service.peer(me, &call.peer).await?;
    let media = service.media(&caller, me, &call.media).await?;
    Ok(service.shown_media(caller.now.unix_seconds(), me, &media))
}

/// What somebody wants to show, and what is said of it.
struct Single<'c> {
    random_id: i64,
    text: &'c Str,
    entities: &'c [types::MessageEntity],
    media: &'c types::InputMedia,
}

enum Once {
    /// It was sent under its `random_id` before: its id, that, and its pts.
    Before((i32, i64, i32)),
    Now(Box<Content>),
}

impl Service {
    /// A repeat may come when the parts are used up; it has to be what came before (API-12).
    async fn shown_once(
        &self,
        caller: &Caller,
        (me, peer): (i64, Peer),
        single: Single<'_>,
    ) -> Result<Once, Failure> {
        let Single { random_id, text, entities, media } = single;
        // What is wrong with the caption is found before the file is worked on.
        let content = self.caption(me, text, entities).await?;
        if let Some(sent) = self.store.sent(me, random_id).await? {
            let before = self.store.message(me, sent.message).await?;
            let is_other = |before: &Message| {
                let shown = before.content.media.as_ref();
                before.peer != peer
                    || (before.edited.is_none()
                        && (before.content.text != content.text || !may_be(media, shown)))
            };
            if before.as_ref().is_some_and(is_other) {
                return Err(bad("RANDOM_ID_DUPLICATE"));
            }
            return Ok(Once::Before((sent.message, random_id, sent.pts)));
        }
        let media = self.media(caller, me, media).await?;
        Ok(Once::Now(Box::new(Content { media: Some(media), ..content })))
    }
}
