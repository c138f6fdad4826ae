//! Messages owed to the peer: written, perhaps sent, not yet acknowledged.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::MsgId;

/// A content-related message of ours that the peer has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Its sequence number; kept when it is sent again (MSG-19).
    pub seq_no: i32,
    /// Its body.
    pub body: Bytes,
    /// The call that it answers, if it answers one.
    pub answers: Option<MsgId>,
}

/// Everything unacknowledged of one session, oldest first, within limits (SES-07).
#[derive(Debug)]
pub struct Outbox {
    owed: BTreeMap<MsgId, Owed>,
    /// Contents of containers still unacknowledged: acknowledging one acknowledges them (SVC-04).
    containers: BTreeMap<MsgId, Vec<MsgId>>,
    bytes: usize,
    limits: OutboxLimits,
}

/// Bounds of what is kept for a peer that does not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxLimits {
    /// Most messages kept. Default: 10 000.
    pub messages_max: usize,
    /// Most bytes of bodies kept. Default: 16 MiB.
    pub bytes_max: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { messages_max: 10_000, bytes_max: 16 << 20 }
    }
}

impl OutboxLimits {
    /// Limits of `messages_max` messages and `bytes_max` bytes.
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { messages_max, bytes_max }
    }
}

impl Outbox {
    /// An empty outbox.
    pub fn new(limits: OutboxLimits) -> Self {
        Self { owed: BTreeMap::new(), containers: BTreeMap::new(), bytes: 0, limits }
    }

    /// Keeps a message until it is acknowledged. Gives how many older ones had to go for it.
    pub fn keep(&mut self, id: MsgId, owed: Owed) -> usize {
        self.bytes += owed.body.len();
        self.owed.insert(id, owed);
        let mut dropped = 0;
        while self.owed.len() > self.limits.messages_max || self.bytes > self.limits.bytes_max {
            // Pushes go first: who missed one asks for the difference. A lost answer has no cure.
            let oldest = self.owed.iter().find(|(_, owed)| owed.answers.is_none());
            let Some(victim) = oldest.or_else(|| self.owed.first_key_value()).map(|(id, _)| *id)
            else {
                break;
            };
            self.forget(victim);
            dropped += 1;
        }
        dropped
    }

    /// Remembers which messages travelled in a container.
    pub fn contain(&mut self, container: MsgId, contents: Vec<MsgId>) {
        self.containers.insert(container, contents);
        while self.containers.len() > self.limits.messages_max {
            self.containers.pop_first();
        }
    }

    /// Takes an acknowledgement. Gives the calls whose answers are now known to have arrived.
    ///
    /// Ids of others and repeated ids change nothing (SVC-04).
    pub fn acknowledge(&mut self, id: MsgId) -> Vec<MsgId> {
        let contents = self.containers.remove(&id).unwrap_or_default();
        contents
            .into_iter()
            .chain([id])
            .filter_map(|id| self.forget(id))
            .filter_map(|owed| owed.answers)
            .collect()
    }

    /// The message of an id, while it is unacknowledged.
    pub fn get(&self, id: MsgId) -> Option<&Owed> {
        self.owed.get(&id)
    }

    /// Removes a message without an acknowledgement.
    pub fn forget(&mut self, id: MsgId) -> Option<Owed> {
        let owed = self.owed.remove(&id)?;
        self.bytes -= owed.body.len();
        Some(owed)
    }

    /// Everything unacknowledged, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (MsgId, &Owed)> {
        self.owed.iter().map(|(id, owed)| (*id, owed))
    }
}
