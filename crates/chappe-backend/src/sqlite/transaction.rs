//! Transactions of the one writer. Those that waited for each other share one commit: what takes
//! time is the disk, and it takes as long for many as for one.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqliteQueryResult, SqliteRow};
use sqlx::{Sqlite, sqlite::SqliteArguments};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::SqliteDatabase;
use crate::StoreError;

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// What is about to be committed. Whoever holds its lock writes.
///
/// The first transaction begins it, and ends it alone if it comes to nothing. Once that one is
/// done, a task queues for the lock to commit, behind everybody who waits for it already: they
/// come in as well, each behind a savepoint, and nobody who comes later does.
#[derive(Debug, Default)]
pub(super) struct Batch {
    transaction: Option<sqlx::Transaction<'static, Sqlite>>,
    /// Those that are done and wait for the commit.
    done: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

/// A transaction of the only writer. Dropped without a commit it is rolled back.
#[derive(Debug)]
pub(crate) struct SqliteTransaction<'d> {
    database: &'d SqliteDatabase,
    /// `None` once it is over.
    batch: Option<OwnedMutexGuard<Batch>>,
    /// Changes of others are there already, ours are behind a savepoint.
    is_guest: bool,
    /// A statement failed. SQLite may have rolled everything back by itself.
    has_failed: bool,
}

impl<'d> SqliteTransaction<'d> {
    pub(crate) async fn begin(database: &'d SqliteDatabase) -> Result<Self, StoreError> {
        let batch = Arc::clone(database.batch()).lock_owned().await;
        let is_guest = batch.transaction.is_some();
        let mut begun = Self { database, batch: Some(batch), is_guest, has_failed: false };
        if is_guest {
            begun.execute(sqlx::query("SAVEPOINT guest")).await?;
        } else {
            let transaction = database.writer().begin_with("BEGIN IMMEDIATE").await;
            let transaction = transaction.map_err(|error| database.error(error))?;
            if let Some(batch) = &mut begun.batch {
                batch.transaction = Some(transaction);
            }
        }
        Ok(begun)
    }

    pub(crate) async fn execute(&mut self, change: Query) -> Result<SqliteQueryResult, StoreError> {
        let done = change.execute(self.connection()?).await;
        done.map_err(|error| self.failed(error))
    }

    pub(crate) async fn rows(&mut self, query: Query) -> Result<Vec<SqliteRow>, StoreError> {
        let found = query.fetch_all(self.connection()?).await;
        found.map_err(|error| self.failed(error))
    }

    pub(crate) async fn row(&mut self, query: Query) -> Result<Option<SqliteRow>, StoreError> {
        let found = query.fetch_optional(self.connection()?).await;
        found.map_err(|error| self.failed(error))
    }

    /// Returns when the disk has it.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(self.undone("a statement failed before"));
        }
        if self.is_guest {
            self.execute(sqlx::query("RELEASE guest")).await?;
        }
        let Some(mut batch) = self.batch.take() else { return Err(StoreError::Closed) };
        let (done, is_done) = oneshot::channel();
        batch.done.push(done);
        if batch.done.len() == 1 {
            tokio::spawn(finish(self.database.clone()));
        }
        drop(batch);
        // The task ends early with its runtime alone.
        is_done.await.unwrap_or(Err(StoreError::Closed))
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.has_failed {
            return Err(self.undone("a statement failed before"));
        }
        let batch = self.batch.as_mut().ok_or(StoreError::Closed)?;
        batch.transaction.as_deref_mut().ok_or(StoreError::Closed)
    }

    fn failed(&mut self, error: sqlx::Error) -> StoreError {
        self.has_failed = true;
        self.database.error(error)
    }

    fn undone(&self, problem: &str) -> StoreError {
        StoreError::Undone { place: self.database.place(), problem: problem.to_owned() }
    }
}

impl Drop for SqliteTransaction<'_> {
    fn drop(&mut self) {
        let Some(mut batch) = self.batch.take() else { return };
        if !self.is_guest {
            // Rolled back by the library before anybody else gets the connection.
            batch.transaction = None;
            return;
        }
        let undone = self.undone("another transaction of the same commit failed");
        let Ok(runtime) = Handle::try_current() else { return batch.fail(&undone) };
        runtime.spawn(async move {
            if !batch.roll_guest_back().await {
                batch.fail(&undone);
            }
        });
    }
}

impl Batch {
    /// Undoes what the last guest did. It cannot where SQLite has rolled back everything.
    async fn roll_guest_back(&mut self) -> bool {
        let Some(transaction) = &mut self.transaction else { return false };
        for step in ["ROLLBACK TO guest", "RELEASE guest"] {
            if sqlx::query(step).execute(&mut **transaction).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Undoes everything.
    fn fail(&mut self, error: &StoreError) {
        self.transaction = None;
        for done in self.done.drain(..) {
            // Whoever waited may have left.
            let _ = done.send(Err(error.clone()));
        }
    }
}

/// Commits what has come together by the time it is its turn.
async fn finish(database: SqliteDatabase) {
    let mut batch = Arc::clone(database.batch()).lock_owned().await;
    // Nothing is left of one that failed.
    let Some(transaction) = batch.transaction.take() else { return };
    let outcome = transaction.commit().await.map_err(|error| database.error(error));
    for done in batch.done.drain(..) {
        // Whoever waited may have left; the change stands.
        let _ = done.send(outcome.clone());
    }
}
