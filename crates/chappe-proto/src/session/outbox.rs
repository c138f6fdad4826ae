//! Messages owed to the peer: written, perhaps sent, not yet acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{LinkId, MsgId};
use crate::spare::Spare;

/// A content-related message of ours that the peer has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Its sequence number; kept when it is sent again (MSG-19).
    pub seq_no: i32,
    /// Its body.
    pub body: Bytes,
    /// The call that it answers, if it answers one.
    pub answers: Option<MsgId>,
    /// How far it got.
    pub place: Place,
    /// The event that it tells, if it tells one of a line.
    pub mark: Option<Mark>,
}

/// An event of a line of events, such as what happens to an account. A line has them in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which line it is.
    pub line: i64,
    /// Where the event is in it: rises from one to the next.
    pub at: i32,
}

/// How far an unacknowledged message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No link was open, or none since the last one closed.
    Nowhere,
    /// It waits for this link to take it.
    Ready(LinkId),
    /// It, or word of it, left on this link.
    Sent(LinkId),
    /// It waits for a request of HTTP, to leave in the response.
    Waiting,
    /// It, or word of it, left in a response, at this moment of the monotonic clock.
    Posted(Duration),
}

/// Messages given up for a newer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Those that answered nothing.
    pub pushes: u64,
    /// Answers.
    pub answers: u64,
}

/// Everything unacknowledged of one session, oldest first, within limits (SES-07).
#[derive(Debug, Default)]
pub struct Outbox {
    owed: BTreeMap<MsgId, Owed>,
    /// Those of `owed` that answer nothing.
    pushes: BTreeSet<MsgId>,
    /// Container and content, of what is still owed: who acknowledges a container acknowledges
    /// its contents (SVC-04).
    contained: BTreeSet<(MsgId, MsgId)>,
    /// The last container that each message travelled in.
    container_of: BTreeMap<MsgId, MsgId>,
    bytes: usize,
}

/// Bounds of what is kept for a peer that does not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxLimits {
    /// Most messages kept. Default: 10 000.
    pub messages_max: usize,
    /// Most bytes of bodies kept, the newest message apart. Default: 16 MiB.
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
    pub const fn new() -> Self {
        Self {
            owed: BTreeMap::new(),
            pushes: BTreeSet::new(),
            contained: BTreeSet::new(),
            container_of: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Keeps a message until it is acknowledged. Gives how many older ones had to go for it.
    pub fn keep(&mut self, id: MsgId, owed: Owed, limits: OutboxLimits) -> Dropped {
        self.bytes += owed.body.len();
        if owed.answers.is_none() {
            self.pushes.insert(id);
        }
        self.owed.insert(id, owed);
        let mut dropped = Dropped::default();
        while self.owed.len() > limits.messages_max || self.bytes > limits.bytes_max {
            // Pushes go first: who missed one asks for the difference. A lost answer has no cure.
            let push = self.pushes.first().filter(|push| **push != id);
            let oldest = push.or_else(|| self.owed.keys().find(|other| **other != id)).copied();
            let Some(victim) = oldest else { break };
            match self.forget(victim) {
                Some(Owed { answers: Some(_), .. }) => dropped.answers += 1,
                _ => dropped.pushes += 1,
            }
        }
        dropped
    }

    /// Gives back the memory of what is acknowledged.
    pub(crate) fn rest(&mut self) {
        self.owed.give_back();
        self.pushes.give_back();
        self.contained.give_back();
        self.container_of.give_back();
    }

    /// Remembers that an unacknowledged message travelled in a container.
    pub fn contain(&mut self, container: MsgId, content: MsgId) {
        if let Some(earlier) = self.container_of.insert(content, container) {
            self.contained.remove(&(earlier, content));
        }
        self.contained.insert((container, content));
    }

    /// Takes an acknowledgement of a message, or of a container and all that is in it.
    ///
    /// Ids of others and repeated ids change nothing (SVC-04).
    pub fn acknowledge(&mut self, id: MsgId) {
        if self.forget(id).is_some() {
            return;
        }
        let contents = (id, MsgId(i64::MIN))..=(id, MsgId(i64::MAX));
        let contents: Vec<MsgId> =
            self.contained.range(contents).map(|(_, content)| *content).collect();
        for content in contents {
            self.forget(content);
        }
    }

    /// The message of an id, while it is unacknowledged.
    pub fn get(&self, id: MsgId) -> Option<&Owed> {
        self.owed.get(&id)
    }

    /// Notes how far a message got.
    pub fn put(&mut self, id: MsgId, place: Place) {
        if let Some(owed) = self.owed.get_mut(&id) {
            owed.place = place;
        }
    }

    /// Notes the event that a message tells.
    pub fn mark(&mut self, id: MsgId, mark: Mark) {
        if let Some(owed) = self.owed.get_mut(&id) {
            owed.mark = Some(mark);
        }
    }

    /// Removes those of the messages that tell events; gives the events, oldest message first.
    pub fn take_marked(&mut self, is_taken: impl Fn(Mark, Place) -> bool) -> Vec<(Mark, Bytes)> {
        let is_gone =
            |(_, owed): &(&MsgId, &Owed)| owed.mark.is_some_and(|mark| is_taken(mark, owed.place));
        let gone: Vec<MsgId> = self.owed.iter().filter(is_gone).map(|(id, _)| *id).collect();
        let taken = gone.into_iter().filter_map(|id| self.forget(id));
        taken.filter_map(|owed| Some((owed.mark?, owed.body))).collect()
    }

    /// Removes a message without an acknowledgement.
    pub fn forget(&mut self, id: MsgId) -> Option<Owed> {
        let owed = self.owed.remove(&id)?;
        self.bytes -= owed.body.len();
        self.pushes.remove(&id);
        if let Some(container) = self.container_of.remove(&id) {
            self.contained.remove(&(container, id));
        }
        Some(owed)
    }

    /// How many messages are kept.
    pub fn len(&self) -> usize {
        self.owed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Bytes of their bodies.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything unacknowledged, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (MsgId, &Owed)> {
        self.owed.iter().map(|(id, owed)| (*id, owed))
    }
}
