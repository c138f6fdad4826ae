//! What a server accepts in an exchange, and how much of it at once.

use std::time::Duration;

/// What a server accepts in an exchange, and how much of it at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandshakeConfig {
    /// Which data centres a client may name.
    pub dc: DcPolicy,
    /// Accept the RSA form and inner data of old clients (CRY-13, KEY-14). Default: true. About
    /// half of the clients in use need it (QRK-01).
    pub old_clients: bool,
    /// Longest life of a temporary key, in seconds. Default: 604 800 (KEY-15).
    pub temporary_key_life_max: i32,
    /// Exchanges under way at once. Default: 10 000. Each costs about 1.5 KiB.
    pub exchanges_max: usize,
    /// Exchanges of one link. Default: 16 (KEY-32).
    pub exchanges_per_link_max: usize,
    /// Exchanges of one address. Default: 1000 (KEY-32).
    pub exchanges_per_address_max: usize,
    /// Life of an exchange from its first message. Default: 10 minutes (KEY-31).
    pub life: Duration,
    /// `dh_gen_retry` answers before `dh_gen_fail`. Default: 5 (KEY-21).
    pub retries_max: u32,
}

impl Default for HandshakeConfig {
    fn default() -> Self {
        Self {
            dc: DcPolicy::default(),
            old_clients: true,
            temporary_key_life_max: 604_800,
            exchanges_max: 10_000,
            exchanges_per_link_max: 16,
            exchanges_per_address_max: 1000,
            life: Duration::from_secs(600),
            retries_max: 5,
        }
    }
}

/// Which `dc` an inner data may name (KEY-14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DcPolicy {
    /// Any: one process is every data centre, test and media forms included.
    #[default]
    Any,
    /// Only this one, as production (`n`), test (`10000 + n`) or media (`-n`) form; -444 otherwise.
    Only {
        /// Number of the data centre.
        dc: i32,
        /// Whether it is a test server.
        test: bool,
        /// Whether media forms are served, too.
        media: bool,
    },
}

impl DcPolicy {
    /// Whether a client that names `dc` is in the right place.
    pub fn admits(self, dc: i32) -> bool {
        match self {
            Self::Any => true,
            Self::Only { dc: own, test, media } => {
                let size = i64::from(dc).abs();
                size == i64::from(own) + if test { 10_000 } else { 0 } && (dc > 0 || media)
            }
        }
    }
}
