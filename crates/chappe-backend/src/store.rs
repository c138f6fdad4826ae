//! The trait every engine implements, and the rows it keeps.

use std::pin::Pin;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId};
use zeroize::Zeroizing;

/// A future on the heap: keeps [`Store`] object-safe. Its cost vanishes beside a query.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Largest [`ConnectionInfo::data`] a store accepts. A stranger can make us keep this much for
/// each key; what known clients send stays under 1 KiB.
pub const CONNECTION_DATA_MAX_BYTES: usize = 16 * 1024;

/// Keeps the auth keys of one installation and what is saved with them.
///
/// A write is durable when its future gives `Ok`: it survives the death of the process, and in an
/// engine with a disk the loss of power (KEY-22). A future dropped before that may or may not have written.
///
/// Temporary keys (those with [`StoredKey::expires`]) are the exception: they stay in memory,
/// never reach a disk, and die with the process or at their time, whichever is first (PFS-03).
///
/// An engine bounds how many temporary keys it keeps that are not bound to a permanent one, and
/// forgets the one that has been so for longest: strangers can make any number of them (SEC-47).
///
/// Times are Unix seconds on the caller's clock; a temporary key is alive while `now < expires`, of
/// the key and of its binding.
pub trait Store: Send + Sync {
    /// Keeps a new key, unless its id is taken by a permanent key or a living temporary one.
    ///
    /// Never overwrites: of any number of inserts of one id, in any order, one is stored (KEY-21).
    /// The id 0 marks unencrypted messages and always collides.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] where a bound on kept keys is reached, else what befell the engine.
    fn insert_key(&self, key: StoredKey, now: u64) -> BoxFuture<'_, Result<Inserted, StoreError>>;

    /// The living key with this id, permanent or temporary.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    fn key(&self, id: AuthKeyId, now: u64) -> BoxFuture<'_, Result<Option<StoredKey>, StoreError>>;

    /// Destroys a key and everything saved with it; `false` if there is none (SVC-37). Temporary
    /// keys that are bound to it are unbound (PFS-14).
    ///
    /// # Errors
    ///
    /// What befell the engine; the key may then still be there.
    fn delete_key(&self, id: AuthKeyId) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Binds a living temporary key to a permanent one.
    ///
    /// A permanent key has two places, one for keys made for a media data centre (a negative
    /// [`StoredKey::dc`]) and one for the others (PFS-12); the key that had the place is unbound
    /// (PFS-11). A key that is bound to another permanent key stays so (SEC-40). Binding the same
    /// two again changes [`KeyBinding::expires`] and nothing else. Otherwise, and when a key is
    /// unbound, what was saved with the temporary key is forgotten (PFS-13).
    ///
    /// Bindings live and die with their temporary keys, and like them never reach a disk (PFS-03).
    ///
    /// # Errors
    ///
    /// What befell the engine.
    fn bind_key(
        &self,
        temporary: AuthKeyId,
        binding: KeyBinding,
        now: u64,
    ) -> BoxFuture<'_, Result<Bound, StoreError>>;

    /// What a living temporary key is bound to.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    fn binding(
        &self,
        temporary: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Option<KeyBinding>, StoreError>>;

    /// The living temporary keys that are bound to a permanent one; at most two.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    fn bound_keys(
        &self,
        permanent: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, StoreError>>;

    /// Wipes the temporary keys whose time is over: whoever serves says so every half minute or
    /// so. For every other method they are gone in any case.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    fn expire_keys(&self, now: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Saves what the client of a key said of itself, over what was saved before (SVC-48);
    /// `false`, and nothing saved, if there is no such key.
    ///
    /// # Errors
    ///
    /// [`StoreError::ConnectionTooLarge`] over [`CONNECTION_DATA_MAX_BYTES`],
    /// [`StoreError::Full`] where a bound on kept bytes is reached, else what befell the engine.
    fn save_connection(
        &self,
        id: AuthKeyId,
        info: ConnectionInfo,
    ) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// What was last saved with a key by [`save_connection`](Self::save_connection).
    ///
    /// # Errors
    ///
    /// What befell the engine.
    fn connection(
        &self,
        id: AuthKeyId,
    ) -> BoxFuture<'_, Result<Option<ConnectionInfo>, StoreError>>;

