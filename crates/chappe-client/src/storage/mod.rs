//! Where a client keeps its keys between runs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chappe_crypto::AuthKey;
use chappe_net::entropy::EntropyError;

mod file;
mod layout;
mod memory;

pub use file::FileStorage;
pub use memory::MemoryStorage;

/// Keeps one auth key for each server, with what belongs to the key.
///
/// The client calls it from threads that may block, one call at a time for each client. Several
/// clients may share one storage.
pub trait Storage: Send + Sync + 'static {
    /// What is known of a server; `None` when nothing is.
    ///
    /// # Errors
    /// The storage cannot be read. The client does not connect then, for a new key would take the
    /// place of one that is only out of reach.
    fn load(&self, server: ServerId) -> Result<Option<KeyRecord>, StorageError>;

    /// Keeps `record` as all that is known of a server. Durable on return.
    ///
    /// # Errors
    /// It could not be kept; what was known before still is.
    fn save(&self, server: ServerId, record: &KeyRecord) -> Result<(), StorageError>;

    /// Forgets a server, which may be unknown.
    ///
    /// # Errors
    /// The record could not be removed.
    fn remove(&self, server: ServerId) -> Result<(), StorageError>;
}

/// Several clients, or a client and its owner, may hold one storage.
impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn load(&self, server: ServerId) -> Result<Option<KeyRecord>, StorageError> {
        (**self).load(server)
    }

    fn save(&self, server: ServerId, record: &KeyRecord) -> Result<(), StorageError> {
        (**self).save(server, record)
    }

    fn remove(&self, server: ServerId) -> Result<(), StorageError> {
        (**self).remove(server)
    }
}

/// Names a server: a data centre, and the RSA key by which it proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    /// The data centre as the key exchange names it: +10000 for test, negative for media.
    pub dc: i32,
    /// Fingerprint of the server's RSA key.
    pub fingerprint: i64,
}

/// An auth key with what is worth keeping beside it.
///
/// Units: `server_minus_unix` is in seconds; what was true of the clock in the last run is only
///        a guess in the next (SES-29).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key, with all its 256 bytes.
    pub key: AuthKey,
    /// The salt last in use (SES-25).
    pub salt: i64,
    /// The server's clock minus the local one.
    pub server_minus_unix: i64,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why keys cannot be read or kept.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refused.
    #[error("cannot {doing} {}: {error}", path.display())]
    Io {
        /// What was being done, such as `read`.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: Arc<std::io::Error>,
    },
    /// The file is no key file, or not whole.
    #[error("{} is damaged ({what}); restore it from a copy, or remove it and sign in again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The key does not open. Nothing tells a wrong password from a damaged key (CRY-29).
    #[error("wrong password, or the key in {} is damaged", path.display())]
    Password {
        /// The file.
        path: PathBuf,
    },
    /// The file is protected and no password is at hand, or the reverse.
    #[error("{}: {what}", path.display())]
    Protection {
        /// The file.
        path: PathBuf,
        /// What does not fit, and what to do.
        what: &'static str,
    },
    /// The key is one that a server kept: without its last 64 bytes.
    #[error("key {0} is not complete, so it is none of a client")]
    Incomplete(chappe_crypto::AuthKeyId),
    /// A key cannot be protected without a random salt.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A storage of somebody else's making has its own reason.
    #[error("{0}")]
    Other(Arc<dyn std::error::Error + Send + Sync>),
}
