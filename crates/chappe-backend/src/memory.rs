//! The engine that keeps everything in this process: the reference for the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chappe_crypto::AuthKeyId;
use zeroize::Zeroizing;

use crate::key_table::KeyTable;
use crate::temporary::UNBOUND_KEYS_MAX;
use crate::{Bound, BoxFuture, ConnectionInfo, Inserted, KeyBinding, Store, StoreError, StoredKey};

/// A store in memory; everything is gone at exit. For tests and trials.
pub struct MemoryStore(Mutex<State>);

struct State {
    keys: KeyTable,
    server_secret: Option<Zeroizing<[u8; 32]>>,
    closed: bool,
}

impl MemoryStore {
    /// A store of at most `bytes_max` bytes, each key counted as 640 bytes and what is saved with
    /// it; a new key over that is refused. The default is 256 MiB, some 400 000 keys.
    pub fn new(bytes_max: usize) -> Self {
        let keys = KeyTable::new(bytes_max, UNBOUND_KEYS_MAX);
        Self(Mutex::new(State { keys, server_secret: None, closed: false }))
    }

    /// Most temporary keys that are not bound to a permanent one; for a new one over that, the
    /// one that has been so for longest is forgotten. Default: 50 000, some 30 MiB. Strangers can
    /// make us hold this much.
    #[must_use]
    pub fn unbound_keys_max(self, max: usize) -> Self {
        self.lock().keys.set_unbound_max(max);
        self
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

    fn bind_key(
        &self,
        temporary: AuthKeyId,
        binding: KeyBinding,
        now: u64,
    ) -> BoxFuture<'_, Result<Bound, StoreError>> {
        self.with(|state| {
            let permanent = state.keys.get(binding.permanent, now);
            if permanent.is_none_or(|key| key.expires.is_some()) {
                return Ok(Bound::NoPermanentKey);
            }
            Ok(state.keys.bind(temporary, binding, now))
        })
    }

    fn binding(
        &self,
        temporary: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Option<KeyBinding>, StoreError>> {
        self.with(|state| Ok(state.keys.binding(temporary, now)))
    }

    fn bound_keys(
        &self,
        permanent: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, StoreError>> {
        self.with(|state| Ok(state.keys.bound_keys(permanent, now)))
    }

    fn expire_keys(&self, now: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        self.with(|state| {
            state.keys.purge(now);
            Ok(())
        })
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
