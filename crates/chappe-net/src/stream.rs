//! A connection of the system whose readiness is asked for apart from its bytes.
//!
//! Whoever waits for bytes with a buffer in hand pays for the buffer while nothing comes. Here the
//! wait needs none.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::listen::Accepted;

/// A connection over TCP or over a socket in the file system.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a socket in the file system.
    Unix(UnixStream),
}

/// Runs one expression on either kind.
macro_rules! either {
    ($stream:expr, $inner:ident => $body:expr) => {
        match $stream {
            Stream::Tcp($inner) => $body,
            Stream::Unix($inner) => $body,
        }
    };
}

impl Stream {
    /// Ready when there may be something to read, the end and errors included.
    ///
    /// # Errors
    ///
    /// The runtime is going down.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read_ready(context))
    }

    /// Ready when there may be room to write.
    ///
    /// # Errors
    ///
    /// The runtime is going down.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_write_ready(context))
    }

    /// Reads what is there, at most what fits; 0 at the end. Where more would have fitted it is not
    /// ready any more, which spares a read that finds nothing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing is there; else what befell the connection.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len();
        either!(self, stream => {
            read(room, |read| stream.try_io(Interest::READABLE, read), || Ok(rustix::io::read(stream, &mut *into)?))
        })
    }

    /// The same, into several buffers in turn.
    ///
    /// # Errors
    ///
    /// As for [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = into.iter().map(|part| part.len()).sum();
        either!(self, stream => {
            read(room, |read| stream.try_io(Interest::READABLE, read), || Ok(rustix::io::readv(stream, into)?))
        })
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is no room; else what befell the connection.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_write(bytes))
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn finish(&self) -> io::Result<()> {
        either!(self, stream => SockRef::from(stream).shutdown(std::net::Shutdown::Write))
    }

    /// Has the other end see a reset instead of an end when this is dropped.
    pub fn reset_on_drop(&self) {
        // It fails only on a connection that is gone.
        either!(self, stream => drop(SockRef::from(stream).set_linger(Some(Duration::ZERO))));
    }

    /// Has the system find out, after `after` of silence, whether the other end is still there, and
    /// give up after `lost` without a word of it (PRX-35).
    pub fn keep_alive(&self, after: Duration, lost: Duration) {
        if let Self::Tcp(stream) = self {
            keep_alive(&SockRef::from(stream), after, lost);
        }
    }

    /// The other end, where it has an address.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// Reads once by `read`, which `try_io` of the runtime is to run.
fn read(
    room: usize,
    try_io: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>,
    mut read: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut came = 0;
    let done = try_io(&mut || {
        came = read()?;
        // The runtime has to hear it here: what comes after this read makes it ready again. An end
        // stays one.
        if (1..room).contains(&came) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match done {
        Err(error) if came == 0 => Err(error),
        _ => Ok(came),
    }
}

/// See [`Stream::keep_alive`].
pub(crate) fn keep_alive(socket: &SockRef<'_>, after: Duration, lost: Duration) {
    let keepalive = TcpKeepalive::new().with_time(after).with_interval(after);
    // A system that cannot do this finds out later.
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(lost));
}

impl From<Accepted> for Stream {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted::Tcp(stream) => Self::Tcp(stream),
            Accepted::Unix(stream) => Self::Unix(stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
