//! How much a link takes from its peer, and how long it waits for it.

use std::time::Duration;

use crate::transport::{CLIENT_LIMIT, SERVER_LIMIT};

/// Limits and timers of a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Largest packet accepted from a peer that has proved a key. Default: 1 MiB − 4 KiB on a
    /// server (MSG-04), 4 MiB + 1 KiB on a client (MSG-05). A peer can make us hold this much.
    pub packet_max_bytes: usize,
    /// A server closes a link that has sent no complete packet after this. Default: 10 s (TRN-22).
    pub first_packet_wait_max: Duration,
    /// A server closes a link that has sent no complete packet for this long. Default: 10 min
    /// (TRN-42).
    pub idle_max: Duration,
    /// Transport errors sent in any one second before the link is closed. Default: 10 (TRN-33).
    pub errors_per_second_max: usize,
    /// Whether 404 ends the link like every other transport error. Default: no; a connection over
    /// WebSocket ends with the first one (WSK-16).
    pub errors_end: bool,
    /// Whether to speak MTProto 1.0. A server does with those who begin so (MSG-33), and costs
    /// each link a copy of its first packet; a client speaks nothing else then. Default: on for
    /// a server, off for a client, since 1.0 is the weaker one.
    pub mtproto1: bool,
}

impl LinkConfig {
    /// Defaults of a server.
    pub fn server() -> Self {
        Self {
            packet_max_bytes: SERVER_LIMIT,
            first_packet_wait_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(600),
            errors_per_second_max: 10,
            errors_end: false,
            mtproto1: true,
        }
    }

    /// Defaults of a client.
    pub fn client() -> Self {
        Self { packet_max_bytes: CLIENT_LIMIT, mtproto1: false, ..Self::server() }
    }
}
