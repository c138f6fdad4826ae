//! Brings the key record to the storage, off the task that must not block.

use std::sync::Arc;

use chappe_crypto::AuthKeyId;
use tokio::task::JoinHandle;

use crate::builder::panicked;
use crate::storage::{KeyRecord, ServerId, Storage, StorageError};

/// Saves one record at a time; of those that wait, only the newest counts.
pub(crate) struct Keeper {
    storage: Arc<dyn Storage>,
    kept: Option<(ServerId, KeyRecord)>,
    waiting: Option<(ServerId, KeyRecord)>,
    saving: Option<Saving>,
}

struct Saving {
    key: AuthKeyId,
    job: JoinHandle<Result<(), StorageError>>,
}

impl Keeper {
    /// `kept` is what the storage holds already.
    pub(crate) fn new(storage: Arc<dyn Storage>, kept: Option<(ServerId, KeyRecord)>) -> Self {
        Self { storage, kept, waiting: None, saving: None }
    }

    /// Has `record` saved in place of the one kept before, unless nothing in it has changed.
    pub(crate) fn keep(&mut self, server: ServerId, record: KeyRecord) {
        let newest = self.waiting.as_ref().or(self.kept.as_ref());
        let is_known = newest.is_some_and(|(known, old)| {
            *known == server
                && old.key.id() == record.key.id()
                && old.salt == record.salt
                && old.server_minus_unix.abs_diff(record.server_minus_unix) <= OFFSET_NOISE
        });
        if !is_known {
            self.waiting = Some((server, record));
            self.start();
        }
    }

    /// Waits until a record is saved or has failed to be; for ever if none is on its way. The
    /// future may be dropped without loss.
    pub(crate) async fn saved(&mut self) -> (AuthKeyId, Result<(), StorageError>) {
        let Some(Saving { key, job }) = &mut self.saving else {
            return std::future::pending().await;
        };
        let key = *key;
        let result = job.await.unwrap_or_else(|panic| Err(panicked(panic)));
        self.saving = None;
        self.start();
        (key, result)
    }

    /// Whether a record is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.saving.is_some()
    }

    fn start(&mut self) {
        if self.saving.is_some() {
            return;
        }
        let Some((server, record)) = self.waiting.take() else { return };
        let before = self.kept.replace((server, record.clone())).map(|(server, _)| server);
        // A new key proved by another RSA key takes the old one's place all the same.
        let replaced = before.filter(|before| *before != server);
        let storage = Arc::clone(&self.storage);
        let key = record.key.id();
        let job = tokio::task::spawn_blocking(move || {
            storage.save(server, &record)?;
            replaced.map_or(Ok(()), |server| storage.remove(server))
        });
        self.saving = Some(Saving { key, job });
    }
}

/// Seconds by which the clocks may seem to drift between two saves for nothing.
const OFFSET_NOISE: u64 = 1;
