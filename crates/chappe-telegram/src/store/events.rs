//! What happens to accounts: each event moves the account's pts and is kept in its log, in the
//! transaction that makes the change (UPD-01).

use std::collections::{BTreeMap, BTreeSet};

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, Value, in_rows, sql, sql_rows};

use super::{Peer, Store, damaged};

/// A change under way, and whom it will be news to.
pub(crate) struct Change<'s> {
    transaction: Transaction<'s>,
    news: Vec<News>,
}

/// An event that others may hear of once the change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) account: i64,
    /// After the event.
    pub(crate) pts: i32,
    pub(crate) count: i32,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    NewMessage(i32),
    Edited(i32),
    Deleted(Vec<i32>),
    /// Up to this message of the peer.
    ReadInbox {
        peer: Peer,
        max_id: i32,
    },
    /// The peer read up to this one of ours.
    ReadOutbox {
        peer: Peer,
        max_id: i32,
    },
    /// Messages of a dialog are kept in sight, or no longer.
    Pinned {
        peer: Peer,
        ids: Vec<i32>,
        is_pinned: bool,
    },
    /// Messages were looked at, by oneself or by whom they were to.
    Heeded(Vec<i32>),
}

/// An event of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) pts: i32,
    pub(crate) count: i32,
    pub(crate) happening: Happening,
}

const NEW_MESSAGE: i64 = 1;
const EDITED: i64 = 2;
const DELETED: i64 = 3;
const READ_INBOX: i64 = 4;
const READ_OUTBOX: i64 = 5;
const PINNED: i64 = 6;
const UNPINNED: i64 = 7;
const HEEDED: i64 = 8;

impl Event {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        let (pts, count, kind) = (row.read()?, row.read()?, row.read::<i64>()?);
        let message: Option<i32> = row.read()?;
        let peer = row.read::<Option<i64>>()?.map(Peer::of_column);
        let ids: Option<String> = row.read()?;
        let happening = match (kind, message, peer, ids) {
            (NEW_MESSAGE, Some(id), ..) => Happening::NewMessage(id),
            (EDITED, Some(id), ..) => Happening::Edited(id),
            (READ_INBOX, Some(max_id), Some(peer), _) => Happening::ReadInbox { peer, max_id },
            (READ_OUTBOX, Some(max_id), Some(peer), _) => Happening::ReadOutbox { peer, max_id },
            (DELETED, _, _, Some(ids)) => Happening::Deleted(read_ids(&ids)?),
            (HEEDED, _, _, Some(ids)) => Happening::Heeded(read_ids(&ids)?),
            (PINNED | UNPINNED, _, Some(peer), Some(ids)) => {
                let ids = read_ids(&ids)?;
                Happening::Pinned { peer, ids, is_pinned: kind == PINNED }
            }
            _ => return Err(damaged("an event is of no kind that is known")),
        };
        Ok(Self { pts, count, happening })
    }
}

impl Store {
    /// Begins a change that may be news to people.
    pub(crate) async fn change(&self) -> Result<Change<'_>, StoreError> {
        Ok(Change { transaction: self.database.begin().await?, news: Vec::new() })
    }

    /// Begins one whose caller keeps others off the accounts that it is about.
    pub(crate) async fn change_apart(&self) -> Result<Change<'_>, StoreError> {
        Ok(Change { transaction: self.database.begin_apart().await?, news: Vec::new() })
    }

    /// Events of an account after a pts, in their order, `limit` at most.
    pub(crate) async fn events(
        &self,
        owner: i64,
        after: i32,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let query = sql("SELECT pts, count, kind, message, peer, ids FROM event
             WHERE owner = $1 AND pts > $2 ORDER BY pts LIMIT $3");
        let rows = self.database.rows(query.bind(owner).bind(after).bind(limit)).await?;
        rows.into_iter().map(Event::read).collect()
    }
}

