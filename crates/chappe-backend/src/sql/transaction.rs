//! Queries and transactions on whatever engine a database is of.

#[cfg(feature = "sqlite")]
use sqlx::Sqlite;

use super::Statement;
use super::row::{EngineRow, Row};
#[cfg(feature = "postgres")]
use crate::postgres::PostgresTransaction;
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteTransaction;
use crate::{Database, StoreError};

/// Changes that are made together or not at all, and as if no other transaction ran at the time.
/// Dropped without [`commit`](Self::commit), none is made.
///
/// With SQLite it is the only writer: others wait until it ends, and share its commit. With
/// PostgreSQL others go on, and where two cannot both be as if alone, one of them fails with
/// [`StoreError::Undone`]: whoever began it does so again, from its first query on.
#[derive(Debug)]
pub struct Transaction<'d>(EngineTransaction<'d>);

#[derive(Debug)]
enum EngineTransaction<'d> {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteTransaction<'d>),
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
                let begun = SqliteTransaction::begin(database).await?;
                Ok(Transaction(EngineTransaction::Sqlite(begun)))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => {
                Ok(Transaction(EngineTransaction::Postgres(database.begin().await?)))
            }
        }
    }

    /// Begins a transaction that is right whatever others commit between its statements: its caller
    /// keeps others off what it reads, or each statement takes what it is about. PostgreSQL then
    /// undoes nothing on suspicion, where many go at once; with SQLite it is as
    /// [`begin`](Self::begin).
    ///
    /// # Errors
    ///
    /// What befell the engine.
    pub async fn begin_apart(&self) -> Result<Transaction<'_>, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => self.begin().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => {
                Ok(Transaction(EngineTransaction::Postgres(database.begin_apart().await?)))
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
            Self::Sqlite(database) => {
                let found = query.query::<Sqlite>().fetch_all(database.reader()).await;
                let rows = found.map_err(|error| database.error(error))?;
                Ok(rows.into_iter().map(|row| Row::new(EngineRow::Sqlite(row))).collect())
            }
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
            Self::Sqlite(database) => {
                let found = query.query::<Sqlite>().fetch_optional(database.reader()).await;
                let row = found.map_err(|error| database.error(error))?;
                Ok(row.map(|row| Row::new(EngineRow::Sqlite(row))))
            }
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
            EngineTransaction::Sqlite(transaction) => {
                Ok(transaction.execute(change.query()).await?.rows_affected())
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
            EngineTransaction::Sqlite(transaction) => {
                let found = transaction.rows(query.query()).await?;
                Ok(found.into_iter().map(|row| Row::new(EngineRow::Sqlite(row))).collect())
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
            EngineTransaction::Sqlite(transaction) => {
                let found = transaction.row(query.query()).await?;
                Ok(found.map(|row| Row::new(EngineRow::Sqlite(row))))
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
            EngineTransaction::Sqlite(transaction) => transaction.commit().await,
            #[cfg(feature = "postgres")]
            EngineTransaction::Postgres(transaction) => transaction.commit().await,
        }
    }
}
