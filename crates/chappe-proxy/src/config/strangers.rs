//! What strangers are given.

use std::time::Duration;

/// What strangers are given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StrangersConfig {
    /// Wait for the site (PRX-23). Default: 5 s.
    pub connect_wait_max: Duration,
    /// Longest time without a byte either way; a site that closes earlier is not kept from it.
    /// Default: 3 min, for many sites wait for more than one.
    pub idle_max: Duration,
    /// Bytes either way, each. Default: any.
    pub bytes_max: Option<u64>,
    /// Strangers shown a site at once; others see nothing. Default: 1000.
    pub total_max: usize,
    /// Of these, from one address, IPv6 by blocks of 64 bits: one alone shall not be able to have
    /// others see nothing. Default: 100.
    pub per_address_max: usize,
    /// Whether the first encrypted bytes of the sites are measured (PRX-30). Default: yes.
    pub measure: bool,
    /// Whether users wait for an answer as long as strangers wait for the site's, as far as that was
    /// measured (PRX-31). Default: no, for it makes each of their connections so much slower.
    pub imitate_time: bool,
}

impl Default for StrangersConfig {
    fn default() -> Self {
        Self {
            connect_wait_max: Duration::from_secs(5),
            idle_max: Duration::from_secs(180),
            bytes_max: None,
            total_max: 1000,
            per_address_max: 100,
            measure: true,
            imitate_time: false,
        }
    }
}
