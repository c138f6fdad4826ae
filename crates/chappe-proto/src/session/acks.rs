//! Acknowledgements owed to the peer: gathered, and sent with whatever leaves next.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::MsgId;

/// Ids to acknowledge, each with the moment by which `msgs_ack` must name it.
#[derive(Debug, Default)]
pub struct Acks {
    owed: VecDeque<(MsgId, Duration)>,
}

/// Most ids in one `msgs_ack` (MSG-21).
pub const IDS_MAX: usize = 8192;

impl Acks {
    /// Notes that `id` is to be acknowledged by `due` (monotonic).
    pub fn owe(&mut self, id: MsgId, due: Duration) {
        self.owed.push_back((id, due));
    }

    /// Forgets a debt that something else has paid, such as the answer (SVC-01).
    pub fn settle(&mut self, id: MsgId) {
        self.owed.retain(|(owed, _)| *owed != id);
    }

    /// Makes every debt due at once.
    pub fn hasten(&mut self) {
        for (_, due) in &mut self.owed {
            *due = Duration::ZERO;
        }
    }

    /// When the first debt must be paid.
    pub fn due(&self) -> Option<Duration> {
        self.owed.iter().map(|(_, due)| *due).min()
    }

    /// How many are owed.
    pub fn len(&self) -> usize {
        self.owed.len()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Takes at most [`IDS_MAX`] ids to put into one `msgs_ack`.
    pub fn take(&mut self) -> Vec<MsgId> {
        let count = self.owed.len().min(IDS_MAX);
        self.owed.drain(..count).map(|(id, _)| id).collect()
    }

    /// Takes the ids whose moment has come, at most [`IDS_MAX`].
    pub fn take_due(&mut self, now: Duration) -> Vec<MsgId> {
        let mut due = Vec::new();
        self.owed.retain(|(id, at)| {
            let is_due = *at <= now && due.len() < IDS_MAX;
            if is_due {
                due.push(*id);
            }
            !is_due
        });
        due
    }
}
