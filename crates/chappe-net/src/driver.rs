//! The loop around a link, the same for both ends.
//!
//! It moves bytes between a connection and a [`Link`] and lets the link's [`Owner`] speak. It
//! decides nothing but how much may wait: a slow peer slows its owner, never the memory.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use chappe_proto::Now;
use chappe_proto::link::{CloseReason, Link, LinkEvent};
use chappe_proto::transport::fake_tls::RecordError;
use chappe_proto::transport::{Carrier, PacketSize};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, timeout, timeout_at};
use tracing::trace;

use crate::clock::Clock;
use crate::wire::Wire;
use crate::ws::WebSocketError;

/// Who a link belongs to: takes what comes over it and says what to send.
pub trait Owner: Send {
    /// What others ask of the link, such as to send an answer.
    type Command: Send;

    /// Takes what came over the link, except its end; gives what has to be waited for, if anything.
    /// Nothing is read meanwhile: an owner that waits slows the peer.
    ///
    /// The rest of what an owner does never waits, and so a link that waits for its peer has no
    /// room for it.
    fn handle_event<'a>(
        &'a mut self,
        now: Now,
        link: &'a mut Link,
        event: LinkEvent,
    ) -> Option<BoxFuture<'a, ()>>;

    /// Waits for the next command; `None` ends the link. The future may be dropped without
    /// losing a command.
    fn next_command(&mut self) -> impl Future<Output = Option<Self::Command>> + Send;

    /// Does what a command asks. Must not wait.
    fn handle_command(&mut self, now: Now, link: &mut Link, command: Self::Command);

    /// Hears how many bytes were read off the connection, or written to it.
    fn handle_traffic(&mut self, _read: usize, _written: usize) {}

    /// Gives the link what the owner has to send; called before each write.
    fn poll_transmit(&mut self, _now: Now, _link: &mut Link) {}

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// Does what is due.
    fn handle_timeout(&mut self, _now: Now, _link: &mut Link) {}
}

/// How much may wait for a slow peer, and how long (TRN-43).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DriveConfig {
    /// Bytes that wait to be written beyond which nothing is read. Default: 4 MiB.
    pub outbound_soft_max_bytes: usize,
    /// Bytes that wait to be written beyond which the link ends. Default: 16 MiB. A peer that
    /// reads nothing makes us hold this much.
    pub outbound_max_bytes: usize,
    /// Longest time without a byte written while some wait. Default: 60 s.
    pub stalled_max: Duration,
    /// Longest wait for the last bytes of a link that ends. Default: 5 s.
    pub flush_max: Duration,
    /// Longest wait for a peer to read the error that ended its link. Default: 1 s. Closing
    /// earlier, with bytes of the peer unread, would destroy that error on its way.
    pub linger_max: Duration,
}

impl Default for DriveConfig {
    fn default() -> Self {
        Self {
            outbound_soft_max_bytes: 4 << 20,
            outbound_max_bytes: 16 << 20,
            stalled_max: Duration::from_secs(60),
            flush_max: Duration::from_secs(5),
            linger_max: Duration::from_secs(1),
        }
    }
}

/// How a link came to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// By the rules of the protocol, or the wish of its owner.
    #[error(transparent)]
    Closed(CloseReason),
    /// The peer speaks a protocol that carries ours. The connection is as it was, but for these
    /// bytes that were read: [`Prefixed`](crate::Prefixed) puts them back.
    #[error("the peer speaks {0}")]
    HandOver(Carrier, BytesMut),
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    Eof,
    /// The peer closed the connection in the middle of a request of HTTP.
    #[error("the peer closed the connection after {got} of {len} bytes of a request's body")]
    Cut {
        /// Bytes of the body that came.
        got: usize,
        /// What its head announced.
        len: usize,
    },
    /// The peer broke the rules of HTTP.
    #[error("the peer breaks the rules of HTTP: {0}")]
    Http(hyper::Error),
    /// The peer broke the rules of WebSocket.
    #[error(transparent)]
    WebSocket(WebSocketError),
    /// The peer sent something else than records of fake TLS.
    #[error(transparent)]
    FakeTls(RecordError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The peer reads too slowly, or not at all.
    #[error("{waiting} bytes wait for a peer that does not read them")]
    Stalled {
        /// Bytes not written.
        waiting: usize,
    },
    /// The owner wanted to send what no frame can hold.
    #[error(transparent)]
    Oversize(#[from] PacketSize),
}

impl End {
    /// Every [`cause`](Self::cause).
    pub const CAUSES: [&str; 17] = [
        "eof",
        "http",
        "websocket",
        "fake_tls",
        "io",
        "stalled",
        "oversize",
        "frame",
        "packet",
        "plain",
        "foreign_key",
        "unencrypted",
        "silent",
        "no_ping",
        "error",
        "owner",
        "other",
    ];

    /// The cause in a word, for counters.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Eof | Self::Cut { .. } => "eof",
            Self::Http(_) => "http",
            Self::Io(_) => "io",
            Self::Stalled { .. } => "stalled",
            Self::Oversize(_) => "oversize",
            Self::WebSocket(_) => "websocket",
            Self::FakeTls(_) => "fake_tls",
            Self::HandOver(..) => "other",
            Self::Closed(reason) => match reason {
                CloseReason::Frame(_) => "frame",
                CloseReason::Packet(_) => "packet",
                CloseReason::Plain(_) => "plain",
                CloseReason::ForeignKey(_) => "foreign_key",
                CloseReason::Unencrypted => "unencrypted",
                CloseReason::Silent => "silent",
                CloseReason::NoPing => "no_ping",
                CloseReason::Error(_) => "error",
                CloseReason::Owner => "owner",
                _ => "other",
            },
        }
    }
}

