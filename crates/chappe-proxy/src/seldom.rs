//! What strangers can have the log say, as often as they like: some lines a minute, then a count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Bounds lines of the log, of each kind by itself.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<HashMap<&'static str, Kind>>);

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// When the minute began, on the monotonic clock.
    begun: Duration,
    said: u32,
    left_out: u64,
}

/// Lines of one kind that are said in a minute.
const LINES_MAX: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

impl Seldom {
    /// Whether one more line of that kind is to be said: then how many were left out since the last
    /// one was. `mono` is the monotonic clock.
    pub fn admit(&self, kind: &'static str, mono: Duration) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(kind).or_default();
        if mono.saturating_sub(kind.begun) >= MINUTE {
            *kind = Kind { begun: mono, said: 0, ..*kind };
        }
        if kind.said >= LINES_MAX {
            kind.left_out += 1;
            return None;
        }
        kind.said += 1;
        Some(std::mem::take(&mut kind.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules: PRX-27: replays are logged, a bounded number of them a minute, and how many more there
    ///        were is said with the next; what else is logged has bounds of its own.
    #[test]
    fn lines_are_bounded_by_kind_and_what_is_left_out_is_counted() {
        let seldom = Seldom::default();
        let at = Duration::from_secs;
        for _ in 0..LINES_MAX {
            assert_eq!(seldom.admit("replay", at(5)), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(seldom.admit("replay", at(59)), None);
        }
        assert_eq!(seldom.admit("site", at(59)), Some(0));
        assert_eq!(seldom.admit("replay", at(61)), Some(1000));
        assert_eq!(seldom.admit("replay", at(61)), Some(0));
    }
}
