//! What a user has used of his quota.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::lock;
use crate::calendar;
use crate::config::Quota;

/// What counts for a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Used {
    /// Bytes both ways.
    pub(crate) bytes: u64,
    /// The month, counted from that of year 0.
    pub(crate) month: u32,
}

/// A quota that may change, and what counts for it.
#[derive(Debug)]
pub(super) struct Allowance {
    used: Mutex<Used>,
    /// Bytes; `u64::MAX` where there is no quota.
    quota: AtomicU64,
    monthly: AtomicBool,
}

impl Used {
    /// Bytes that were not counted yet when it was `known`: a new month begins with none.
    pub(crate) fn since(self, known: Self) -> u64 {
        let is_same = self.month == known.month;
        self.bytes.saturating_sub(if is_same { known.bytes } else { 0 })
    }

    pub(super) fn add(&mut self, more: Self) {
        if *self == Self::default() {
            self.month = more.month;
        }
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

impl Allowance {
    /// No quota, and so much used before.
    pub(super) fn new(used: Used) -> Self {
        Self { used: Mutex::new(used), quota: AtomicU64::new(u64::MAX), monthly: false.into() }
    }

    pub(super) fn apply(&self, quota: Option<Quota>) {
        self.quota.store(quota.map_or(u64::MAX, |quota| quota.bytes), Ordering::Relaxed);
        self.monthly.store(quota.is_some_and(|quota| quota.monthly), Ordering::Relaxed);
    }

    /// A quota by the month begins anew with it.
    pub(super) fn begin_month(&self, unix: Duration) {
        if !self.monthly.load(Ordering::Relaxed) {
            return;
        }
        let month = calendar::month(unix);
        let mut used = lock(&self.used);
        if used.month != month {
            *used = Used { bytes: 0, month };
        }
    }

    pub(super) fn is_used_up(&self) -> bool {
        let quota = self.quota.load(Ordering::Relaxed);
        quota != u64::MAX && lock(&self.used).bytes >= quota
    }

    /// Counts bytes where there is a quota.
    pub(super) fn count(&self, bytes: u64) {
        if self.quota.load(Ordering::Relaxed) != u64::MAX {
            let mut used = lock(&self.used);
            used.bytes = used.bytes.saturating_add(bytes);
        }
    }

    /// What counts at that time.
    pub(super) fn used(&self, unix: Duration) -> Used {
        self.begin_month(unix);
        *lock(&self.used)
    }

    /// Counts what passed in another process; how much of it counts, and what counts in all.
    pub(super) fn add(&self, more: Used, unix: Duration) -> (u64, Used) {
        self.begin_month(unix);
        let mut used = lock(&self.used);
        let is_of_another_month = more.month != used.month;
        if is_of_another_month && self.monthly.load(Ordering::Relaxed) {
            return (0, *used);
        }
        used.add(more);
        (more.bytes, *used)
    }

    /// The name of the month, where the quota is one by the month.
    pub(super) fn month(&self, unix: Duration) -> Option<String> {
        let monthly = self.monthly.load(Ordering::Relaxed);
        monthly.then(|| calendar::name(calendar::month(unix)))
    }
}
