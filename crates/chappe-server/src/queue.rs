//! What waits for a task: a queue that takes no memory while it is empty.
//!
//! Every link and every session has one, and nearly all of them are empty nearly always. A channel
//! of Tokio keeps room for 32 items ready, which is more than all the rest of an idle link.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::task::coop::cooperative;

/// What waits, as far as bounds count it.
pub(crate) trait Weighed {
    /// Bytes that it carries.
    fn bytes(&self) -> usize;
}

/// How much may wait. What is larger than `bytes_max` waits alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) items_max: usize,
    pub(crate) bytes_max: usize,
}

impl Bounds {
    /// Whoever sends sees to it that there is not too much.
    pub(crate) const NONE: Self = Self { items_max: usize::MAX, bytes_max: usize::MAX };
}

/// The way in.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// The way out. Once it is dropped nothing can be sent.
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

struct Shared<T> {
    bounds: Bounds,
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<T>,
    bytes: usize,
    senders: usize,
    /// The task that waits for an item.
    waiting: Option<Waker>,
    has_overrun: bool,
    has_receiver: bool,
}

pub(crate) fn queue<T: Weighed>(bounds: Bounds) -> (Sender<T>, Receiver<T>) {
    let state = State {
        items: VecDeque::new(),
        bytes: 0,
        senders: 1,
        waiting: None,
        has_overrun: false,
        has_receiver: true,
    };
    let shared = Arc::new(Shared { bounds, state: Mutex::new(state) });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T: Weighed> Sender<T> {
    /// Gives the item back if nobody will receive it. One that goes beyond the bounds is lost, and
    /// with it whatever waits.
    pub(crate) fn send(&self, item: T) -> Result<(), T> {
        let Bounds { items_max, bytes_max } = self.0.bounds;
        let mut state = self.0.lock();
        if !state.has_receiver || state.has_overrun {
            return Err(item);
        }
        let bytes = state.bytes.saturating_add(item.bytes());
        let is_too_much = (state.bytes > 0 && bytes > bytes_max) || state.items.len() >= items_max;
        let sent = if is_too_much {
            state.has_overrun = true;
            Err(item)
        } else {
            state.bytes = bytes;
            state.items.push_back(item);
            Ok(())
        };
        State::wake(state, sent)
    }
}

impl<T: Weighed> Receiver<T> {
    /// Waits for the next item; `None` once there will be none. May be dropped without losing any.
    pub(crate) async fn next(&mut self) -> Option<T> {
        // A queue that never runs empty must not keep the thread from other tasks.
        cooperative(poll_fn(|context| self.poll_next(context))).await
    }

    /// The next item, if it is there.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        self.0.lock().pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().items.is_empty()
    }

    /// Whether something was lost since it went beyond the bounds.
    pub(crate) fn has_overrun(&self) -> bool {
        self.0.lock().has_overrun
    }

    /// The same for who polls several things, and sees to it that other tasks run as well.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if let Some(item) = state.pop() {
            return Poll::Ready(Some(item));
        }
        if state.has_overrun || state.senders == 0 {
            return Poll::Ready(None);
        }
        state.items = VecDeque::new();
        match &mut state.waiting {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T: Weighed> State<T> {
    fn pop(&mut self) -> Option<T> {
        if self.has_overrun {
            return None;
        }
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes();
        Some(item)
    }
}

impl<T> State<T> {
    /// Lets go of the queue, then wakes who waits at it: it would wait again for the lock.
    fn wake<R>(mut guard: MutexGuard<'_, Self>, result: R) -> R {
        let waiting = guard.waiting.take();
        drop(guard);
        if let Some(waker) = waiting {
            waker.wake();
        }
        result
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        if state.senders == 0 {
            State::wake(state, ());
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_receiver = false;
        let unheard = std::mem::take(&mut state.items);
        drop(state);
        // Dropped without the lock: an item may hold a sender of this very queue.
        drop(unheard);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    impl Weighed for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[tokio::test]
    async fn who_waits_hears_of_items_and_of_the_end() {
        let (sender, mut receiver) = queue::<usize>(Bounds::NONE);
        let other = sender.clone();
        let task = tokio::spawn(async move {
            let heard = (receiver.next().await, receiver.next().await);
            (heard, receiver.next().await)
        });
        tokio::task::yield_now().await;
        assert_eq!(sender.send(7), Ok(()));
        tokio::task::yield_now().await;
        drop(sender);
        tokio::task::yield_now().await;
        assert_eq!(other.send(8), Ok(()));
        tokio::task::yield_now().await;
        drop(other);
        assert_eq!(task.await.unwrap(), ((Some(7), Some(8)), None));
    }

    #[test]
    fn nothing_is_sent_to_nobody_and_nothing_kept_for_nothing() {
        let (sender, mut receiver) = queue::<usize>(Bounds::NONE);
        for item in 0..100 {
            assert_eq!(sender.send(item), Ok(()));
        }
        while receiver.try_next().is_some() {}
        assert!(receiver.is_empty() && receiver.next().now_or_never().is_none());
        assert_eq!(sender.0.lock().items.capacity(), 0);
        drop(receiver);
        assert_eq!(sender.send(5), Err(5));
    }
}
