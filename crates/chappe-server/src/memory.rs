//! What all sessions together take of the memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Gauge;

/// The sum, and how many sessions it is of.
pub(crate) struct Memory {
    bytes: AtomicUsize,
    sessions: AtomicUsize,
    bytes_max: usize,
    gauge: Gauge,
}

/// What one session adds to the sum, until [`Memory::close`].
pub(crate) struct Share {
    bytes: usize,
}

/// What a session takes that holds nothing.
const LEAST: usize = 4 << 10;
/// Changes smaller than this are not worth telling all other threads.
const STEP: usize = 4 << 10;

/// What a session has to do about its growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fits,
    /// Have one without a connection forgotten; if there is none and this one `has_more` than its
    /// share, it has to go itself.
    TooMuch { has_more: bool },
}

impl Memory {
    pub(crate) fn new(bytes_max: usize, gauge: Gauge) -> Self {
        Self { bytes: AtomicUsize::new(0), sessions: AtomicUsize::new(0), bytes_max, gauge }
    }

    /// One more session.
    pub(crate) fn open(&self) -> Share {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(LEAST, Ordering::Relaxed);
        self.gauge.increment(LEAST as f64);
        Share { bytes: LEAST }
    }

    /// A session takes so many bytes beside the least.
    pub(crate) fn note(&self, share: &mut Share, bytes: usize) -> Verdict {
        let bytes = LEAST + bytes;
        if bytes.abs_diff(share.bytes) < STEP {
            return Verdict::Fits;
        }
        let old = std::mem::replace(&mut share.bytes, bytes);
        self.gauge.increment(bytes as f64 - old as f64);
        if bytes < old {
            self.bytes.fetch_sub(old - bytes, Ordering::Relaxed);
            return Verdict::Fits;
        }
        let before = self.bytes.fetch_add(bytes - old, Ordering::Relaxed);
        if before + (bytes - old) <= self.bytes_max {
            return Verdict::Fits;
        }
        let sessions = self.sessions.load(Ordering::Relaxed).max(1);
        Verdict::TooMuch { has_more: bytes > self.bytes_max / sessions }
    }

    /// A session has ended.
    pub(crate) fn close(&self, share: &Share) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(share.bytes, Ordering::Relaxed);
        self.gauge.decrement(share.bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   the memory of all sessions is bounded; who grows beyond it hears so, and whether it
    ///         has more than its share. Who shrinks, or hardly changes, hears nothing.
    /// Source: SES-06, SEC-47.
    #[test]
    fn sessions_beyond_the_bound_are_told() {
        let memory = Memory::new(100 << 10, Gauge::noop());
        let (mut large, mut small) = (memory.open(), memory.open());
        assert_eq!(memory.note(&mut large, 72 << 10), Verdict::Fits);
        assert_eq!(memory.note(&mut small, 20 << 10), Verdict::Fits);
        assert_eq!(memory.bytes.load(Ordering::Relaxed), 100 << 10);
        assert_eq!(memory.note(&mut small, (20 << 10) + STEP - 1), Verdict::Fits);
        let too_much = |has_more| Verdict::TooMuch { has_more };
        assert_eq!(memory.note(&mut small, 24 << 10), too_much(false));
        assert_eq!(memory.note(&mut large, 76 << 10), too_much(true));
        assert_eq!(memory.note(&mut large, 60 << 10), Verdict::Fits);
        memory.close(&large);
        memory.close(&small);
        assert_eq!(memory.bytes.load(Ordering::Relaxed), 0);
    }
}
