//! How a server is spoken to, and what to try when a network lets one way not pass.

use std::fmt;

/// What carries packets to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Way {
    /// TCP, in the transport that [`Builder::transport`](crate::Builder::transport) sets.
    Tcp,
    /// TCP, in that framing behind obfuscation, so that it looks like nothing in particular.
    Obfuscated,
    /// WebSocket, in that framing behind obfuscation.
    WebSocket,
    /// WebSocket inside TLS, which nobody on the way can tell from a visit to a web site.
    WebSocketTls,
    /// Requests of HTTP, which pass where nothing else does. Two connections, and a request for
    /// each packet: by far the dearest.
    Http,
    /// The same inside TLS.
    Https,
}

/// What to try when the first way is blocked: when nobody accepts connections, or takes one and
/// says not a byte.
///
/// What has worked is used from then on, and left only when it fails twice in a row. Each further
/// way costs the time in which the one before it turns out to be blocked: that of a connection, and
/// 5 s in which nothing comes on one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fallback(Vec<Way>);

impl Fallback {
    /// Nothing else: a blocked way is tried until it is free.
    pub fn none() -> Self {
        Self::default()
    }

    /// TCP, behind obfuscation too, WebSocket inside TLS, HTTP inside TLS and without: what costs
    /// least first.
    pub fn all() -> Self {
        Self(vec![Way::Tcp, Way::Obfuscated, Way::WebSocketTls, Way::Https, Way::Http])
    }

    /// These, in this order.
    pub fn to(ways: impl IntoIterator<Item = Way>) -> Self {
        Self(ways.into_iter().collect())
    }

    /// The first way and those to try after it.
    pub(crate) fn after(&self, first: Way) -> Vec<Way> {
        let mut ways = vec![first];
        for way in &self.0 {
            if !ways.contains(way) {
                ways.push(*way);
            }
        }
        ways
    }
}

impl Way {
    /// The name in settings and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Obfuscated => "obfuscated",
            Self::WebSocket => "ws",
            Self::WebSocketTls => "wss",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether TLS is around it.
    pub const fn has_tls(self) -> bool {
        matches!(self, Self::WebSocketTls | Self::Https)
    }

    /// Whether packets go in requests.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether it begins with a request of HTTP.
    pub(crate) const fn is_web(self) -> bool {
        !matches!(self, Self::Tcp | Self::Obfuscated)
    }

    /// The port that URLs need not name.
    pub(crate) const fn web_port(self) -> u16 {
        if self.has_tls() { 443 } else { 80 }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
