//! The two clocks a caller hands in: one that only runs forward, one that knows the date.

use std::time::Duration;

/// The instant of a call, read by the caller from both clocks at once.
///
/// Shape: `mono` counts from any fixed origin and never steps back; `unix` counts from 1970.
/// Deadlines are kept on `mono`, so a stepping wall clock moves none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since an arbitrary origin; never decreases.
    pub mono: Duration,
    /// Time since the Unix epoch; may step.
    pub unix: Duration,
}

impl Now {
    /// Whole Unix seconds.
    pub fn unix_seconds(self) -> i64 {
        i64::try_from(self.unix.as_secs()).unwrap_or(i64::MAX)
    }
}
