//! Messages that are changed or taken away, in every box that has them.

use std::collections::{BTreeMap, BTreeSet};

use chappe_backend::StoreError;
use chappe_backend::sql::{Transaction, in_rows, sql, sql_rows};

use super::events::{Change, Happening};
use super::messages::message;
use super::{Content, Heading, Peer, Store, files};

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
        (owner, meant): (i64, &[Heading]),
        revoke: bool,
        everybody: &BTreeMap<i64, BTreeSet<i64>>,
        now: i64,
    ) -> Result<(i32, i32), StoreError> {
        // Boxes in the order of their owners, each with the messages that go.
        let mut boxes: BTreeMap<i64, BTreeSet<(i64, i32)>> = BTreeMap::new();
        for Heading { peer, sender, origin, .. } in meant {
            let mut owners = BTreeSet::from([owner]);
            match peer {
                _ if !revoke => {}
                Peer::Account(peer) => owners.extend([*peer]),
                Peer::Chat(chat) => owners.extend(everybody.get(chat).into_iter().flatten()),
            }
            for of in owners {
                boxes.entry(of).or_default().insert((*sender, *origin));
            }
        }
        let mut own = (change.pts(owner).await?, 0);
        let mut files = BTreeMap::new();
        for (of, messages) in boxes {
            let messages: Vec<_> = messages.into_iter().collect();
            let gone = take_out(change.transaction(), of, &messages, &mut files).await?;
            if gone.is_empty() {
                continue;
            }
            for peer in gone.values().copied().collect::<BTreeSet<_>>() {
                settle_dialog(change.transaction(), of, peer).await?;
            }
            let count = i32::try_from(gone.len()).unwrap_or(i32::MAX);
            let deleted = Happening::Deleted(gone.into_keys().collect());
            let pts = change.happen(of, deleted, count, now).await?;
            if of == owner {
                own = (pts, count);
            }
        }
        for (file, uses) in files {
            files::release(change.transaction(), file, uses).await?;
        }
        Ok(own)
    }
}

/// Deletes messages, each by its sender and its id there, from a box: their ids in it and whom they
/// were with. How often they showed a file is added to `files`.
async fn take_out(
    transaction: &mut Transaction<'_>,
    of: i64,
    messages: &[(i64, i32)],
    files: &mut BTreeMap<i64, i32>,
) -> Result<BTreeMap<i32, Peer>, StoreError> {
    let mut gone = BTreeMap::new();
    for part in in_rows(messages) {
        let before = "SELECT id, peer, content FROM (VALUES";
        let after = ") AS gone JOIN message ON message.owner = gone.column1
             AND message.sender = gone.column2 AND message.origin = gone.column3";
        let query = sql_rows(before, (part.len(), 3), after);
        let query = part
            .iter()
            .fold(query, |query, (sender, origin)| query.bind(of).bind(*sender).bind(*origin));
        for mut row in transaction.rows(query).await? {
            gone.insert(row.read()?, Peer::of_column(row.read()?));
            let content = Content::from_json(&row.read::<String>()?)?;
            if let Some(file) = files::file_of(&content) {
                *files.entry(file).or_default() += 1;
            }
        }
    }
    let ids: Vec<i32> = gone.keys().copied().collect();
    for part in in_rows(&ids) {
        let before = "DELETE FROM message WHERE owner = $1
             AND id IN (SELECT column2 FROM (VALUES";
        let delete = sql_rows(before, (part.len(), 2), ") AS gone)");
        let delete = part.iter().fold(delete, |delete, id| delete.bind(of).bind(*id));
        transaction.run(delete).await?;
    }
    Ok(gone)
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
