//! How data centres are reached.

use std::time::Duration;

use chappe_net::connect::Proxy;

/// How data centres are reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DirectConfig {
    /// Addresses tried first, or alone. Default: IPv4 first.
    pub family: Family,
    /// Wait for one address (PRX-19). Default: 5 s.
    pub connect_wait_max: Duration,
    /// A proxy for all of it. Default: none.
    pub proxy: Option<Proxy>,
    /// Whether data centres are made to encrypt for the client, which spares the proxy half of its
    /// work in that direction (PRX-17). Default: yes.
    pub fast: bool,
    /// The data centre for who asks for one that is not known. Default: none, and such connections
    /// are closed (PRX-20).
    pub unknown_centre: Option<i16>,
}

/// Which addresses of a data centre are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4, then IPv6.
    #[default]
    PreferV4,
    /// IPv6, then IPv4.
    PreferV6,
    /// IPv4.
    OnlyV4,
    /// IPv6.
    OnlyV6,
}

impl Default for DirectConfig {
    fn default() -> Self {
        Self {
            family: Family::default(),
            connect_wait_max: Duration::from_secs(5),
            proxy: None,
            fast: true,
            unknown_centre: None,
        }
    }
}
