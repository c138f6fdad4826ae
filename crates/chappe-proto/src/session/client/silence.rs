//! How long a link has shown no life while calls wait for it (SES-14, SVC-35).

use std::time::Duration;

use super::call::Flight;
use super::{ClientEvent, ClientSession, DeadLink};
use crate::now::Now;

/// Shorter silences mean nothing, whatever the setting.
const SILENCE_MIN: Duration = Duration::from_secs(1);
/// Bytes a second that even a slow link takes. A ping waits behind what was sent before it, and no
/// part of that can be seen to leave once the system has it.
const UPLINK_MIN: u64 = 16 << 10;

/// The silence of a link.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Calls wait, so that it matters.
    is_watched: bool,
    /// When the link last showed life, or the waiting began.
    since: Duration,
    /// A ping was sent because of it; until then anything may come.
    probe_due: Option<Duration>,
}

impl Silence {
    /// On a link that was opened at that time.
    pub(super) fn from(opened: Duration) -> Self {
        Self { since: opened, ..Self::default() }
    }

    /// Bytes came at that time.
    pub(super) fn end(&mut self, at: Duration) {
        if at > self.since {
            self.since = at;
            self.probe_due = None;
        }
    }

    /// What was silent before anybody waited does not count.
    fn watch(&mut self, now: Duration, is_watched: bool) {
        if is_watched && !self.is_watched {
            self.end(now);
        }
        self.is_watched = is_watched;
    }
}

impl ClientSession {
    /// Part of a message has come, at this time on the monotonic clock; whole messages count by
    /// themselves. A long answer on a slow link is no silence.
    pub fn handle_progress(&mut self, at: Duration) {
        self.silence.end(at);
    }

    pub(super) fn watch_silence(&mut self, now: Now) {
        self.silence.watch(now.mono, !self.calls.is_empty());
    }

    pub(super) fn silence_due(&self) -> Option<Duration> {
        let Silence { is_watched, since, probe_due } = self.silence;
        let first = since.saturating_add(self.config.silence_max.max(SILENCE_MIN));
        (is_watched && !self.calls.is_empty()).then_some(probe_due.unwrap_or(first))
    }

    /// A silence is too long: at first it is asked about, then the link is given up.
    pub(super) fn doubt_silence(&mut self, now: Now) {
        if self.silence.probe_due.is_some() {
            self.silence.end(now.mono);
            return self.events.push_back(ClientEvent::LinkIsDead(DeadLink::Silent));
        }
        let before: usize = self.unacknowledged_bytes().sum();
        let wait = self.config.silence_max.max(SILENCE_MIN);
        let wait = wait.saturating_add(Duration::from_secs(before as u64 / UPLINK_MIN));
        self.silence.probe_due = Some(now.mono.saturating_add(wait));
        self.ping(now);
    }

    /// Lengths of the calls that may still be on their way out.
    fn unacknowledged_bytes(&self) -> impl Iterator<Item = usize> {
        self.calls.values().map(|call| match &call.flight {
            Flight::Sent { acknowledged: false, body, .. } => body.len(),
            _ => 0,
        })
    }
}
