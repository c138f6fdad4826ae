//! How middle servers are reached, and what for.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use chappe_net::connect::{Endpoint, EndpointError};
use chappe_proto::middle::config::{self, MiddleServers};
use chappe_proto::middle::keys::ProxySecret;
use chappe_proto::middle::link::LinkConfig;
use chappe_proto::middle::messages::AdTag;

use super::UserConfig;

/// How middle servers are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MiddleConfig {
    /// What they know and the proxy has to: the content of `proxy-secret`.
    pub secret: Arc<ProxySecret>,
    clusters: BTreeMap<i16, Vec<Endpoint>>,
    unknown: Vec<Endpoint>,
    /// Links to each server: at first, and when many clients use them (MPX-07). Default: as the list
    /// says, 4 to 8.
    pub links: RangeInclusive<usize>,
    /// For whom all connections advertise. Default: nobody.
    pub ad_tag: Option<AdTag>,
    /// Whether they are for users with an ad tag of their own alone, and everybody else goes straight to
    /// the data centre. Default: no.
    pub only_tagged: bool,
    /// The addresses that middle servers see the proxy at, one of IPv4 and one of IPv6, where they
    /// are translated on the way (MPX-01). Default: its own.
    pub seen_as: Vec<IpAddr>,
    /// What clients connect to, as others see it. Default: where each connection arrived.
    pub public: Option<SocketAddr>,
    /// Whether clients are served straight from their data centre while no link is to be had.
    /// Default: no (MPX-14).
    pub direct_instead: bool,
    /// Bytes of one client that wait for it before it is closed (MPX-15). Default: 1 MiB.
    pub client_max_bytes: usize,
    /// Wait for a connection to a server. Default: 4 s.
    pub connect_wait_max: Duration,
    /// Wait of a client for a link that is ready. Default: 10 s.
    pub link_wait_max: Duration,
    /// Timers of links.
    pub link: LinkConfig,
}

impl MiddleConfig {
    /// By the two files that are published for proxies.
    ///
    /// # Errors
    ///
    /// A server that is listed cannot be one.
    pub fn new(
        secret: impl Into<Arc<ProxySecret>>,
        servers: &MiddleServers,
    ) -> Result<Self, EndpointError> {
        let endpoints = |listed: &[config::Endpoint]| {
            let endpoint = |at: &config::Endpoint| Endpoint::new(&at.host, at.port);
            listed.iter().map(endpoint).collect::<Result<Vec<_>, _>>()
        };
        let clusters = servers.clusters().map(|(dc, listed)| Ok((dc, endpoints(listed)?)));
        Ok(Self {
            secret: secret.into(),
            clusters: clusters.collect::<Result<_, _>>()?,
            unknown: endpoints(servers.unknown())?,
            links: servers.links.clone(),
            ad_tag: None,
            only_tagged: false,
            seen_as: Vec::new(),
            public: None,
            direct_instead: false,
            client_max_bytes: 1 << 20,
            connect_wait_max: Duration::from_secs(4),
            link_wait_max: Duration::from_secs(10),
            link: LinkConfig::default(),
        })
    }

    /// Whether connections of a user go by them.
    pub fn serves(&self, user: &UserConfig) -> bool {
        !self.only_tagged || user.ad_tag.is_some()
    }

    /// All servers, each once.
    pub fn all_servers(&self) -> Vec<&Endpoint> {
        let mut servers: Vec<_> = self.clusters.values().flatten().chain(&self.unknown).collect();
        servers.sort_by_key(|server| (server.host(), server.port()));
        servers.dedup();
        servers
    }

    /// Whether servers are listed for a data centre by itself.
    pub(crate) fn names(&self, dc: i16) -> bool {
        self.clusters.contains_key(&dc)
    }

    /// The servers for a data centre, as a client names it.
    pub(crate) fn servers(&self, dc: i16) -> &[Endpoint] {
        self.clusters.get(&dc).unwrap_or(&self.unknown)
    }
}
