//! When each message is due: at even distances, whatever became of those before.

use std::time::Duration;

/// The times at which messages are due, since the beginning.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    rate: f64,
    end: Duration,
    number: u32,
}

impl Pace {
    /// `rate` messages a second, until `end`.
    pub(super) fn new(rate: f64, end: Duration) -> Self {
        Self { rate, end, number: 0 }
    }
}

impl Iterator for Pace {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // From the beginning each time, so that nothing adds up.
        let due = Duration::from_secs_f64(f64::from(self.number) / self.rate);
        self.number += 1;
        (due < self.end).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_even_distances() {
        let millis = |rate, seconds| {
            let pace = Pace::new(rate, Duration::from_secs(seconds));
            pace.map(|due| due.as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(millis(4.0, 1), [0, 250, 500, 750]);
        assert_eq!(millis(0.4, 5), [0, 2500]);
        assert_eq!(millis(0.1, 5), [0]);
        assert_eq!(Pace::new(700.0, Duration::from_secs(60)).count(), 42_000);
    }
}
