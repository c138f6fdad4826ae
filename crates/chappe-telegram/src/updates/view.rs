//! Events as updates.

use std::collections::{BTreeMap, BTreeSet};

use chappe_api::{ctors, types};
use chappe_server::Caller;

use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::{Named, Shown, peer_of};
use crate::store::{Dialog, Event, Happening, Message, Peer, Sent};

/// What events of an account are about, as it is now.
pub(super) struct Subjects {
    /// By their ids; those that are gone are not among them.
    pub(super) messages: BTreeMap<i32, Message>,
    /// What was read.
    pub(super) dialogs: BTreeMap<Peer, Dialog>,
}

impl Service {
    /// Reads at once what events are about.
    pub(super) async fn subjects(
        &self,
        account: i64,
        events: &[Event],
    ) -> Result<Subjects, Failure> {
        let (mut ids, mut peers) = (BTreeSet::new(), BTreeSet::new());
        for event in events {
            match &event.happening {
                Happening::NewMessage(id) | Happening::Edited(id) => {
                    ids.insert(*id);
                }
                Happening::ReadInbox { peer, .. } => {
                    peers.insert(*peer);
                }
                Happening::Deleted(_)
                | Happening::ReadOutbox { .. }
                | Happening::Pinned { .. }
                | Happening::Heeded(_) => {}
            }
        }
        let (ids, peers) = (Vec::from_iter(ids), Vec::from_iter(peers));
        Ok(Subjects {
            messages: self.store.messages(account, &ids).await?,
            dialogs: self.store.dialogs_with(account, &peers).await?,
        })
    }

    /// What clients of an account are told of events, in their order.
    pub(crate) async fn updates_of(
        &self,
        account: i64,
        events: &[Event],
        now: i64,
    ) -> Result<types::Updates, Failure> {
        let subjects = self.subjects(account, events).await?;
        self.updates_about(account, events, &subjects, now).await
    }

    /// The same where it is known what they are about.
    pub(super) async fn updates_about(
        &self,
        account: i64,
        events: &[Event],
        subjects: &Subjects,
        now: i64,
    ) -> Result<types::Updates, Failure> {
        let mut named = Named::default();
        let mut updates = Vec::with_capacity(events.len());
        for event in events {
            self.tell((account, subjects), event, &mut named, &mut updates, now).await?;
        }
        self.updates(account, updates, named, now).await
    }

    /// Adds what an event comes to.
    async fn tell(
        &self,
        (account, subjects): (i64, &Subjects),
        event: &Event,
        named: &mut Named,
        updates: &mut Vec<types::Update>,
        now: i64,
    ) -> Result<(), Failure> {
        let Event { pts, count: pts_count, happening } = event;
        let (pts, pts_count) = (*pts, *pts_count);
        let update = match happening {
            Happening::NewMessage(id) => match subjects.messages.get(id) {
                Some(found) => {
                    updates.extend(self.membership(account, found, named).await?);
                    let message = self.shown_message(now, found, named);
                    let new = ctors::UpdateNewMessage { message, pts, pts_count };
                    types::Update::UpdateNewMessage(new)
                }
                None => nothing(pts, pts_count),
            },
            Happening::Edited(id) => match subjects.messages.get(id) {
                Some(found) => types::Update::UpdateEditMessage(ctors::UpdateEditMessage {
                    message: self.shown_message(now, found, named),
                    pts,
                    pts_count,
                }),
                None => nothing(pts, pts_count),
            },
            Happening::Deleted(ids) => {
                let messages = ids.clone();
                let deleted = ctors::UpdateDeleteMessages { messages, pts, pts_count };
                types::Update::UpdateDeleteMessages(deleted)
            }
            Happening::Pinned { .. } | Happening::Heeded(_) => pinned_or_heeded(event, named),
            Happening::ReadInbox { peer, max_id } => {
                read_inbox((*peer, *max_id), (pts, pts_count), subjects, named)
            }
            Happening::ReadOutbox { peer, max_id } => {
                named.peer(*peer);
                let (peer, max_id) = (peer_of(*peer), *max_id);
                let read = ctors::UpdateReadHistoryOutbox { peer, max_id, pts, pts_count };
                types::Update::UpdateReadHistoryOutbox(read)
            }
        };
        updates.push(update);
        Ok(())
    }

    pub(crate) async fn updates(
        &self,
        account: i64,
        updates: Vec<types::Update>,
        named: Named,
        now: i64,
    ) -> Result<types::Updates, Failure> {
        let Shown { users, chats } = self.named(now, account, named).await?;
        let date = self.date(account, now);
        // Legal, and skips a check that would gain nothing (UPD-07, UPD-08).
        let seq = 0;
        Ok(types::Updates::Updates(ctors::Updates { updates, users, chats, date, seq }))
    }

