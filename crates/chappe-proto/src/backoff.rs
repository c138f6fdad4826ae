//! How long to wait before the next attempt to connect (SES-13).

use std::time::Duration;

use chappe_crypto::Rng;

/// Waits of 0, 1, 2, 4 … 60 s, each up to a fifth shorter or longer.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
    least: Duration,
}

impl Backoff {
    /// A link was good for something: the next is opened at once.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The server asked not to be tried before `least` is over.
    pub fn hold(&mut self, least: Duration) {
        self.least = self.least.max(least);
    }

    /// One more attempt failed, or one more link was lost: the wait before the next.
    pub fn next(&mut self, rng: &mut Rng) -> Duration {
        let seconds = match self.failures {
            0 => 0,
            n => WAIT_MAX.min(1 << (n - 1).min(6)),
        };
        self.failures = self.failures.saturating_add(1);
        // 80 to 120 percent, in thousandths.
        let jitter = 800 + rng.below(401);
        let wait = Duration::from_millis(seconds * u64::from(jitter));
        wait.max(std::mem::take(&mut self.least))
    }
}

/// In seconds, before the jitter.
const WAIT_MAX: u64 = 60;
