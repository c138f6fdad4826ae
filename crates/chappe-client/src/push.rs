//! What the server says unasked, to as many receivers as want to hear it.
//!
//! A push waits until each receiver has taken it, within bounds of number and of bytes: who is too
//! slow loses the oldest, and hears how many.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::Notify;

/// Something that came without a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// A boxed object: an update, or whatever else the server's schema pushes.
    Message(Bytes),
    /// The server began the session anew; what it pushed before may be lost (SVC-40).
    MayBeLost,
    /// So many were dropped because this receiver did not take them in time.
    Missed(u64),
    /// The old key was lost and a new one made: the server knows nobody here (SES-18).
    NewKey,
}

impl Push {
    fn bytes(&self) -> usize {
        match self {
            Self::Message(body) => body.len(),
            _ => 0,
        }
    }
}

/// Receives pushes from the moment it was made.
///
/// At most as many wait, and as many bytes, as
/// [`Builder::pushes_max`](crate::Builder::pushes_max) and
/// [`Builder::pushes_max_bytes`](crate::Builder::pushes_max_bytes) say; then the oldest go, and
/// [`Push::Missed`] tells how many. While there is no receiver, pushes are dropped.
pub struct Pushes {
    channel: Arc<Channel>,
    id: u64,
}

impl Pushes {
    /// The next one; `None` after the end of the client. The future may be dropped without loss.
    pub async fn next(&mut self) -> Option<Push> {
        loop {
            // Before the look, so that nothing can come between the two.
            let mut arrived = pin!(self.channel.arrived.notified());
            arrived.as_mut().enable();
            if let Poll::Ready(next) = self.channel.poll_next(self.id) {
                return next;
            }
            arrived.await;
        }
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        state.next.remove(&self.id);
        state.trim();
    }
}

impl fmt::Debug for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushes").finish_non_exhaustive()
    }
}

/// The way in. When it is dropped, receivers hear the end after what is left.
pub(crate) struct PushSender(Arc<Channel>);

/// Makes receivers.
#[derive(Clone)]
pub(crate) struct PushSource(Arc<Channel>);

struct Channel {
    state: Mutex<State>,
    arrived: Notify,
    pushes_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Push>,
    /// What the bodies of those take.
    bytes: usize,
    /// Number of the first of them; those before are gone.
    first: u64,
    /// What each receiver takes next.
    next: BTreeMap<u64, u64>,
    receivers: u64,
    is_closed: bool,
}

/// A channel of pushes; the newest always waits, whatever its size.
pub(crate) fn channel(pushes_max: usize, bytes_max: usize) -> (PushSender, PushSource) {
    let channel = Arc::new(Channel {
        state: Mutex::default(),
        arrived: Notify::new(),
        pushes_max,
        bytes_max,
    });
    (PushSender(Arc::clone(&channel)), PushSource(channel))
}

impl PushSender {
    pub(crate) fn send(&self, push: Push) {
        let mut state = self.0.lock();
        if state.next.is_empty() {
            return;
        }
        state.bytes += push.bytes();
        state.waiting.push_back(push);
        while state.waiting.len() > self.0.pushes_max
            || state.bytes > self.0.bytes_max && state.waiting.len() > 1
        {
            state.drop_first();
        }
        drop(state);
        self.0.arrived.notify_waiters();
    }
}

impl Drop for PushSender {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.arrived.notify_waiters();
    }
}

impl PushSource {
    /// A receiver of all that is sent from now on.
    pub(crate) fn subscribe(&self) -> Pushes {
        let mut state = self.0.lock();
        let id = state.receivers;
        state.receivers += 1;
        let next = state.first + state.waiting.len() as u64;
        state.next.insert(id, next);
        drop(state);
        Pushes { channel: Arc::clone(&self.0), id }
    }
}

