//! Who is served, and how much.

use chappe_proto::middle::messages::AdTag;
use chappe_proto::transport::Secret;

/// One who is served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UserConfig {
    /// What he is called in logs and counters.
    pub name: String,
    /// What he knows.
    pub secret: Secret,
    /// Whether he is served. Who is not is a stranger. Default: yes.
    pub enabled: bool,
    /// When he ceases to be, in seconds since 1970. Default: never.
    pub expires: Option<u64>,
    /// Connections at once; a client opens up to eight. Default: any.
    pub connections_max: Option<usize>,
    /// Addresses at once, IPv6 by blocks of 64 bits. Default: any.
    pub addresses_max: Option<usize>,
    /// Bytes a second from him, all his connections together. Default: any.
    pub rate_up: Option<u64>,
    /// Bytes a second to him, all his connections together. Default: any.
    pub rate_down: Option<u64>,
    /// Bytes both ways. Default: any.
    pub quota: Option<Quota>,
    /// The only site whose name he may give; another is as if unknown. Default: any of them.
    pub domain: Option<String>,
    /// For whom his connections advertise, through middle servers. Default: as for all.
    pub ad_tag: Option<AdTag>,
}

/// What a user may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes both ways.
    pub bytes: u64,
    /// Whether it begins anew with each month (UTC).
    pub monthly: bool,
}

impl UserConfig {
    /// A user without limits.
    pub fn new(name: impl Into<String>, secret: Secret) -> Self {
        Self {
            name: name.into(),
            secret,
            enabled: true,
            expires: None,
            connections_max: None,
            addresses_max: None,
            rate_up: None,
            rate_down: None,
            quota: None,
            domain: None,
            ad_tag: None,
        }
    }
}

impl Quota {
    /// One that lasts for ever.
    pub fn once(bytes: u64) -> Self {
        Self { bytes, monthly: false }
    }

    /// One that begins anew with each month.
    pub fn each_month(bytes: u64) -> Self {
        Self { bytes, monthly: true }
    }
}
