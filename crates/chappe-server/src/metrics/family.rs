//! Counters that differ in one label, and gauges that count what is alive.

use metrics::{Counter, Gauge, counter, describe_counter};

/// One counter for each value of a label. What has another value counts as the last.
pub(crate) struct CounterFamily(Vec<(&'static str, Counter)>);

impl CounterFamily {
    pub(super) fn new(
        name: &'static str,
        text: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        describe_counter!(name, text);
        let counters = values.into_iter().map(|value| (value, counter!(name, label => value)));
        Self(counters.collect())
    }

    pub(crate) fn add(&self, value: &str, count: u64) {
        let known = self.0.iter().find(|(known, _)| *known == value).or(self.0.last());
        if let Some((_, counter)) = known {
            counter.increment(count);
        }
    }
}

/// Counts for one on a gauge until dropped.
#[must_use]
pub(crate) struct Gauged(Gauge);

impl Gauged {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
