//! Whether a client has temporary keys, and for how long.

use std::time::Duration;

/// How a client deals with its keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeysConfig {
    /// Perfect forward secrecy; `None` sends under the permanent key. Default: on.
    pub pfs: Option<PfsConfig>,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self { pfs: Some(PfsConfig::default()) }
    }
}

impl KeysConfig {
    /// Settings with or without perfect forward secrecy.
    pub fn new(pfs: Option<PfsConfig>) -> Self {
        Self { pfs }
    }
}

/// How long temporary keys live, and when they are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PfsConfig {
    /// Life of a temporary key in seconds. Default: 86 400. Shorter reveals less to who breaks
    /// into the machine, and costs more exchanges.
    pub expires_in: i32,
    /// How long before its end a key is replaced, give or take a tenth, and at most a quarter of
    /// its life. Default: 1 h.
    pub renew_ahead: Duration,
    /// How long a replaced key still opens what comes under it. Default: 60 s (PFS-18). While
    /// calls wait for an answer under it, it is kept longer, to its end at most.
    pub retired_kept: Duration,
}

impl Default for PfsConfig {
    fn default() -> Self {
        Self {
            expires_in: 86_400,
            renew_ahead: Duration::from_secs(3600),
            retired_kept: Duration::from_secs(60),
        }
    }
}

impl PfsConfig {
    /// These settings with another life of keys, in seconds.
    pub fn with_expires_in(self, expires_in: i32) -> Self {
        Self { expires_in, ..self }
    }
}
