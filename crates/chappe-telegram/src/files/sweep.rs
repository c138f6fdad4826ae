//! Removing what nobody needs: uploads that were never used, files that nothing shows, content of
//! which no file is left, and what a crash has left behind.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use futures_util::TryStreamExt;
use tokio::sync::Mutex;
use tracing::warn;

use crate::Service;
use crate::error::Failure;

/// Seconds between two comparisons of the store with the tables; the first is at the first call
/// that has to do with files.
const COMPARE_EVERY: i64 = 6 * 3600;
/// Seconds after which nobody is writing a blob any more.
const WRITING_MAX: i64 = 3600;
/// Seconds between two sweeps.
const SWEEP_EVERY: i64 = 10;

/// When there was a sweep.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// Under way or waiting.
    begun: AtomicUsize,
    /// Held by the one that is under way: when the one before it compared.
    compared: Mutex<i64>,
    last: AtomicI64,
}

impl Service {
    /// Sees to it that there is a sweep now and then, besides whatever goes on.
    pub(crate) fn sweep(&self, now: i64) {
        let sweeps = &self.files.sweeps;
        if now < sweeps.last.load(Ordering::Relaxed) + SWEEP_EVERY {
            return;
        }
        self.sweep_now(now);
    }

    /// Begins a sweep, unless one is about to begin.
    pub(crate) fn sweep_now(&self, now: i64) {
        let sweeps = &self.files.sweeps;
        // One may be past what has changed, and another waits for its end.
        if sweeps.begun.fetch_add(1, Ordering::AcqRel) >= 2 {
            sweeps.begun.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        sweeps.last.store(now, Ordering::Relaxed);
        let service = self.clone();
        tokio::spawn(async move {
            let sweeps = &service.files.sweeps;
            let mut compared = sweeps.compared.lock().await;
            if let Err(failure) = service.swept(now, &mut compared).await {
                warn!(?failure, "what nobody needs cannot be removed; there will be another try");
            }
            sweeps.begun.fetch_sub(1, Ordering::AcqRel);
        });
    }

    async fn swept(&self, now: i64, compared: &mut i64) -> Result<(), Failure> {
        loop {
            let rounds = self.store.take_expired_uploads(now).await?;
            for round in &rounds {
                self.files.blobs.delete_parts(*round).await?;
            }
            let files = self.store.drop_unused_files(now).await?;
            let blobs = self.store.take_unused_blobs(now - WRITING_MAX).await?;
            for blob in &blobs {
                self.files.blobs.delete(*blob).await?;
            }
            if rounds.is_empty() && files == 0 && blobs.is_empty() {
                break;
            }
        }
        if now >= *compared + COMPARE_EVERY {
            self.compare().await?;
            *compared = now;
        }
        Ok(())
    }

    /// Rows are there before objects and are gone before them: what a process that ended in
    /// between has left is without a row.
    async fn compare(&self) -> Result<(), Failure> {
        let blobs = &self.files.blobs;
        blobs.drop_half_written().await;
        let mut found = blobs.list();
        while let Some(blob) = found.try_next().await? {
            if !self.store.knows_blob(blob).await? {
                blobs.delete(blob).await?;
            }
        }
        for round in blobs.rounds().await? {
            if !self.store.knows_round(round).await? {
                blobs.delete_parts(round).await?;
            }
        }
        Ok(())
    }
}
