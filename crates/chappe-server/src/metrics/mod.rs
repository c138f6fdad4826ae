//! What a server counts, through the facade of the crate `metrics`; docs/guide/observe.md lists it.
//!
//! Handles are taken from the recorder when the server is built, so a recorder has to be installed
//! before. Without one they do nothing. No label takes a value that a peer chooses.

mod family;
mod functions;

use std::collections::HashMap;

use chappe_net::End;
use chappe_proto::transport::Transport;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::connection::Carrier;

pub(crate) use family::{CounterFamily, Gauged};
pub(crate) use functions::Functions;

/// Every counter, gauge and histogram of a server.
pub(crate) struct Metrics {
    links: Vec<((Carrier, Option<Transport>), Gauge)>,
    /// Sessions that are reached by datagrams.
    paths: Gauge,
    pub(crate) links_opened: Counter,
    /// By `reason`.
    pub(crate) links_closed: CounterFamily,
    pub(crate) links_refused: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    /// By `kind`.
    pub(crate) packets_received: CounterFamily,
    /// By `kind`.
    pub(crate) packets_sent: CounterFamily,
    /// By `code`.
    pub(crate) transport_errors: CounterFamily,
    pub(crate) exchanges: Gauge,
    /// By `outcome`.
    pub(crate) handshakes: CounterFamily,
    pub(crate) handshake_duration: Histogram,
    pub(crate) keys_cached: Gauge,
    pub(crate) keys_destroyed: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) session_memory: Gauge,
    pub(crate) sessions_opened: Counter,
    pub(crate) sessions_forgotten: Counter,
    pub(crate) sessions_refused: Counter,
    pub(crate) functions: Functions,
    pub(crate) calls_running: Gauge,
    pub(crate) calls_refused: Counter,
    /// By `code`.
    pub(crate) messages_refused: CounterFamily,
    pub(crate) messages_repeated: Counter,
    /// By `kind`.
    pub(crate) messages_dropped: CounterFamily,
    pub(crate) pushes: Counter,
    pub(crate) future_salts: Counter,
}

const LINKS: &str = "chappe_server_links";
/// Why a link closed that could not keep up with what its session sent.
pub(crate) const OVERRUN: &str = "overrun";
/// Why a connection closed that was nothing yet: no handshake of TLS came about, or nothing in time.
pub(crate) const TLS: &str = "tls";
pub(crate) const SILENT: &str = "silent";
pub(crate) const OWNER: &str = "owner";
/// Kinds of packets.
pub(crate) const PLAIN: &str = "plain";
pub(crate) const MESSAGE: &str = "message";
/// What becomes of a handshake.
pub(crate) const CREATED: &str = "created";
pub(crate) const COLLISION: &str = "collision";
pub(crate) const STORE_FAILED: &str = "store_failed";
/// Kinds of messages that are given up.
pub(crate) const PUSH: &str = "push";
pub(crate) const ANSWER: &str = "answer";

