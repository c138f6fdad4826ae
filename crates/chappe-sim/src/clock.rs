//! What a machine of the world takes the time to be.

use std::time::Duration;

use chappe_proto::Now;

/// The two clocks of one machine, as they differ from the world's time.
///
/// World time counts from the start of a run. A machine's monotonic clock stands while it sleeps,
/// its wall clock may be wrong and may step.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Unix second of the world's start.
    start: u64,
    /// Time that the monotonic clock has missed.
    slept: Duration,
    /// Since when it stands.
    stopped: Option<Duration>,
    /// Wall clock minus true time, in milliseconds.
    ahead: i64,
}

/// What monotonic clocks show when a world begins.
const MONO_START: Duration = Duration::from_secs(5000);

impl Clock {
    /// A right clock in a world that begins at the Unix second `start`.
    pub fn new(start: u64) -> Self {
        Self { start, slept: Duration::ZERO, stopped: None, ahead: 0 }
    }

    /// What the machine reads at the world's time `at`.
    pub fn now(&self, at: Duration) -> Now {
        let true_time = Duration::from_secs(self.start) + at;
        let step = Duration::from_millis(self.ahead.unsigned_abs());
        let unix = if self.ahead < 0 { true_time.saturating_sub(step) } else { true_time + step };
        Now { mono: MONO_START + at - self.slept, unix }
    }

    /// The world's time at which the monotonic clock will show `mono`.
    pub fn world_time(&self, mono: Duration) -> Duration {
        (mono + self.slept).saturating_sub(MONO_START)
    }

    /// Moves the wall clock.
    pub fn step(&mut self, millis: i64) {
        self.ahead += millis;
    }

    /// The machine falls asleep, and its monotonic clock stands.
    pub fn stop(&mut self, at: Duration) {
        self.stopped = Some(at);
    }

    /// The machine is awake; its monotonic clock goes on where it stood.
    pub fn resume(&mut self, at: Duration) {
        if let Some(stopped) = self.stopped.take() {
            self.slept += at - stopped;
        }
    }
}
