//! What an account changes of its own without an event: which things, and when each changed last.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, sql};

use super::events::Change;
use super::{Peer, Store, damaged};

/// Something of an account that moves no pts when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    Draft(Peer),
    /// Which dialogs are pinned, and in which order.
    Pins,
    /// Whether a dialog is marked as unread by hand.
    UnreadMark(Peer),
    /// Whether somebody is blocked.
    Block(i64),
}

const DRAFT: i64 = 1;
const PINS: i64 = 2;
const UNREAD_MARK: i64 = 3;
const BLOCK: i64 = 4;

impl Quiet {
    fn columns(self) -> (i64, Peer) {
        match self {
            Self::Draft(peer) => (DRAFT, peer),
            Self::Pins => (PINS, Peer::Account(0)),
            Self::UnreadMark(peer) => (UNREAD_MARK, peer),
            Self::Block(account) => (BLOCK, Peer::Account(account)),
        }
    }

    fn of_columns(kind: i64, peer: i64) -> Result<Self, StoreError> {
        match kind {
            DRAFT => Ok(Self::Draft(Peer::of_column(peer))),
            PINS => Ok(Self::Pins),
            UNREAD_MARK => Ok(Self::UnreadMark(Peer::of_column(peer))),
            BLOCK => Ok(Self::Block(peer)),
            _ => Err(damaged("a change is of no kind that is known")),
        }
    }
}

impl Store {
    /// What changed since a second or in it, each with the second of its last change, in their
    /// order; of more than `limit` the latest.
    pub(crate) async fn quiet_since(
        &self,
        owner: i64,
        since: i64,
        limit: i64,
    ) -> Result<Vec<(Quiet, i64)>, StoreError> {
        let query = sql("SELECT kind, peer, changed FROM quiet_change
             WHERE owner = $1 AND changed >= $2
             ORDER BY changed DESC, kind DESC, peer DESC LIMIT $3");
        let rows = self.database.rows(query.bind(owner).bind(since).bind(limit)).await?;
        let read = |mut row: Row| {
            let quiet = Quiet::of_columns(row.read()?, row.read()?)?;
            Ok((quiet, row.read()?))
        };
        rows.into_iter().rev().map(read).collect()
    }
}

impl Change<'_> {
    /// Notes that something of an account changes at a second: one that
    /// [`Dates`](crate::updates::Dates) gave.
    pub(super) async fn note_quiet(
        &mut self,
        owner: i64,
        quiet: Quiet,
        second: i64,
    ) -> Result<(), StoreError> {
        let (kind, peer) = quiet.columns();
        let note = sql("INSERT INTO quiet_change (owner, kind, peer, changed)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (owner, kind, peer) DO UPDATE SET changed = excluded.changed");
        let note = note.bind(owner).bind(kind).bind(peer).bind(second);
        self.transaction().run(note).await.map(drop)
    }
}
