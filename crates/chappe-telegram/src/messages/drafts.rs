//! `messages.saveDraft`, `messages.getAllDrafts` and `messages.clearAllDrafts`.

use chappe_api::functions::messages::{ClearAllDrafts, GetAllDrafts, SaveDraft};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::entities::shown;
use super::peer::peer_of;
use super::send::replied;
use super::view::Named;
use crate::Service;
use crate::error::{Failure, text};
use crate::store::{Draft, Peer};

pub(crate) async fn save_draft(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SaveDraft,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let reply_to = call.reply_to.as_ref().and_then(replied);
    if text(&call.message)?.trim().is_empty() && reply_to.is_none() {
        if service.store.clear_draft(me, peer).await? {
            service.push_draft((me, &caller), &pusher, peer, None).await?;
        }
        return Ok(true);
    }
    let content =
        service.unfinished(me, &call.message, call.entities.as_deref().unwrap_or(&[])).await?;
    let date = caller.now.unix_seconds();
    let draft = Draft { date, reply_to, no_webpage: call.no_webpage, content };
    service.store.save_draft((me, peer), &draft).await?;
    service.push_draft((me, &caller), &pusher, peer, Some(&draft)).await?;
    Ok(true)
}

pub(crate) async fn get_all_drafts(
    State(service): State<Service>,
    caller: Caller,
    _call: GetAllDrafts,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let mut named = Named::default();
    let mut updates = Vec::new();
    for (peer, draft) in service.store.drafts(me).await? {
        named.peer(peer);
        updates.push(update(peer, Some(&draft)));
    }
    service.updates(me, updates, named, caller.now.unix_seconds()).await
}

pub(crate) async fn clear_all_drafts(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    _call: ClearAllDrafts,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    for (peer, _) in service.store.drafts(me).await? {
        if service.store.clear_draft(me, peer).await? {
            service.push_draft((me, &caller), &pusher, peer, None).await?;
        }
    }
    Ok(true)
}

impl Service {
    /// Tells the other devices of `me` what it began to write, or that it no longer does.
    pub(super) async fn push_draft(
        &self,
        (me, caller): (i64, &Caller),
        pusher: &Pusher,
        peer: Peer,
        draft: Option<&Draft>,
    ) -> Result<(), Failure> {
        let mut named = Named::default();
        named.peer(peer);
        let now = caller.now.unix_seconds();
        let updates = self.updates(me, vec![update(peer, draft)], named, now).await?;
        let own = Some((caller.auth_key_id, caller.session_id));
        self.push(pusher, me, &updates, own).await
    }
}

fn update(peer: Peer, draft: Option<&Draft>) -> types::Update {
    let draft = draft.map_or_else(none, shown_draft);
    let peer = peer_of(peer);
    let update = ctors::UpdateDraftMessage { peer, top_msg_id: None, saved_peer_id: None, draft };
    types::Update::UpdateDraftMessage(update)
}

fn none() -> types::DraftMessage {
    types::DraftMessage::DraftMessageEmpty(ctors::DraftMessageEmpty { date: None })
}

pub(super) fn shown_draft(draft: &Draft) -> types::DraftMessage {
    let reply_to = draft.reply_to.map(|reply_to_msg_id| {
        let to = ctors::InputReplyToMessage { reply_to_msg_id, ..chappe_tl::blank() };
        types::InputReplyTo::InputReplyToMessage(Box::new(to))
    });
    types::DraftMessage::DraftMessage(Box::new(ctors::DraftMessage {
        no_webpage: draft.no_webpage,
        reply_to,
        message: draft.content.text.as_str().into(),
        entities: shown(&draft.content),
        date: i32::try_from(draft.date).unwrap_or(i32::MAX),
        ..chappe_tl::blank()
    }))
}
