//! How many bytes go over a connection, and whether they go.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What went over a connection since it was last asked for.
#[derive(Debug, Default)]
pub(super) struct Meter {
    read: AtomicUsize,
    written: AtomicUsize,
    /// The peer takes nothing at present.
    is_blocked: AtomicBool,
    has_changed: AtomicBool,
}

/// What a [`Meter`] showed.
pub(super) struct Moved {
    pub(super) read: usize,
    pub(super) written: usize,
    /// Something waits to be written, and cannot be.
    pub(super) is_blocked: bool,
}

impl Meter {
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
        if let Poll::Ready(Ok(len)) = written {
            self.written.fetch_add(*len, Ordering::Relaxed);
        }
        self.is_blocked.store(written.is_pending(), Ordering::Relaxed);
        self.has_changed.store(true, Ordering::Relaxed);
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
        let len = buffer.filled().len() - before;
        if len > 0 {
            self.meter.read.fetch_add(len, Ordering::Relaxed);
            self.meter.has_changed.store(true, Ordering::Relaxed);
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
