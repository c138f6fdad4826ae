//! Says how far something is, now and then, on standard error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How far something is.
pub(super) struct Progress {
    what: &'static str,
    all: usize,
    begun: Instant,
    told: AtomicU64,
}

impl Progress {
    pub(super) fn new(what: &'static str, all: usize) -> Self {
        Self { what, all, begun: Instant::now(), told: AtomicU64::new(0) }
    }

    pub(super) fn tell(&self, done: usize) {
        let now = self.begun.elapsed().as_secs() / PROGRESS_EVERY;
        if self.told.fetch_max(now, Ordering::Relaxed) < now || done == self.all {
            eprintln!("{} of {} {}", done, self.all, self.what);
        }
    }
}

/// Seconds.
const PROGRESS_EVERY: u64 = 5;
