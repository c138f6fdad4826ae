//! Bytes to a connection and from it, as far as either goes without waiting.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::End;
use crate::wire::Wire;

/// What a connection took and gave.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) written: usize,
    pub(super) read: usize,
    /// It has come to its end.
    pub(super) end: Option<End>,
}

/// Writes what can be written and reads what has come, if that is wanted, as soon as either goes.
pub(super) async fn transfer<W: Wire>(
    wire: &mut W,
    mut inbound: Option<&mut BytesMut>,
    outbound: &mut BytesMut,
    is_flushed: &mut bool,
) -> io::Result<Moved> {
    poll_fn(|context| {
        let mut moved = None;
        if let Poll::Ready(written) = poll_write(wire.stream(), context, outbound, is_flushed)? {
            moved.get_or_insert_with(Moved::default).written = written;
        }
        if let Some(inbound) = &mut inbound
            && let Poll::Ready((read, end)) = poll_read(wire, context, inbound)?
        {
            let moved = moved.get_or_insert_with(Moved::default);
            (moved.read, moved.end) = (read, end);
        }
        moved.map_or(Poll::Pending, |moved| Poll::Ready(Ok(moved)))
    })
    .await
}

/// Writes, and flushes what a connection has kept back: some encrypt first and write later.
fn poll_write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    outbound: &mut BytesMut,
    is_flushed: &mut bool,
) -> Result<Poll<usize>, io::Error> {
    let mut written = 0;
    while !outbound.is_empty() {
        match Pin::new(&mut *stream).poll_write(context, outbound)? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(len) => {
                outbound.advance(len);
                written += len;
                *is_flushed = false;
            }
            Poll::Pending => break,
        }
    }
    let was_flushed = *is_flushed;
    if !was_flushed {
        *is_flushed = Pin::new(stream).poll_flush(context)?.is_ready();
    }
    let is_progress = written > 0 || *is_flushed != was_flushed;
    Ok(if is_progress { Poll::Ready(written) } else { Poll::Pending })
}

/// Appends to `inbound` what has come; how much was read, and whether that was the end.
///
/// A connection that waits has no buffer: all of a thread share one, and what came is copied.
fn poll_read<W: Wire>(
    wire: &mut W,
    context: &mut Context<'_>,
    inbound: &mut BytesMut,
) -> io::Result<Poll<(usize, Option<End>)>> {
    let mut scratch = SCRATCH.take();
    scratch.resize(READ_MAX, 0);
    let mut buffer = ReadBuf::new(&mut scratch);
    let polled = Pin::new(wire.stream()).poll_read(context, &mut buffer);
    let len = buffer.filled().len();
    let end = match len {
        0 => Some(End::Eof),
        _ => wire.receive(&mut scratch[..len], inbound).err(),
    };
    SCRATCH.set(scratch);
    Ok(polled?.map(|()| (len, end)))
}

/// Bytes read at once; all that a stranger can make us hold (TRN-38).
const READ_MAX: usize = 16 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}
