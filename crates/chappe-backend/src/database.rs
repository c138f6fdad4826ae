//! A database shared by this crate and by services with tables of their own.

use crate::{SqliteDatabase, StoreError};

/// The database behind a store. A service brings tables of its own ([`migrate`](Self::migrate)) and
/// asks in SQL that every engine understands: see [`sql`](crate::sql::sql).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Database {
    /// One SQLite file.
    Sqlite(SqliteDatabase),
}

impl Database {
    /// Brings the tables of one component to the newest version it knows.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] where a newer release has been at work, else what befell the engine.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<(), StoreError> {
        let Self::Sqlite(database) = self;
        database.migrate(migrations).await
    }
}

/// The tables of one component, as the steps that build them.
///
/// The version of a component is the number of steps taken. A step once released is never
/// changed: what must differ becomes another step.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// Whose tables these are; a crate's name. Components share a database and know nothing of
    /// each other.
    pub component: &'static str,
    /// SQL of each step, each run once and in a transaction.
    pub steps: &'static [&'static str],
}