impl Channel {
    /// What a receiver gets now, be it the end.
    fn poll_next(&self, id: u64) -> Poll<Option<Push>> {
        let mut state = self.lock();
        match state.take(id) {
            Some(push) => Poll::Ready(Some(push)),
            None if state.is_closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between two statements, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What a receiver gets now.
    fn take(&mut self, id: u64) -> Option<Push> {
        let first = self.first;
        let next = self.next.get_mut(&id)?;
        if *next < first {
            let missed = first - *next;
            *next = first;
            return Some(Push::Missed(missed));
        }
        let push = self.waiting.get((*next - first) as usize)?.clone();
        *next += 1;
        self.trim();
        Some(push)
    }

    /// Lets go what every receiver has taken.
    fn trim(&mut self) {
        let end = self.first + self.waiting.len() as u64;
        let needed = self.next.values().copied().min().unwrap_or(end);
        while self.first < needed {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(push) = self.waiting.pop_front() {
            self.bytes -= push.bytes();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Rule:   what waits for slow receivers is bounded in number and in bytes; the oldest go, and
    ///         each receiver hears how many it missed. The newest always waits.
    /// Source: SEC-47.
    #[test]
    fn slow_receivers_miss_the_oldest_and_hear_it() {
        check(&[1, 1, 1], &["1", "1", "1"]);
        check(&[1, 1, 1, 1, 1], &["missed 2", "1", "1", "1"]);
        check(&[60, 40], &["60", "40"]);
        check(&[60, 40, 1], &["missed 1", "40", "1"]);
        check(&[30, 30, 500], &["missed 2", "500"]);
        check(&[500, 7], &["missed 1", "7"]);
    }

    /// Of at most three pushes and a hundred bytes.
    fn check(sent: &[usize], heard: &[&str]) {
        let (sender, source) = channel(3, 100);
        sender.send(message(9));
        let (mut quick, mut slow) = (source.subscribe(), source.subscribe());
        for len in sent {
            sender.send(message(*len));
            assert_eq!(now(&mut quick), Some(len.to_string()));
        }
        for expected in heard {
            assert_eq!(now(&mut slow).as_deref(), Some(*expected), "of {sent:?}");
        }
        assert_eq!((now(&mut slow), now(&mut quick)), (None, None));
        assert!(sender.0.lock().waiting.is_empty() && sender.0.lock().bytes == 0);
        sender.send(message(4));
        drop(slow);
        assert_eq!(sender.0.lock().waiting.len(), 1, "the other has not taken it");
        drop(quick);
        assert!(sender.0.lock().waiting.is_empty(), "nobody is left to take it");
    }

    /// The end comes after what is left, and at once to who asks later.
    #[test]
    fn end_comes_last() {
        let (sender, source) = channel(3, 100);
        let mut early = source.subscribe();
        sender.send(message(5));
        drop(sender);
        assert_eq!(now(&mut early).as_deref(), Some("5"));
        assert_eq!(early.next().now_or_never(), Some(None));
        assert_eq!(source.subscribe().next().now_or_never(), Some(None));
    }

    /// A receiver that waits is woken by what comes, and by the end.
    #[tokio::test]
    async fn waiting_receiver_is_woken() {
        let (sender, source) = channel(3, 100);
        let mut pushes = source.subscribe();
        let waiting = tokio::spawn(async move { (pushes.next().await, pushes.next().await) });
        tokio::task::yield_now().await;
        sender.send(Push::NewKey);
        tokio::task::yield_now().await;
        drop(sender);
        assert_eq!(waiting.await.unwrap(), (Some(Push::NewKey), None));
    }

    fn message(len: usize) -> Push {
        Push::Message(vec![1; len].into())
    }

    /// What a receiver gets without waiting.
    fn now(pushes: &mut Pushes) -> Option<String> {
        match pushes.next().now_or_never()?? {
            Push::Message(body) => Some(body.len().to_string()),
            Push::Missed(count) => Some(format!("missed {count}")),
            push => panic!("{push:?}"),
        }
    }
}
