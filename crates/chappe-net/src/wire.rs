//! What the frames of a link travel in: a stream as it is, or messages of WebSocket on one.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::driver::End;

/// A connection that carries a link. Any stream is one; see also [`WebSocket`](crate::WebSocket).
///
/// Whoever drives it reads and writes [`stream`](Self::stream) and passes everything through here.
pub trait Wire: Send {
    /// The connection itself.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// The connection itself.
    fn stream(&mut self) -> &mut Self::Stream;

    /// Takes bytes that were read, appends to `inbound` those that are the link's.
    ///
    /// # Errors
    ///
    /// The connection is to be closed.
    fn receive(&mut self, bytes: &mut [u8], inbound: &mut BytesMut) -> Result<(), End> {
        inbound.extend_from_slice(bytes);
        Ok(())
    }

    /// Wraps the frame of the link that stands from `start` to the end of `outbound`.
    fn wrap(&mut self, _outbound: &mut BytesMut, _start: usize) {}

    /// Appends what the connection has to say of itself. `now` is of the monotonic clock.
    fn poll_transmit(&mut self, _now: Duration, _outbound: &mut BytesMut) {}

    /// When [`poll_transmit`](Self::poll_transmit) wants to be called, on the monotonic clock.
    fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// Appends its last words to a peer that may hear them, now that the link has come to `end`;
    /// whether there are any.
    fn close(&mut self, _end: &End, _outbound: &mut BytesMut) -> bool {
        false
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {
    type Stream = S;

    fn stream(&mut self) -> &mut S {
        self
    }
}
