//! The engine that keeps everything in this process: the reference for the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chappe_crypto::AuthKeyId;
use zeroize::Zeroizing;

use crate::key_table::KeyTable;
use crate::{BoxFuture, ConnectionInfo, Inserted, Store, StoreError, StoredKey};

/// A store in memory; everything is gone at exit. For tests and trials.
pub struct MemoryStore(Mutex<State>);

struct State {
    keys: KeyTable,
    server_secret: Option<Zeroizing<[u8; 32]>>,
    closed: bool,
}

impl MemoryStore {
    /// A store of at most `bytes_max` bytes, each key counted as 512 bytes and what is saved with
    /// it; a new key over that is refused. The default is 256 MiB, half a million keys.
    pub fn new(bytes_max: usize) -> Self {
        let keys = KeyTable::new(bytes_max);
        Self(Mutex::new(State { keys, server_secret: None, closed: false }))
    }

    /// Runs one step under the lock, which is never held across an await.
    fn with<'a, T: Send + 'a>(
        &self,
        step: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let mut state = self.lock();
        let result = if state.closed { Err(StoreError::Closed) } else { step(&mut state) };
        Box::pin(std::future::ready(result))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(256 * 1024 * 1024)
    }
}

impl Store for MemoryStore {
    fn insert_key(&self, key: StoredKey, now: u64) -> BoxFuture<'_, Result<Inserted, StoreError>> {
        self.with(|state| state.keys.insert(key, now))
    }

    fn key(&self, id: AuthKeyId, now: u64) -> BoxFuture<'_, Result<Option<StoredKey>, StoreError>> {
        self.with(|state| Ok(state.keys.get(id, now).cloned()))
    }

    fn delete_key(&self, id: AuthKeyId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.with(|state| Ok(state.keys.remove(id)))
    }

    fn save_connection(
        &self,
        id: AuthKeyId,
        info: ConnectionInfo,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.with(|state| {
            info.check_size()?;
            state.keys.save_connection(id, &info)
        })
    }

    fn connection(
        &self,
        id: AuthKeyId,
    ) -> BoxFuture<'_, Result<Option<ConnectionInfo>, StoreError>> {
        self.with(|state| Ok(state.keys.connection(id).cloned()))
    }

    fn server_secret(
        &self,
        fresh: Zeroizing<[u8; 32]>,
    ) -> BoxFuture<'_, Result<Zeroizing<[u8; 32]>, StoreError>> {
        self.with(|state| Ok(state.server_secret.get_or_insert(fresh).clone()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let mut state = self.lock();
        state.closed = true;
        state.keys.clear();
        Box::pin(std::future::ready(()))
    }
}
