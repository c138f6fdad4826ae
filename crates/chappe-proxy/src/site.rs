//! How the sites that the proxy seems to be answer hellos, as far as was measured.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chappe_proto::transport::fake_tls::{Group, Shape};

/// What was measured of one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) suite: u16,
    pub(crate) group: Group,
    pub(crate) version_first: bool,
    /// Bytes that it sent encrypted before the client spoke again, once for each try.
    pub(crate) encrypted: Vec<u16>,
    /// How long that took from when it was first called, once for each try.
    pub(crate) times: Vec<Duration>,
}

/// What was measured of each, by name.
#[derive(Debug, Default)]
pub(crate) struct Sites(RwLock<HashMap<String, Measured>>);

/// Lengths of the encrypted part where nothing was measured (FTL-10).
const LEN_MIN: u32 = 2500;
const LENS: u32 = 1120;

impl Sites {
    pub(crate) fn learn(&self, name: &str, measured: Measured) {
        let mut sites = self.0.write().unwrap_or_else(PoisonError::into_inner);
        sites.insert(name.to_owned(), measured);
    }

    /// How long the site takes for the answer that `drawn` chooses; nothing where nobody knows.
    pub(crate) fn time(&self, name: &str, drawn: u32) -> Duration {
        let sites = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match sites.get(name) {
            Some(Measured { times, .. }) if !times.is_empty() => {
                times[drawn as usize % times.len()]
            }
            _ => Duration::ZERO,
        }
    }

    /// How the site answers; among several answers `drawn`, any number, chooses one.
    pub(crate) fn shape(&self, name: &str, drawn: u32) -> Shape {
        let sites = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match sites.get(name) {
            Some(Measured { suite, group, version_first, encrypted, .. })
                if !encrypted.is_empty() =>
            {
                Shape {
                    suite: Some(*suite),
                    group: *group,
                    version_first: *version_first,
                    encrypted_len: encrypted[drawn as usize % encrypted.len()],
                }
            }
            _ => Shape {
                suite: None,
                group: Group::X25519,
                version_first: false,
                encrypted_len: (LEN_MIN + drawn % LENS) as u16,
            },
        }
    }
}
