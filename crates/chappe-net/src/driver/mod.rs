//! The loop around a link, the same for both ends.
//!
//! It moves bytes between a connection and a [`Link`] and lets the link's [`Owner`] speak. It
//! decides nothing but how much may wait: a slow peer slows its owner, never the memory.
//!
//! | file | holds |
//! | --- | --- |
//! | `owner` | who a link belongs to, and its turn |
//! | `transfer` | bytes to a connection and from it |
//! | `config` | how much may wait for a slow peer |
//! | `end` | how a link came to its end |

mod config;
mod end;
mod owner;
mod transfer;

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::BytesMut;
use chappe_proto::link::{CloseReason, Link};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep, timeout, timeout_at};
use tracing::trace;

use crate::clock::Clock;
use crate::wire::Wire;
use transfer::{Moved, transfer};

pub use config::DriveConfig;
pub use end::End;
pub use owner::Owner;

pub(crate) use owner::settle;

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

/// Moves the timer only where it would ring too late: one that rings early finds nothing due and
/// is set again, which is cheaper than to move it with every packet.
pub(crate) fn set(mut timer: Pin<&mut Sleep>, clock: &Clock, deadline: Option<Duration>) {
    let Some(deadline) = deadline.map(|deadline| clock.instant(deadline)) else { return };
    if timer.is_elapsed() || deadline < timer.deadline() {
        timer.as_mut().reset(deadline);
    }
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