/// Drives `link` over `wire` until either ends; what is left to say is said before the connection is
/// closed.
///
/// Whoever serves what a peer speaks instead goes on with the connection after [`End::HandOver`].
/// An idle link holds no buffer.
pub fn drive<'a, W, O>(
    wire: &'a mut W,
    link: &'a mut Link,
    owner: &'a mut O,
    clock: &'a Clock,
    config: &'a DriveConfig,
) -> impl Future<Output = End> + Send
where
    W: Wire,
    O: Owner,
{
    let mut driver = Driver {
        wire,
        link,
        owner,
        clock,
        config,
        inbound: BytesMut::new(),
        outbound: BytesMut::new(),
        is_flushed: true,
        stalled_at: None,
        broken: None,
    };
    async move {
        let end = driver.run().await;
        driver.close(&end).await;
        end
    }
}

/// One struct, since a future of several functions would hold their arguments twice.
struct Driver<'a, W, O> {
    wire: &'a mut W,
    link: &'a mut Link,
    owner: &'a mut O,
    clock: &'a Clock,
    config: &'a DriveConfig,
    inbound: BytesMut,
    outbound: BytesMut,
    is_flushed: bool,
    /// When a peer that takes nothing is given up.
    stalled_at: Option<Duration>,
    /// How the connection has ended while there were bytes to be heard.
    broken: Option<Box<End>>,
}

impl<W: Wire, O: Owner> Driver<'_, W, O> {
    async fn run(&mut self) -> End {
        let mut timer = pin!(tokio::time::sleep_until(self.clock.instant(Duration::ZERO)));
        loop {
            let closed = settle(self.link, self.owner, self.clock, &mut self.inbound).await;
            if let Some(end) = self.poll_transmit(closed) {
                return end;
            }
            let deadline = self.deadline();
            set(timer.as_mut(), self.clock, deadline);
            let room = self.config.outbound_soft_max_bytes;
            let reads = self.link.wants_bytes() && self.outbound.len() <= room;
            let inbound = reads.then_some(&mut self.inbound);
            tokio::select! {
                moved = transfer(self.wire, inbound, &mut self.outbound, &mut self.is_flushed) => {
                    match moved {
                        Ok(moved) => self.handle_moved(moved),
                        Err(error) => return End::Io(error),
                    }
                }
                command = self.owner.next_command() => match command {
                    Some(command) => {
                        self.owner.handle_command(self.clock.now(), self.link, command);
                    }
                    None => self.link.close(CloseReason::Owner),
                },
                () = timer.as_mut(), if deadline.is_some() => {
                    let now = self.clock.now();
                    if self.stalled_at.is_some_and(|at| at <= now.mono) {
                        return End::Stalled { waiting: self.outbound.len() };
                    }
                    self.link.handle_timeout(now);
                    self.owner.handle_timeout(now, self.link);
                }
            }
        }
    }

    /// Takes from the link, which has perhaps `closed`, what it has to send; the end, if it has
    /// come to that.
    fn poll_transmit(&mut self, closed: Option<CloseReason>) -> Option<End> {
        let Self { wire, outbound, .. } = self;
        if let Err(size) =
            self.link.poll_transmit_each(outbound, |out, start| wire.wrap(out, start))
        {
            return Some(End::Oversize(size));
        }
        match closed {
            Some(CloseReason::HandOver(carrier)) => {
                return Some(End::HandOver(carrier, std::mem::take(&mut self.inbound)));
            }
            Some(reason) => return Some(End::Closed(reason)),
            None => {}
        }
        // What came whole before the end has been heard.
        if let Some(end) = self.broken.take() {
            return Some(*end);
        }
        let now = self.clock.now().mono;
        wire.poll_transmit(now, outbound);
        self.link.rest();
        if outbound.is_empty() {
            *outbound = BytesMut::new();
        } else if outbound.len() > self.config.outbound_max_bytes {
            return Some(End::Stalled { waiting: outbound.len() });
        }
        if outbound.is_empty() && self.is_flushed {
            self.stalled_at = None;
        } else if self.stalled_at.is_none() {
            self.stalled_at = Some(now + self.config.stalled_max);
        }
        None
    }

    fn deadline(&self) -> Option<Duration> {
        let (link, owner) = (self.link.poll_timeout(), self.owner.poll_timeout());
        [link, owner, self.wire.poll_timeout(), self.stalled_at].into_iter().flatten().min()
    }

    fn handle_moved(&mut self, Moved { written, read, end }: Moved) {
        self.owner.handle_traffic(read, written);
        if written > 0 {
            self.stalled_at = None;
            trace!(len = written, "written");
        }
        if read > 0 {
            trace!(len = read, "read");
            self.link.handle_bytes(self.clock.now(), &mut self.inbound);
        }
        self.broken = end.map(Box::new);
    }

    /// Says what is left to say, and lets the peer hear it.
    async fn close(&mut self, end: &End) {
        let has_last_words = self.wire.close(end, &mut self.outbound);
        if !has_last_words && !matches!(end, End::Closed(_)) {
            return;
        }
        let stream = self.wire.stream();
        let len = self.outbound.len();
        let is_flushed = timeout(self.config.flush_max, async {
            stream.write_all_buf(&mut self.outbound).await?;
            stream.shutdown().await
        });
        let is_flushed = is_flushed.await;
        self.owner.handle_traffic(0, len - self.outbound.len());
        let lingers = has_last_words || matches!(end, End::Closed(CloseReason::Error(_)));
        if matches!(is_flushed, Ok(Ok(()))) && lingers {
            let _ = timeout(self.config.linger_max, discard(stream)).await;
        }
    }
}

