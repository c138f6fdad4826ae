//! How long things took: the middle, the slowest hundredth and the slowest of all.

use std::time::Duration;

/// How long things took. All zero where there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spread {
    /// Half of them took no longer.
    pub(super) p50: Duration,
    /// 99 of 100 took no longer.
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl Spread {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let Some(max) = times.last().copied() else { return Self::default() };
        Self { p50: at(&times, 50), p99: at(&times, 99), max }
    }
}

/// The smallest time that so many of a hundred do not exceed.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        check(&[], [0, 0, 0]);
        check(&[7], [7, 7, 7]);
        check(&[3, 1, 2], [2, 3, 3]);
        let mut hundred: Vec<u64> = (1..=100).collect();
        hundred.reverse();
        check(&hundred, [50, 99, 100]);
        let two_hundred: Vec<u64> = (1..=200).collect();
        check(&two_hundred, [100, 198, 200]);
    }

    fn check(times: &[u64], expected: [u64; 3]) {
        let [p50, p99, max] = expected.map(Duration::from_millis);
        let times = times.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(Spread::of(times), Spread { p50, p99, max });
    }
}
