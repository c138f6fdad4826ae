//! Messages that are changed or taken away, in every box that has them.

use std::collections::{BTreeMap, BTreeSet};

use chappe_backend::StoreError;
use chappe_backend::sql::{Transaction, sql};

use super::events::{Change, Happening};
use super::messages::{copy_of, message};
use super::{Content, Message, Peer, Store};

impl Store {
    /// Gives a message of one's own another content, in the boxes of `owners`. Its new pts in the
    /// sender's; `None` where the message is not one's own.
    pub(crate) async fn edit(
        &self,
        change: &mut Change<'_>,
        (editor, id): (i64, i32),
        (content, now): (&Content, i64),
        owners: &BTreeSet<i64>,
    ) -> Result<Option<i32>, StoreError> {
        let found = message(change.transaction(), editor, id).await?;
        let Some(original) = found.filter(|message| message.sender == editor) else {
            return Ok(None);
        };
        let mut own_pts = None;
        for owner in owners {
            let edit = sql("UPDATE message SET content = $1, folded = $2, kinds = $3, edited = $4
                 WHERE owner = $5 AND sender = $6 AND origin = $7 RETURNING id");
            let edit = edit.bind(content.to_json()).bind(content.folded()).bind(content.kinds());
            let edit = edit.bind(now).bind(*owner).bind(editor).bind(original.origin);
            let Some(mut row) = change.transaction().row(edit).await? else { continue };
            change.hold(content, 1).await?;
            change.release(&original.content).await?;
            let pts = change.happen(*owner, Happening::Edited(row.read()?), 1, now).await?;
            if *owner == editor {
                own_pts = Some(pts);
            }
        }
        Ok(own_pts)
    }

    /// Takes messages out of one's box; with `revoke` out of the box of whom they are with, and of
    /// a group's out of those of `everybody` who is or was in it. The pts after it, and how many
    /// were there.
    pub(crate) async fn delete(
        &self,
        change: &mut Change<'_>,
        (owner, ids): (i64, &[i32]),
        revoke: bool,
        everybody: &BTreeMap<i64, BTreeSet<i64>>,
        now: i64,
    ) -> Result<(i32, i32), StoreError> {
        // Boxes in the order of their owners, each with the messages that go.
        let mut gone: BTreeMap<i64, BTreeMap<i32, Message>> = BTreeMap::new();
        for id in ids {
            let Some(own) = message(change.transaction(), owner, *id).await? else { continue };
            let others: Vec<i64> = match own.peer {
                _ if !revoke => Vec::new(),
                Peer::Account(peer) => vec![peer],
                Peer::Chat(chat) => everybody.get(&chat).into_iter().flatten().copied().collect(),
            };
            for other in others.into_iter().filter(|other| *other != owner) {
                if let Some(copy) = copy_of(change.transaction(), other, &own).await? {
                    gone.entry(other).or_default().insert(copy.id, copy);
                }
            }
            gone.entry(owner).or_default().insert(own.id, own);
        }
        let mut own = (change.pts(owner).await?, 0);
        for (of, messages) in gone {
            for message in messages.values() {
                let delete = sql("DELETE FROM message WHERE owner = $1 AND id = $2");
                change.transaction().run(delete.bind(of).bind(message.id)).await?;
                change.release(&message.content).await?;
            }
            for peer in messages.values().map(|message| message.peer).collect::<BTreeSet<_>>() {
                settle_dialog(change.transaction(), of, peer).await?;
            }
            let ids: Vec<i32> = messages.into_keys().collect();
            let count = i32::try_from(ids.len()).unwrap_or(i32::MAX);
            let pts = change.happen(of, Happening::Deleted(ids), count, now).await?;
            if of == owner {
                own = (pts, count);
            }
        }
        Ok(own)
    }
}

/// After messages are gone: the dialog shows the newest that is left, or is gone, too.
async fn settle_dialog(
    transaction: &mut Transaction<'_>,
    owner: i64,
    peer: Peer,
) -> Result<(), StoreError> {
    let query = sql("SELECT max(id) FROM message WHERE owner = $1 AND peer = $2");
    let row = transaction.row(query.bind(owner).bind(peer)).await?;
    let top: Option<i64> = row.map_or(Ok(None), |mut row| row.read())?;
    let settle = match top {
        Some(top) => sql("UPDATE dialog SET top_message = $3 WHERE owner = $1 AND peer = $2")
            .bind(owner)
            .bind(peer)
            .bind(top),
        None => sql("DELETE FROM dialog WHERE owner = $1 AND peer = $2").bind(owner).bind(peer),
    };
    transaction.run(settle).await?;
    Ok(())
}