/// Lets the owner take everything that has come and give everything it has, so that one write
/// carries it all. The reason, if the link is over.
pub(crate) async fn settle<O: Owner>(
    link: &mut Link,
    owner: &mut O,
    clock: &Clock,
    inbound: &mut BytesMut,
) -> Option<CloseReason> {
    take_commands(link, owner, clock);
    let mut end = None;
    while let Some(event) = link.poll_event() {
        if let LinkEvent::Closed(reason) = event {
            end = Some(reason);
            continue;
        }
        let was_waiting = !link.wants_bytes();
        if let Some(waits) = owner.handle_event(clock.now(), link, event) {
            waits.await;
        }
        if was_waiting && link.wants_bytes() {
            link.handle_bytes(clock.now(), inbound);
        }
    }
    if inbound.is_empty() {
        *inbound = BytesMut::new();
    }
    owner.poll_transmit(clock.now(), link);
    end
}

/// Does what was asked of the link so far. No part of a future that waits: every connection would
/// have room for it.
fn take_commands<O: Owner>(link: &mut Link, owner: &mut O, clock: &Clock) {
    for _ in 0..COMMANDS_MAX {
        match owner.next_command().now_or_never() {
            Some(Some(command)) => owner.handle_command(clock.now(), link, command),
            Some(None) => link.close(CloseReason::Owner),
            None => break,
        }
    }
}

/// Commands taken before a write at most, so that a busy owner cannot keep the link from it.
const COMMANDS_MAX: usize = 64;

/// Moves the timer only where it would ring too late: one that rings early finds nothing due and
/// is set again, which is cheaper than to move it with every packet.
pub(crate) fn set(mut timer: Pin<&mut Sleep>, clock: &Clock, deadline: Option<Duration>) {
    let Some(deadline) = deadline.map(|deadline| clock.instant(deadline)) else { return };
    if timer.is_elapsed() || deadline < timer.deadline() {
        timer.as_mut().reset(deadline);
    }
}

/// What a connection took and gave.
#[derive(Default)]
struct Moved {
    written: usize,
    read: usize,
    /// It has come to its end.
    end: Option<End>,
}

/// Writes what can be written and reads what has come, if that is wanted, as soon as either goes.
async fn transfer<W: Wire>(
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

/// Hears a stranger out until the deadline without a word: an answer or an early close would tell
/// what is served here (TRN-21).
pub async fn ignore<S: AsyncRead + Unpin>(mut stream: S, deadline: Instant) -> End {
    match timeout_at(deadline, discard(&mut stream)).await {
        Ok(()) => End::Eof,
        Err(_) => End::Closed(CloseReason::Silent),
    }
}

/// Reads until the peer closes.
pub(crate) async fn discard<S: AsyncRead + Unpin>(stream: &mut S) {
    // Not a part of the future: every connection would have room for it.
    let mut sink = vec![0; 1024];
    while matches!(stream.read(&mut sink).await, Ok(1..)) {}
}
