//! Messages that are changed or taken away, in every box that has them.

use std::collections::{BTreeMap, BTreeSet};

use chappe_backend::StoreError;
use chappe_backend::sql::{Transaction, in_rows, sql, sql_rows};

use super::events::{Change, Happening};
use super::messages::message;
use super::{Content, Heading, Peer, Store, files};

impl Store {
    /// Gives a message of one's own another content, in the boxes of `owners`. Its new pts in the
    /// sender's; `None` where the message is not one's own, or what it is to show is gone.
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
        let meant = owners.iter().map(|owner| (*owner, editor, original.origin));
        let copies = copies(change.transaction(), &meant.collect::<Vec<_>>()).await?;
        if !change.hold(content, copies.len()).await? {
            return Ok(None);
        }
        let mut own_pts = None;
        let mut files = Files::default();
        for Copy { owner, id, file, .. } in copies {
            let edit = sql("UPDATE message SET content = $1, folded = $2, kinds = $3, edited = $4
                 WHERE owner = $5 AND id = $6");
            let edit = edit.bind(content.to_json()).bind(content.folded()).bind(content.kinds());
            change.transaction().run(edit.bind(now).bind(owner).bind(id)).await?;
            files.note(file);
            let pts = change.happen(owner, Happening::Edited(id), 1, now).await?;
            if owner == editor {
                own_pts = Some(pts);
            }
        }
        files.release(change.transaction()).await?;
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
        let mut files = Files::default();
        for (of, messages) in boxes {
            let meant = messages.into_iter().map(|(sender, origin)| (of, sender, origin));
            let copies = copies(change.transaction(), &meant.collect::<Vec<_>>()).await?;
            let mut gone = BTreeSet::new();
            let mut by_peer = BTreeMap::<Peer, i64>::new();
            for Copy { id, peer, file, .. } in copies {
                gone.insert(id);
                *by_peer.entry(peer).or_default() += 1;
                files.note(file);
            }
            if gone.is_empty() {
                continue;
            }
            let gone: Vec<i32> = gone.into_iter().collect();
            take_out(change.transaction(), of, &gone).await?;
            for (peer, gone) in by_peer {
                settle_dialog(change.transaction(), (of, peer), gone).await?;
            }
            let count = i32::try_from(gone.len()).unwrap_or(i32::MAX);
            let pts = change.happen(of, Happening::Deleted(gone), count, now).await?;
            if of == owner {
                own = (pts, count);
            }
        }
        files.release(change.transaction()).await?;
        Ok(own)
    }
}

/// What has to be known of a message in some box to change it there: of what it says, the file that
/// it shows.
struct Copy {
    owner: i64,
    id: i32,
    peer: Peer,
    file: Option<i64>,
}

/// Those of these messages that are there, each named by its box, its sender and its id there, in the
/// order of their owners.
async fn copies(
    transaction: &mut Transaction<'_>,
    meant: &[(i64, i64, i32)],
) -> Result<Vec<Copy>, StoreError> {
    let mut found = Vec::with_capacity(meant.len());
    for part in in_rows(meant) {
        let before = "SELECT owner, id, peer, content FROM (VALUES";
        let after = ") AS meant JOIN message ON message.owner = meant.column1
             AND message.sender = meant.column2 AND message.origin = meant.column3
             ORDER BY owner, id";
        let query = sql_rows(before, (part.len(), 3), after);
        let query = part.iter().fold(query, |query, (owner, sender, origin)| {
            query.bind(*owner).bind(*sender).bind(*origin)
        });
        for mut row in transaction.rows(query).await? {
            let (owner, id, peer) = (row.read()?, row.read()?, Peer::of_column(row.read()?));
            let file = files::file_of(&Content::from_json(&row.read::<String>()?)?);
            found.push(Copy { owner, id, peer, file });
        }
    }
    Ok(found)
}

/// Files, and how many boxes show each no longer.
#[derive(Default)]
struct Files(BTreeMap<i64, usize>);

impl Files {
    fn note(&mut self, file: Option<i64>) {
        if let Some(file) = file {
            *self.0.entry(file).or_default() += 1;
        }
    }

    async fn release(self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        for (file, boxes) in self.0 {
            files::release(transaction, file, boxes).await?;
        }
        Ok(())
    }
}

/// Deletes messages from a box by their ids there.
async fn take_out(
    transaction: &mut Transaction<'_>,
    of: i64,
    ids: &[i32],
) -> Result<(), StoreError> {
    for part in in_rows(ids) {
        // The first place is the owner, of any row.
        let before = "DELETE FROM message WHERE owner = $1
             AND id IN (SELECT column2 FROM (VALUES";
        let delete = sql_rows(before, (part.len(), 2), ") AS gone)");
        let delete = part.iter().fold(delete, |delete, id| delete.bind(of).bind(*id));
        transaction.run(delete).await?;
    }
    Ok(())
}

/// After so many messages are gone: the dialog shows the newest that is left, or is gone, too.
async fn settle_dialog(
    transaction: &mut Transaction<'_>,
    (owner, peer): (i64, Peer),
    gone: i64,
) -> Result<(), StoreError> {
    let query = sql("SELECT max(id) FROM message WHERE owner = $1 AND peer = $2");
    let row = transaction.row(query.bind(owner).bind(peer)).await?;
    let top: Option<i64> = row.map_or(Ok(None), |mut row| row.read())?;
    let settle = match top {
        Some(top) => sql("UPDATE dialog SET top_message = $3, messages = messages - $4
             WHERE owner = $1 AND peer = $2")
        .bind(owner)
        .bind(peer)
        .bind(top)
        .bind(gone),
        None => sql("DELETE FROM dialog WHERE owner = $1 AND peer = $2").bind(owner).bind(peer),
    };
    transaction.run(settle).await?;
    Ok(())
}