    /// Messages just sent, each by its id, `random_id` and pts, as the answer to who sent them:
    /// first the ids that they got (UPD-05).
    pub(crate) async fn own_messages(
        &self,
        caller: &Caller,
        me: i64,
        sent: &[(i32, i64, i32)],
    ) -> Result<types::Updates, Failure> {
        let now = caller.now.unix_seconds();
        let mut named = Named::default();
        let mut updates = Vec::with_capacity(2 * sent.len());
        for (id, random_id, _) in sent {
            let (id, random_id) = (*id, *random_id);
            updates.push(types::Update::UpdateMessageId(ctors::UpdateMessageId { id, random_id }));
        }
        let new = |(id, _, pts): &(i32, i64, i32)| Event {
            pts: *pts,
            count: 1,
            happening: Happening::NewMessage(*id),
        };
        let events: Vec<Event> = sent.iter().map(new).collect();
        let subjects = self.subjects(me, &events).await?;
        for event in &events {
            self.tell((me, &subjects), event, &mut named, &mut updates, now).await?;
        }
        self.updates(me, updates, named, now).await
    }

    /// An event, and then what the service said of it, as the answer to whose doing it was.
    pub(crate) async fn declared_after(
        &self,
        caller: &Caller,
        me: i64,
        event: Event,
        sent: Sent,
    ) -> Result<types::Updates, Failure> {
        let now = caller.now.unix_seconds();
        let mut named = Named::default();
        let mut updates = Vec::new();
        let id = sent.message;
        let said = Event { pts: sent.pts, count: 1, happening: Happening::NewMessage(id) };
        let events = [event, said];
        let subjects = self.subjects(me, &events).await?;
        let [event, said] = &events;
        self.tell((me, &subjects), event, &mut named, &mut updates, now).await?;
        let random_id = i64::from_le_bytes(self.rng().bytes());
        updates.push(types::Update::UpdateMessageId(ctors::UpdateMessageId { id, random_id }));
        self.tell((me, &subjects), said, &mut named, &mut updates, now).await?;
        self.updates(me, updates, named, now).await
    }

    /// A message just edited, as the answer to who did.
    pub(crate) async fn own_edit(
        &self,
        caller: &Caller,
        me: i64,
        id: i32,
        pts: i32,
    ) -> Result<types::Updates, Failure> {
        if self.store.message(me, id).await?.is_none() {
            return Err(bad("MESSAGE_ID_INVALID"));
        }
        let event = Event { pts, count: 1, happening: Happening::Edited(id) };
        self.updates_of(me, &[event], caller.now.unix_seconds()).await
    }
}

/// A dialog that was read up to a message, and what is left to read of it.
pub(super) fn read_inbox(
    (peer, max_id): (Peer, i32),
    (pts, pts_count): (i32, i32),
    subjects: &Subjects,
    named: &mut Named,
) -> types::Update {
    named.peer(peer);
    let still_unread_count = subjects.dialogs.get(&peer).map_or(0, |dialog| dialog.unread);
    let peer = peer_of(peer);
    types::Update::UpdateReadHistoryInbox(ctors::UpdateReadHistoryInbox {
        peer,
        max_id,
        still_unread_count,
        pts,
        pts_count,
        ..chappe_tl::blank()
    })
}

/// Messages that are kept in sight or no longer, or were looked at. Of any other event, that it
/// moved the pts.
pub(super) fn pinned_or_heeded(event: &Event, named: &mut Named) -> types::Update {
    let (pts, pts_count) = (event.pts, event.count);
    match &event.happening {
        Happening::Pinned { peer, ids, is_pinned } => {
            named.peer(*peer);
            let (pinned, peer, messages) = (*is_pinned, peer_of(*peer), ids.clone());
            let update = ctors::UpdatePinnedMessages { pinned, peer, messages, pts, pts_count };
            types::Update::UpdatePinnedMessages(update)
        }
        Happening::Heeded(ids) => {
            let messages = ids.clone();
            let update = ctors::UpdateReadMessagesContents {
                messages,
                pts,
                pts_count,
                ..chappe_tl::blank()
            };
            types::Update::UpdateReadMessagesContents(update)
        }
        _ => nothing(pts, pts_count),
    }
}

/// What moves the pts and says no more: the message is gone, and a later event says so (UPD-12).
fn nothing(pts: i32, pts_count: i32) -> types::Update {
    let messages = Vec::new();
    types::Update::UpdateDeleteMessages(ctors::UpdateDeleteMessages { messages, pts, pts_count })
}