impl<'s> Change<'s> {
    pub(super) fn transaction(&mut self) -> &mut Transaction<'s> {
        &mut self.transaction
    }

    /// Notes an event of an account; its pts after it. The account's row is held until the end.
    pub(super) async fn happen(
        &mut self,
        owner: i64,
        happening: Happening,
        count: i32,
        date: i64,
    ) -> Result<i32, StoreError> {
        let step = sql("UPDATE account SET pts = pts + $2 WHERE id = $1 RETURNING pts");
        let row = self.transaction.row(step.bind(owner).bind(count)).await?;
        let pts = row.ok_or_else(|| damaged("an account is missing"))?.read()?;
        let (kind, message, peer, ids) = match happening {
            Happening::NewMessage(id) => (NEW_MESSAGE, Some(id), None, None),
            Happening::Edited(id) => (EDITED, Some(id), None, None),
            Happening::Deleted(ids) => (DELETED, None, None, Some(json(&ids))),
            Happening::Heeded(ids) => (HEEDED, None, None, Some(json(&ids))),
            Happening::Pinned { peer, ids, is_pinned } => {
                let kind = if is_pinned { PINNED } else { UNPINNED };
                (kind, None, Some(peer), Some(json(&ids)))
            }
            Happening::ReadInbox { peer, max_id } => (READ_INBOX, Some(max_id), Some(peer), None),
            Happening::ReadOutbox { peer, max_id } => (READ_OUTBOX, Some(max_id), Some(peer), None),
        };
        let insert = sql("INSERT INTO event (owner, pts, count, date, kind, message, peer, ids)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
        let insert = insert.bind(owner).bind(pts).bind(count).bind(date).bind(kind);
        let insert = insert.bind(message);
        let insert = insert.bind(peer.map_or(Value::Integer(None), Value::from));
        self.transaction.run(insert.bind(ids)).await?;
        self.news.push(News { account: owner, pts, count });
        Ok(pts)
    }

    /// Takes the next message id and the next pts of accounts, by account; their rows are held until
    /// the end.
    pub(super) async fn next_messages(
        &mut self,
        owners: &BTreeSet<i64>,
    ) -> Result<BTreeMap<i64, (i32, i32)>, StoreError> {
        let owners: Vec<i64> = owners.iter().copied().collect();
        let mut places = BTreeMap::new();
        for part in in_rows(&owners) {
            let before = "UPDATE account SET last_message = last_message + 1, pts = pts + 1
                 WHERE id IN (";
            let step = sql_rows(before, (part.len(), 1), ") RETURNING id, last_message, pts");
            let step = part.iter().fold(step, |step, owner| step.bind(*owner));
            for mut row in self.transaction.rows(step).await? {
                places.insert(row.read()?, (row.read()?, row.read()?));
            }
        }
        match places.len() == owners.len() {
            true => Ok(places),
            false => Err(damaged("an account is missing")),
        }
    }

    /// Notes a new message of each account, whose pts were taken.
    pub(super) async fn log_messages(
        &mut self,
        places: &BTreeMap<i64, (i32, i32)>,
        date: i64,
    ) -> Result<(), StoreError> {
        let places: Vec<_> = places.iter().collect();
        for part in in_rows(&places) {
            let before = "INSERT INTO event (owner, pts, count, date, kind, message) VALUES";
            let insert = sql_rows(before, (part.len(), 6), "");
            let insert = part.iter().fold(insert, |insert, (owner, (id, pts))| {
                let insert = insert.bind(**owner).bind(*pts).bind(1).bind(date);
                insert.bind(NEW_MESSAGE).bind(*id)
            });
            self.transaction.run(insert).await?;
        }
        let news =
            places.iter().map(|(owner, (_, pts))| News { account: **owner, pts: *pts, count: 1 });
        self.news.extend(news);
        Ok(())
    }

    /// The pts of an account as of this change.
    pub(super) async fn pts(&mut self, owner: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT pts FROM account WHERE id = $1").bind(owner);
        let row = self.transaction.row(query).await?;
        row.ok_or_else(|| damaged("an account is missing"))?.read()
    }

    /// Makes the change; whoever it is news to is in the answer.
    pub(crate) async fn commit(self) -> Result<Vec<News>, StoreError> {
        self.transaction.commit().await?;
        Ok(self.news)
    }
}

fn json(ids: &[i32]) -> String {
    serde_json::to_string(ids).expect("numbers are JSON")
}

fn read_ids(json: &str) -> Result<Vec<i32>, StoreError> {
    serde_json::from_str(json).map_err(|error| damaged(&format!("an event: {error}")))
}
