//! Limits and timers of a server.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use chappe_net::DriveConfig;
use chappe_net::http::HttpConfig;
use chappe_net::limits::ConnectionLimits;
use chappe_proto::handshake::server::HandshakeConfig;
use chappe_proto::link::LinkConfig;
use chappe_proto::session::server::SessionConfig;
use chappe_proto::transport::DetectConfig;
use ipnet::IpNet;

use crate::error::BuildError;
use crate::middle::MiddleSettings;

/// Everything that can be set; the defaults are those of the specification.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// What may be spoken on the listeners. Default: everything but TLS, which needs a certificate.
    pub detect: DetectConfig,
    /// Who has to say, by the PROXY protocol, on whose behalf it connects. Default: nobody. From
    /// everybody else that protocol is not understood.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Whose `X-Real-IP` and `X-Forwarded-For` are believed (HTP-32). Default: nobody's.
    pub forwarded_from: Vec<IpNet>,
    /// How WebSockets are accepted.
    pub websocket: WebSocketSettings,
    /// Packets and timers of a connection.
    pub link: LinkConfig,
    /// Experimental datagrams, where [`Serve::experimental_udp`](crate::Serve::experimental_udp)
    /// has them served.
    pub datagrams: chappe_proto::datagram::ServerConfig,
    /// Links of proxies, where [`Serve::middle`](crate::Serve::middle) has them accepted.
    pub middle: MiddleSettings,
    /// Requests of HTTP.
    pub http: HttpConfig,
    /// How much may wait for a slow connection.
    pub drive: DriveConfig,
    /// Connections in all and of one address.
    pub connections: ConnectionLimits,
    /// Key exchanges: which data centre this is, old clients, how many at once.
    pub handshake: HandshakeConfig,
    /// Windows, queues and timers of one session.
    pub session: SessionConfig,
    /// How many sessions there may be, and for how long.
    pub sessions: SessionLimits,
    /// Keys remembered while nobody uses them. Default: 10 000. Each costs about 1 KiB and saves
    /// a query when its client comes back.
    pub keys_unused_max: usize,
    /// Take calls under temporary keys alone: under a permanent key they get 400
    /// `TEMP_AUTH_KEY_EMPTY`. Default: false, for many clients know no temporary keys (PFS-15).
    pub pfs_only: bool,
    /// Answer 400 `EXPIRES_AT_INVALID` to a binding that would end in the past; otherwise
    /// `ENCRYPTED_MESSAGE_INVALID`, as older servers did. Default: true (07-pfs §3).
    pub expiry_errors: bool,
    /// Layers that `initConnection` may name. Default: any from 1.
    pub layers: RangeInclusive<i32>,
    /// Largest result of a call. Default: 4 MiB, as much as clients accept (MSG-05). Larger ones
    /// are a fault of the handler and answered with 500.
    pub result_max_bytes: usize,
    /// At a graceful shutdown, longest wait for running calls and their answers. Default: 10 s.
    pub drain_max: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let mut detect = DetectConfig::default();
        (detect.http, detect.websocket) = (true, true);
        Self {
            detect,
            proxy_protocol_from: Vec::new(),
            forwarded_from: Vec::new(),
            websocket: WebSocketSettings::default(),
            link: LinkConfig::server(),
            datagrams: chappe_proto::datagram::ServerConfig::default(),
            middle: MiddleSettings::default(),
            http: HttpConfig::default(),
            drive: DriveConfig::default(),
            connections: ConnectionLimits::default(),
            handshake: HandshakeConfig::default(),
            session: SessionConfig::default(),
            sessions: SessionLimits::default(),
            keys_unused_max: 10_000,
            pfs_only: false,
            expiry_errors: true,
            layers: 1..=i32::MAX,
            result_max_bytes: 4 << 20,
            drain_max: Duration::from_secs(10),
        }
    }
}

