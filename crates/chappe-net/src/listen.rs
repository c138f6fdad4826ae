//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::connect::prepare;

/// Wait before another try when the process or the system is out of descriptors or memory.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

/// The next connection, ready for use.
///
/// Outlives whatever befalls a single connection, and exhaustion: while there are no descriptors
/// the connections wait in the system's queue. May be dropped without losing a connection.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                prepare(&stream);
                return (stream, canonical(peer));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(EXHAUSTED_WAIT).await;
            }
        }
    }
}

/// A peer that gave up before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// An IPv4 peer of an IPv6 listener under its own address, so that limits by address hold.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
