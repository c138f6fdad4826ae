//! Greetings that were accepted before: who sends one again has recorded it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Buf;
use chappe_crypto::sha256;
use chappe_proto::Now;
use tokio::sync::broadcast;
use tokio::time::sleep;

use crate::config::HelloConfig;
use crate::handover::{HERE, LinkId};
use crate::keys::{Key, Keys};
use crate::shared::Shared;

/// Remembers hellos and headers, for all listeners of a process (PRX-24, PRX-26), and for the next
/// process.
pub(crate) struct Seen {
    digests: Mutex<Keys>,
    headers: Mutex<Keys>,
    ages: Mutex<Ages>,
    /// Whether greetings from before the start are all known.
    is_whole: AtomicBool,
    /// Greetings remembered since the start.
    count: AtomicU64,
    /// They as they come, with where they come from.
    news: broadcast::Sender<(LinkId, Greeting)>,
}

/// Of which hellos it is known whether they came.
#[derive(Clone, Copy, Debug)]
struct Ages {
    /// How old the oldest one was that could be accepted, all the time until now.
    max: Duration,
    /// The time of the oldest, in seconds since 1970: an older one may have come when it was fresh,
    /// and been forgotten since.
    time_min: u64,
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

/// Greetings that a process may be late to tell another.
const NEWS_MAX: usize = 8192;

/// What is remembered beyond the longest time in which a hello counts as fresh.
const MARGIN: Duration = Duration::from_secs(60);
/// Time between two looks at what is old.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);
/// How long headers are remembered, which have no time.
const HEADERS_SPAN: Duration = Duration::from_secs(2 * 24 * 3600);

impl Seen {
    /// Nothing was seen.
    pub(crate) fn new(config: &HelloConfig) -> Self {
        Self {
            digests: Mutex::new(Keys::new(config.digests_kept, span(config))),
            ages: Mutex::new(Ages { max: config.age_max, time_min: 0 }),
            headers: Mutex::new(Keys::allocated(config.headers_kept, HEADERS_SPAN)),
            is_whole: AtomicBool::new(false),
            count: AtomicU64::new(0),
            news: broadcast::Sender::new(NEWS_MAX),
        }
    }

    /// Follows settings by which older hellos are fresh, or only newer ones. What is remembered is
    /// remembered on.
    pub(crate) fn set_span(&self, config: &HelloConfig, now: Now) {
        let mut ages = lock(&self.ages);
        if config.age_max > ages.max {
            let time_min = now.unix.saturating_sub(ages.max).as_secs();
            *ages = Ages { max: config.age_max, time_min: time_min.max(ages.time_min) };
        }
        lock(&self.digests).widen(span(config));
    }

    /// Whether a hello of that time, in seconds since 1970, would be known if it had come.
    pub(crate) fn reaches(&self, time: u64) -> bool {
        time >= lock(&self.ages).time_min
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
        let keys = match greeting.kind {
            Kind::Digest => &self.digests,
            Kind::Header => &self.headers,
        };
        let is_new = lock(keys).insert(greeting.key, mono);
        if is_new {
            self.count.fetch_add(1, Ordering::Relaxed);
            // Mostly nobody listens.
            let _ = self.news.send((from, greeting));
        }
        is_new
    }

    /// Gives back the memory of those that need not be known any more.
    pub(crate) fn forget_old(&self, mono: Duration) {
        lock(&self.digests).forget_old(mono);
        lock(&self.headers).forget_old(mono);
    }

    /// Greetings as they are remembered from here on, with where they come from.
    pub(crate) fn listen(&self) -> broadcast::Receiver<(LinkId, Greeting)> {
        self.news.subscribe()
    }

    /// All that are remembered, older ones first, and of which hellos it is known; for another process.
    pub(crate) fn write(&self, unix: Duration) -> Vec<u8> {
        let Ages { max, time_min } = *lock(&self.ages);
        let time_min = unix.saturating_sub(max).as_secs().max(time_min);
        let mut bytes = [max.as_secs().to_le_bytes(), time_min.to_le_bytes()].concat();
        for (kind, keys) in [(Kind::Digest, &self.digests), (Kind::Header, &self.headers)] {
            let keys = lock(keys);
            bytes.reserve(keys.len() * Greeting::LEN);
            for key in keys.iter() {
                Greeting { kind, key }.write(&mut bytes);
            }
        }
        bytes
    }

    /// Remembers all that another process knew.
    pub(crate) fn resume(&self, from: LinkId, bytes: &[u8], now: Now) {
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let Some((max, bytes)) = bytes.split_first_chunk() else { return };
        let Some((time_min, bytes)) = bytes.split_first_chunk() else { return };
        // By a clock that was set back since, everybody would come too late.
        let time_min = word(time_min).min(now.unix.as_secs().saturating_sub(word(max)));
        let mut ages = lock(&self.ages);
        ages.time_min = ages.time_min.max(time_min);
        drop(ages);
        self.read(from, bytes, now.mono);
    }

    /// Remembers greetings of another process, as long as they can be made sense of.
    pub(crate) fn read(&self, from: LinkId, mut bytes: &[u8], mono: Duration) {
        while let Some(greeting) = Greeting::read(&mut bytes) {
            self.insert(from, greeting, mono);
        }
    }
}

/// How long digests are remembered.
fn span(config: &HelloConfig) -> Duration {
    config.age_max + config.future_max + MARGIN
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

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [digests, headers] = [&self.digests, &self.headers].map(|keys| lock(keys).len());
        write!(f, "Seen({digests} digests, {headers} headers)")
    }
}

/// Forgets what need not be known any more, now and then.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        sleep(FORGET_INTERVAL).await;
        shared.seen.forget_old(shared.clock.now().mono);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix: u64) -> Now {
        Now { unix: Duration::from_secs(unix), mono: Duration::from_secs(1) }
    }

    /// Rules: PRX-24: what another process knew stays known, and by a clock that was set back since no
    ///        hello is too old that would be fresh.
    #[test]
    fn what_another_process_knew_is_known() {
        let before =
            Seen::new(&HelloConfig { age_max: Duration::from_secs(100), ..Default::default() });
        assert!(before.is_new_digest(&[7; 32], Duration::ZERO));
        let written = before.write(Duration::from_secs(10_000));
        for (now, oldest) in [(10_000, 9_900), (10_050, 9_900), (5_000, 4_900)] {
            let seen = Seen::new(&HelloConfig::default());
            seen.resume(HERE, &written, at(now));
            assert!(seen.reaches(oldest) && !seen.reaches(oldest - 1), "{now}");
            assert!(!seen.is_new_digest(&[7; 32], Duration::ZERO));
        }
        let seen = Seen::new(&HelloConfig::default());
        seen.resume(HERE, &written[..15], at(10_000));
        assert!(seen.reaches(0));
    }
}
