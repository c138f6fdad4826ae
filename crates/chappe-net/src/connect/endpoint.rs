//! A host and a port.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// Where something listens: a host, by name or by address, and a port.
///
/// Text: `host:port`, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Arc<str>,
    port: u16,
}

/// No endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither a name nor an address.
    #[error("`{0}` is no host")]
    Host(String),
    /// It is not between 1 and 65535.
    #[error("`{0}` is no port, which is a number from 1 to 65535")]
    Port(String),
    /// There is none.
    #[error("`{0}` names no port; write HOST:PORT")]
    NoPort(String),
}

impl Endpoint {
    /// A host without brackets, and a port.
    ///
    /// # Errors
    ///
    /// The host is empty, longer than 255 bytes or has characters that no host has, or the port
    /// is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        let is_address = host.parse::<IpAddr>().is_ok();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || byte > 0x7f;
        if !is_address && (host.is_empty() || host.len() > HOST_MAX || !host.bytes().all(fits)) {
            return Err(EndpointError::Host(host.to_owned()));
        }
        if port == 0 {
            return Err(EndpointError::Port(port.to_string()));
        }
        Ok(Self { host: host.into(), port })
    }

    /// The name or address, an IPv6 one without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host at another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: Arc::clone(&self.host), port }
    }

    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The addresses that the system knows for it, in its order.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        if let Some(ip) = self.ip() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let addresses: Vec<_> = tokio::net::lookup_host((self.host(), self.port)).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<Ipv6Addr>() {
            Ok(_) => write!(f, "[{}]:{}", self.host, self.port),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'))
        else {
            return Err(EndpointError::NoPort(text.to_owned()));
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) if host.parse::<Ipv6Addr>().is_ok() => host,
            // Without brackets the last number of an address would be taken for the port.
            _ if host.contains(['[', ']', ':']) => {
                return Err(EndpointError::Host(host.to_owned()));
            }
            _ => host,
        };
        let port = port.parse().map_err(|_| EndpointError::Port(port.to_owned()))?;
        Self::new(host, port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string().into(), port: address.port() }
    }
}

/// Longest name of a host, in bytes.
const HOST_MAX: usize = 255;
