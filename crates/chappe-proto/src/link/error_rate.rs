//! How many transport errors one link may draw from us (TRN-33).

use std::collections::VecDeque;
use std::time::Duration;

use crate::now::Now;
use crate::spare::Part;

/// When transport errors were sent, as far back as a second.
#[derive(Debug, Default)]
pub(super) struct ErrorRate(VecDeque<Duration>);

impl Part for ErrorRate {
    const EMPTY: &'static Self = &Self(VecDeque::new());

    /// Who has drawn errors may draw more.
    fn rest(&mut self) -> bool {
        self.0.is_empty()
    }
}

impl ErrorRate {
    /// Whether another may be sent, which then counts.
    pub(super) fn admit(&mut self, now: Now, per_second_max: usize) -> bool {
        let is_old = |sent: &Duration| now.mono.saturating_sub(*sent) >= Duration::from_secs(1);
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        let is_admitted = self.0.len() < per_second_max;
        if is_admitted {
            self.0.push_back(now.mono);
        }
        is_admitted
    }
}
