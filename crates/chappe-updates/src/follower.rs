//! A line as a device follows it: in order, nothing twice, and asking where something is missing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How an event moves its line (UPD-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// After the event.
    pub pts: i32,
    /// By how much the event raised it. 0 for an event that is not in the log.
    pub count: i32,
}

/// A device's place in a line, and what came too early; `E` is an event.
///
/// Time is monotonic, from any beginning. While a question is open everything that is pushed waits
/// for its answer, for a difference does not say which pts its events have.
#[derive(Debug)]
pub struct Follower<E> {
    pts: i32,
    /// By the pts before and after it.
    early: BTreeMap<(i32, i32), E>,
    ready: VecDeque<E>,
    /// Since when an event is missing.
    gap_since: Option<Duration>,
    heard_at: Duration,
    has_to_ask: bool,
    is_asking: bool,
}

/// How long a missing event may be on its way still.
const GAP_MAX: Duration = Duration::from_millis(500);
/// Who hears nothing for so long asks.
const QUIET_MAX: Duration = Duration::from_secs(900);
/// Events that are kept though earlier ones are missing.
const EARLY_MAX: usize = 1000;

impl<E> Follower<E> {
    /// A device that has everything up to `pts`, and asks for the rest first.
    pub fn new(now: Duration, pts: i32) -> Self {
        Self {
            pts,
            early: BTreeMap::new(),
            ready: VecDeque::new(),
            gap_since: None,
            heard_at: now,
            has_to_ask: true,
            is_asking: false,
        }
    }

    /// Everything up to here was, or is to be, [polled](Self::poll_event).
    pub fn pts(&self) -> i32 {
        self.pts
    }

    /// An event was pushed, or is the answer to a call of this device.
    pub fn handle_event(&mut self, now: Duration, step: Step, event: E) {
        self.heard_at = now;
        if step.count > 0 && step.pts <= self.pts {
            return;
        }
        self.early.insert((step.pts - step.count, step.pts), event);
        if self.early.len() > EARLY_MAX {
            self.early.clear();
            self.handle_loss();
        }
        self.advance(now);
    }

    /// Something may have been missed: a session began anew, a call ended nobody knows how.
    pub fn handle_loss(&mut self) {
        self.has_to_ask = true;
    }

    /// The pts after which to ask for the difference, if it is time to.
    pub fn poll_question(&mut self) -> Option<i32> {
        if self.is_asking || !self.has_to_ask {
            return None;
        }
        (self.is_asking, self.has_to_ask) = (true, false);
        Some(self.pts)
    }

    /// The difference: the events after the pts of the question, in order, up to `pts`. There is
    /// more of it unless it `is_whole`.
    pub fn handle_difference(
        &mut self,
        now: Duration,
        pts: i32,
        events: impl IntoIterator<Item = E>,
        is_whole: bool,
    ) {
        self.is_asking = false;
        self.heard_at = now;
        self.has_to_ask |= !is_whole;
        self.ready.extend(events);
        self.pts = self.pts.max(pts);
        self.gap_since = None;
        self.advance(now);
    }

    /// The question had no answer; it is asked again.
    pub fn handle_failure(&mut self) {
        self.is_asking = false;
        self.has_to_ask = true;
    }

    /// The next event in order.
    pub fn poll_event(&mut self) -> Option<E> {
        self.ready.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.is_asking || self.has_to_ask {
            return None;
        }
        Some(self.gap_since.map_or(self.heard_at + QUIET_MAX, |since| since + GAP_MAX))
    }

    /// Asks if it is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.has_to_ask = true;
        }
    }

    /// Takes the early ones whose turn has come.
    fn advance(&mut self, now: Duration) {
        if self.is_asking {
            return;
        }
        while let Some(entry) = self.early.first_entry() {
            let (before, pts) = *entry.key();
            if before > self.pts {
                break;
            }
            let event = entry.remove();
            if before == pts || before == self.pts {
                self.ready.push_back(event);
                self.pts = self.pts.max(pts);
            } else if pts > self.pts {
                // A part of it is known: the rest cannot be told apart.
                self.has_to_ask = true;
            }
        }
        self.gap_since = (!self.early.is_empty()).then(|| self.gap_since.unwrap_or(now));
    }
}
