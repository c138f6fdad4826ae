//! One server process works with a database; a second one is told so and does not begin.
//!
//! What one process knows of sessions, temporary keys and things still to be pushed is in its memory
//! alone: with two of them, nobody would hear of what the other one did.

#[cfg(feature = "sqlite")]
use std::fs::{File, OpenOptions, TryLockError};
#[cfg(feature = "sqlite")]
use std::path::Path;

#[cfg(feature = "postgres")]
use tokio::task::AbortHandle;

use crate::StoreError;

/// The right of this process to serve from a database, until it is dropped or the process ends.
#[derive(Debug)]
#[must_use]
pub struct Hold(Held);

/// What is held: it is free for others once this is gone.
#[derive(Debug)]
enum Held {
    #[cfg(feature = "sqlite")]
    File { _locked: File },
    #[cfg(feature = "postgres")]
    Connection(AbortHandle),
}

impl Hold {
    /// Of a file: by a lock on another one beside it, for SQLite uses those of its own.
    #[cfg(feature = "sqlite")]
    pub(crate) fn of_file(path: &Path) -> Result<Self, StoreError> {
        let mut name = path.as_os_str().to_owned();
        name.push("-serving");
        let unavailable = |error: &std::io::Error| StoreError::Unavailable {
            place: Path::new(&name).display().to_string(),
            problem: error.to_string(),
            mend: "it is made beside the database, to be locked",
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&name).map_err(|error| unavailable(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Held::File { _locked: file })),
            Err(TryLockError::WouldBlock) => Err(taken(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(unavailable(&error)),
        }
    }

    /// Of a PostgreSQL database: by the connection that a task keeps.
    #[cfg(feature = "postgres")]
    pub(crate) fn of_connection(connection: AbortHandle) -> Self {
        Self(Held::Connection(connection))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Held::File { .. } => {}
            #[cfg(feature = "postgres")]
            Held::Connection(connection) => connection.abort(),
        }
    }
}

/// Another process serves from this database.
pub(crate) fn taken(place: String) -> StoreError {
    StoreError::Unusable {
        place,
        problem: "another server process works with it".to_owned(),
        mend: "stop that one, or give each a database of its own",
    }
}
