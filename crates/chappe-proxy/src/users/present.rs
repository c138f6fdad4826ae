//! The connections of a user and their addresses, here and in other processes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::handover::{LinkId, Presence};

/// Who is here in his name.
#[derive(Debug, Default)]
pub(super) struct Present {
    connections: usize,
    /// How many of them come from where.
    addresses: HashMap<IpAddr, usize>,
    /// Connections here since the start.
    total: u64,
    /// His connections in processes that this one took over from, or that took over from it.
    elsewhere: BTreeMap<LinkId, Presence>,
}

impl Present {
    /// Connections here and elsewhere.
    pub(super) fn connections(&self) -> usize {
        let elsewhere = self.elsewhere.values().map(|presence| presence.connections);
        self.connections + elsewhere.sum::<usize>()
    }

    /// Distinct addresses here and elsewhere.
    pub(super) fn addresses(&self) -> usize {
        if self.elsewhere.is_empty() {
            return self.addresses.len();
        }
        let mut addresses: HashSet<_> = self.addresses.keys().collect();
        addresses.extend(self.elsewhere.values().flat_map(|presence| presence.addresses.keys()));
        addresses.len()
    }

    pub(super) fn is_here(&self, address: &IpAddr) -> bool {
        self.addresses.contains_key(address)
            || self.elsewhere.values().any(|presence| presence.addresses.contains_key(address))
    }

    /// Connections here since the start.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn enter(&mut self, address: IpAddr) {
        self.connections += 1;
        self.total += 1;
        *self.addresses.entry(address).or_default() += 1;
    }

    pub(super) fn leave(&mut self, address: IpAddr) {
        self.connections -= 1;
        if let Some(count) = self.addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }

    /// All, but for those of the process that `link` leads to.
    pub(super) fn without(&self, link: LinkId) -> Presence {
        let mut presence = Presence {
            connections: self.connections,
            addresses: self.addresses.iter().map(|(at, count)| (*at, *count)).collect(),
        };
        for (_, other) in self.elsewhere.iter().filter(|(id, _)| **id != link) {
            presence.connections += other.connections;
            for (address, count) in &other.addresses {
                *presence.addresses.entry(*address).or_default() += count;
            }
        }
        presence
    }

    /// Replaces what is known of the process that `link` leads to; connections there before.
    pub(super) fn set_elsewhere(&mut self, link: LinkId, presence: Presence) -> usize {
        let before = match presence.connections {
            0 => self.elsewhere.remove(&link),
            _ => self.elsewhere.insert(link, presence),
        };
        before.map_or(0, |before| before.connections)
    }
}
