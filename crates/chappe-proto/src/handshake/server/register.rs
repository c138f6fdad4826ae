//! Which exchanges there are: found by nonce, bounded in number, forgotten with age.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use super::{Exchange, HandshakeConfig, Origin};
use crate::handshake::Nonce;
use crate::ids::LinkId;

/// The exchanges of a server.
#[derive(Debug, Default)]
pub(super) struct Register {
    entries: HashMap<Nonce, Entry>,
    /// By first message, for the end of life; the number tells apart what began at one instant.
    by_age: BTreeMap<(Duration, u64), Nonce>,
    /// By last message, for the bound on their number.
    by_use: BTreeMap<u64, Nonce>,
    by_link: HashMap<LinkId, usize>,
    by_address: HashMap<IpAddr, usize>,
    /// Uses so far.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    age: (Duration, u64),
    used: u64,
    origin: Origin,
    exchange: Exchange,
}

impl Register {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The exchange that a client began with `nonce`, which counts as a use.
    pub(super) fn get(&mut self, nonce: &Nonce) -> Option<&mut Exchange> {
        let entry = self.entries.get_mut(nonce)?;
        self.uses += 1;
        self.by_use.remove(&entry.used);
        self.by_use.insert(self.uses, *nonce);
        entry.used = self.uses;
        Some(&mut entry.exchange)
    }

    /// When it began; no use of it.
    pub(super) fn begun(&self, nonce: &Nonce) -> Option<Duration> {
        self.entries.get(nonce).map(|entry| entry.age.0)
    }

    /// Whether whoever sends from `origin` may begin another exchange (KEY-32).
    pub(super) fn admits(&self, origin: Origin, config: &HandshakeConfig) -> bool {
        let of_link = self.by_link.get(&origin.link).copied().unwrap_or(0);
        let of_address = self.by_address.get(&origin.address).copied().unwrap_or(0);
        of_link < config.exchanges_per_link_max && of_address < config.exchanges_per_address_max
    }

    /// Adds an exchange with a nonce not known so far; where `max` are there, the one unused for
    /// longest gives way.
    pub(super) fn insert(
        &mut self,
        now: Duration,
        origin: Origin,
        nonce: Nonce,
        exchange: Exchange,
        max: usize,
    ) {
        while self.entries.len() >= max {
            let Some((_, nonce)) = self.by_use.first_key_value() else { break };
            self.remove(*nonce);
        }
        self.uses += 1;
        let (age, used) = ((now, self.uses), self.uses);
        self.by_age.insert(age, nonce);
        self.by_use.insert(used, nonce);
        *self.by_link.entry(origin.link).or_default() += 1;
        *self.by_address.entry(origin.address).or_default() += 1;
        self.entries.insert(nonce, Entry { age, used, origin, exchange });
    }

    /// Forgets what began `life` ago or earlier (KEY-31).
    pub(super) fn expire(&mut self, now: Duration, life: Duration) {
        while let Some((age, nonce)) = self.by_age.first_key_value() {
            if now.saturating_sub(age.0) < life {
                break;
            }
            self.remove(*nonce);
        }
    }

    fn remove(&mut self, nonce: Nonce) {
        let Some(entry) = self.entries.remove(&nonce) else { return };
        self.by_age.remove(&entry.age);
        self.by_use.remove(&entry.used);
        uncount(&mut self.by_link, &entry.origin.link);
        uncount(&mut self.by_address, &entry.origin.address);
    }
}

fn uncount<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
