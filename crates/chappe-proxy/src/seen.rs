//! Greetings that were accepted before: who sends one again has recorded it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chappe_crypto::sha256;

use crate::config::HelloConfig;

/// Remembers hellos and headers, for all listeners of a process (PRX-24, PRX-26).
pub(crate) struct Seen {
    digests: Mutex<Generations>,
    headers: Mutex<Generations>,
}

/// A younger half that grows and an older one that is forgotten as a whole: what is remembered is
/// the last span at least and the last `kept` at least, and at most twice as much of both.
struct Generations {
    kept: usize,
    span: Duration,
    /// When the younger half began, on the monotonic clock.
    since: Duration,
    newer: HashSet<[u8; 16]>,
    older: HashSet<[u8; 16]>,
}

/// What is remembered beyond the longest time in which a hello counts as fresh.
const MARGIN: Duration = Duration::from_secs(60);
/// How long headers are remembered, which have no time.
const HEADERS_SPAN: Duration = Duration::from_secs(2 * 24 * 3600);

impl Seen {
    /// Nothing was seen.
    pub(crate) fn new(config: &HelloConfig) -> Self {
        let span = config.age_max + config.future_max + MARGIN;
        Self {
            digests: Mutex::new(Generations::new(config.digests_kept, span)),
            headers: Mutex::new(Generations::new(config.headers_kept, HEADERS_SPAN)),
        }
    }

    /// Whether this digest of a hello is new; from then on it is not. To be asked only once the
    /// hello has proven its secret: else strangers would fill what is remembered (PRX-25).
    pub(crate) fn is_new_digest(&self, digest: &[u8; 32], mono: Duration) -> bool {
        let (key, _) = digest.split_first_chunk().expect("16 bytes are fewer than 32");
        lock(&self.digests).insert(*key, mono)
    }

    /// The same for the part of a header that its keys come from: all else in it may be changed by
    /// who sends it again.
    pub(crate) fn is_new_header(&self, keys: &[u8], mono: Duration) -> bool {
        let hash = sha256(&[keys]);
        let (key, _) = hash.split_first_chunk().expect("16 bytes are fewer than 32");
        lock(&self.headers).insert(*key, mono)
    }
}

impl Generations {
    fn new(kept: usize, span: Duration) -> Self {
        Self { kept, span, since: Duration::ZERO, newer: HashSet::new(), older: HashSet::new() }
    }

    fn insert(&mut self, key: [u8; 16], mono: Duration) -> bool {
        // A time alone would let a crowd fill the memory, a number alone let it drive out what is
        // still fresh: a half is closed when it is old or full.
        if self.newer.len() >= self.kept || mono.saturating_sub(self.since) >= self.span {
            self.older = std::mem::take(&mut self.newer);
            self.since = mono;
        }
        !self.older.contains(&key) && self.newer.insert(key)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = |half: &Mutex<Generations>| {
            let half = lock(half);
            half.newer.len() + half.older.len()
        };
        write!(f, "Seen({} digests, {} headers)", len(&self.digests), len(&self.headers))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
