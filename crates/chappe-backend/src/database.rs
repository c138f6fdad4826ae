//! A database shared by this crate and by services with tables of their own.

#[cfg(feature = "postgres")]
use crate::PostgresDatabase;
#[cfg(feature = "sqlite")]
use crate::SqliteDatabase;
use crate::{Hold, StoreError};

/// The database behind a store. A service brings tables of its own ([`migrate`](Self::migrate)) and
/// asks in SQL that every engine understands: see [`sql`](crate::sql::sql).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Database {
    /// One SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteDatabase),
    /// A PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(PostgresDatabase),
}

impl Database {
    /// Brings the tables of one component to the newest version it knows. Several processes may do
    /// so at once: one works, the others find it done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] where a newer release has been at work, else what befell the engine.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<(), StoreError> {
        let found = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.migrate(migrations).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.migrate(migrations).await?,
        };
        let known = migrations.steps.len();
        if usize::try_from(found).is_ok_and(|found| found <= known) {
            return Ok(());
        }
        Err(StoreError::Unusable {
            place: self.place(),
            problem: format!(
                "its {} tables have version {found}, made by a newer release; this one knows {known}",
                migrations.component
            ),
            mend: "start the newer release, or restore the backup made before it",
        })
    }

    /// Makes this process the one that serves from the database; commands beside it need not.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] where another process does.
    pub async fn hold(&self) -> Result<Hold, StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => Hold::of_file(database.path()),
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.hold().await,
        }
    }

    /// The file or address, without its secrets.
    fn place(&self) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.place(),
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.place(),
        }
    }

    pub(crate) fn damaged(&self, detail: String) -> StoreError {
        StoreError::Unusable {
            place: self.place(),
            problem: format!("is damaged: {detail}"),
            mend: "restore it from a backup",
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), StoreError> {
        let is_closed = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.writer().is_closed(),
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.is_closed(),
        };
        if is_closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    pub(crate) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.close().await,
        }
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

impl Migrations {
    /// The steps to take from a version on; none from one that a newer release made.
    pub(crate) fn after(&self, version: i64) -> &'static [&'static str] {
        let steps = usize::try_from(version).ok().and_then(|version| self.steps.get(version..));
        steps.unwrap_or_default()
    }

    /// The version after all of them.
    pub(crate) fn version(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }
}
