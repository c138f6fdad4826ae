//! Events as updates.

use chappe_api::{ctors, types};
use chappe_server::Caller;

use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::{Named, peer_of};
use crate::store::{Event, Happening};

impl Service {
    /// What clients of an account are told of events, in their order.
    pub(super) async fn updates_of(
        &self,
        account: i64,
        events: &[Event],
        now: i64,
    ) -> Result<types::Updates, Failure> {
        let mut named = Named::default();
        let mut updates = Vec::with_capacity(events.len());
        for event in events {
            updates.push(self.update_of(account, event, &mut named, now).await?);
        }
        self.updates(account, updates, named, now).await
    }

    async fn update_of(
        &self,
        account: i64,
        event: &Event,
        named: &mut Named,
        now: i64,
    ) -> Result<types::Update, Failure> {
        let Event { pts, count: pts_count, happening } = event;
        let (pts, pts_count) = (*pts, *pts_count);
        Ok(match happening {
            Happening::NewMessage(id) => match self.store.message(account, *id).await? {
                Some(found) => types::Update::UpdateNewMessage(ctors::UpdateNewMessage {
                    message: self.shown_message(now, &found, named),
                    pts,
                    pts_count,
                }),
                None => nothing(pts, pts_count),
            },
            Happening::Edited(id) => match self.store.message(account, *id).await? {
                Some(found) => types::Update::UpdateEditMessage(ctors::UpdateEditMessage {
                    message: self.shown_message(now, &found, named),
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
            Happening::ReadInbox { peer, max_id } => {
                named.account(*peer);
                let dialog = self.store.dialog(account, *peer).await?;
                types::Update::UpdateReadHistoryInbox(ctors::UpdateReadHistoryInbox {
                    peer: peer_of(*peer),
                    max_id: *max_id,
                    still_unread_count: dialog.map_or(0, |dialog| dialog.unread),
                    pts,
                    pts_count,
                    ..chappe_tl::blank()
                })
            }
            Happening::ReadOutbox { peer, max_id } => {
                named.account(*peer);
                let (peer, max_id) = (peer_of(*peer), *max_id);
                let read = ctors::UpdateReadHistoryOutbox { peer, max_id, pts, pts_count };
                types::Update::UpdateReadHistoryOutbox(read)
            }
        })
    }

    pub(crate) async fn updates(
        &self,
        account: i64,
        updates: Vec<types::Update>,
        named: Named,
        now: i64,
    ) -> Result<types::Updates, Failure> {
        let users = self.users_at(now, account, named).await?;
        let date = i32::try_from(now).unwrap_or(i32::MAX);
        // Legal, and skips a check that would gain nothing (UPD-07, UPD-08).
        let seq = 0;
        let chats = Vec::new();
        Ok(types::Updates::Updates(ctors::Updates { updates, users, chats, date, seq }))
    }

    /// A message just sent, as the answer to who sent it: first the id that it got (UPD-05).
    pub(crate) async fn own_message(
        &self,
        caller: &Caller,
        me: i64,
        names: (i32, i64),
        pts: i32,
    ) -> Result<types::Updates, Failure> {
        self.own_messages(caller, me, &[(names, pts)]).await
    }

    /// Messages sent at once: each by its id and `random_id`, and the pts after it.
    pub(crate) async fn own_messages(
        &self,
        caller: &Caller,
        me: i64,
        sent: &[((i32, i64), i32)],
    ) -> Result<types::Updates, Failure> {
        let now = caller.now.unix_seconds();
        let mut named = Named::default();
        let mut updates = Vec::with_capacity(sent.len() * 2);
        for ((id, random_id), _) in sent {
            let (id, random_id) = (*id, *random_id);
            let name = ctors::UpdateMessageId { id, random_id };
            updates.push(types::Update::UpdateMessageId(name));
        }
        for ((id, _), pts) in sent {
            let event = Event { pts: *pts, count: 1, happening: Happening::NewMessage(*id) };
            updates.push(self.update_of(me, &event, &mut named, now).await?);
        }
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

/// What moves the pts and says no more: the message is gone, and a later event says so (UPD-12).
fn nothing(pts: i32, pts_count: i32) -> types::Update {
    let messages = Vec::new();
    types::Update::UpdateDeleteMessages(ctors::UpdateDeleteMessages { messages, pts, pts_count })
}