impl Metrics {
    /// Takes the handles. `names` are those of the functions that the router knows, by id.
    pub(crate) fn new(names: HashMap<u32, &'static str>) -> Self {
        Self {
            links: links(),
            paths: gauge!(LINKS, "carrier" => "udp", "transport" => "mtu1"),
            links_opened: count(
                "chappe_server_links_opened_total",
                "Connections accepted, and sessions reached by datagrams.",
            ),
            links_closed: CounterFamily::new(
                "chappe_server_links_closed_total",
                "Connections that ended.",
                "reason",
                End::CAUSES.into_iter().chain([OVERRUN, TLS]),
            ),
            links_refused: count(
                "chappe_server_links_refused_total",
                "Connections closed at once, for there were too many in all or of one address.",
            ),
            received_bytes: count_bytes(
                "chappe_server_received_bytes_total",
                "Bytes read off connections.",
            ),
            sent_bytes: count_bytes(
                "chappe_server_sent_bytes_total",
                "Bytes written to connections.",
            ),
            packets_received: CounterFamily::new(
                "chappe_server_packets_received_total",
                "Packets that were opened.",
                "kind",
                [PLAIN, MESSAGE],
            ),
            packets_sent: CounterFamily::new(
                "chappe_server_packets_sent_total",
                "Packets handed to connections.",
                "kind",
                [PLAIN, MESSAGE],
            ),
            transport_errors: CounterFamily::new(
                "chappe_server_transport_errors_total",
                "Transport errors sent.",
                "code",
                ["404", "429", "444", "other"],
            ),
            exchanges: level(
                "chappe_server_handshakes",
                "Key exchanges remembered, those that have ended included.",
            ),
            handshakes: CounterFamily::new(
                "chappe_server_handshakes_total",
                "Key exchanges by what became of them.",
                "outcome",
                [CREATED, COLLISION, STORE_FAILED, "404", "429", "444", "other"],
            ),
            handshake_duration: seconds(
                "chappe_server_handshake_duration_seconds",
                "Time from the first message of a key exchange until its key is stored.",
            ),
            keys_cached: level("chappe_server_keys_cached", "Auth keys in memory."),
            keys_destroyed: count(
                "chappe_server_keys_destroyed_total",
                "Auth keys destroyed by their clients.",
            ),
            sessions: level("chappe_server_sessions", "Sessions open."),
            session_memory: level_bytes(
                "chappe_server_session_memory_bytes",
                "Memory of all sessions, as they reckon it.",
            ),
            sessions_opened: count(
                "chappe_server_sessions_opened_total",
                "Sessions opened, also such as had been forgotten.",
            ),
            sessions_forgotten: count(
                "chappe_server_sessions_forgotten_total",
                "Sessions forgotten: destroyed, idle for long, one too many, or with their key.",
            ),
            sessions_refused: count(
                "chappe_server_sessions_refused_total",
                "Messages answered with -429, for there were too many sessions or links of a key.",
            ),
            functions: Functions::new(names),
            calls_running: level("chappe_server_calls_running", "Calls whose handlers wait."),
            calls_refused: count(
                "chappe_server_calls_refused_total",
                "Calls answered with FLOOD_WAIT, for too many of a session were running.",
            ),
            messages_refused: CounterFamily::new(
                "chappe_server_messages_refused_total",
                "Messages answered with bad_msg_notification or bad_server_salt.",
                "code",
                ["16", "17", "18", "19", "20", "32", "33", "34", "35", "48", "64", "other"],
            ),
            messages_repeated: count(
                "chappe_server_messages_repeated_total",
                "Messages that came again and were not run.",
            ),
            messages_dropped: CounterFamily::new(
                "chappe_server_messages_dropped_total",
                "Messages given up because their client acknowledged too little.",
                "kind",
                [PUSH, ANSWER],
            ),
            pushes: count("chappe_server_pushes_total", "Messages sent that nobody asked for."),
            future_salts: count("chappe_server_future_salts_total", "Answers to get_future_salts."),
        }
    }

    /// Counts a session that is reached by datagrams among the links that are open, until dropped.
    pub(crate) fn open_path(&self) -> Gauged {
        Gauged::new(&self.paths)
    }

    /// Counts a link among those that are open, by what it speaks in what, until dropped.
    pub(crate) fn open_link(&self, carrier: Carrier, transport: Option<Transport>) -> Gauged {
        let known = self.links.iter().find(|(of, _)| *of == (carrier, transport));
        Gauged::new(known.map_or(&self.links[0].1, |(_, gauge)| gauge))
    }
}

/// A transport error as the value of a label.
pub(crate) fn code_name(code: i32) -> &'static str {
    match code {
        404 => "404",
        429 => "429",
        444 => "444",
        _ => "other",
    }
}

/// A gauge for each transport in each carrier, and one for links of which nothing is known.
fn links() -> Vec<((Carrier, Option<Transport>), Gauge)> {
    describe_gauge!(LINKS, "Connections open, and sessions reached by datagrams.");
    let mut links = Vec::new();
    for carrier in Carrier::ALL {
        let unknown = gauge!(LINKS, "carrier" => carrier.name(), "transport" => "unknown");
        links.push(((carrier, None), unknown));
        for transport in Transport::ALL.into_iter().filter(|spoken| carrier.carries(*spoken)) {
            let name = transport.to_string();
            let gauge = gauge!(LINKS, "carrier" => carrier.name(), "transport" => name);
            links.push(((carrier, Some(transport)), gauge));
        }
    }
    links
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

fn level_bytes(name: &'static str, text: &'static str) -> Gauge {
    describe_gauge!(name, Unit::Bytes, text);
    gauge!(name)
}

fn seconds(name: &'static str, text: &'static str) -> Histogram {
    describe_histogram!(name, Unit::Seconds, text);
    histogram!(name)
}
