//! The engines of one server, chosen by configuration and passed around as one value.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use crate::PostgresConfig;
#[cfg(feature = "sqlite")]
use crate::SqliteConfig;
#[cfg(feature = "sql")]
use crate::{Database, SqlStore, StoreError};
use crate::{MemoryStore, Store};

/// The engines a server keeps its things in. Clones share them.
#[derive(Clone)]
pub struct Backend {
    store: Arc<dyn Store>,
    #[cfg(feature = "sql")]
    database: Option<Database>,
}

impl Backend {
    /// Keeps everything in this process and loses it at exit: for tests and trials.
    pub fn memory() -> Self {
        Self::new(Arc::new(MemoryStore::default()))
    }

    /// Keeps everything in the SQLite file at `path`, made if absent (mode 0600).
    ///
    /// For one server process: temporary keys live in its memory alone. Must be called within a
    /// Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] or [`StoreError::Unavailable`], naming the file and the mend.
    #[cfg(feature = "sqlite")]
    pub async fn embedded(path: impl AsRef<std::path::Path>) -> Result<Self, StoreError> {
        Ok(Self::of(SqlStore::sqlite(path, SqliteConfig::default()).await?))
    }

    /// Keeps everything in a PostgreSQL database, whose tables are made where they are absent.
    ///
    /// For one server process: temporary keys live in its memory alone. Must be called within a
    /// Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] or [`StoreError::Unavailable`], naming the database and the mend.
    #[cfg(feature = "postgres")]
    pub async fn postgres(config: PostgresConfig) -> Result<Self, StoreError> {
        Ok(Self::of(SqlStore::postgres(config).await?))
    }

    #[cfg(feature = "sql")]
    fn of(store: SqlStore) -> Self {
        let database = store.database().clone();
        Self { store: Arc::new(store), database: Some(database) }
    }

    /// Keeps everything in an engine of your own.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            #[cfg(feature = "sql")]
            database: None,
        }
    }

    /// Where keys are kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The database of the store, for services with tables of their own; `None` if it has none.
    #[cfg(feature = "sql")]
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }
}
