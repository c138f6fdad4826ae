//! What a client counts, through the facade of the crate `metrics`; docs/guide/observe.md lists it.
//!
//! Handles are taken from the recorder when the client is made. All clients of a process count
//! together. No label takes a value that a peer chooses.

use std::time::Duration;

use chappe_net::End;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::error::{InvokeError, LinkError};

/// Every counter, gauge and histogram of a client.
#[derive(Debug)]
pub(crate) struct Metrics {
    calls: Vec<(&'static str, Counter)>,
    call_duration: Histogram,
    pub(crate) calls_open: Gauge,
    pub(crate) links_opened: Counter,
    links_lost: Vec<(&'static str, Counter)>,
    pub(crate) handshakes: Counter,
    pub(crate) handshake_duration: Histogram,
    pub(crate) round_trip: Histogram,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
}

/// What becomes of calls.
const OUTCOMES: [&str; 8] =
    ["ok", "error", "refused", "unknown", "unreachable", "key_lost", "closed", "given_up"];
/// Why there is no link, beside what ends one that was open.
const CAUSES: [&str; 12] = [
    "connect",
    "exchange",
    "transport_error",
    "message",
    "plain",
    "silent",
    "deaf",
    "untimely",
    "saltless",
    "key_dead",
    "binding",
    "storage",
];

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            calls: family(
                "chappe_client_calls_total",
                "Calls by what became of them.",
                "outcome",
                OUTCOMES,
            ),
            call_duration: seconds(
                "chappe_client_call_duration_seconds",
                "Time from the call until its result.",
            ),
            calls_open: level("chappe_client_calls_open", "Calls without a result."),
            links_opened: count("chappe_client_links_opened_total", "Connections made."),
            links_lost: family(
                "chappe_client_links_lost_total",
                "Connections that ended or could not be made.",
                "cause",
                CAUSES
                    .into_iter()
                    .chain(End::CAUSES.into_iter().filter(|end| !CAUSES.contains(end))),
            ),
            handshakes: count("chappe_client_handshakes_total", "Auth keys made."),
            handshake_duration: seconds(
                "chappe_client_handshake_duration_seconds",
                "Time from the first message of a key exchange until the key.",
            ),
            round_trip: seconds(
                "chappe_client_round_trip_seconds",
                "Time from a ping until its pong.",
            ),
            received_bytes: count_bytes(
                "chappe_client_received_bytes_total",
                "Bytes read off connections.",
            ),
            sent_bytes: count_bytes(
                "chappe_client_sent_bytes_total",
                "Bytes written to connections.",
            ),
        }
    }

    /// Counts a call that is over; `None` if its caller gave it up. Says what it is counted as.
    pub(crate) fn called(
        &self,
        result: Option<Result<(), &InvokeError>>,
        took: Duration,
    ) -> &'static str {
        let outcome = match result {
            Some(Ok(())) => "ok",
            Some(Err(error)) => match error {
                InvokeError::Refused { .. } => "refused",
                InvokeError::Unknown(_) => "unknown",
                InvokeError::Unreachable(_) | InvokeError::Misconfigured(_) => "unreachable",
                InvokeError::KeyLost => "key_lost",
                InvokeError::Closed => "closed",
                _ => "error",
            },
            None => "given_up",
        };
        add(&self.calls, outcome);
        self.call_duration.record(took);
        outcome
    }

    /// Counts a link lost, or one that could not be had.
    pub(crate) fn lost(&self, error: &LinkError) {
        add(
            &self.links_lost,
            match error {
                LinkError::Connect(_) => "connect",
                LinkError::Exchange(_) | LinkError::ExchangeTimeout(_) => "exchange",
                LinkError::WrongDc { .. } | LinkError::Transport { .. } => "transport_error",
                LinkError::Message(_) => "message",
                LinkError::Unencrypted => "plain",
                LinkError::Silent => "silent",
                LinkError::Deaf => "deaf",
                LinkError::Untimely => "untimely",
                LinkError::Saltless => "saltless",
                LinkError::KeyDead => "key_dead",
                LinkError::PfsUnsupported(_) | LinkError::BindRefused(_) => "binding",
                LinkError::Storage(_) => "storage",
                LinkError::Ended(end) => end.cause(),
            },
        );
    }
}

fn add(family: &[(&'static str, Counter)], value: &str) {
    let known = family.iter().find(|(known, _)| *known == value).or(family.last());
    if let Some((_, counter)) = known {
        counter.increment(1);
    }
}

fn family(
    name: &'static str,
    text: &'static str,
    label: &'static str,
    values: impl IntoIterator<Item = &'static str>,
) -> Vec<(&'static str, Counter)> {
    describe_counter!(name, text);
    values.into_iter().map(|value| (value, counter!(name, label => value))).collect()
}

fn count(name: &'static str, text: &'static str) -> Counter {
    describe_counter!(name, text);
    counter!(name)
}

fn count_bytes(name: &'static str, text: &'static str) -> Counter {
    describe_counter!(name, Unit::Bytes, text);
    counter!(name)
}

fn level(name: &'static str, text: &'static str) -> Gauge {
    describe_gauge!(name, text);
    gauge!(name)
}

fn seconds(name: &'static str, text: &'static str) -> Histogram {
    describe_histogram!(name, Unit::Seconds, text);
    histogram!(name)
}
