//! `messages.sendMedia`, `messages.sendMultiMedia` and `messages.uploadMedia`.

use chappe_api::functions::messages::{SendMedia, SendMultiMedia, UploadMedia};
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};
use chappe_tl::Str;

use super::post::Post;
use super::send::replied;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{Content, NewMessage};

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
    // A repeat may come when the parts are used up (API-12).
    if let Some(sent) = service.store.sent(me, call.random_id).await? {
        let sent = (sent.message, call.random_id, sent.pts);
        return service.own_messages(&caller, me, &[sent]).await;
    }
    let markup = service.markup(me, call.reply_markup.as_deref()).await?;
    let said = Said { text: &call.message, entities: call.entities.as_deref().unwrap_or(&[]) };
    let content = service.captioned(&caller, me, &said, &call.media).await?;
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
        if let Some(sent) = service.store.sent(me, single.random_id).await? {
            repeated.push((sent.message, single.random_id, sent.pts));
            continue;
        }
        let entities = single.entities.as_deref().unwrap_or(&[]);
        let said = Said { text: &single.message, entities };
        let mut content = service.captioned(&caller, me, &said, &single.media).await?;
        (content.silent, content.noforwards) = (call.silent, call.noforwards);
        content.album = Some(album);
        news.push(NewMessage {
            sender: me,
            peer,
            random_id: Some(single.random_id),
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

/// What is said besides what is shown.
struct Said<'c> {
    text: &'c Str,
    entities: &'c [types::MessageEntity],
}

impl Service {
    async fn captioned(
        &self,
        caller: &Caller,
        me: i64,
        said: &Said<'_>,
        media: &types::InputMedia,
    ) -> Result<Content, Failure> {
        // What is wrong with the caption is found before the file is worked on.
        let content = self.caption(me, said.text, said.entities).await?;
        let media = self.media(caller, me, media).await?;
        Ok(Content { media: Some(media), ..content })
    }
}
