//! Calls that wait for others of their session: `invokeAfterMsg`, `invokeAfterMsgs` (SVC-44).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::IncomingCall;
use crate::ids::MsgId;

/// The calls that wait, findable by what they wait for and by when they give up.
#[derive(Debug, Default)]
pub(super) struct Held {
    calls: BTreeMap<MsgId, Waiting>,
    /// Call awaited, call that waits for it.
    waiters: BTreeSet<(MsgId, MsgId)>,
    deadlines: BTreeSet<(Duration, MsgId)>,
}

#[derive(Debug)]
struct Waiting {
    call: IncomingCall,
    awaited: BTreeSet<MsgId>,
    deadline: Duration,
}

impl Held {
    pub(super) const fn new() -> Self {
        Self { calls: BTreeMap::new(), waiters: BTreeSet::new(), deadlines: BTreeSet::new() }
    }

    /// Holds `call` until all of `awaited` finished, at most until `deadline` (monotonic).
    pub(super) fn hold(
        &mut self,
        call: IncomingCall,
        awaited: BTreeSet<MsgId>,
        deadline: Duration,
    ) {
        let id = call.msg_id;
        self.waiters.extend(awaited.iter().map(|awaited| (*awaited, id)));
        self.deadlines.insert((deadline, id));
        self.calls.insert(id, Waiting { call, awaited, deadline });
    }

    /// Notes that `awaited` is answered. Gives the calls whose wait is over: all that they named
    /// went well, or, when this one failed, they fail with it.
    pub(super) fn finished(&mut self, awaited: MsgId, failed: bool) -> Vec<IncomingCall> {
        let range = (awaited, MsgId(i64::MIN))..=(awaited, MsgId(i64::MAX));
        let ids: Vec<MsgId> = self.waiters.range(range).map(|(_, id)| *id).collect();
        let mut released = Vec::new();
        for id in ids {
            self.waiters.remove(&(awaited, id));
            let Some(waiting) = self.calls.get_mut(&id) else { continue };
            waiting.awaited.remove(&awaited);
            if failed || waiting.awaited.is_empty() {
                released.extend(self.take(id));
            }
        }
        released
    }

    /// Takes a call out that shall wait no longer.
    pub(super) fn take(&mut self, id: MsgId) -> Option<IncomingCall> {
        let Waiting { call, awaited, deadline } = self.calls.remove(&id)?;
        for awaited in awaited {
            self.waiters.remove(&(awaited, id));
        }
        self.deadlines.remove(&(deadline, id));
        Some(call)
    }

    /// Whether a call waits here, so that nobody has seen it.
    pub(super) fn holds(&self, id: MsgId) -> bool {
        self.calls.contains_key(&id)
    }

    /// A call that has waited too long.
    pub(super) fn late(&self, now: Duration) -> Option<MsgId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    /// When the first of them gives up.
    pub(super) fn due(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}
