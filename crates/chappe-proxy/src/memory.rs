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
    /// Those who were told to go and have not gone yet.
    going: usize,
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
    /// nobody who could be closed. Where they are too many, who waits longest has to go: one at a
    /// time, for what he gives back may be enough.
    pub(crate) fn count(self: &Arc<Self>, bytes: usize) -> Held {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.gauge.increment(bytes as f64);
        if held > self.max.load(Ordering::Relaxed) {
            self.evict();
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

    fn evict(&self) {
        let mut waiting = self.waiting();
        if waiting.going == 0
            && let Some((_, longest)) = waiting.by_age.pop_first()
        {
            waiting.going += 1;
            self.evicted.increment(1);
            // Who is gone already has gone by himself.
            let _ = longest.send(());
        }
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
        let mut waiting = self.held.memory.waiting();
        if waiting.by_age.remove(&self.place).is_none() {
            waiting.going -= 1;
        }
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
        // What waits beside that counts as well, and has who waits longest go, once the one before
        // him has gone.
        let _beside = memory.count(10);
        assert!(third.evicted.try_recv().is_err());
        drop(second);
        let _more = memory.count(10);
        assert!(third.evicted.try_recv().is_ok());
        assert_eq!(memory.held(), 20 + 70 + 10 + 10);
    }
}
