//! Keys in memory: bounded in bytes, each dying at its time. Knows no lock, clock or disk.

use std::collections::{BTreeSet, HashMap};

use chappe_crypto::AuthKeyId;

use crate::{ConnectionInfo, Inserted, StoreError, StoredKey};

/// The keys in memory.
pub(crate) struct KeyTable {
    keys: HashMap<AuthKeyId, Entry>,
    /// `(expires, id)` of each temporary key, the next to die first.
    expiring: BTreeSet<(u64, AuthKeyId)>,
    bytes: usize,
    bytes_max: usize,
}

struct Entry {
    key: StoredKey,
    connection: Option<ConnectionInfo>,
}

impl KeyTable {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { keys: HashMap::new(), expiring: BTreeSet::new(), bytes: 0, bytes_max }
    }

    /// Keeps a key unless its id is 0 or here already.
    pub(crate) fn insert(&mut self, mut key: StoredKey, now: u64) -> Result<Inserted, StoreError> {
        self.purge(now);
        let id = key.key.id();
        if id.0 == 0 || self.keys.contains_key(&id) {
            return Ok(Inserted::Collision);
        }
        self.grow(KEY_BYTES)?;
        if let Some(expires) = key.expires {
            self.expiring.insert((expires, id));
        }
        key.key.forget_client_part();
        self.keys.insert(id, Entry { key, connection: None });
        Ok(Inserted::Stored)
    }

    pub(crate) fn get(&mut self, id: AuthKeyId, now: u64) -> Option<&StoredKey> {
        self.purge(now);
        self.keys.get(&id).map(|entry| &entry.key)
    }

    pub(crate) fn remove(&mut self, id: AuthKeyId) -> bool {
        let Some(entry) = self.keys.remove(&id) else { return false };
        self.bytes -= KEY_BYTES + data_len(entry.connection.as_ref());
        if let Some(expires) = entry.key.expires {
            self.expiring.remove(&(expires, id));
        }
        true
    }

    /// `false` if the key is not here.
    pub(crate) fn save_connection(
        &mut self,
        id: AuthKeyId,
        info: &ConnectionInfo,
    ) -> Result<bool, StoreError> {
        let Some(entry) = self.keys.get(&id) else { return Ok(false) };
        let (before, after) = (data_len(entry.connection.as_ref()), info.data.len());
        self.grow(after.saturating_sub(before))?;
        self.bytes -= before.saturating_sub(after);
        if let Some(entry) = self.keys.get_mut(&id) {
            // A copy of its own: a slice would keep the whole packet it came in alive.
            let data = bytes::Bytes::copy_from_slice(&info.data);
            entry.connection = Some(ConnectionInfo { layer: info.layer, data });
        }
        Ok(true)
    }

    pub(crate) fn connection(&self, id: AuthKeyId) -> Option<&ConnectionInfo> {
        self.keys.get(&id)?.connection.as_ref()
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.expiring.clear();
        self.bytes = 0;
    }

    fn grow(&mut self, by: usize) -> Result<(), StoreError> {
        let bytes = self.bytes + by;
        if bytes > self.bytes_max {
            return Err(StoreError::Full { bytes_max: self.bytes_max });
        }
        self.bytes = bytes;
        Ok(())
    }

    fn purge(&mut self, now: u64) {
        while let Some(&(expires, id)) = self.expiring.first()
            && expires <= now
        {
            self.remove(id);
        }
    }
}

fn data_len(connection: Option<&ConnectionInfo>) -> usize {
    connection.map_or(0, |info| info.data.len())
}

/// What a key is counted as: its 192 bytes, its row, and its share of map and tree, reckoned
/// generously.
pub(crate) const KEY_BYTES: usize = 512;
