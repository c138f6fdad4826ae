//! The server's clock as a client knows it: its own monotonic clock plus an offset (06 §6).

use std::time::Duration;

use crate::ids::MsgId;
use crate::now::Now;

/// What a client believes the server's time to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerClock {
    /// Server time minus monotonic time, in nanoseconds; steps of the wall clock do not move it.
    offset: i128,
    certain: bool,
}

impl ServerClock {
    /// A guess from the local wall clock, or a stored offset: not certain (SES-29).
    pub fn guess(now: Now, server_minus_unix: i64) -> Self {
        let offset = nanos(now.unix) + i128::from(server_minus_unix) * NANOS - nanos(now.mono);
        Self { offset, certain: false }
    }

    /// The server said in an authenticated way that it was `server_time` when heard at `heard`.
    pub fn set(&mut self, heard: Now, server_time: Duration) {
        self.offset = nanos(server_time) - nanos(heard.mono);
        self.certain = true;
    }

    /// The id of an authenticated message: it cannot come from the future, so the clock is at
    /// least there. Never moves the clock back.
    ///
    /// An id that the clock finds too old confirms nothing: it is the clock that may be wrong.
    pub fn raise(&mut self, heard: Now, id: MsgId) {
        let offset = nanos(id.time()) - nanos(heard.mono);
        self.certain |= self.offset - offset <= nanos(AGE_MAX);
        self.offset = self.offset.max(offset);
    }

    /// The server's time now, since the Unix epoch.
    pub fn at(&self, now: Now) -> Duration {
        let nanos = u128::try_from(self.offset + nanos(now.mono)).unwrap_or(0);
        Duration::new((nanos / NANOS as u128) as u64, (nanos % NANOS as u128) as u32)
    }

    /// Whether the server has confirmed the clock in this run; MSG-R09 waits for it.
    pub fn is_certain(&self) -> bool {
        self.certain
    }

    /// Server time minus the local wall clock, in whole seconds, to be stored.
    pub fn server_minus_unix(&self, now: Now) -> i64 {
        ((self.offset + nanos(now.mono) - nanos(now.unix)) / NANOS) as i64
    }
}

/// A message may be this much older than the receiver's idea of the server's time (MSG-11).
pub const AGE_MAX: Duration = Duration::from_secs(300);
/// A message may be this much ahead of the receiver's idea of the server's time (MSG-11).
pub const AHEAD_MAX: Duration = Duration::from_secs(30);

const NANOS: i128 = 1_000_000_000;

fn nanos(time: Duration) -> i128 {
    time.as_nanos() as i128
}