    /// The secret of this installation, from which salts are derived (SES-20).
    ///
    /// `fresh` is 32 random bytes: the first call of all ever made keeps its own, every later
    /// call on any node gives those back and forgets the ones it brought.
    ///
    /// # Errors
    ///
    /// What befell the engine.
    fn server_secret(
        &self,
        fresh: Zeroizing<[u8; 32]>,
    ) -> BoxFuture<'_, Result<Zeroizing<[u8; 32]>, StoreError>>;

    /// Finishes the writes under way and lets go of files and threads; the temporary keys are
    /// wiped. Later calls fail with [`StoreError::Closed`]. There is nothing to flush before:
    /// every write that was acknowledged is durable.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// An auth key and what was agreed on with it.
///
/// Of the key itself a store keeps 192 bytes and forgets the others, which protect what clients
/// store: a key never comes back [`full`](AuthKey::full) (CRY-05).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key; its id names the row.
    pub key: AuthKey,
    /// When the key was made, in Unix seconds.
    pub created: u64,
    /// The server salt agreed on with the key, current from its creation (KEY-26).
    pub first_salt: i64,
    /// When a temporary key dies, in Unix seconds; `None` for a permanent key.
    pub expires: Option<u64>,
    /// The data centre the key was made for, as the client named it.
    pub dc: i32,
}

/// What the client of a key said of itself in `invokeWithLayer` and `initConnection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The layer of the schema it speaks.
    pub layer: i32,
    /// The parameters of `initConnection`, in a form the server chose; a store does not look
    /// inside. At most [`CONNECTION_DATA_MAX_BYTES`].
    pub data: Bytes,
}

impl ConnectionInfo {
    /// Refuses what is too large to be kept; engines call it first.
    ///
    /// # Errors
    ///
    /// [`StoreError::ConnectionTooLarge`].
    pub fn check_size(&self) -> Result<(), StoreError> {
        match self.data.len() {
            got if got > CONNECTION_DATA_MAX_BYTES => Err(StoreError::ConnectionTooLarge { got }),
            _ => Ok(()),
        }
    }
}

/// What a temporary key is bound to, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBinding {
    /// The permanent key.
    pub permanent: AuthKeyId,
    /// Unix second at which the temporary key dies, if its own life does not end before; it
    /// comes back as the earlier of the two.
    pub expires: u64,
}

/// What became of a binding that met no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The key is bound, or still is.
    Done,
    /// The key is bound to another permanent key, and stays so.
    ToAnother,
    /// There is no living temporary key of that id.
    NoTemporaryKey,
    /// There is no permanent key of that id.
    NoPermanentKey,
}

/// What became of an insert that met no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The key is kept.
    Stored,
    /// The id is taken, or 0; what was there is untouched. The handshake asks for another key.
    Collision,
}

/// Why a store did not do what it was asked; one kind for each thing the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A person has to mend something before the engine works again.
    #[error("{place}: {problem}; {mend}")]
    Unusable {
        /// The file or address meant.
        place: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// Did not work this time; the same call may work later.
    #[error("{place}: {problem}; {mend}")]
    Unavailable {
        /// The file or address meant.
        place: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// A transaction was undone, as if it had never begun: another one came in between, or the
    /// connection was lost before it was committed. Whoever began it may do so again at once.
    #[error("{place}: {problem}; nothing was changed")]
    Undone {
        /// The address meant.
        place: String,
        /// What came in between.
        problem: String,
    },
    /// The keys in memory reach their bound; refused so that those already there live on.
    #[error("keys in memory fill their {bytes_max} bytes; allow more, or wait until some expire")]
    Full {
        /// The bound.
        bytes_max: usize,
    },
    /// More than a client may have kept about itself.
    #[error("connection data of {got} bytes exceeds {CONNECTION_DATA_MAX_BYTES}")]
    ConnectionTooLarge {
        /// Its size.
        got: usize,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
