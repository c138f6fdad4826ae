//! Clients that a link has lately parted with, whose packets may still be on their way.

use std::collections::{BTreeSet, VecDeque};

use crate::middle::messages::ConnId;

/// The last of them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    known: BTreeSet<ConnId>,
    order: VecDeque<ConnId>,
}

/// How many are remembered: more than are parted with while a packet is on its way.
const KEPT_MAX: usize = 4096;

impl Recent {
    /// Remembers a client; `false` if it was remembered.
    pub(super) fn insert(&mut self, client: ConnId) -> bool {
        if !self.known.insert(client) {
            return false;
        }
        if self.order.len() == KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(client);
        true
    }

    pub(super) fn contains(&self, client: ConnId) -> bool {
        self.known.contains(&client)
    }
}
