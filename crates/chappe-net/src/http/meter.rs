//! What goes over a connection: how many bytes, whether they go, and how a request begins.
//!
//! The last is for hyper hides what we have to judge: of two headers that tell the length of a body
//! it shows one.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::HEAD_MAX;

/// What went over a connection since it was last asked for.
#[derive(Debug, Default)]
pub(super) struct Meter {
    read: AtomicUsize,
    written: AtomicUsize,
    /// The peer takes nothing at present.
    is_blocked: AtomicBool,
    has_changed: AtomicBool,
    /// The beginning of what was read since the last answer; absent once that is of no use.
    opening: Mutex<Option<Vec<u8>>>,
}

/// What a [`Meter`] showed.
pub(super) struct Moved {
    pub(super) read: usize,
    pub(super) written: usize,
    /// Something waits to be written, and cannot be.
    pub(super) is_blocked: bool,
}

/// As much of an opening as a head may have.
const OPENING_MAX: usize = HEAD_MAX;

impl Meter {
    /// What comes from here on is the head of a request.
    pub(super) fn expect_head(&self) {
        *self.lock() = Some(Vec::new());
    }

    /// The head that was expected has come; whether a line of it begins with `name`. A head that
    /// came together with the request before was not seen.
    pub(super) fn head_had(&self, name: &str) -> bool {
        let opening = self.lock().take().unwrap_or_default();
        let lines = opening.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let mut head = lines.take_while(|line| !line.is_empty());
        head.any(|line| {
            line.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
        })
    }

    fn note_read(&self, bytes: &[u8]) {
        self.read.fetch_add(bytes.len(), Ordering::Relaxed);
        self.has_changed.store(true, Ordering::Relaxed);
        if let Some(opening) = &mut *self.lock() {
            let room = OPENING_MAX.saturating_sub(opening.len());
            opening.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Moved {
        self.has_changed.store(false, Ordering::Relaxed);
        Moved {
            read: self.read.swap(0, Ordering::Relaxed),
            written: self.written.swap(0, Ordering::Relaxed),
            is_blocked: self.is_blocked.load(Ordering::Relaxed),
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Relaxed)
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        let len = match written {
            Poll::Ready(Ok(len)) => *len,
            _ => 0,
        };
        self.written.fetch_add(len, Ordering::Relaxed);
        let is_blocked = written.is_pending();
        let was_blocked = self.is_blocked.swap(is_blocked, Ordering::Relaxed);
        // Whoever looks at the connection after each change would never wait for a peer that takes
        // nothing, were every try a change.
        if len > 0 || is_blocked != was_blocked {
            self.has_changed.store(true, Ordering::Relaxed);
        }
    }
}

/// A connection with a meter.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.meter.note_read(&buffer.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.meter.note_written(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.meter.note_written(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
