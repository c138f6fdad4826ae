//! What a session has under way: all of it is nothing while the session waits for its client.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::ServerEvent;
use super::held::Held;
use super::send::Ready;
use crate::ids::{LinkId, MsgId};
use crate::session::acks::Acks;
use crate::session::outbox::Outbox;
use crate::spare::{Part, Spare};

/// Debts, calls and messages on their way.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) outbox: Outbox,
    pub(super) acks: Acks,
    /// What left in responses, and when; of some of it the client has acknowledged the receipt.
    pub(super) posted: VecDeque<(Duration, MsgId)>,
    /// Calls handed out and not answered yet.
    pub(super) running: BTreeMap<MsgId, Running>,
    /// Those handed out before the session was forgotten, and what each takes.
    pub(super) disowned: BTreeMap<MsgId, usize>,
    /// What the queries of both take.
    pub(super) running_bytes: usize,
    /// Calls that wait for others (SVC-44).
    pub(super) held: Held,
    pub(super) ready: BTreeMap<LinkId, VecDeque<Ready>>,
    pub(super) events: VecDeque<ServerEvent>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) link: LinkId,
    pub(super) bytes: usize,
    pub(super) is_dropped: bool,
}

impl Part for Work {
    const EMPTY: &'static Self = &Self {
        outbox: Outbox::new(),
        acks: Acks::new(),
        posted: VecDeque::new(),
        running: BTreeMap::new(),
        disowned: BTreeMap::new(),
        running_bytes: 0,
        held: Held::new(),
        ready: BTreeMap::new(),
        events: VecDeque::new(),
    };

    fn rest(&mut self) -> bool {
        self.outbox.rest();
        self.acks.rest();
        self.posted.give_back();
        self.running.give_back();
        self.disowned.give_back();
        self.ready.give_back();
        self.events.give_back();
        self.outbox.is_empty()
            && self.acks.is_empty()
            && self.posted.is_empty()
            && self.running.is_empty()
            && self.disowned.is_empty()
            && self.held.is_empty()
            && self.ready.is_empty()
            && self.events.is_empty()
    }
}
