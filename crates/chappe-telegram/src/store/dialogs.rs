//! Whom an account talks with, and how far it has read.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, sql};

use super::Store;
use super::events::{Change, Happening};

/// A dialog of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    pub(crate) peer: i64,
    pub(crate) top_message: i32,
    pub(crate) read_inbox: i32,
    pub(crate) read_outbox: i32,
    pub(crate) unread: i32,
}

const COLUMNS: &str = "SELECT peer, top_message, read_inbox, read_outbox,
    (SELECT count(*) FROM message WHERE message.owner = dialog.owner AND message.peer = dialog.peer
       AND message.id > dialog.read_inbox AND message.sender <> dialog.owner)
    FROM dialog WHERE owner = $1 AND top_message < $2 ORDER BY top_message DESC LIMIT $3";
const ONE: &str = "SELECT peer, top_message, read_inbox, read_outbox,
    (SELECT count(*) FROM message WHERE message.owner = dialog.owner AND message.peer = dialog.peer
       AND message.id > dialog.read_inbox AND message.sender <> dialog.owner)
    FROM dialog WHERE owner = $1 AND peer = $2";

impl Dialog {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            peer: row.read()?,
            top_message: row.read()?,
            read_inbox: row.read()?,
            read_outbox: row.read()?,
            unread: row.read()?,
        })
    }
}

impl Store {
    /// Dialogs whose newest message is below this one, newest first.
    pub(crate) async fn dialogs(
        &self,
        owner: i64,
        below: i32,
        limit: i64,
    ) -> Result<Vec<Dialog>, StoreError> {
        let query = sql(COLUMNS).bind(owner).bind(below).bind(limit);
        self.database.rows(query).await?.into_iter().map(Dialog::read).collect()
    }

    pub(crate) async fn dialog(&self, owner: i64, peer: i64) -> Result<Option<Dialog>, StoreError> {
        let row = self.database.row(sql(ONE).bind(owner).bind(peer)).await?;
        row.map(Dialog::read).transpose()
    }

    /// Messages to an account that it has not read.
    pub(crate) async fn unread(&self, owner: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT count(*) FROM dialog JOIN message
             ON message.owner = dialog.owner AND message.peer = dialog.peer
             WHERE dialog.owner = $1 AND message.id > dialog.read_inbox
               AND message.sender <> dialog.owner");
        self.database.row(query.bind(owner)).await?.map_or(Ok(0), |mut row| row.read())
    }

    pub(crate) async fn count_dialogs(&self, owner: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT count(*) FROM dialog WHERE owner = $1").bind(owner);
        self.database.row(query).await?.map_or(Ok(0), |mut row| row.read())
    }

    /// Notes that an account has read what a peer wrote, up to a message; the peer learns it. The
    /// pts after it, and how many events that were.
    pub(crate) async fn read_history(
        &self,
        change: &mut Change<'_>,
        (owner, peer): (i64, i64),
        max_id: i32,
        now: i64,
    ) -> Result<(i32, i32), StoreError> {
        // In the order of their numbers, as senders take them.
        let mut marks = [(owner, peer), (peer, owner)];
        marks.sort_unstable();
        let newest = sql("SELECT id, origin FROM message
             WHERE owner = $1 AND peer = $2 AND sender <> $1 AND id <= $3
             ORDER BY id DESC LIMIT 1");
        let newest = newest.bind(owner).bind(peer).bind(if max_id > 0 { max_id } else { i32::MAX });
        let Some(mut row) = change.transaction().row(newest).await? else {
            return Ok((change.pts(owner).await?, 0));
        };
        let (read, origin): (i32, i32) = (row.read()?, row.read()?);
        let mut own = (0, 0);
        for (of, with) in marks {
            let (column, mark, happening) = if of == owner {
                (READ_INBOX, read, Happening::ReadInbox { peer, max_id: read })
            } else {
                (READ_OUTBOX, origin, Happening::ReadOutbox { peer: owner, max_id: origin })
            };
            let moved = sql(column).bind(of).bind(with).bind(mark);
            if change.transaction().run(moved).await? > 0 {
                let pts = change.happen(of, happening, 1, now).await?;
                if of == owner {
                    own = (pts, 1);
                }
            }
        }
        if own.1 == 0 {
            own.0 = change.pts(owner).await?;
        }
        Ok(own)
    }
}

const READ_INBOX: &str = "UPDATE dialog SET read_inbox = $3
                          WHERE owner = $1 AND peer = $2 AND read_inbox < $3";
const READ_OUTBOX: &str = "UPDATE dialog SET read_outbox = $3
                           WHERE owner = $1 AND peer = $2 AND read_outbox < $3";
