//! What is under way in datagrams and may have been lost: when it goes again, and how much of it
//! there may be at once (UDP-08, UDP-09).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::MsgId;

/// Messages sent in datagrams of their own that the peer has not acknowledged.
///
/// Holds ids alone. Whoever holds the messages says which are still owed, with
/// [`settle`](Self::settle), and sends again what [`take_late`](Self::take_late) gives.
#[derive(Debug)]
pub struct Flight {
    sent: BTreeMap<MsgId, Sent>,
    /// Most messages under way, and so most datagrams.
    window: usize,
    /// Smoothed time from a message to its acknowledgement; of messages sent once, since the
    /// acknowledgement of others may be of any copy.
    round_trip: Option<Duration>,
    /// When the window grew last, and when it was halved.
    grown: Duration,
    halved: Duration,
}

#[derive(Debug)]
struct Sent {
    at: Duration,
    due: Duration,
    wait: Duration,
    copies: u32,
}

/// A message whose acknowledgement did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It is to be sent again, and [`Flight::sent`] told so.
    Again(MsgId),
    /// It was sent as often as may be: a stream has to carry it.
    GivenUp(MsgId),
}

/// Messages under way before the first round trip is known, which is 12 000 bytes at most.
const WINDOW_FIRST: usize = 10;
/// Most messages under way at any time.
const WINDOW_MAX: usize = 256;
/// Bounds of the wait for an acknowledgement.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Least time between two steps of the window.
const SPAN_MIN: Duration = Duration::from_millis(1);
/// Times that a message is sent again.
const AGAIN_MAX: u32 = 10;

impl Default for Flight {
    fn default() -> Self {
        Self {
            sent: BTreeMap::new(),
            window: WINDOW_FIRST,
            round_trip: None,
            grown: Duration::ZERO,
            halved: Duration::ZERO,
        }
    }
}

impl Flight {
    /// Whether one more message may be under way.
    pub fn has_room(&self) -> bool {
        self.sent.len() < self.window
    }

    /// Whether a message is under way.
    pub fn carries(&self, id: MsgId) -> bool {
        self.sent.contains_key(&id)
    }

    /// Notes that a message left, for the first time or again.
    pub fn sent(&mut self, now: Duration, id: MsgId) {
        let first = self.round_trip.map_or(WAIT_MIN, |time| WAIT_MIN.max(2 * time)).min(WAIT_MAX);
        let sent =
            self.sent.entry(id).or_insert(Sent { at: now, due: now, wait: first, copies: 0 });
        if sent.copies > 0 {
            sent.wait = (2 * sent.wait).min(WAIT_MAX);
        }
        sent.copies += 1;
        sent.due = now + sent.wait;
    }

    /// Forgets what is not owed any more, and learns from when that was.
    pub fn settle(&mut self, now: Duration, is_owed: impl Fn(MsgId) -> bool) {
        let Self { sent, round_trip, .. } = self;
        let mut has_arrived = false;
        sent.retain(|id, sent| {
            let stays = is_owed(*id);
            if !stays && sent.copies == 1 {
                let sample = now.saturating_sub(sent.at);
                *round_trip = Some(round_trip.map_or(sample, |time| (7 * time + sample) / 8));
                has_arrived = true;
            }
            stays
        });
        let span = round_trip.map_or(WAIT_MIN, |time| time.max(SPAN_MIN));
        if has_arrived && now >= self.grown + span {
            self.grown = now;
            self.window = (self.window + 1).min(WINDOW_MAX);
        }
    }

    /// The next message whose time is over. What is lost within a round trip halves the window once.
    pub fn take_late(&mut self, now: Duration) -> Option<Late> {
        let (id, sent) = self.sent.iter_mut().find(|(_, sent)| sent.due <= now)?;
        let id = *id;
        let span = self.round_trip.map(|time| time.max(SPAN_MIN));
        if span.is_some_and(|span| now >= self.halved + span) {
            self.window = (self.window / 2).max(1);
            self.halved = now;
        }
        if sent.copies > AGAIN_MAX {
            self.sent.remove(&id);
            return Some(Late::GivenUp(id));
        }
        // Until it is sent, nobody is told twice.
        sent.due = now + sent.wait;
        Some(Late::Again(id))
    }

    /// Forgets everything under way, since another path carries it.
    pub fn clear(&mut self) -> Vec<MsgId> {
        std::mem::take(&mut self.sent).into_keys().collect()
    }

    /// When [`take_late`](Self::take_late) has something to give, on the monotonic clock.
    pub fn due(&self) -> Option<Duration> {
        self.sent.values().map(|sent| sent.due).min()
    }
}
