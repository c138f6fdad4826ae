//! Messages and dialogs that are kept in sight.

use std::collections::BTreeSet;

use chappe_backend::StoreError;
use chappe_backend::sql::sql;

use super::events::{Change, Happening};
use super::messages::{copy_of, message};
use super::{Message, Peer, Quiet, Store};

impl Store {
    /// Pins a message of `me` in the boxes of `owners`, or no longer; the pts of `me` after it.
    /// `None` where it was so before.
    pub(crate) async fn pin(
        &self,
        change: &mut Change<'_>,
        (me, id): (i64, i32),
        (is_pinned, now): (bool, i64),
        owners: &BTreeSet<i64>,
    ) -> Result<Option<i32>, StoreError> {
        let Some(own) = message(change.transaction(), me, id).await? else { return Ok(None) };
        let mut own_pts = None;
        for owner in owners {
            let copy = match *owner == me {
                true => Some(own.clone()),
                false => copy_of(change.transaction(), *owner, &own).await?,
            };
            let Some(Message { id, peer, .. }) = copy.filter(|it| it.is_pinned != is_pinned) else {
                continue;
            };
            let set = sql("UPDATE message SET pinned = $3 WHERE owner = $1 AND id = $2");
            change.transaction().run(set.bind(*owner).bind(id).bind(is_pinned)).await?;
            let pinned = Happening::Pinned { peer, ids: vec![id], is_pinned };
            let pts = change.happen(*owner, pinned, 1, now).await?;
            if *owner == me {
                own_pts = Some(pts);
            }
        }
        Ok(own_pts)
    }

    /// Pins nothing in a dialog any longer, in the boxes of `owners`; the pts of `me` after it, and
    /// how many there were.
    pub(crate) async fn unpin_all(
        &self,
        change: &mut Change<'_>,
        (me, peer): (i64, Peer),
        owners: &BTreeSet<i64>,
        now: i64,
    ) -> Result<(i32, i32), StoreError> {
        let mut own = (change.pts(me).await?, 0);
        for owner in owners {
            let of_owner = match peer {
                Peer::Account(_) if *owner != me => Peer::Account(me),
                peer => peer,
            };
            let unpin = sql("UPDATE message SET pinned = 0
                 WHERE owner = $1 AND peer = $2 AND pinned = 1 RETURNING id");
            let rows = change.transaction().rows(unpin.bind(*owner).bind(of_owner)).await?;
            let ids: Result<Vec<i32>, _> = rows.into_iter().map(|mut row| row.read()).collect();
            let mut ids = ids?;
            if ids.is_empty() {
                continue;
            }
            ids.sort_unstable();
            let count = i32::try_from(ids.len()).unwrap_or(i32::MAX);
            let pinned = Happening::Pinned { peer: of_owner, ids, is_pinned: false };
            let pts = change.happen(*owner, pinned, count, now).await?;
            if *owner == me {
                own = (pts, count);
            }
        }
        Ok(own)
    }

    /// Puts a dialog above the other pinned ones, or among those that are not. Whether it is there.
    pub(crate) async fn pin_dialog(
        &self,
        (owner, peer): (i64, Peer),
        is_pinned: bool,
        second: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let set = match is_pinned {
            true => sql("UPDATE dialog SET pinned =
                     (SELECT max(pinned) FROM dialog WHERE owner = $1) + 1
                 WHERE owner = $1 AND peer = $2"),
            false => sql("UPDATE dialog SET pinned = 0 WHERE owner = $1 AND peer = $2"),
        };
        let is_there = change.transaction().run(set.bind(owner).bind(peer)).await? > 0;
        if is_there {
            change.note_quiet(owner, Quiet::Pins, second).await?;
        }
        change.commit().await?;
        Ok(is_there)
    }

    /// Pins these dialogs in this order and no others.
    pub(crate) async fn set_pinned_dialogs(
        &self,
        owner: i64,
        order: &[Peer],
        second: i64,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let unpin = sql("UPDATE dialog SET pinned = 0 WHERE owner = $1 AND pinned > 0");
        change.transaction().run(unpin.bind(owner)).await?;
        for (place, peer) in (1_i64..).zip(order.iter().rev()) {
            let set = sql("UPDATE dialog SET pinned = $3 WHERE owner = $1 AND peer = $2");
            change.transaction().run(set.bind(owner).bind(*peer).bind(place)).await?;
        }
        change.note_quiet(owner, Quiet::Pins, second).await?;
        change.commit().await.map(drop)
    }

    /// Marks a dialog as unread by hand, or no longer. Whether it is there.
    pub(crate) async fn mark_dialog(
        &self,
        (owner, peer): (i64, Peer),
        is_unread: bool,
        second: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let set = sql("UPDATE dialog SET unread_mark = $3 WHERE owner = $1 AND peer = $2");
        let set = set.bind(owner).bind(peer).bind(is_unread);
        let is_there = change.transaction().run(set).await? > 0;
        if is_there {
            change.note_quiet(owner, Quiet::UnreadMark(peer), second).await?;
        }
        change.commit().await?;
        Ok(is_there)
    }

    /// Notes that an account has looked at these messages; who said one, not in writing, learns it. The pts after it, and how many it had yet to look at.
    pub(crate) async fn heed(
        &self,
        change: &mut Change<'_>,
        (owner, ids): (i64, &[i32]),
        now: i64,
    ) -> Result<(i32, i32), StoreError> {
        let mut heeded = std::collections::BTreeMap::<i64, Vec<i32>>::new();
        for id in ids {
            let Some(found) = message(change.transaction(), owner, *id).await? else { continue };
            if !found.is_unheeded || found.sender == owner {
                continue;
            }
            // What was said rather than written waits for its sender, too, until it is heard.
            let sender = found.sender;
            if let Some(copy) = copy_of(change.transaction(), sender, &found).await?
                && copy.is_unheeded
            {
                heeded.entry(sender).or_default().push(copy.id);
            }
            let of_owner = heeded.entry(owner).or_default();
            if !of_owner.contains(id) {
                of_owner.push(*id);
            }
        }
        let mut own = (change.pts(owner).await?, 0);
        for (of, ids) in heeded {
            for id in &ids {
                let set = sql("UPDATE message SET unheeded = 0 WHERE owner = $1 AND id = $2");
                change.transaction().run(set.bind(of).bind(*id)).await?;
            }
            let count = i32::try_from(ids.len()).unwrap_or(i32::MAX);
            let pts = change.happen(of, Happening::Heeded(ids), count, now).await?;
            if of == owner {
                own = (pts, count);
            }
        }
        Ok(own)
    }
}
