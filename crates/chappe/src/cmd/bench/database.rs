//! How large the database is, and what CPU time it takes beside the server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use chappe_backend::sql::{Statement, sql};
use chappe_backend::{Backend, Database};

use super::process;
use crate::config::database::DatabaseConfig;

/// The database of the server under load.
pub(super) enum Watched {
    /// The file; its log beside it.
    Sqlite(PathBuf),
    /// A connection of our own, and the process that all of its processes come from, if it is on
    /// this machine.
    Postgres(Box<Backend>, Option<u32>),
}

impl Watched {
    pub(super) async fn open(config: &DatabaseConfig) -> Result<Self> {
        if let DatabaseConfig::Sqlite(path) = config {
            return Ok(Self::Sqlite(path.clone()));
        }
        let backend = config.open().await?;
        let own = number(database(&backend)?, sql("SELECT pg_backend_pid()")).await?;
        let main = u32::try_from(own).ok().and_then(process::parent_of_its_kind);
        Ok(Self::Postgres(Box::new(backend), main))
    }

    pub(super) fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(..) => "PostgreSQL",
        }
    }

    /// Bytes on disk, without the log of PostgreSQL.
    pub(super) async fn bytes(&self) -> Result<u64> {
        match self {
            Self::Sqlite(path) => {
                let mut log = path.as_os_str().to_owned();
                log.push("-wal");
                Ok(size(path) + size(Path::new(&log)))
            }
            Self::Postgres(backend, _) => {
                let query = sql("SELECT pg_database_size(current_database())");
                Ok(number(database(backend)?, query).await?.try_into()?)
            }
        }
    }

    /// CPU time of processes that are the database and not the server.
    pub(super) fn cpu(&self) -> Option<Duration> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_, main) => process::cpu_of_family((*main)?),
        }
    }
}

fn database(backend: &Backend) -> Result<&Database> {
    backend.database().context("it is in a database")
}

async fn number(database: &Database, query: Statement) -> Result<i64> {
    let row = database.row(query).await?;
    Ok(row.context("it has an answer")?.read()?)
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}
