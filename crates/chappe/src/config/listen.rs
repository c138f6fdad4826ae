//! Where `chappe serve` listens, as flags and the file write it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use chappe_net::listen::{self, Listener, UnixSocket};
use chappe_net::udp;
use serde::de::{Deserialize, Deserializer, Error};
use tokio::net::UdpSocket;

/// An address, or a socket in the file system.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What an address may look like.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no place to listen at, such as 127.0.0.1:4430, [::]:443 or unix:/run/chappe.sock"
)]
pub(crate) struct NoListenAddress(String);

impl ListenAddress {
    /// Where a socket listens.
    pub(crate) fn of(listener: &Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => listener.local_addr().map(Self::Tcp),
            Listener::Unix(_) => Ok(Self::Unix(listener.path().unwrap_or(Path::new("")).into())),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        match text.strip_prefix(UNIX) {
            Some("") => Err(NoListenAddress(text.to_owned())),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| NoListenAddress(text.to_owned())),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

const UNIX: &str = "unix:";

/// Listens at each address; gives the addresses, too, with the ports that were free.
pub(crate) fn bind_all(addresses: &[ListenAddress]) -> Result<Vec<(Listener, ListenAddress)>> {
    addresses.iter().map(|address| bind(address, addresses)).collect()
}

/// Listens at one of these addresses.
pub(crate) fn bind(
    address: &ListenAddress,
    all: &[ListenAddress],
) -> Result<(Listener, ListenAddress)> {
    let bind = || {
        let listener = match address {
            ListenAddress::Tcp(tcp) => listen::bind(*tcp, has_ipv4_beside(*tcp, all))?.into(),
            ListenAddress::Unix(path) => UnixSocket::bind(path)?.into(),
        };
        let bound = ListenAddress::of(&listener)?;
        Ok::<_, io::Error>((listener, bound))
    };
    bind().with_context(|| format!("cannot listen on {address}; is another server there?"))
}

/// Takes datagrams at each address that listeners have; sockets in the file system have none.
pub(crate) fn bind_datagrams(addresses: &[ListenAddress]) -> Result<Vec<UdpSocket>> {
    let tcp = addresses.iter().filter_map(|address| match address {
        ListenAddress::Tcp(tcp) => Some(*tcp),
        ListenAddress::Unix(_) => None,
    });
    let bind = |address| {
        udp::bind(address, has_ipv4_beside(address, addresses))
            .with_context(|| format!("cannot take datagrams at {address}"))
    };
    tcp.map(bind).collect()
}

/// Whether IPv4 connections to the port of an IPv6 address are taken by another listener.
fn has_ipv4_beside(address: SocketAddr, all: &[ListenAddress]) -> bool {
    all.iter().any(|other| {
        matches!(other, ListenAddress::Tcp(other) if other.is_ipv4() && other.port() == address.port())
    })
}

/// What the file holds as text and a flag as a word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text<T>(pub(crate) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 address beside the IPv6 one that would take its port, too, for both protocols.
    #[tokio::test]
    async fn both_families_can_be_listed_with_one_port() {
        let free = bind_all(&["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0).1;
        let ListenAddress::Tcp(free) = free else { panic!("no address") };
        let both = ["[::]", "0.0.0.0"].map(|host| format!("{host}:{}", free.port()));
        let both = both.map(|address| address.parse().unwrap());
        assert_eq!(bind_all(&both).unwrap().len(), 2);
        assert_eq!(bind_datagrams(&both).unwrap().len(), 2);
    }
}
