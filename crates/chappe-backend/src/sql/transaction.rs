//! Queries and transactions on whatever engine a database is of.

#[cfg(feature = "sqlite")]
use sqlx::{Sqlite, SqliteExecutor};

use super::Statement;
use super::row::{EngineRow, Row};
#[cfg(feature = "sqlite")]
use crate::SqliteDatabase;
#[cfg(feature = "postgres")]
use crate::postgres::PostgresTransaction;
use crate::{Database, StoreError};

/// Changes that are made together or not at all, and as if no other transaction ran at the time.
/// Dropped without [`commit`](Self::commit), none is made.
///
/// With SQLite it is the only writer: others wait until it ends. With PostgreSQL others go on, and
/// where two cannot both be as if alone, one of them fails with [`StoreError::Undone`]: whoever
/// began it does so again, from its first query on.
#[derive(Debug)]
pub struct Transaction<'d>(EngineTransaction<'d>);

#[derive(Debug)]
enum EngineTransaction<'d> {
    #[cfg(feature = "sqlite")]
    Sqlite(&'d SqliteDatabase, sqlx::Transaction<'static, Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(PostgresTransaction<'d>),
}

impl Database {
    /// Begins a transaction that may write.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    pub async fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => {
                let begun = database.writer().begin_with("BEGIN IMMEDIATE").await;
                let transaction = begun.map_err(|error| database.error(error))?;
                Ok(Transaction(EngineTransaction::Sqlite(database, transaction)))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => {
                Ok(Transaction(EngineTransaction::Postgres(database.begin().await?)))
            }
        }
    }

    /// Every row of a query, as of what was committed before.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    pub async fn rows(&self, query: Statement) -> Result<Vec<Row>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => sqlite_rows(database, database.reader(), query).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => {
                let found = database.rows(query).await?;
                Ok(found.into_iter().map(|row| Row::new(EngineRow::Postgres(row))).collect())
            }
        }
    }

    /// The only row of a query, if there is one.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    pub async fn row(&self, query: Statement) -> Result<Option<Row>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => sqlite_row(database, database.reader(), query).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(self.rows(query).await?.into_iter().next()),
        }
    }
}

impl Transaction<'_> {
    /// Makes a change; how many rows it touched.
    ///
    /// # Errors
    ///
    /// What befell the engine; the transaction is of no use then.
    pub async fn run(&mut self, change: Statement) -> Result<u64, StoreError> {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            EngineTransaction::Sqlite(database, transaction) => {
                let done = change.query::<Sqlite>().execute(&mut **transaction).await;
                Ok(done.map_err(|error| database.error(error))?.rows_affected())
            }
            #[cfg(feature = "postgres")]
            EngineTransaction::Postgres(transaction) => transaction.run(change.query()).await,
        }
    }

    /// Every row of a query, or of a change that returns some.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub async fn rows(&mut self, query: Statement) -> Result<Vec<Row>, StoreError> {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            EngineTransaction::Sqlite(database, transaction) => {
                sqlite_rows(database, &mut **transaction, query).await
            }
            #[cfg(feature = "postgres")]
            EngineTransaction::Postgres(transaction) => {
                let found = transaction.rows(query.query()).await?;
                Ok(found.into_iter().map(|row| Row::new(EngineRow::Postgres(row))).collect())
            }
        }
    }

    /// The only row of a query, or of a change, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub async fn row(&mut self, query: Statement) -> Result<Option<Row>, StoreError> {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            EngineTransaction::Sqlite(database, transaction) => {
                sqlite_row(database, &mut **transaction, query).await
            }
            #[cfg(feature = "postgres")]
            EngineTransaction::Postgres(_) => Ok(self.rows(query).await?.into_iter().next()),
        }
    }

    /// Makes the changes last.
    ///
    /// # Errors
    ///
    /// [`StoreError::Undone`] where nothing was changed for sure. After any other error nobody
    /// knows: the engine broke, or was lost, while it wrote.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            #[cfg(feature = "sqlite")]
            EngineTransaction::Sqlite(database, transaction) => {
                transaction.commit().await.map_err(|error| database.error(error))
            }
            #[cfg(feature = "postgres")]
            EngineTransaction::Postgres(transaction) => transaction.commit().await,
        }
    }
}

#[cfg(feature = "sqlite")]
async fn sqlite_rows(
    database: &SqliteDatabase,
    executor: impl SqliteExecutor<'_>,
    query: Statement,
) -> Result<Vec<Row>, StoreError> {
    let found = query.query::<Sqlite>().fetch_all(executor).await;
    let rows = found.map_err(|error| database.error(error))?;
    Ok(rows.into_iter().map(|row| Row::new(EngineRow::Sqlite(row))).collect())
}

#[cfg(feature = "sqlite")]
async fn sqlite_row(
    database: &SqliteDatabase,
    executor: impl SqliteExecutor<'_>,
    query: Statement,
) -> Result<Option<Row>, StoreError> {
    let found = query.query::<Sqlite>().fetch_optional(executor).await;
    Ok(found.map_err(|error| database.error(error))?.map(|row| Row::new(EngineRow::Sqlite(row))))
}
