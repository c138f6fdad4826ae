//! Which first words of clients are fresh, and how many of them are remembered.

use std::time::Duration;

/// Which hellos are fresh (FTL-06).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HelloConfig {
    /// How late the clock of a client may be. Default: 10 min.
    pub age_max: Duration,
    /// How early. Default: 2 min.
    pub future_max: Duration,
    /// Whether hellos made before the proxy started are refused until `age_max` is over: nobody
    /// knows which of them were used (PRX-26). Default: no.
    pub refuse_before_start: bool,
    /// Digests remembered; older ones are forgotten in time, these many of the newest never.
    /// Default: 262 144; each takes 20 bytes as long as it is. Stays as it was at the start.
    pub digests_kept: usize,
    /// Headers remembered, which have no time (PRX-24). Default: 65 536, for which 1.6 MiB are taken
    /// at the start. Stays as it was then.
    pub headers_kept: usize,
}

impl Default for HelloConfig {
    fn default() -> Self {
        Self {
            age_max: Duration::from_secs(600),
            future_max: Duration::from_secs(120),
            refuse_before_start: false,
            digests_kept: 262_144,
            headers_kept: 65_536,
        }
    }
}
