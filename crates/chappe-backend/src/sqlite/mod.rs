//! The engine for a single server: one SQLite file.

mod database;
mod error;
mod transaction;

use std::time::Duration;

pub use self::database::SqliteDatabase;
pub(crate) use self::transaction::SqliteTransaction;
use crate::temporary::UNBOUND_KEYS_MAX;

/// How a [`SqlStore`](crate::SqlStore) in a SQLite file works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// Most memory for temporary keys, each counted as 640 bytes and what is saved with it; a new
    /// key over that is refused. Default: 128 MiB, some 200 000 keys.
    pub temporary_bytes_max: usize,
    /// Most temporary keys that are not bound to a permanent one; for a new one over that, the
    /// one that has been so for longest is forgotten. Default: 50 000, some 30 MiB. Strangers can
    /// make us hold this much; a client binds its key a moment after making it.
    pub unbound_keys_max: usize,
    /// Longest wait while another process writes the file. Default: 5 s.
    pub busy_timeout: Duration,
    /// Most queries at once. Default: 4. Each costs a thread and up to 2 MiB of cache.
    pub readers: u32,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            temporary_bytes_max: 128 * 1024 * 1024,
            unbound_keys_max: UNBOUND_KEYS_MAX,
            busy_timeout: Duration::from_secs(5),
            readers: 4,
        }
    }
}
