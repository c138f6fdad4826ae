//! Opening connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

/// Connects to `address`, trying each one that a name has, within `wait_max` in all.
///
/// # Errors
///
/// What the system says of the last address tried, or [`io::ErrorKind::TimedOut`].
pub async fn connect(address: impl ToSocketAddrs, wait_max: Duration) -> io::Result<TcpStream> {
    let stream = timeout(wait_max, TcpStream::connect(address)).await??;
    prepare(&stream);
    Ok(stream)
}

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
