//! Opening connections: to the first of several addresses that answers, straight or by a proxy.
//!
//! | file | holds |
//! | --- | --- |
//! | `endpoint` | a host and a port, and the system's addresses of it |
//! | `race` | several attempts, one a little after the other |
//! | `proxy` | SOCKS5 and HTTP proxies, and what they are asked |
//! | `error` | which address failed with what |
//! | `tls` | whom a client believes that a server is who it says |
//! | `web` | requests of HTTP, and the one that begins a WebSocket |

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

mod endpoint;
mod error;
mod proxy;
mod race;
mod tls;
mod web;

pub use endpoint::{Endpoint, EndpointError};
pub use error::{AttemptError, ConnectError, Failed};
pub use proxy::{Proxy, ProxyError, ProxyUrlError};
pub use tls::{Authorities, AuthoritiesError, TlsError};
pub use web::{Answer, HttpConnection, Site, WebError, upgrade};

use race::Race;

/// A connection, and which of the endpoints it leads to.
#[derive(Debug)]
pub struct Connected {
    /// Ready for use: a proxy has nothing to say on it any more.
    pub stream: TcpStream,
    /// Place of the endpoint among those given.
    pub at: usize,
}

/// Connects to the first endpoint that answers, within `wait_max` in all.
///
/// They are tried in their order, each 250 ms after the one before or as soon as that has failed;
/// IPv6 and IPv4 take turns, and whichever the system puts first begins (RFC 8305). The first
/// connection wins and the other attempts are dropped. Names are resolved by the system, all at
/// once, and through a proxy by the proxy.
///
/// # Errors
///
/// No endpoint answered: what became of each address.
pub async fn connect(
    endpoints: &[Endpoint],
    proxy: Option<&Proxy>,
    wait_max: Duration,
) -> Result<Connected, ConnectError> {
    let race = Race { head_start: HEAD_START, wait_max };
    match proxy {
        None => straight(endpoints, race).await,
        Some(proxy) => {
            let targets = endpoints.iter().enumerate();
            let targets = targets.map(|(at, target)| async move { Ok(vec![(at, target)]) });
            let dial = |(at, target)| async move {
                let begun = straight(&[proxy.endpoint().clone()], race).await;
                let begun = begun.map_err(|error| AttemptError::Proxy(error.into()))?;
                let stream = proxy.ask_for(begun.stream, target).await?;
                Ok(Connected { stream, at })
            };
            let name = |(_, target): &(usize, &Endpoint)| format!("{target} through {proxy}");
            race.run(targets, name, |_| true, dial).await
        }
    }
}

async fn straight(endpoints: &[Endpoint], race: Race) -> Result<Connected, ConnectError> {
    let names = endpoints.iter().enumerate().map(|(at, endpoint)| async move {
        match endpoint.resolve().await {
            Ok(addresses) => Ok(addresses.into_iter().map(|address| (at, address)).collect()),
            Err(error) => Err((endpoint.to_string(), AttemptError::Resolve(error))),
        }
    });
    let dial = |(at, address): (usize, SocketAddr)| async move {
        let stream = TcpStream::connect(address).await.map_err(AttemptError::Connect)?;
        prepare(&stream);
        Ok(Connected { stream, at })
    };
    let name = |(_, address): &(usize, SocketAddr)| address.to_string();
    race.run(names, name, |(_, address)| address.is_ipv6(), dial).await
}

/// How long an attempt has for itself before the next begins (RFC 8305, Connection Attempt Delay).
const HEAD_START: Duration = Duration::from_millis(250);

/// Sets up a connection for short messages (TRN-40).
pub(crate) fn prepare(stream: &TcpStream) {
    // It fails only on a socket that is dead already, which the first read tells better.
    let _ = stream.set_nodelay(true);
}

/// The address of the other end, for logs and limits.
///
/// # Errors
///
/// The connection is gone.
pub fn peer_of(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.peer_addr()
}
