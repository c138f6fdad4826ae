//! Limits and timers of a client's session.

use std::time::Duration;

use crate::session::inbox::InboxLimits;

/// Limits and timers of a client's session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Window of received ids.
    pub inbox: InboxLimits,
    /// Longest wait of an acknowledgement for a message to ride on. Default: 30 s (SVC-02).
    pub ack_delay_max: Duration,
    /// Acknowledgements that do not wait for a message. Default: 16 (SVC-02).
    pub acks_max: usize,
    /// Time between pings. Default: 60 s (SVC-35).
    pub ping_interval: Duration,
    /// The server drops the link, and so do we, this long after the last ping. Default: 75 s.
    pub disconnect_delay: Duration,
    /// While calls wait: longest time in which nothing at all comes before a ping asks why, and
    /// again before the link is given up (SES-14), at least 1 s. Default: 8 s, so that a dead link
    /// costs a call 16 s. The second wait is longer by 1 s for each 16 KiB of calls that are not
    /// acknowledged, which a slow link may still be taking. Shorter costs links that are merely
    /// slow, and a ping for each such time of a call that takes long; `Duration::MAX` leaves it to
    /// `disconnect_delay`.
    pub silence_max: Duration,
    /// Wait for an answer to `msgs_state_req` (SES-10), and for what a session that was given up
    /// still says of its calls. Default: 10 s.
    pub state_wait_max: Duration,
    /// Corrections (salt, clock, new session) of one call before it fails. Default: 5 (SVC-08); of
    /// its salt as many again on another link (SES-27).
    pub corrections_max: u32,
    /// Queries packed into one container by size. Default: 32 KiB (MSG-20).
    pub container_soft_max_bytes: usize,
    /// Over HTTP: longest wait of the server before it answers a request that asks for nothing
    /// (12-http §3). Default: 25 s. Longer saves requests, and some networks do not let connections
    /// be silent for so long.
    pub http_wait_max: Duration,
    /// Smallest query worth compressing. Default: 1 KiB (TL-31).
    pub gzip_min_bytes: usize,
    /// Most that a compressed answer may unpack to. Default: 16 MiB (TL-30).
    pub inflated_max_bytes: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            inbox: InboxLimits::CLIENT,
            ack_delay_max: Duration::from_secs(30),
            acks_max: 16,
            ping_interval: Duration::from_secs(60),
            disconnect_delay: Duration::from_secs(75),
            silence_max: Duration::from_secs(8),
            state_wait_max: Duration::from_secs(10),
            corrections_max: 5,
            container_soft_max_bytes: 32 << 10,
            http_wait_max: Duration::from_secs(25),
            gzip_min_bytes: 1024,
            inflated_max_bytes: 16 << 20,
        }
    }
}
