//! From whom connections are taken, and how often.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// From whom connections are taken, and how often.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessConfig {
    /// Wait for a user to be recognised (PRX-32). Default: 10 s.
    pub greeting_wait_max: Duration,
    /// New connections a second from one address, IPv6 by blocks of 64 bits; twice as many at
    /// once. Default: 50.
    pub per_address_per_second: u32,
    /// Networks of load balancers, which have to say on whose behalf they come (PRX-13).
    pub proxy_protocol_from: Vec<IpNet>,
    /// The only networks that are served; empty for all (PRX-40).
    pub allow: Vec<IpNet>,
    /// Networks that are not.
    pub deny: Vec<IpNet>,
    /// Whether they are shown the site instead of being closed.
    pub mask_denied: bool,
}

impl AccessConfig {
    /// Whether connections from there have to say on whose behalf they come.
    pub fn is_balancer(&self, address: IpAddr) -> bool {
        self.proxy_protocol_from.iter().any(|network| network.contains(&address))
    }

    /// Whether connections from there are served.
    pub fn admits(&self, address: IpAddr) -> bool {
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        (self.allow.is_empty() || is_in(&self.allow)) && !is_in(&self.deny)
    }
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            greeting_wait_max: Duration::from_secs(10),
            per_address_per_second: 50,
            proxy_protocol_from: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            mask_denied: false,
        }
    }
}
