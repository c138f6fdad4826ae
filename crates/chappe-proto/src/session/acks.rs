//! Acknowledgements owed to the peer: gathered, and sent with whatever leaves next.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::MsgId;
use crate::spare::Spare;

/// Ids to acknowledge, each with the moment by which `msgs_ack` must name it.
///
/// Ordered both by id and by moment, since a busy server settles a debt for every answer.
#[derive(Debug, Default)]
pub struct Acks {
    owed: BTreeMap<MsgId, Duration>,
    by_due: BTreeSet<(Duration, MsgId)>,
}

/// Most ids in one `msgs_ack` (MSG-21).
pub const IDS_MAX: usize = 8192;

impl Acks {
    /// Nothing is owed.
    pub const fn new() -> Self {
        Self { owed: BTreeMap::new(), by_due: BTreeSet::new() }
    }

    /// Notes that `id` is to be acknowledged by `due` (monotonic), unless it is noted already.
    pub fn owe(&mut self, id: MsgId, due: Duration) {
        if let Entry::Vacant(entry) = self.owed.entry(id) {
            entry.insert(due);
            self.by_due.insert((due, id));
        }
    }

    /// Forgets a debt that something else has paid, such as the answer (SVC-01).
    pub fn settle(&mut self, id: MsgId) {
        if let Some(due) = self.owed.remove(&id) {
            self.by_due.remove(&(due, id));
        }
    }

    /// Makes every debt due at once.
    pub fn hasten(&mut self) {
        for due in self.owed.values_mut() {
            *due = Duration::ZERO;
        }
        self.by_due = self.owed.keys().map(|id| (Duration::ZERO, *id)).collect();
    }

    /// Gives back the memory of debts that are paid.
    pub(crate) fn rest(&mut self) {
        self.owed.give_back();
        self.by_due.give_back();
    }

    /// When the first debt must be paid.
    pub fn due(&self) -> Option<Duration> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// How many are owed.
    pub fn len(&self) -> usize {
        self.owed.len()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Takes at most [`IDS_MAX`] ids to put into one `msgs_ack`, the oldest debts first.
    pub fn take(&mut self) -> Vec<MsgId> {
        self.take_due(Duration::MAX)
    }

    /// Takes the ids whose moment has come, at most [`IDS_MAX`].
    pub fn take_due(&mut self, now: Duration) -> Vec<MsgId> {
        let mut taken = Vec::new();
        while taken.len() < IDS_MAX
            && let Some((due, id)) = self.by_due.first().copied()
            && due <= now
        {
            self.settle(id);
            taken.push(id);
        }
        taken
    }
}
