//! A bound on bytes a second: a bucket that fills at that rate and holds what comes in one second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What many connections draw from. It may be overdrawn, by whoever comes first: then all wait.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// Bytes a second; 0 for no bound.
    rate: AtomicU64,
    level: Mutex<Level>,
}

#[derive(Debug, Default)]
struct Level {
    /// Below 0 where it is overdrawn.
    bytes: f64,
    /// When that was so, on the monotonic clock; `None` for a bucket that nobody drew from, which
    /// is full.
    at: Option<Duration>,
}

impl Bucket {
    pub(crate) fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// Draws so many bytes; how long to wait before anybody draws again.
    pub(crate) fn take(&self, bytes: u64, mono: Duration) -> Duration {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return Duration::ZERO;
        }
        let full = rate as f64;
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = match level.at {
            Some(at) => level.bytes + full * mono.saturating_sub(at).as_secs_f64(),
            None => full,
        };
        level.bytes = filled.min(full) - bytes as f64;
        level.at = Some(mono);
        Duration::try_from_secs_f64(-level.bytes / full).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn what_one_second_brings_may_come_at_once_and_no_more() {
        let bucket = Bucket::default();
        assert_eq!(bucket.take(1 << 40, MS(0)), MS(0));
        bucket.set_rate(1000);
        assert_eq!(bucket.take(600, MS(1)), MS(0));
        assert_eq!(bucket.take(400, MS(1)), MS(0));
        // Overdrawn: whoever comes next waits, too.
        assert_eq!(bucket.take(500, MS(1)), MS(500));
        assert_eq!(bucket.take(100, MS(1)), MS(600));
        assert_eq!(bucket.take(0, MS(601)), MS(0));
        // A long pause fills it once.
        assert_eq!(bucket.take(1000, MS(100_000)), MS(0));
        assert_eq!(bucket.take(250, MS(100_000)), MS(250));
    }
}
