//! How much may wait for a slow peer, and how long.

use std::time::Duration;

/// How much may wait for a slow peer, and how long (TRN-43).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DriveConfig {
    /// Bytes that wait to be written beyond which nothing is read. Default: 4 MiB.
    pub outbound_soft_max_bytes: usize,
    /// Bytes that wait to be written beyond which the link ends. Default: 16 MiB. A peer that
    /// reads nothing makes us hold this much.
    pub outbound_max_bytes: usize,
    /// Longest time without a byte written while some wait. Default: 60 s.
    pub stalled_max: Duration,
    /// Longest wait for the last bytes of a link that ends. Default: 5 s.
    pub flush_max: Duration,
    /// Longest wait for a peer to read the error that ended its link. Default: 1 s. Closing
    /// earlier, with bytes of the peer unread, would destroy that error on its way.
    pub linger_max: Duration,
}

impl Default for DriveConfig {
    fn default() -> Self {
        Self {
            outbound_soft_max_bytes: 4 << 20,
            outbound_max_bytes: 16 << 20,
            stalled_max: Duration::from_secs(60),
            flush_max: Duration::from_secs(5),
            linger_max: Duration::from_secs(1),
        }
    }
}
