//! Whom an account talks with, and how far it has read.

use std::collections::BTreeMap;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, in_rows, sql, sql_rows};

use super::events::{Change, Happening};
use super::{Peer, Quiet, Store};

/// A dialog of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    pub(crate) peer: Peer,
    pub(crate) top_message: i32,
    pub(crate) read_inbox: i32,
    pub(crate) read_outbox: i32,
    /// Place among the pinned ones, the highest first; 0 for the others.
    pub(crate) pinned: i32,
    pub(crate) unread_mark: bool,
    pub(crate) unread: i32,
    /// Of those that are to the owner above all.
    pub(crate) unread_mentions: i32,
}

/// What reading a dialog comes to for who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// After it.
    pub(crate) pts: i32,
    /// How many events it was.
    pub(crate) count: i32,
    /// There was nothing to read but a mark set by hand, of which no event tells.
    pub(crate) unmarked: bool,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT peer, top_message, read_inbox, read_outbox, pinned, unread_mark,
                 (SELECT count(*) FROM message WHERE message.owner = dialog.owner
                     AND message.peer = dialog.peer AND message.id > dialog.read_inbox
                     AND message.sender <> dialog.owner),
                 (SELECT count(*) FROM message WHERE message.owner = dialog.owner
                     AND message.peer = dialog.peer AND mentioned = 1 AND unheeded = 1)
             FROM ",
            $rest
        )
    };
}

const PAGE: &str = select!(
    "dialog WHERE owner = $1 AND pinned = 0 AND top_message < $2 ORDER BY top_message DESC LIMIT $3"
);
const PINNED: &str = select!("dialog WHERE owner = $1 AND pinned > 0 ORDER BY pinned DESC");
const MARKED: &str =
    select!("dialog WHERE owner = $1 AND unread_mark = 1 ORDER BY top_message DESC");
const SOME: &str = select!("(VALUES");
const AS_ASKED: &str = ") AS asked
     JOIN dialog ON dialog.owner = asked.column1 AND dialog.peer = asked.column2";

impl Dialog {
    /// One in which nothing was said.
    pub(crate) fn empty(peer: Peer) -> Self {
        Self {
            peer,
            top_message: 0,
            read_inbox: 0,
            read_outbox: 0,
            pinned: 0,
            unread_mark: false,
            unread: 0,
            unread_mentions: 0,
        }
    }

    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            peer: Peer::of_column(row.read()?),
            top_message: row.read()?,
            read_inbox: row.read()?,
            read_outbox: row.read()?,
            pinned: row.read()?,
            unread_mark: row.read::<i64>()? != 0,
            unread: row.read()?,
            unread_mentions: row.read()?,
        })
    }
}

impl Store {
    /// Dialogs that are not pinned and whose newest message is below this one, newest first.
    pub(crate) async fn dialogs(
        &self,
        owner: i64,
        below: i32,
        limit: i64,
    ) -> Result<Vec<Dialog>, StoreError> {
        let query = sql(PAGE).bind(owner).bind(below).bind(limit);
        self.database.rows(query).await?.into_iter().map(Dialog::read).collect()
    }

    /// In their order.
    pub(crate) async fn pinned_dialogs(&self, owner: i64) -> Result<Vec<Dialog>, StoreError> {
        let rows = self.database.rows(sql(PINNED).bind(owner)).await?;
        rows.into_iter().map(Dialog::read).collect()
    }

    /// Those that were marked as unread by hand.
    pub(crate) async fn marked_dialogs(&self, owner: i64) -> Result<Vec<Dialog>, StoreError> {
        let rows = self.database.rows(sql(MARKED).bind(owner)).await?;
        rows.into_iter().map(Dialog::read).collect()
    }

    pub(crate) async fn dialog(
        &self,
        owner: i64,
        peer: Peer,
    ) -> Result<Option<Dialog>, StoreError> {
        Ok(self.dialogs_with(owner, &[peer]).await?.remove(&peer))
    }

    /// What an account has with these.
    pub(crate) async fn dialogs_with(
        &self,
        owner: i64,
        peers: &[Peer],
    ) -> Result<BTreeMap<Peer, Dialog>, StoreError> {
        let mut found = BTreeMap::new();
        for part in in_rows(peers) {
            let query = sql_rows(SOME, (part.len(), 2), AS_ASKED);
            let query = part.iter().fold(query, |query, peer| query.bind(owner).bind(*peer));
            for row in self.database.rows(query).await? {
                let dialog = Dialog::read(row)?;
                found.insert(dialog.peer, dialog);
            }
        }
        Ok(found)
    }

