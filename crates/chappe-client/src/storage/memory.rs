//! Keys that end with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{KeyRecord, ServerId, Storage, StorageError};

/// Keeps keys in memory: every run begins with a key exchange.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    records: Mutex<BTreeMap<ServerId, KeyRecord>>,
}

impl MemoryStorage {
    /// Knows no server.
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<ServerId, KeyRecord>) -> T) -> T {
        // A map is whole between two statements, whoever panicked.
        act(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Storage for MemoryStorage {
    fn load(&self, server: ServerId) -> Result<Option<KeyRecord>, StorageError> {
        Ok(self.with(|records| records.get(&server).cloned()))
    }

    fn save(&self, server: ServerId, record: &KeyRecord) -> Result<(), StorageError> {
        self.with(|records| records.insert(server, record.clone()));
        Ok(())
    }

    fn remove(&self, server: ServerId) -> Result<(), StorageError> {
        self.with(|records| records.remove(&server));
        Ok(())
    }
}
