//! When a temporary key ends.

use std::time::Duration;

use crate::now::Now;

/// The end of a key, counted from when the server told its time, so that it never comes after the
/// server's own (PFS-08).
///
/// A monotonic clock may stand still while the machine sleeps and a wall clock may be set back:
/// whichever of the two gets there first decides (PFS-19). One that is set forward by mistake
/// costs a key that would have lived longer, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    counted_from: Now,
    life: Duration,
}

impl Expiry {
    /// The end of a key that lives for `expires_in` seconds from `counted_from`.
    pub fn new(counted_from: Now, expires_in: i32) -> Self {
        let life = Duration::from_secs(expires_in.max(0).unsigned_abs().into());
        Self { counted_from, life }
    }

    /// The end on the monotonic clock.
    pub fn deadline(&self) -> Duration {
        self.counted_from.mono + self.life
    }

    /// Whether the key must not be used any more.
    pub fn is_over(&self, now: Now) -> bool {
        now.mono >= self.deadline() || now.unix >= self.counted_from.unix + self.life
    }
}