    /// Messages to an account that it has not read.
    pub(crate) async fn unread(&self, owner: i64) -> Result<i32, StoreError> {
        // Dialog by dialog: a join would walk through the whole box.
        let query = sql("SELECT CAST(COALESCE(SUM((SELECT count(*) FROM message
                 WHERE message.owner = dialog.owner AND message.peer = dialog.peer
                     AND message.id > dialog.read_inbox AND message.sender <> dialog.owner)), 0)
                 AS BIGINT)
             FROM dialog WHERE owner = $1");
        self.database.row(query.bind(owner)).await?.map_or(Ok(0), |mut row| row.read())
    }

    pub(crate) async fn count_dialogs(&self, owner: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT count(*) FROM dialog WHERE owner = $1").bind(owner);
        self.database.row(query).await?.map_or(Ok(0), |mut row| row.read())
    }

    /// The newest message of a box before a second: dialogs of then are those up to it.
    pub(crate) async fn newest_before(&self, owner: i64, date: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT id FROM message WHERE owner = $1 AND date < $2
             ORDER BY id DESC LIMIT 1");
        let row = self.database.row(query.bind(owner).bind(date)).await?;
        row.map_or(Ok(0), |mut row| row.read())
    }

    /// Notes that an account has read a dialog up to a message; whoever wrote what it read learns
    /// it. What that comes to for the account. `now` is a second that
    /// [`Dates`](crate::updates::Dates) gave.
    pub(crate) async fn read_history(
        &self,
        change: &mut Change<'_>,
        (owner, peer): (i64, Peer),
        max_id: i32,
        now: i64,
    ) -> Result<Read, StoreError> {
        let max_id = if max_id > 0 { max_id } else { i32::MAX };
        let dialog = sql("SELECT read_inbox FROM dialog WHERE owner = $1 AND peer = $2");
        let row = change.transaction().row(dialog.bind(owner).bind(peer)).await?;
        let before: i32 = row.map_or(Ok(i32::MAX), |mut row| row.read())?;
        // The newest of each who wrote something, in this box and in that of its sender.
        let authors = sql("SELECT sender, max(id), max(origin) FROM message
             WHERE owner = $1 AND peer = $2 AND sender <> $1 AND id > $3 AND id <= $4
             GROUP BY sender");
        let authors = authors.bind(owner).bind(peer).bind(before).bind(max_id);
        let mut marks = BTreeMap::new();
        let mut read = 0;
        for mut row in change.transaction().rows(authors).await? {
            let (sender, id, origin): (i64, i32, i32) = (row.read()?, row.read()?, row.read()?);
            marks.insert(sender, origin);
            read = read.max(id);
        }
        if marks.is_empty() {
            let unmark = sql("UPDATE dialog SET unread_mark = 0
                 WHERE owner = $1 AND peer = $2 AND unread_mark = 1");
            let unmarked = change.transaction().run(unmark.bind(owner).bind(peer)).await? > 0;
            if unmarked {
                change.note_quiet(owner, Quiet::UnreadMark(peer), now).await?;
            }
            return Ok(Read { pts: change.pts(owner).await?, count: 0, unmarked });
        }
        marks.insert(owner, read);
        let mut own = Read { pts: 0, count: 0, unmarked: false };
        // In the order of their numbers, as senders take them.
        for (of, mark) in marks {
            let (set, with, happening) = if of == owner {
                (READ_INBOX, peer, Happening::ReadInbox { peer, max_id: mark })
            } else {
                let peer = peer.chat().map_or(Peer::Account(owner), Peer::Chat);
                (READ_OUTBOX, peer, Happening::ReadOutbox { peer, max_id: mark })
            };
            if change.transaction().run(sql(set).bind(of).bind(with).bind(mark)).await? > 0 {
                let pts = change.happen(of, happening, 1, now).await?;
                if of == owner {
                    own = Read { pts, count: 1, unmarked: false };
                }
            }
        }
        Ok(own)
    }
}

const READ_INBOX: &str = "UPDATE dialog SET read_inbox = $3, unread_mark = 0
                          WHERE owner = $1 AND peer = $2 AND read_inbox < $3";
const READ_OUTBOX: &str = "UPDATE dialog SET read_outbox = $3
                           WHERE owner = $1 AND peer = $2 AND read_outbox < $3";
