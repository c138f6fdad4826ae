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
    let now = caller.now.unix_seconds();
    if text(&call.message)?.trim().is_empty() && reply_to.is_none() {
        let under_way = service.dates.begin(me, now);
        if service.store.clear_draft(me, peer, under_way.second).await? {
            service.push_draft((me, &caller), &pusher, peer, (None, under_way.second)).await?;
        }
        return Ok(true);
    }
    let content =
        service.unfinished(me, &call.message, call.entities.as_deref().unwrap_or(&[])).await?;
    let under_way = service.dates.begin(me, now);
    let date = under_way.second;
    let draft = Draft { date, reply_to, no_webpage: call.no_webpage, content };
    service.store.save_draft((me, peer), &draft).await?;
    service.push_draft((me, &caller), &pusher, peer, (Some(&draft), date)).await?;
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
        updates.push(draft_update(peer, Some(&draft), draft.date));
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
    let under_way = service.dates.begin(me, caller.now.unix_seconds());
    for (peer, _) in service.store.drafts(me).await? {
        if service.store.clear_draft(me, peer, under_way.second).await? {
            service.push_draft((me, &caller), &pusher, peer, (None, under_way.second)).await?;
        }
    }
    Ok(true)
}

impl Service {
    /// Tells the other devices of `me` what it began to write, or that it no longer does.
    pub(super) async fn push_draft(
        &self,
        own: (i64, &Caller),
        pusher: &Pusher,
        peer: Peer,
        (draft, changed): (Option<&Draft>, i64),
    ) -> Result<(), Failure> {
        let mut named = Named::default();
        named.peer(peer);
        self.push_quiet(own, pusher, draft_update(peer, draft, changed), named).await
    }
}

/// What is begun to a peer, or that nothing is, since a Unix second.
pub(crate) fn draft_update(peer: Peer, draft: Option<&Draft>, changed: i64) -> types::Update {
    let draft = draft.map_or_else(|| none_since(changed), shown_draft);
    let peer = peer_of(peer);
    let update = ctors::UpdateDraftMessage { peer, top_msg_id: None, saved_peer_id: None, draft };
    types::Update::UpdateDraftMessage(update)
}

fn none_since(second: i64) -> types::DraftMessage {
    let date = Some(i32::try_from(second).unwrap_or(i32::MAX));
    types::DraftMessage::DraftMessageEmpty(ctors::DraftMessageEmpty { date })
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
