//! What the proxy counts, through the facade `metrics`: whoever runs it chooses the recorder. What
//! [`Totals`](crate::Totals) tell is counted here as well, for a recorder cannot be asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::front::{Mode, Stranger};
use crate::relay::End;
use crate::users::{self, Direction, Refusal};

/// Handles, taken once.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) accepted: Count,
    pub(crate) open: Gauge,
    pub(crate) rejected: Family,
    pub(crate) handshakes: Family,
    pub(crate) strangers: Family,
    pub(crate) broken: Count,
    pub(crate) suspected_replays: Counter,
    pub(crate) refused: Family,
    pub(crate) masked: Gauge,
    pub(crate) masked_total: Count,
    pub(crate) masked_failed: Count,
    pub(crate) masked_refused: Count,
    /// From strangers, and to them.
    pub(crate) masked_bytes: [Counter; 2],
    pub(crate) ended: Family,
    pub(crate) duration: Histogram,
    pub(crate) held: Gauge,
    pub(crate) evicted: Arc<Count>,
    pub(crate) reloads: Count,
    pub(crate) reloads_failed: Count,
    pub(crate) middle_fetches: Family,
    pub(crate) middle_fetched: Gauge,
}

/// Why a connection was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Too many are open, in all or from its address.
    Connections,
    /// Too many came from its address within a second.
    Rate,
    /// It comes from where nobody is served.
    Denied,
    /// Too many bytes wait.
    Memory,
    /// It does not begin as a load balancer has to.
    ProxyProtocol,
}

impl Rejected {
    const ALL: [(Self, &str); 5] = [
        (Self::Connections, "connections"),
        (Self::Rate, "rate"),
        (Self::Denied, "denied"),
        (Self::Memory, "memory"),
        (Self::ProxyProtocol, "proxy-protocol"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }
}

/// What came of fetching the list of middle servers, or their secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// What was known.
    Same,
    /// Something else, which is of use.
    Changed,
    /// What is of no use.
    Unusable,
    /// No answer, or one that says that there is nothing.
    Failed,
}

impl Fetched {
    const ALL: [(Self, &str); 4] = [
        (Self::Same, "same"),
        (Self::Changed, "changed"),
        (Self::Unusable, "unusable"),
        (Self::Failed, "failed"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }
}

/// A counter that knows its count.
#[derive(Debug)]
pub(crate) struct Count {
    counter: Counter,
    total: AtomicU64,
}

impl Default for Count {
    /// One that nobody is told of.
    fn default() -> Self {
        Self::new(Counter::noop())
    }
}

impl Count {
    fn new(counter: Counter) -> Self {
        Self { counter, total: AtomicU64::new(0) }
    }

