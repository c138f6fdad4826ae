//! Ids heard: what is new, what came twice, what is too old to tell.

use std::num::NonZeroI64;
use std::time::Duration;

use crate::ids::MsgId;
use crate::session::seq_no::is_content_related;
use crate::session::window::Window;

/// How a received id stands to those before it (04-messages §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Not heard before.
    Fresh,
    /// Heard before; must not be executed again.
    Duplicate,
    /// Below everything remembered, after something was forgotten: nobody can say.
    TooOld,
}

/// What we did about a message heard; the flags of `msgs_state_info` come from it (SVC-18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its sequence number.
    pub seq_no: i32,
    /// It was acknowledged, by `msgs_ack` or by its answer.
    pub acknowledged: bool,
    /// It is a call; its answer is under way or made.
    pub call: bool,
    /// The answer is an error; calls that wait for this one fail too (SVC-44).
    pub failed: bool,
    answer: Option<NonZeroI64>,
}

impl Heard {
    pub(super) fn new(seq_no: i32) -> Self {
        Self { seq_no, acknowledged: false, call: false, failed: false, answer: None }
    }

    /// The answer, once there is one.
    pub fn answer(&self) -> Option<MsgId> {
        self.answer.map(|id| MsgId(id.get()))
    }

    /// Notes the answer, and whether it is an error.
    pub fn answered(&mut self, answer: MsgId, failed: bool) {
        self.answer = NonZeroI64::new(answer.0);
        self.failed = failed;
    }
}

/// Window of received ids of one session, in order (MSG-36 to MSG-38).
#[derive(Debug)]
pub struct Inbox {
    heard: Window,
    limits: InboxLimits,
    has_forgotten: bool,
}

/// How much a window remembers. Each entry costs 24 bytes, twice that where ids did not rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxLimits {
    /// Ids always kept. Default: 4096 on a server, 1000 on a client; at least 400.
    pub ids_kept: usize,
    /// Most ids kept when they come faster than `span` covers. Default: 65 536.
    pub ids_max: usize,
    /// Ids younger than this are kept as long as `ids_max` allows. Default: 330 s.
    pub span: Duration,
}

impl InboxLimits {
    /// Limits of a server's window.
    pub const SERVER: Self =
        Self { ids_kept: 4096, ids_max: 65_536, span: Duration::from_secs(330) };
    /// Limits of a client's window.
    pub const CLIENT: Self = Self { ids_kept: 1000, ..Self::SERVER };

    /// These limits with another number of ids kept.
    pub fn with_ids(self, ids_kept: usize, ids_max: usize) -> Self {
        Self { ids_kept, ids_max: ids_max.max(ids_kept), ..self }
    }
}

impl Inbox {
    /// An empty window.
    pub fn new(limits: InboxLimits) -> Self {
        Self { heard: Window::default(), limits, has_forgotten: false }
    }

    /// How much it remembers.
    pub fn limits(&self) -> InboxLimits {
        self.limits
    }

    /// Judges an id; remembers nothing.
    pub fn judge(&self, id: MsgId) -> Admission {
        if self.heard.get(id).is_some() {
            return Admission::Duplicate;
        }
        match self.heard.first() {
            Some(lowest) if self.has_forgotten && id < lowest => Admission::TooOld,
            _ => Admission::Fresh,
        }
    }

    /// Remembers a fresh id; `now` is the server's time and decides what may be forgotten.
    pub fn remember(&mut self, id: MsgId, seq_no: i32, now: Duration) {
        self.heard.insert(id, Heard::new(seq_no));
        while let Some(lowest) = self.heard.first() {
            let is_old = now.saturating_sub(lowest.time()) > self.limits.span;
            let len = self.heard.len();
            if len <= self.limits.ids_kept || (!is_old && len <= self.limits.ids_max) {
                break;
            }
            self.heard.pop_first();
            self.has_forgotten = true;
        }
    }

    /// Whether `seq_no` fits between the ids next to `id` (04-messages §8).
    pub fn seq_no_order(&self, id: MsgId, seq_no: i32) -> Result<(), SeqNoDisorder> {
        if self.heard.below(id).is_some_and(|heard| !rises(heard.seq_no, seq_no)) {
            return Err(SeqNoDisorder::TooLow);
        }
        if self.heard.above(id).is_some_and(|heard| !rises(seq_no, heard.seq_no)) {
            return Err(SeqNoDisorder::TooHigh);
        }
        Ok(())
    }

    /// The lowest id known, once something below it was forgotten.
    pub fn lowest_known(&self) -> Option<MsgId> {
        self.heard.first().filter(|_| self.has_forgotten)
    }

    /// What we know of an id heard.
    pub fn get(&self, id: MsgId) -> Option<&Heard> {
        self.heard.get(id)
    }

    /// The same, to note what was done about it.
    pub fn get_mut(&mut self, id: MsgId) -> Option<&mut Heard> {
        self.heard.get_mut(id)
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.heard.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.heard.len() == 0
    }

    /// Every id in the window, lowest first.
    pub fn ids(&self) -> impl Iterator<Item = MsgId> {
        self.heard.ids()
    }

    /// State byte of an id that the peer asks about (05-service-messages §4).
    pub fn state(&self, id: MsgId) -> u8 {
        if let Some(heard) = self.heard.get(id) {
            let mut state = 4;
            state |= if heard.acknowledged { 8 } else { 0 };
            state |= if is_content_related(heard.seq_no) { 0 } else { 16 };
            state |= if heard.call { 32 } else { 0 };
            state |= if heard.answer.is_some() { 64 } else { 0 };
            return state;
        }
        match (self.heard.first(), self.heard.last()) {
            (Some(lowest), _) if self.has_forgotten && id < lowest => 1,
            (_, Some(highest)) if id < highest => 2,
            _ => 3,
        }
    }
}

/// The two ways a sequence number can contradict its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqNoDisorder {
    /// An older message has a greater number, or an equal odd one: code 32.
    TooLow,
    /// A newer message has a smaller number, or an equal odd one: code 33.
    TooHigh,
}

/// Whether `older` may stand before `newer`: smaller, or equal and not content-related.
fn rises(older: i32, newer: i32) -> bool {
    older < newer || (older == newer && !is_content_related(older))
}
