//! `updates.getDifference`: what a client missed (20-telegram-api-service §3.4).

use std::collections::{BTreeMap, BTreeSet};

use chappe_api::functions::updates::GetDifference;
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use super::view::{pinned_or_heeded, read_inbox};
use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::{Named, Shown, peer_of};
use crate::store::{Event, Happening};

/// Events of one answer.
const EVENTS_MAX: i32 = 500;

pub(crate) async fn get_difference(
    State(service): State<Service>,
    caller: Caller,
    call: GetDifference,
) -> Result<types::updates::Difference, Failure> {
    let me = service.me(&caller).await?;
    if call.pts <= 0 {
        return Err(bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    // Two numbers of one row: whoever asks for nothing new costs no more than that.
    let position = service.store.position(me).await?.ok_or_else(Service::signed_out)?;
    if call.pts == position.pts && call.qts <= position.qts {
        let date = i32::try_from(caller.now.unix_seconds()).unwrap_or(i32::MAX);
        let empty = ctors::updates::DifferenceEmpty { date, seq: 0 };
        return Ok(types::updates::Difference::DifferenceEmpty(empty));
    }
    let is_beyond = |limit: i32| call.pts.saturating_add(limit) < position.pts;
    if call.pts < position.pruned || call.pts_total_limit.is_some_and(is_beyond) {
        let pts = position.pts;
        let too_long = ctors::updates::DifferenceTooLong { pts };
        return Ok(types::updates::Difference::DifferenceTooLong(too_long));
    }
    let state = service.state(&caller, me).await?;
    let limit = call.pts_limit.unwrap_or(EVENTS_MAX).clamp(1, EVENTS_MAX);
    // Whoever comes from the future, as after a backup was restored, is told where we are.
    let events = service.store.events(me, call.pts, limit.into()).await?;
    let reached = events.last().map_or(state.pts, |event| event.pts);
    let Missed { messages, updates, shown } = service.missed(&caller, me, &events).await?;
    if reached < state.pts {
        let slice = ctors::updates::DifferenceSlice {
            new_messages: messages,
            new_encrypted_messages: Vec::new(),
            other_updates: updates,
            chats: shown.chats,
            users: shown.users,
            intermediate_state: types::updates::State { pts: reached, ..state },
        };
        return Ok(types::updates::Difference::DifferenceSlice(Box::new(slice)));
    }
    // What was committed since the state was read comes with the next question.
    let difference = ctors::updates::Difference {
        new_messages: messages,
        new_encrypted_messages: Vec::new(),
        other_updates: updates,
        chats: shown.chats,
        users: shown.users,
        state: types::updates::State { pts: reached, ..state },
    };
    Ok(types::updates::Difference::Difference(Box::new(difference)))
}

/// Where the pts of an update begins: clients take those of one answer in that order (UPD-04).
fn begin(update: &types::Update) -> i32 {
    use types::Update as U;
    let (pts, count) = match update {
        U::UpdateDeleteMessages(update) => (update.pts, update.pts_count),
        U::UpdateEditMessage(update) => (update.pts, update.pts_count),
        U::UpdateReadHistoryInbox(update) => (update.pts, update.pts_count),
        U::UpdateReadHistoryOutbox(update) => (update.pts, update.pts_count),
        U::UpdatePinnedMessages(update) => (update.pts, update.pts_count),
        U::UpdateReadMessagesContents(update) => (update.pts, update.pts_count),
        _ => (0, 0),
    };
    pts - count
}

/// What events come to.
struct Missed {
    messages: Vec<types::Message>,
    updates: Vec<types::Update>,
    shown: Shown,
}

impl Service {
    /// Messages that still are, as they are now and each once; edits of older ones; what was
    /// deleted; of marks the last.
    async fn missed(&self, caller: &Caller, me: i64, events: &[Event]) -> Result<Missed, Failure> {
        let now = caller.now.unix_seconds();
        let mut named = Named::default();
        let (mut messages, mut updates) = (Vec::new(), Vec::new());
        let (mut new, mut edited) = (BTreeSet::new(), BTreeMap::new());
        let (mut inboxes, mut outboxes) = (BTreeMap::new(), BTreeMap::new());
        for event in events {
            let Event { pts, count, happening } = event;
            let at = (*pts, *count);
            match happening {
                Happening::NewMessage(id) => {
                    new.insert(*id);
                }
                Happening::Edited(id) => {
                    edited.insert(*id, at);
                }
                Happening::Deleted(ids) => {
                    let (pts, pts_count) = at;
                    let messages = ids.clone();
                    let deleted = ctors::UpdateDeleteMessages { messages, pts, pts_count };
                    updates.push(types::Update::UpdateDeleteMessages(deleted));
                }
                Happening::Pinned { .. } | Happening::Heeded(_) => {
                    updates.push(pinned_or_heeded(event, &mut named));
                }
                Happening::ReadInbox { peer, max_id } => {
                    inboxes.insert(*peer, (*max_id, at));
                }
                Happening::ReadOutbox { peer, max_id } => {
                    outboxes.insert(*peer, (*max_id, at));
                }
            }
        }
        let subjects = self.subjects(me, events).await?;
        for id in &new {
            if let Some(found) = subjects.messages.get(id) {
                updates.extend(self.membership(me, found, &mut named).await?);
                messages.push(self.shown_message(now, found, &mut named));
            }
        }
        for (id, (pts, pts_count)) in edited.into_iter().filter(|(id, _)| !new.contains(id)) {
            if let Some(found) = subjects.messages.get(&id) {
                let message = self.shown_message(now, found, &mut named);
                let edit = ctors::UpdateEditMessage { message, pts, pts_count };
                updates.push(types::Update::UpdateEditMessage(edit));
            }
        }
        for (peer, (max_id, at)) in inboxes {
            updates.push(read_inbox((peer, max_id), at, &subjects, &mut named));
        }
        for (peer, (max_id, (pts, pts_count))) in outboxes {
            named.peer(peer);
            let peer = peer_of(peer);
            let read = ctors::UpdateReadHistoryOutbox { peer, max_id, pts, pts_count };
            updates.push(types::Update::UpdateReadHistoryOutbox(read));
        }
        updates.sort_by_key(begin);
        let shown = self.named(caller.now.unix_seconds(), me, named).await?;
        Ok(Missed { messages, updates, shown })
    }
}
