//! Key exchanges over UDP on a server: what was asked and answered, for a short while (UDP-05).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;

/// The nonce that every request of one exchange begins with, after its constructor.
pub type Nonce = [u8; 16];

/// Exchanges by who asked, and by the nonce. A stranger can fill it: what is new then takes the
/// place of any other.
#[derive(Debug)]
pub struct Hellos {
    entries: BTreeMap<(SocketAddr, Nonce), Hello>,
    entries_max: usize,
    rng: Rng,
}

#[derive(Debug)]
struct Hello {
    begun: Duration,
    request: Bytes,
    /// Absent while it is being made.
    reply: Option<Bytes>,
}

/// What follows from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody asked this before: answer it.
    New,
    /// It was answered: the same again.
    Answered(Bytes),
    /// It is being answered.
    Pending,
}

/// Longest life of an exchange.
const LIFE: Duration = Duration::from_secs(30);

impl Hellos {
    /// An empty table of at most `entries_max` exchanges. Each costs up to 2.5 KiB.
    pub fn new(entries_max: usize, rng: Rng) -> Self {
        Self { entries: BTreeMap::new(), entries_max: entries_max.max(1), rng }
    }

    /// Takes the body of a request, without what pads its datagram.
    pub fn ask(&mut self, now: Duration, from: SocketAddr, request: &Bytes) -> Option<Asked> {
        let nonce = nonce_of(request)?;
        let place = (from, nonce);
        self.entries.retain(|_, hello| now < hello.begun + LIFE);
        let known = self.entries.get(&place);
        if let Some(Hello { reply, .. }) = known.filter(|hello| hello.request == *request) {
            return Some(reply.clone().map_or(Asked::Pending, Asked::Answered));
        }
        // The next step of an exchange lives no longer for being one.
        let begun = known.map_or(now, |hello| hello.begun);
        if known.is_none() && self.entries.len() >= self.entries_max {
            self.evict();
        }
        let request = Bytes::copy_from_slice(request);
        self.entries.insert(place, Hello { begun, request, reply: None });
        Some(Asked::New)
    }

    /// Keeps the datagram that answers the last request of this exchange.
    pub fn answer(&mut self, to: SocketAddr, nonce: Nonce, datagram: Bytes) {
        if let Some(hello) = self.entries.get_mut(&(to, nonce)) {
            hello.reply = Some(datagram);
        }
    }

    /// The last request of this exchange is not answered: it may ask again.
    pub fn forget(&mut self, from: SocketAddr, nonce: Nonce) {
        self.entries.remove(&(from, nonce));
    }

    fn evict(&mut self) {
        let at = self.rng.below(self.entries.len() as u32) as usize;
        if let Some(place) = self.entries.keys().nth(at).copied() {
            self.entries.remove(&place);
        }
    }
}

/// The nonce of a request, behind its constructor.
pub fn nonce_of(request: &[u8]) -> Option<Nonce> {
    request.get(4..20)?.first_chunk().copied()
}
