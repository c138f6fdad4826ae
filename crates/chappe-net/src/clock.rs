//! The door of time.

use std::time::{Duration, SystemTime};

use chappe_proto::Now;
use tokio::time::Instant;

/// Reads both clocks at once. Copies of one clock agree on the origin of [`Now::mono`].
///
/// The monotonic half is Tokio's, so a test that pauses Tokio's time pauses this clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    /// Unix time at the origin, of a clock that knows no other date; `None` reads the system's.
    unix_origin: Option<Duration>,
}

impl Clock {
    /// The clock of the system.
    pub fn system() -> Self {
        Self { origin: Instant::now(), unix_origin: None }
    }

    /// A clock whose date is `unix` now and moves with the monotonic clock alone, for tests.
    pub fn starting_at(unix: Duration) -> Self {
        Self { origin: Instant::now(), unix_origin: Some(unix) }
    }

    /// The instant of this call.
    pub fn now(&self) -> Now {
        let mono = self.origin.elapsed();
        let unix = match self.unix_origin {
            Some(origin) => origin + mono,
            // A date before 1970 is no date; every peer will be told that its clock is wrong.
            None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        };
        Now { mono, unix }
    }

    /// Waits until [`Now::mono`] reaches `deadline`; for ever if there is none.
    pub async fn sleep_until(&self, deadline: Option<Duration>) {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(self.instant(deadline)).await,
            None => std::future::pending().await,
        }
    }

    /// A deadline on [`Now::mono`] as Tokio counts it.
    pub fn instant(&self, deadline: Duration) -> Instant {
        self.origin + deadline
    }
}
