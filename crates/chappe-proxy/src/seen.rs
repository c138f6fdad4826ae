//! Greetings that were accepted before: who sends one again has recorded it.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Buf;
use chappe_crypto::sha256;
use tokio::sync::broadcast;

use crate::config::HelloConfig;
use crate::handover::{HERE, LinkId};

/// Remembers hellos and headers, for all listeners of a process (PRX-24, PRX-26), and for the next
/// process.
pub(crate) struct Seen {
    digests: Mutex<Generations>,
    headers: Mutex<Generations>,
    /// Whether greetings from before the start are all known.
    is_whole: AtomicBool,
    /// Greetings remembered since the start.
    count: AtomicU64,
    /// They as they come, with where they come from.
    news: broadcast::Sender<(LinkId, Greeting)>,
}

/// What is remembered of one that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    kind: Kind,
    key: Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Digest,
    Header,
}

type Key = [u8; 16];

/// Greetings that a process may be late to tell another.
const NEWS_MAX: usize = 8192;

/// A younger half that grows and an older one that is forgotten as a whole: what is remembered is
/// the last span at least and the last `kept` at least, and at most twice as much of both.
struct Generations {
    kept: usize,
    span: Duration,
    /// When the younger half began, on the monotonic clock.
    since: Duration,
    newer: HashSet<Key>,
    older: HashSet<Key>,
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
            is_whole: AtomicBool::new(false),
            count: AtomicU64::new(0),
            news: broadcast::Sender::new(NEWS_MAX),
        }
    }

    /// Whether a greeting from before the start would be known.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Relaxed)
    }

    /// Says that all from before the start are known.
    pub(crate) fn set_whole(&self) {
        self.is_whole.store(true, Ordering::Relaxed);
    }

    /// Greetings remembered since the start: as long as it stays there is nothing new.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether this digest of a hello is new; from then on it is not. To be asked only once the
    /// hello has proven its secret: else strangers would fill what is remembered (PRX-25).
    pub(crate) fn is_new_digest(&self, digest: &[u8; 32], mono: Duration) -> bool {
        let (key, _) = digest.split_first_chunk().expect("16 bytes are fewer than 32");
        self.insert(HERE, Greeting { kind: Kind::Digest, key: *key }, mono)
    }

    /// The same for the part of a header that its keys come from: all else in it may be changed by
    /// who sends it again.
    pub(crate) fn is_new_header(&self, keys: &[u8], mono: Duration) -> bool {
        let hash = sha256(&[keys]);
        let (key, _) = hash.split_first_chunk().expect("16 bytes are fewer than 32");
        self.insert(HERE, Greeting { kind: Kind::Header, key: *key }, mono)
    }

    fn insert(&self, from: LinkId, greeting: Greeting, mono: Duration) -> bool {
        let half = match greeting.kind {
            Kind::Digest => &self.digests,
            Kind::Header => &self.headers,
        };
        let is_new = lock(half).insert(greeting.key, mono);
        if is_new {
            self.count.fetch_add(1, Ordering::Relaxed);
            // Mostly nobody listens.
            let _ = self.news.send((from, greeting));
        }
        is_new
    }

    /// Greetings as they are remembered from here on, with where they come from.
    pub(crate) fn listen(&self) -> broadcast::Receiver<(LinkId, Greeting)> {
        self.news.subscribe()
    }

    /// All that are remembered, older ones first.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, half) in [(Kind::Digest, &self.digests), (Kind::Header, &self.headers)] {
            let half = lock(half);
            bytes.reserve((half.older.len() + half.newer.len()) * Greeting::LEN);
            for key in half.older.iter().chain(&half.newer) {
                Greeting { kind, key: *key }.write(&mut bytes);
            }
        }
        bytes
    }

    /// Remembers what another process wrote, as long as it can be made sense of.
    pub(crate) fn read(&self, from: LinkId, mut bytes: &[u8], mono: Duration) {
        while let Some(greeting) = Greeting::read(&mut bytes) {
            self.insert(from, greeting, mono);
        }
    }
}

impl Greeting {
    pub(crate) const LEN: usize = 17;

    pub(crate) fn write(self, into: &mut Vec<u8>) {
        into.push(match self.kind {
            Kind::Digest => 0,
            Kind::Header => 1,
        });
        into.extend_from_slice(&self.key);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (kind, key) = (*bytes.first()?, *bytes.get(1..)?.first_chunk()?);
        let kind = match kind {
            0 => Kind::Digest,
            1 => Kind::Header,
            _ => return None,
        };
        bytes.advance(Self::LEN);
        Some(Self { kind, key })
    }
}

impl Generations {
    fn new(kept: usize, span: Duration) -> Self {
        Self { kept, span, since: Duration::ZERO, newer: HashSet::new(), older: HashSet::new() }
    }

    fn insert(&mut self, key: Key, mono: Duration) -> bool {
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
