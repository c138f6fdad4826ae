//! Pushes of a line of events that wait while their client asks what it missed of it.
//!
//! A client that asks gets everything up to some place as the answer. Some hand what is pushed to
//! their application meanwhile, and then hand over the answer whole: they would tell those events
//! twice, or out of order. So from the question on pushes wait; once the answer is on its way those
//! that it tells are given up, and the others follow it in their order. Of an answer that tells only
//! a part the next question is waited for, but not for ever.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::ServerSession;
use crate::ids::MsgId;
use crate::now::Now;
use crate::session::msg_id::Origin;
use crate::session::outbox::{Dropped, Mark, Place};

/// What the answer to a question tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The client has everything of the line up to here.
    pub up_to: Mark,
    /// There is no more; else another question is to follow.
    pub is_whole: bool,
}

/// Wait for the question that follows an answer of which there is more.
const NEXT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Most pushes that wait.
const WAITING_MAX: usize = 1000;
/// Most bytes of their bodies, the newest apart.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// What one takes beside its body.
const WAITING_BYTES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Withheld {
    /// Questions that have no answer yet.
    asking: BTreeSet<MsgId>,
    /// Until when (monotonic) the question after a part is waited for.
    awaited: Option<Duration>,
    /// What the client was told by an answer.
    floor: Option<Mark>,
    waiting: VecDeque<(Mark, Bytes)>,
    bytes: usize,
}

impl Withheld {
    /// Whether pushes wait.
    pub(super) fn is_on(&self) -> bool {
        !self.asking.is_empty() || self.awaited.is_some()
    }

    /// Whether the client was told of an event by an answer.
    fn covers(&self, mark: Mark) -> bool {
        is_told(self.floor, mark)
    }

    /// Notes what an answer tells. Two questions may be answered in any order.
    fn raise(&mut self, up_to: Mark) {
        if !self.covers(up_to) {
            self.floor = Some(up_to);
        }
        let Self { floor, waiting, bytes, .. } = self;
        waiting.retain(|(mark, body)| {
            let stays = !is_told(*floor, *mark);
            if !stays {
                *bytes -= body.len();
            }
            stays
        });
    }

    /// Lets a push wait; how many are given up, for there are too many.
    fn keep(&mut self, mark: Mark, body: Bytes) -> u64 {
        self.bytes += body.len();
        self.waiting.push_back((mark, body));
        if self.waiting.len() <= WAITING_MAX && self.bytes <= WAITING_BYTES_MAX {
            return 0;
        }
        self.bytes = 0;
        std::mem::take(&mut self.waiting).len() as u64
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.awaited.filter(|_| self.asking.is_empty())
    }

    /// About how many bytes of memory it takes.
    pub(super) fn footprint(&self) -> usize {
        self.bytes + self.waiting.len() * WAITING_BYTES
    }
}

/// Whether who was told up to `floor` was told of an event.
fn is_told(floor: Option<Mark>, mark: Mark) -> bool {
    floor.is_some_and(|floor| floor.line == mark.line && mark.at <= floor.at)
}

impl ServerSession {
    /// Sends an event of a line, as [`push`](Self::push) does; but not what the client was told by
    /// the answer to a question, and while it [asks](Self::ask) not yet.
    pub fn push_in_line(&mut self, now: Now, mark: Mark, body: Bytes) {
        if let Some(withheld) = &mut self.withheld {
            if withheld.covers(mark) {
                return;
            }
            if withheld.is_on() {
                let pushes = withheld.keep(mark, body);
                return self.note_dropped(Dropped { pushes, answers: 0 });
            }
        }
        let id = self.send_content(now, self.outlet(), Origin::Push, body, None);
        self.work.outbox.mark(id, mark);
    }

    /// A call that runs asks what its client missed. What is pushed in a line waits until the call
    /// [has told](Self::told) what it tells, and so does what a link that closed left behind.
    pub fn ask(&mut self, call: MsgId) {
        let withheld = self.withheld.get_or_insert_default();
        withheld.asking.insert(call);
        withheld.awaited = None;
    }

    /// A call that asked is [answered](Self::answer), and tells this; nothing if it failed, or if
    /// nobody wants its answer any more.
    pub fn told(&mut self, now: Now, call: MsgId, told: Option<Told>) {
        let Some(withheld) = &mut self.withheld else { return };
        if !withheld.asking.remove(&call) {
            return;
        }
        if let Some(Told { up_to, is_whole }) = told {
            withheld.raise(up_to);
            withheld.awaited = (!is_whole).then(|| now.mono + NEXT_WAIT_MAX);
            self.work.outbox.take_marked(|mark, _| withheld.covers(mark));
        }
        self.stop_withholding(now, told.is_some());
    }

    /// Waits no longer for a question that does not come.
    pub(super) fn stop_waiting(&mut self, now: Now) {
        if let Some(withheld) = &mut self.withheld
            && withheld.due().is_some_and(|due| due <= now.mono)
        {
            withheld.awaited = None;
            self.stop_withholding(now, true);
        }
    }

    /// Sends what has waited, unless it has to wait on; what it does not have beyond what it was
    /// told the client said when it asked.
    fn stop_withholding(&mut self, now: Now, was_told: bool) {
        let Some(withheld) = self.withheld.as_mut().filter(|withheld| !withheld.is_on()) else {
            return;
        };
        withheld.bytes = 0;
        let waiting = std::mem::take(&mut withheld.waiting);
        // What was pushed before, and left on a link that closed, comes first: as a new message,
        // since an older one would stand before the answer. It may be known where nothing was told.
        self.has_orphans = true;
        let Self { links, work, .. } = self;
        let is_orphan = |place| match place {
            Place::Nowhere => true,
            Place::Ready(link) | Place::Sent(link) => !links.contains(&link),
            Place::Waiting | Place::Posted(_) => false,
        };
        let again = work.outbox.take_marked(|_, place| was_told && is_orphan(place));
        for (mark, body) in again.into_iter().chain(waiting) {
            let id = self.send_content(now, self.outlet(), Origin::Push, body, None);
            self.work.outbox.mark(id, mark);
        }
    }
}
