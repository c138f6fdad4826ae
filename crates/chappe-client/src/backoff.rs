//! How long to wait before the next attempt to connect (SES-13).

use std::time::Duration;

use chappe_crypto::Rng;

/// Waits of 0, 1, 2, 4 … 60 s, each up to a fifth shorter or longer.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    least: Duration,
}

impl Backoff {
    /// A message was decrypted: the server is there and we are who we say.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The server asked not to be tried before `least` is over.
    pub(crate) fn hold(&mut self, least: Duration) {
        self.least = self.least.max(least);
    }

    /// One more attempt failed, or one more link was lost: the wait before the next.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Duration {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule: SES-13: 0, 1, 2, 4 … 60 s with ±20 % jitter, from the beginning after a reset.
    #[test]
    fn waits_double_up_to_a_minute_and_begin_again_after_a_reset() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut backoff = Backoff::default();
        for _ in 0..2 {
            for seconds in [0, 1, 2, 4, 8, 16, 32, 60, 60] {
                let wait = backoff.next(&mut rng).as_millis();
                assert!((seconds * 800..=seconds * 1200).contains(&wait), "{seconds}: {wait}");
            }
            backoff.reset();
        }
    }

    /// Rule: SES-13: after -429 at least 5 s, once.
    #[test]
    fn a_server_that_asks_for_patience_gets_it_once() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut backoff = Backoff::default();
        backoff.hold(Duration::from_secs(5));
        assert_eq!(backoff.next(&mut rng), Duration::from_secs(5));
        assert!(backoff.next(&mut rng) < Duration::from_secs(2));
    }
}
