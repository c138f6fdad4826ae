//! What links count.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// Handles, taken once.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub(super) ready: Gauge,
    pub(super) lost: Counter,
    pub(super) packets: Counter,
    pub(super) implausible: Counter,
    pub(super) answers: Counter,
    pub(super) slow: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        let count = |name: &'static str, text: &'static str| {
            describe_counter!(name, text);
            counter!(name)
        };
        describe_gauge!(READY, "Links to middle servers that are ready.");
        Self {
            ready: gauge!(READY),
            lost: count(
                "chappe_proxy_middle_links_lost_total",
                "Links to middle servers that were lost, or could not be made.",
            ),
            packets: count(
                "chappe_proxy_middle_packets_total",
                "Packets of clients for middle servers.",
            ),
            implausible: count(
                "chappe_proxy_middle_implausible_total",
                "Those of them that no client would send, and that went no further.",
            ),
            answers: count(
                "chappe_proxy_middle_answers_total",
                "Packets, errors and acknowledgements of middle servers for clients.",
            ),
            slow: count(
                "chappe_proxy_middle_slow_total",
                "Clients closed because too much of that waited for them.",
            ),
        }
    }
}

const READY: &str = "chappe_proxy_middle_links";
