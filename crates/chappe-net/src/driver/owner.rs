//! Who a link belongs to, and what happens in its turn.

use std::time::Duration;

use bytes::BytesMut;
use chappe_proto::Now;
use chappe_proto::link::{CloseReason, Link, LinkEvent};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::clock::Clock;

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
