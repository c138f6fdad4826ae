//! A transaction: what is lost before its commit was never made, what is lost in it may be.

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use tokio::time::timeout;

use super::PostgresDatabase;
use super::database::GRACE;
use super::error::{self, Kind};
use crate::StoreError;

/// A transaction that runs as if it were alone. Dropped without a commit it is rolled back.
#[derive(Debug)]
pub(crate) struct PostgresTransaction<'d> {
    database: &'d PostgresDatabase,
    /// `None` once committed.
    connection: Option<PoolConnection<Postgres>>,
    /// A statement failed. PostgreSQL would answer a commit with a rollback, and no error.
    has_failed: bool,
}

impl<'d> PostgresTransaction<'d> {
    pub(super) fn begun(
        database: &'d PostgresDatabase,
        connection: PoolConnection<Postgres>,
    ) -> Self {
        Self { database, connection: Some(connection), has_failed: false }
    }

    pub(crate) async fn run(
        &mut self,
        change: Query<'static, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let Some(connection) = &mut self.connection else { return Err(StoreError::Closed) };
        let done = self.database.in_time(change.execute(&mut **connection)).await;
        done.map(|done| done.rows_affected()).map_err(|error| self.failed(&error))
    }

    pub(crate) async fn rows(
        &mut self,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let Some(connection) = &mut self.connection else { return Err(StoreError::Closed) };
        let found = self.database.in_time(query.fetch_all(&mut **connection)).await;
        found.map_err(|error| self.failed(&error))
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(self.undone("a statement failed before".to_owned()));
        }
        let Some(connection) = &mut self.connection else { return Err(StoreError::Closed) };
        let commit = sqlx::raw_sql("COMMIT").execute(&mut **connection);
        match self.database.in_time(commit).await {
            Ok(_) => {
                self.connection = None;
                Ok(())
            }
            Err(error) => Err(match error::kind(&error) {
                Kind::Conflict => self.undone(error.to_string()),
                Kind::Lost => StoreError::Unavailable {
                    place: self.database.place(),
                    problem: format!("lost while it made a change, or did not: {error}"),
                    mend: "see whether it runs",
                },
                Kind::Other => self.database.error(&error),
            }),
        }
    }

    fn failed(&mut self, error: &sqlx::Error) -> StoreError {
        self.has_failed = true;
        match error::kind(error) {
            Kind::Lost | Kind::Conflict => self.undone(error.to_string()),
            Kind::Other => self.database.error(error),
        }
    }

    fn undone(&self, problem: String) -> StoreError {
        StoreError::Undone { place: self.database.place(), problem }
    }
}

impl Drop for PostgresTransaction<'_> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            if !matches!(timeout(GRACE, rollback).await, Ok(Ok(_))) {
                connection.close_on_drop();
            }
        });
    }
}
