//! What is known of the whole proxy, for whoever asks.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::server::Handle;

/// What a proxy has counted since its start, and what it holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Connections open.
    pub connections: usize,
    /// Connections accepted.
    pub accepted_total: u64,
    /// Those closed before a byte was read, by why.
    pub rejected_total: BTreeMap<&'static str, u64>,
    /// Those of users who were recognised, by the form in which they came.
    pub handshakes_total: BTreeMap<&'static str, u64>,
    /// Those of nobody known, by what gave them away.
    pub strangers_total: BTreeMap<&'static str, u64>,
    /// Those that began with a hello of a user and nothing good after it.
    pub broken_total: u64,
    /// Those of users that were closed for a limit of theirs, by which.
    pub refused_total: BTreeMap<&'static str, u64>,
    /// Those of users that are over, by why.
    pub ended_total: BTreeMap<&'static str, u64>,
    /// Strangers shown a web site now.
    pub masked: usize,
    /// Strangers who were shown one.
    pub masked_total: u64,
    /// Strangers for whom the web site was not to be had.
    pub masked_failed_total: u64,
    /// Strangers who saw nothing, for too many were shown a web site.
    pub masked_refused_total: u64,
    /// Bytes from users.
    pub bytes_up: u64,
    /// Bytes to users.
    pub bytes_down: u64,
    /// Bytes that wait for slow ends.
    pub held_bytes: usize,
    /// Connections closed because too many bytes waited.
    pub evicted_total: u64,
    /// Connections of users that their data centre answered with an error alone: replays perhaps.
    pub suspected_replays_total: u64,
    /// Times that the settings were replaced.
    pub reloads_total: u64,
    /// Times that new settings were of no use.
    pub reloads_failed_total: u64,
}

impl Handle {
    /// What is known of the whole proxy.
    pub fn totals(&self) -> Totals {
        let shared = &self.shared;
        let metrics = &shared.metrics;
        let users = self.statistics();
        Totals {
            uptime_seconds: shared.clock.now().mono.as_secs(),
            connections: shared.connections.len(),
            accepted_total: metrics.accepted.total(),
            rejected_total: metrics.rejected.totals(),
            handshakes_total: metrics.handshakes.totals(),
            strangers_total: metrics.strangers.totals(),
            broken_total: metrics.broken.total(),
            refused_total: metrics.refused.totals(),
            ended_total: metrics.ended.totals(),
            masked: shared.masked.len(),
            masked_total: metrics.masked_total.total(),
            masked_failed_total: metrics.masked_failed.total(),
            masked_refused_total: metrics.masked_refused.total(),
            bytes_up: users.iter().map(|user| user.bytes_up).sum(),
            bytes_down: users.iter().map(|user| user.bytes_down).sum(),
            held_bytes: shared.memory.held(),
            evicted_total: metrics.evicted.total(),
            suspected_replays_total: users.iter().map(|user| user.suspected_replays_total).sum(),
            reloads_total: metrics.reloads.total(),
            reloads_failed_total: metrics.reloads_failed.total(),
        }
    }
}
