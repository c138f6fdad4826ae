//! Bytes that wait for slow ends, all connections together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Gauge;
use tokio::sync::oneshot;

use crate::metrics::Count;

/// Counts them, and has those closed who wait longest when they are too many (PRX-33).
#[derive(Debug)]
pub(crate) struct Memory {
    held: AtomicUsize,
    max: AtomicUsize,
    waiting: Mutex<Waiting>,
    gauge: Gauge,
    evicted: Arc<Count>,
}

/// Who waits, by how long.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, oneshot::Sender<()>>,
}

/// Bytes that wait, until dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

/// Bytes of one direction of a connection, as long as they wait.
#[derive(Debug)]
pub(crate) struct Ticket {
    held: Held,
    place: u64,
    /// Completes when the connection is to be closed.
    pub(crate) evicted: oneshot::Receiver<()>,
}

impl Memory {
    pub(crate) fn new(max: usize, gauge: Gauge, evicted: Arc<Count>) -> Self {
        let (held, max) = (AtomicUsize::new(0), AtomicUsize::new(max));
        Self { held, max, waiting: Mutex::default(), gauge, evicted }
    }

    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Bytes that wait now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether nobody new is to be served.
    pub(crate) fn is_full(&self) -> bool {
        self.held() >= self.max.load(Ordering::Relaxed)
    }

    /// Counts bytes that wait from now on for somebody who has a ticket for others already, or for
    /// nobody who could be closed. Where they are too many, who waits longest has to go.
    pub(crate) fn count(self: &Arc<Self>, bytes: usize) -> Held {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.gauge.increment(bytes as f64);
        if held > self.max.load(Ordering::Relaxed)
            && let Some((_, longest)) = self.waiting().by_age.pop_first()
        {
            self.evicted.increment(1);
            // Who is gone already has gone by himself.
            let _ = longest.send(());
        }
        Held { memory: Arc::clone(self), bytes }
    }

    /// The same, for somebody who may be closed for it.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Ticket {
        let (sender, evicted) = oneshot::channel();
        let mut waiting = self.waiting();
        let place = waiting.next;
        waiting.next += 1;
        waiting.by_age.insert(place, sender);
        drop(waiting);
        Ticket { held: self.count(bytes), place, evicted }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.memory.gauge.decrement(self.bytes as f64);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.held.memory.waiting().by_age.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules: PRX-33: over the bound nobody new is served, and who waits longest goes.
    #[test]
    fn who_waits_longest_goes_first() {
        let memory = Arc::new(Memory::new(100, Gauge::noop(), Arc::default()));
        let mut first = memory.hold(50);
        let mut second = memory.hold(40);
        assert!(!memory.is_full());
        let mut third = memory.hold(20);
        assert!(memory.is_full());
        assert!(first.evicted.try_recv().is_ok());
        assert!(second.evicted.try_recv().is_err());
        drop(first);
        assert!(!memory.is_full());
        let _fourth = memory.hold(70);
        assert!(second.evicted.try_recv().is_ok() && third.evicted.try_recv().is_err());
        // What waits beside that counts as well, and has its longest waiter go.
        let _beside = memory.count(10);
        assert!(third.evicted.try_recv().is_ok());
        assert_eq!(memory.held(), 40 + 20 + 70 + 10);
    }
}
