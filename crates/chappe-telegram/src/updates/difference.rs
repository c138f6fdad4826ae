//! `updates.getDifference`: what a client missed (20-telegram-api-service §3.4).

use std::collections::{BTreeMap, BTreeSet};

use chappe_api::functions::updates::GetDifference;
use chappe_api::{ctors, types};
use chappe_server::{Caller, Mark, Question, State};

use super::view::{pinned_or_heeded, read_inbox};
use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::{Named, peer_of};
use crate::store::{Event, Happening};

/// Events of one answer.
const EVENTS_MAX: i32 = 500;

pub(crate) async fn get_difference(
    State(service): State<Service>,
    caller: Caller,
    question: Question,
    call: GetDifference,
) -> Result<types::updates::Difference, Failure> {
    let me = service.me(&caller).await?;
    // Before anything is read: what changes later is found by it.
    let date = service.date(me, caller.now.unix_seconds());
    if call.pts <= 0 {
        return Err(bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    // What is pushed meanwhile waits for the answer, and is not told twice (UPD-09).
    let tells = |at: i32, is_whole| question.tells(Mark { line: me, at }, is_whole);
    // A few numbers: whoever asks for nothing new costs no more than that.
    let position = service.store.position(me).await?.ok_or_else(Service::signed_out)?;
    // A client without a date asks for nothing that goes by dates (UPD-08).
    let since = Some(i64::from(call.date)).filter(|since| (1..=position.quiet).contains(since));
    if call.pts == position.pts && call.qts <= position.qts && since.is_none() {
        tells(position.pts, true);
        let empty = ctors::updates::DifferenceEmpty { date, seq: 0 };
        return Ok(types::updates::Difference::DifferenceEmpty(empty));
    }
    let too_long = || {
        let pts = position.pts;
        tells(pts, true);
        let too_long = ctors::updates::DifferenceTooLong { pts };
        Ok(types::updates::Difference::DifferenceTooLong(too_long))
    };
    let is_beyond = |limit: i32| call.pts.saturating_add(limit) < position.pts;
    if call.pts < position.pruned || call.pts_total_limit.is_some_and(is_beyond) {
        return too_long();
    }
    let state = service.state(&caller, me).await?;
    let limit = call.pts_limit.unwrap_or(EVENTS_MAX).clamp(1, EVENTS_MAX);
    // Whoever comes from the future, as after a backup was restored, is told where we are.
    let events = service.store.events(me, call.pts, limit.into()).await?;
    // The log may have lost its oldest since the first look: of those nobody would ask again.
    if service.store.position(me).await?.is_none_or(|now| call.pts < now.pruned) {
        return too_long();
    }
    let reached = events.last().map_or(state.pts, |event| event.pts);
    let mut named = Named::default();
    let Missed { messages, mut updates } = service.missed(&caller, me, &events, &mut named).await?;
    let is_whole = reached >= state.pts;
    // After the last event: reading a dialog, say, would take back its mark of later.
    if let Some(since) = since.filter(|_| is_whole) {
        updates.extend(service.quiet_updates(me, since, &mut named).await?);
    }
    let shown = service.named(caller.now.unix_seconds(), me, named).await?;
    tells(reached, is_whole);
    if !is_whole {
        // What goes by the date is still to come.
        let date = if call.date > 0 { call.date.min(date) } else { date };
        let slice = ctors::updates::DifferenceSlice {
            new_messages: messages,
            new_encrypted_messages: Vec::new(),
            other_updates: updates,
            chats: shown.chats,
            users: shown.users,
            intermediate_state: types::updates::State { pts: reached, date, ..state },
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
        state: types::updates::State { pts: reached, date, ..state },
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
}

impl Service {
    /// Messages that still are, as they are now and each once; edits of older ones; what was
    /// deleted; of marks the last.
    async fn missed(
        &self,
        caller: &Caller,
        me: i64,
        events: &[Event],
        named: &mut Named,
    ) -> Result<Missed, Failure> {
        let now = caller.now.unix_seconds();
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
                    updates.push(pinned_or_heeded(event, named));
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
                updates.extend(self.membership(me, found, named).await?);
                messages.push(self.shown_message(now, found, named));
            }
        }
        for (id, (pts, pts_count)) in edited.into_iter().filter(|(id, _)| !new.contains(id)) {
            if let Some(found) = subjects.messages.get(&id) {
                let message = self.shown_message(now, found, named);
                let edit = ctors::UpdateEditMessage { message, pts, pts_count };
                updates.push(types::Update::UpdateEditMessage(edit));
            }
        }
        for (peer, (max_id, at)) in inboxes {
            updates.push(read_inbox((peer, max_id), at, &subjects, named));
        }
        for (peer, (max_id, (pts, pts_count))) in outboxes {
            named.peer(peer);
            let peer = peer_of(peer);
            let read = ctors::UpdateReadHistoryOutbox { peer, max_id, pts, pts_count };
            updates.push(types::Update::UpdateReadHistoryOutbox(read));
        }
        updates.sort_by_key(begin);
        Ok(Missed { messages, updates })
    }
}