    pub(crate) fn increment(&self, by: u64) {
        self.counter.increment(by);
        self.total.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// One counter for each value of a label.
#[derive(Debug)]
pub(crate) struct Family(Vec<(&'static str, Count)>);

impl Family {
    fn new(
        name: &'static str,
        text: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        describe_counter!(name, text);
        let count = |value| (value, Count::new(counter!(name, label => value)));
        Self(values.into_iter().map(count).collect())
    }

    /// The count of each value.
    pub(crate) fn totals(&self) -> BTreeMap<&'static str, u64> {
        self.0.iter().map(|(value, count)| (*value, count.total())).collect()
    }

    fn count(&self, value: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == value) {
            counter.increment(1);
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        describe_counter!(ACCEPTED, "Connections accepted.");
        describe_gauge!(OPEN, "Connections open.");
        describe_counter!(
            BROKEN,
            "Connections that began with a hello of a user and nothing good after it."
        );
        describe_counter!(
            SUSPECTED_REPLAYS,
            "Connections of users to which their data centre answered with an error alone."
        );
        describe_gauge!(MASKED, "Strangers shown a web site now.");
        describe_counter!(MASKED_TOTAL, "Strangers who were shown a web site.");
        describe_counter!(MASKED_FAILED, "Strangers for whom the web site was not to be had.");
        describe_counter!(
            MASKED_REFUSED,
            "Strangers who saw nothing, for too many were shown a web site."
        );
        describe_counter!(MASKED_BYTES, "Bytes of strangers who were shown a web site.");
        describe_histogram!(DURATION, "How long connections of users lasted, in seconds.");
        describe_gauge!(HELD, "Bytes that wait for slow ends.");
        describe_counter!(EVICTED, "Connections closed because too many bytes waited.");
        describe_counter!(RELOADS, "Times that the settings were replaced.");
        describe_counter!(RELOADS_FAILED, "Times that new settings were of no use.");
        describe_gauge!(
            MIDDLE_FETCHED,
            "When the older of the two was fetched, in seconds since 1970; 0 while that never was."
        );
        describe_counter!(users::BYTES, "Bytes that passed, by user and direction.");
        describe_gauge!(users::OPEN, "Connections open, by user.");
        describe_gauge!(users::ADDRESSES, "Distinct addresses of these, by user.");
        describe_counter!(
            CENTRE_CONNECTIONS,
            "Connections to data centres, and how they came about."
        );
        describe_gauge!(CENTRE_OPEN, "Connections of users open, by data centre.");
        describe_counter!(CENTRE_BYTES, "Bytes of users, by data centre and direction.");
        Self {
            accepted: Count::new(counter!(ACCEPTED)),
            open: gauge!(OPEN),
            rejected: Family::new(
                "chappe_proxy_rejected_total",
                "Connections closed before a byte was read.",
                "reason",
                Rejected::ALL.map(|(_, name)| name),
            ),
            handshakes: Family::new(
                "chappe_proxy_handshakes_total",
                "Users recognised, by the form in which they came.",
                "mode",
                Mode::ALL.map(Mode::name),
            ),
            strangers: Family::new(
                "chappe_proxy_strangers_total",
                "Connections of nobody known, by what gave them away.",
                "reason",
                Stranger::ALL.map(Stranger::name),
            ),
            broken: Count::new(counter!(BROKEN)),
            suspected_replays: counter!(SUSPECTED_REPLAYS),
            refused: Family::new(
                "chappe_proxy_refused_total",
                "Connections of users closed for one of their limits.",
                "reason",
                Refusal::ALL.map(Refusal::name),
            ),
            masked: gauge!(MASKED),
            masked_total: Count::new(counter!(MASKED_TOTAL)),
            masked_failed: Count::new(counter!(MASKED_FAILED)),
            masked_refused: Count::new(counter!(MASKED_REFUSED)),
            masked_bytes: ["up", "down"].map(|way| counter!(MASKED_BYTES, "direction" => way)),
            ended: Family::new(
                "chappe_proxy_ended_total",
                "Connections of users that are over, by why.",
                "reason",
                End::ALL.map(End::name),
            ),
            duration: histogram!(DURATION),
            held: gauge!(HELD),
            evicted: Arc::new(Count::new(counter!(EVICTED))),
            reloads: Count::new(counter!(RELOADS)),
            reloads_failed: Count::new(counter!(RELOADS_FAILED)),
            middle_fetches: Family::new(
                "chappe_proxy_middle_fetches_total",
                "Times that the list of middle servers, or their secret, was fetched or not to be had.",
                "outcome",
                Fetched::ALL.map(|(_, name)| name),
            ),
            middle_fetched: gauge!(MIDDLE_FETCHED),
        }
    }

    pub(crate) fn rejected(&self, reason: Rejected) {
        self.rejected.count(reason.name());
    }

    pub(crate) fn handshake(&self, mode: Mode) {
        self.handshakes.count(mode.name());
    }

    pub(crate) fn stranger(&self, stranger: Stranger) {
        self.strangers.count(stranger.name());
    }

    pub(crate) fn broken(&self) {
        self.broken.increment(1);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused.count(refusal.name());
    }

    pub(crate) fn middle_fetched(&self, fetched: Fetched) {
        self.middle_fetches.count(fetched.name());
    }

    pub(crate) fn ended(&self, end: End) {
        self.ended.count(end.name());
    }
}

/// One connection to a data centre that came about or did not (PRX-19); `family` is that of the
/// address, where there was one.
pub(crate) fn count_centre(dc: i16, outcome: &'static str, family: &'static str) {
    let dc = dc.to_string();
    counter!(CENTRE_CONNECTIONS, "dc" => dc, "outcome" => outcome, "family" => family).increment(1);
}

/// A connection of a user to a data centre, as it is counted.
pub(crate) struct CentreCount {
    bytes: [Counter; 2],
    _open: Gauged,
}

impl CentreCount {
    pub(crate) fn new(dc: i16) -> Self {
        let bytes = |way| counter!(CENTRE_BYTES, "dc" => dc.to_string(), "direction" => way);
        let open = Gauged::new(&gauge!(CENTRE_OPEN, "dc" => dc.to_string()));
        Self { bytes: ["up", "down"].map(bytes), _open: open }
    }

    pub(crate) fn pass(&self, direction: Direction, bytes: usize) {
        self.bytes[usize::from(direction == Direction::Down)].increment(bytes as u64);
    }
}

/// Counts for one on a gauge until dropped.
#[derive(Debug)]
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

const CENTRE_CONNECTIONS: &str = "chappe_proxy_centre_connections_total";
const CENTRE_OPEN: &str = "chappe_proxy_centre_connections";
const CENTRE_BYTES: &str = "chappe_proxy_centre_bytes_total";
const ACCEPTED: &str = "chappe_proxy_accepted_total";
const OPEN: &str = "chappe_proxy_connections";
const BROKEN: &str = "chappe_proxy_broken_total";
const SUSPECTED_REPLAYS: &str = "chappe_proxy_suspected_replays_total";
const MASKED: &str = "chappe_proxy_masked";
const MASKED_TOTAL: &str = "chappe_proxy_masked_total";
const MASKED_FAILED: &str = "chappe_proxy_masked_failed_total";
const MASKED_REFUSED: &str = "chappe_proxy_masked_refused_total";
const MASKED_BYTES: &str = "chappe_proxy_masked_bytes_total";
const DURATION: &str = "chappe_proxy_connection_duration_seconds";
const HELD: &str = "chappe_proxy_held_bytes";
const EVICTED: &str = "chappe_proxy_evicted_total";
const RELOADS: &str = "chappe_proxy_reloads_total";
const RELOADS_FAILED: &str = "chappe_proxy_reloads_failed_total";
const MIDDLE_FETCHED: &str = "chappe_proxy_middle_fetched_timestamp_seconds";