/// How many sessions there may be, and for how long.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionLimits {
    /// Sessions of one key; the least recently used without a connection is forgotten for a new
    /// one. Default: 64 (SES-07).
    pub per_key_max: usize,
    /// Connections of one key; more get -429. Default: 16 (SES-07).
    pub links_per_key_max: usize,
    /// The same for connections of HTTP, of which a client opens one for each call that it waits
    /// for. Default: 100. One costs some 20 KiB while it is open.
    pub http_links_per_key_max: usize,
    /// Sessions in all. Default: 200 000. One costs some 4 KiB, and what its client does not
    /// acknowledge.
    pub total_max: usize,
    /// Memory of all sessions, as they reckon it: what is unacknowledged, running and remembered.
    /// Default: 2 GiB. Beyond it the least recently used session without a connection is
    /// forgotten (SES-06); where there is none, one that grows and has more than its share.
    pub memory_max_bytes: usize,
    /// A session without a connection is forgotten after this. Default: 15 min (SES-06).
    pub idle_max: Duration,
    /// Ids of forgotten sessions are remembered for this long, against replays. Default: 330 s
    /// (MSG-39); less than the 300 s that a message may be old would allow some.
    pub ids_kept: Duration,
    /// Messages and pushes that wait for a session before its links wait, too. Default: 64.
    pub inputs_max: usize,
    /// Their bytes. Default: 2 MiB, at most 4 GiB. A packet larger than this waits alone.
    pub inputs_max_bytes: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            per_key_max: 64,
            links_per_key_max: 16,
            http_links_per_key_max: 100,
            total_max: 200_000,
            memory_max_bytes: 2 << 30,
            idle_max: Duration::from_secs(15 * 60),
            ids_kept: Duration::from_secs(330),
            inputs_max: 64,
            inputs_max_bytes: 2 << 20,
        }
    }
}

/// How WebSockets are accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebSocketSettings {
    /// Accept clients that offer no subprotocol; browsers that offer `binary` have to get it.
    /// Default: false (WSK-04).
    pub without_subprotocol: bool,
    /// Origins of web pages whose scripts may connect, such as `https://web.example.org`; others
    /// get 403. Default: none, which accepts every page (WSK-06).
    pub origins: Vec<String>,
    /// Time between pings that keep proxies on the way from closing the connection. Default: 30 s;
    /// 0 for none (WSK-14).
    pub ping_interval: Duration,
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self {
            without_subprotocol: false,
            origins: Vec::new(),
            ping_interval: Duration::from_secs(30),
        }
    }
}

impl ServerConfig {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let at_least_one = [
            ("sessions.per_key_max", self.sessions.per_key_max),
            ("sessions.links_per_key_max", self.sessions.links_per_key_max),
            ("sessions.http_links_per_key_max", self.sessions.http_links_per_key_max),
            ("sessions.total_max", self.sessions.total_max),
            ("sessions.inputs_max", self.sessions.inputs_max),
            ("sessions.inputs_max_bytes", self.sessions.inputs_max_bytes),
            ("connections.total_max", self.connections.total_max),
            ("connections.per_address_max", self.connections.per_address_max),
            ("detect.transports", self.detect.transports.len()),
        ];
        for (setting, value) in at_least_one {
            if value == 0 {
                let value = value.to_string();
                return Err(BuildError::Setting { setting, value, need: "has to be at least 1" });
            }
        }
        if self.drive.outbound_soft_max_bytes > self.drive.outbound_max_bytes {
            return Err(BuildError::Setting {
                setting: "drive.outbound_soft_max_bytes",
                value: self.drive.outbound_soft_max_bytes.to_string(),
                need: "may not exceed drive.outbound_max_bytes",
            });
        }
        if self.layers.is_empty() {
            return Err(BuildError::Setting {
                setting: "layers",
                value: format!("{:?}", self.layers),
                need: "has to hold at least one layer",
            });
        }
        Ok(())
    }
}

/// Whether an address is in one of the networks.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
