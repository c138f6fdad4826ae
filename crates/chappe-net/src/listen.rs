//! Accepting connections: over TCP, and at sockets in the file system.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::warn;

use crate::stream::keep_alive;

/// Wait before another try when the process or the system is out of descriptors or memory.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);
/// Connections that the system accepts before we do.
const BACKLOG: i32 = 1024;

/// The two addresses of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The other end.
    pub peer: SocketAddr,
    /// Our own.
    pub local: SocketAddr,
}

impl Ends {
    /// Both, each in one form only: who comes over IPv4 to an IPv6 listener, ours or that of a
    /// balancer, has an IPv4 address, so that limits by address hold.
    pub fn canonical(peer: SocketAddr, local: SocketAddr) -> Self {
        let one = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self { peer: one(peer), local: one(local) }
    }
}

/// Where connections are accepted.
#[derive(Debug)]
pub enum Listener {
    /// An address.
    Tcp(TcpListener),
    /// A file.
    Unix(UnixSocket),
}

/// A connection, ready for use.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a socket in the file system.
    Unix(UnixStream),
}

/// A socket in the file system, gone from there when dropped, unless another process listens there
/// as well.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    // After the listener: whoever listens still is somebody else then.
    file: Option<SocketFile>,
}

/// The file by which a socket is found.
#[derive(Debug)]
struct SocketFile(PathBuf);

/// What both ends of a connection over a [`UnixSocket`] count as, which has no addresses: this
/// machine. Who stands in front of it can say better by the PROXY protocol, or in HTTP.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Listens on an address. The IPv6 address `::` takes IPv4 connections as well, unless `only_v6`.
///
/// # Errors
///
/// What the system says; the address may be taken.
pub fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A server that starts anew finds its address free though old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl UnixSocket {
    /// Listens at `path`, for the owner and the group of the process. A socket that nobody listens
    /// at any more is replaced.
    ///
    /// # Errors
    ///
    /// What the system says; another server may listen there, or something else have the name.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let is_socket = path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket());
        if is_socket {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                }
                Err(error) => return Err(error),
            }
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { listener, file: Some(SocketFile(path.to_owned())) };
        std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
        Ok(socket)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if is_deserted(&self.0) {
            // Whoever removed it before us did no harm.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

/// Whether nobody listens there, neither a process that took over nor who opened the socket for us.
fn is_deserted(path: &Path) -> bool {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Where somebody has much to do there is no room at once.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    connect().is_err_and(|error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        // Connections have it from the socket that they are accepted at, so that it costs none of
        // them a call.
        let _ = SockRef::from(&listener).set_tcp_nodelay(true);
        Self::Tcp(listener)
    }
}

impl From<UnixSocket> for Listener {
    fn from(socket: UnixSocket) -> Self {
        Self::Unix(socket)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(UnixSocket { listener, .. }) => listener.as_fd(),
        }
    }
}

impl Listener {
    /// Takes a socket over that listens already, from another process or from who started this one.
    ///
    /// # Errors
    ///
    /// It is no such socket, or what the system says.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(socket);
        if !rustix::net::sockopt::socket_acceptconn(&socket)? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
        }
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        if !address.is_unix() {
            return TcpListener::from_std(socket.into()).map(Self::from);
        }
        let file = address.as_pathname().map(|path| SocketFile(path.to_owned()));
        let listener = UnixListener::from_std(OwnedFd::from(socket).into())?;
        Ok(Self::Unix(UnixSocket { listener, file }))
    }

    /// The file of a socket in the file system.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(socket) => socket.file.as_ref().map(|file| file.0.as_path()),
        }
    }

    /// The same as [`Stream::keep_alive`](crate::Stream::keep_alive), for all that are accepted from
    /// here on.
    pub fn keep_alive(&self, after: Duration, lost: Duration) {
        if let Self::Tcp(listener) = self {
            keep_alive(&SockRef::from(listener), after, lost);
        }
    }

    /// The next connection, ready for use.
    ///
    /// Outlives whatever befalls a single connection, and exhaustion: while there are no descriptors
    /// the connections wait in the system's queue. May be dropped without losing a connection.
    pub async fn accept(&self) -> (Accepted, Ends) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(EXHAUSTED_WAIT).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(Accepted, Ends)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let ends = Ends::canonical(peer, stream.local_addr()?);
                Ok((Accepted::Tcp(stream), ends))
            }
            Self::Unix(UnixSocket { listener, .. }) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream), Ends { peer: HERE, local: HERE }))
            }
        }
    }
}

/// A peer that gave up before it was accepted, or before it was asked where it is.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::Interrupted
    )
}
