//! Temporary keys, in the memory of whatever engine keeps the permanent ones elsewhere.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chappe_crypto::AuthKeyId;

use crate::key_table::KeyTable;
use crate::{Bound, ConnectionInfo, Inserted, KeyBinding, StoreError, StoredKey};

/// Default of the temporary keys that are kept without being bound to a permanent one.
pub(crate) const UNBOUND_KEYS_MAX: usize = 50_000;

/// The temporary keys of one process and what they are bound to: never on a disk, bounded, each
/// dying at its time (PFS-03).
///
/// A part for engines. Permanent and temporary keys share their ids, and the engine alone can ask
/// its disk for the permanent ones; so every insert, of either kind, first takes a [`Claim`] here
/// and holds it until the key is kept. Clones share the keys.
#[derive(Clone)]
pub struct TemporaryKeys(Arc<Mutex<State>>);

struct State {
    keys: KeyTable,
    claimed: HashSet<AuthKeyId>,
}

impl TemporaryKeys {
    /// Room for `bytes_max` bytes, each key counted as 640 and what is saved with it, and for
    /// `unbound_max` keys that are not bound: over the first a new key is refused, over the
    /// second the one that has been unbound for longest is forgotten.
    pub fn new(bytes_max: usize, unbound_max: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            keys: KeyTable::new(bytes_max, unbound_max),
            claimed: HashSet::new(),
        })))
    }

    /// Claims an id for an insert; `None`, a collision, if it is 0, a living temporary key has it,
    /// or another insert claims it.
    pub fn claim(&self, id: AuthKeyId, now: u64) -> Option<Claim> {
        let mut state = self.lock();
        let free = id.0 != 0 && state.keys.get(id, now).is_none() && state.claimed.insert(id);
        free.then(|| Claim { keys: self.clone(), id })
    }

    /// The living key with this id.
    pub fn key(&self, id: AuthKeyId, now: u64) -> Option<StoredKey> {
        self.lock().keys.get(id, now).cloned()
    }

    /// Wipes a key; `false` if it is not here.
    pub fn delete(&self, id: AuthKeyId) -> bool {
        self.lock().keys.remove(id)
    }

    /// Binds a key, over whatever has its place. That the permanent key exists only the engine
    /// knows: it asks before this and again after it, and calls [`unbind_all`](Self::unbind_all)
    /// if the key was deleted meanwhile.
    pub fn bind(&self, id: AuthKeyId, binding: KeyBinding, now: u64) -> Bound {
        self.lock().keys.bind(id, binding, now)
    }

    /// Unbinds whatever is bound to a permanent key.
    pub fn unbind_all(&self, permanent: AuthKeyId) {
        self.lock().keys.unbind_all(permanent);
    }

    /// What a living key is bound to.
    pub fn binding(&self, id: AuthKeyId, now: u64) -> Option<KeyBinding> {
        self.lock().keys.binding(id, now)
    }

    /// The living keys that are bound to a permanent one.
    pub fn bound_keys(&self, permanent: AuthKeyId, now: u64) -> Vec<AuthKeyId> {
        self.lock().keys.bound_keys(permanent, now)
    }

    /// Wipes the keys whose time is over.
    pub fn expire(&self, now: u64) {
        self.lock().keys.purge(now);
    }

    /// Saves what the client of a key said of itself; `false` if the key is not here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`].
    pub fn save_connection(
        &self,
        id: AuthKeyId,
        info: &ConnectionInfo,
    ) -> Result<bool, StoreError> {
        self.lock().keys.save_connection(id, info)
    }

    /// What was last saved with a key.
    pub fn connection(&self, id: AuthKeyId) -> Option<ConnectionInfo> {
        self.lock().keys.connection(id).cloned()
    }

    /// Wipes all keys.
    pub fn clear(&self) {
        self.lock().keys.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No step panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id that one insert is about to use, and no other may; given back on drop.
pub struct Claim {
    keys: TemporaryKeys,
    id: AuthKeyId,
}

impl Claim {
    /// Keeps the temporary key for which the id was claimed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`].
    ///
    /// # Panics
    ///
    /// If the key has another id than the claim.
    pub fn insert(self, key: StoredKey, now: u64) -> Result<Inserted, StoreError> {
        assert_eq!(key.key.id(), self.id, "a claim is for one id");
        self.keys.lock().keys.insert(key, now)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.keys.lock().claimed.remove(&self.id);
    }
}
