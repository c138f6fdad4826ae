//! What a proxy is told: whom it serves and how, what strangers see, and how much of each.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chappe_net::connect::{Endpoint, EndpointError, Proxy};
use chappe_net::limits::ConnectionLimits;
use chappe_net::proxy_protocol::Version;
use chappe_proto::middle::config::{self, MiddleServers};
use chappe_proto::middle::keys::ProxySecret;
use chappe_proto::middle::link::LinkConfig;
use chappe_proto::middle::messages::AdTag;
use chappe_proto::transport::Secret;
use ipnet::IpNet;

use crate::centres::Centres;

/// Settings of a proxy. All of them may change while it runs, but for what is said to stay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProxyConfig {
    /// Who is served.
    pub users: Vec<UserConfig>,
    /// In which forms.
    pub modes: Modes,
    /// The web sites that the proxy seems to be. The first is what strangers see who name none, or
    /// an unknown one. Fake TLS needs one; without any, strangers see nothing.
    pub domains: Vec<Domain>,
    /// What becomes of hellos to other sites.
    pub unknown_domain: UnknownDomain,
    /// Which hellos are fresh.
    pub hello: HelloConfig,
    /// Where the data centres are.
    pub centres: Centres,
    /// How they are reached.
    pub direct: DirectConfig,
    /// The middle servers that they are reached by instead, where that is so.
    pub middle: Option<Arc<MiddleConfig>>,
    /// What passes through.
    pub relay: RelayConfig,
    /// What strangers are given.
    pub strangers: StrangersConfig,
    /// Where others see the proxy, if that is elsewhere than it sees itself: a site there is this
    /// proxy. Default: unknown.
    pub public: Option<SocketAddr>,
    /// From whom, and how often.
    pub access: AccessConfig,
    /// Connections in all and by address.
    pub connections: ConnectionLimits,
    /// Whether connections of users who were removed, or whose secret changed, are closed.
    pub close_removed: bool,
    /// The folder of what outlives the process: the traffic of users with a quota, the greetings
    /// that came, and the socket at which another process asks to take over. Without it all that
    /// is forgotten at the end. Stays as it was at the start.
    pub state: Option<PathBuf>,
}

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

/// Forms in which users may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Obfuscated, any framing: easily told by those who look.
    pub plain: bool,
    /// Obfuscated, padded framing.
    pub padded: bool,
    /// The same inside fake TLS.
    pub tls: bool,
}

/// A web site that the proxy seems to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Domain {
    /// Its name, as hellos have it, in small letters.
    pub name: String,
    /// Where it is. Default: at its name, port 443, or 80 for who comes to our port 80.
    pub at: Option<SiteAddress>,
    /// Whether it is told on whose behalf we come. Default: no.
    pub proxy_protocol: Option<Version>,
}

/// Where a web site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteAddress {
    /// An address or a name.
    Tcp(Endpoint),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What becomes of a hello to a site that the proxy does not seem to be (PRX-29).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownDomain {
    /// It is the first site's business.
    #[default]
    Mask,
    /// The connection is closed.
    Drop,
    /// It is told, in TLS, that there is no such site.
    Alert,
}

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
    pub fn new(secret: ProxySecret, servers: &MiddleServers) -> Result<Self, EndpointError> {
        let endpoints = |listed: &[config::Endpoint]| {
            let endpoint = |at: &config::Endpoint| Endpoint::new(&at.host, at.port);
            listed.iter().map(endpoint).collect::<Result<Vec<_>, _>>()
        };
        let clusters = servers.clusters().map(|(dc, listed)| Ok((dc, endpoints(listed)?)));
        Ok(Self {
            secret: Arc::new(secret),
            clusters: clusters.collect::<Result<_, _>>()?,
            unknown: endpoints(servers.unknown())?,
            links: servers.links.clone(),
            ad_tag: None,
            seen_as: Vec::new(),
            public: None,
            direct_instead: false,
            client_max_bytes: 1 << 20,
            connect_wait_max: Duration::from_secs(4),
            link_wait_max: Duration::from_secs(10),
            link: LinkConfig::default(),
        })
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

/// What passes through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Most bytes taken from a connection at once, which is what waits for the other end at most
    /// (PRX-33): 4 KiB to 64 KiB. Default: 32 KiB.
    pub buffer_bytes: usize,
    /// Most bytes that wait for slow ends, all connections together: over it less is taken at
    /// once, nobody new is served, and who was slow longest is closed. Default: 256 MiB.
    pub held_max_bytes: usize,
    /// Longest time without a byte either way (PRX-18). Default: 15 min.
    pub idle_max: Duration,
    /// Longest time that an end may take no byte of those that wait for it. Default: 2 min.
    pub stalled_max: Duration,
    /// How long records of fake TLS are (FTL-17).
    pub records: RecordShape,
}

/// Lengths of the records that go to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordShape {
    /// As web servers do: of one packet at first, and of 16 KiB once much goes at a time.
    #[default]
    Growing,
    /// As much, or what there is.
    Fixed(u16),
}

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

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nobody would be served.
    #[error("there is no user")]
    NoUser,
    /// Nobody could come.
    #[error("no mode is switched on: name one of plain, padded, tls")]
    NoMode,
    /// Two users could not be told apart.
    #[error("users `{0}` and `{1}` have the same name or the same secret")]
    Twice(String, String),
    /// Fake TLS of no site.
    #[error("mode tls needs a domain")]
    NoDomain,
    /// A name that hellos cannot have.
    #[error("`{0}` is no name of a web site in small letters, of at most 182 bytes")]
    Domain(String),
    /// A user of a site that the proxy does not seem to be.
    #[error("user `{0}` is to come by `{1}`, which is not among the domains")]
    ForeignDomain(String, String),
    /// The keys of a link depend on addresses that nobody behind a proxy knows.
    #[error("middle servers cannot be reached through a proxy")]
    MiddleByProxy,
    /// A time that nobody means, and that no clock here could count to.
    #[error("{0} is longer than a year")]
    TooLong(&'static str),
    /// A number out of its bounds.
    #[error("{0} has to be from {1} to {2}")]
    Bounds(&'static str, usize, usize),
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

impl Domain {
    /// A site at its own name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), at: None, proxy_protocol: None }
    }
}

impl ProxyConfig {
    /// Whether a proxy could run with this.
    ///
    /// # Errors
    ///
    /// What is wrong first.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Modes { plain, padded, tls } = self.modes;
        if self.users.is_empty() {
            return Err(ConfigError::NoUser);
        }
        if !(plain || padded || tls) {
            return Err(ConfigError::NoMode);
        }
        if tls && self.domains.is_empty() {
            return Err(ConfigError::NoDomain);
        }
        let (mut names, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for UserConfig { name, secret, domain, .. } in &self.users {
            let same = names.insert(name, name).or(secrets.insert(secret.fingerprint(), name));
            if let Some(other) = same {
                return Err(ConfigError::Twice(other.clone(), name.clone()));
            }
            if let Some(domain) = domain
                && !self.domains.iter().any(|known| known.name == *domain)
            {
                return Err(ConfigError::ForeignDomain(name.clone(), domain.clone()));
            }
        }
        let is_name = |name: &str| {
            let fits = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte)
            };
            (1..=DOMAIN_MAX).contains(&name.len()) && name.bytes().all(fits)
        };
        if let Some(domain) = self.domains.iter().find(|domain| !is_name(&domain.name)) {
            return Err(ConfigError::Domain(domain.name.clone()));
        }
        let bounded = |name, value, min, max| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(ConfigError::Bounds(name, min, max)),
        };
        bounded("relay.buffer-bytes", self.relay.buffer_bytes, 4 << 10, 64 << 10)?;
        if let Some(middle) = &self.middle {
            bounded("middle.links", *middle.links.start(), 1, *middle.links.end())?;
            // Nobody would expect links to take another way than all else.
            if self.direct.proxy.is_some() {
                return Err(ConfigError::MiddleByProxy);
            }
        }
        if let RecordShape::Fixed(len) = self.relay.records {
            bounded("relay.records", len.into(), 1, 1 << 14)?;
        }
        match self.times().into_iter().flatten().find(|(_, time)| *time > TIME_MAX) {
            Some((name, _)) => Err(ConfigError::TooLong(name)),
            None => Ok(()),
        }
    }

    /// Everything that is waited for.
    fn times(&self) -> [Option<(&'static str, Duration)>; 10] {
        let middle = self.middle.as_ref();
        [
            Some(("hello.age-max", self.hello.age_max)),
            Some(("hello.future-max", self.hello.future_max)),
            Some(("direct.connect-wait-max", self.direct.connect_wait_max)),
            middle.map(|middle| ("middle.connect-wait-max", middle.connect_wait_max)),
            middle.map(|middle| ("middle.link-wait-max", middle.link_wait_max)),
            Some(("relay.idle-max", self.relay.idle_max)),
            Some(("relay.stalled-max", self.relay.stalled_max)),
            Some(("strangers.connect-wait-max", self.strangers.connect_wait_max)),
            Some(("strangers.idle-max", self.strangers.idle_max)),
            Some(("access.greeting-wait-max", self.access.greeting_wait_max)),
        ]
    }

    /// Users whose secrets anybody would guess (PRX-04).
    pub fn weak(&self) -> impl Iterator<Item = &str> {
        let weak = self.users.iter().filter(|user| user.secret.is_weak());
        weak.map(|user| user.name.as_str())
    }
}

/// Longest time that a setting may be: what is added to the time of now stays a time.
pub const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Longest name of a site in a secret.
const DOMAIN_MAX: usize = 182;

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

impl Default for Modes {
    fn default() -> Self {
        Self { plain: false, padded: true, tls: true }
    }
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

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            buffer_bytes: 32 << 10,
            held_max_bytes: 256 << 20,
            idle_max: Duration::from_secs(15 * 60),
            stalled_max: Duration::from_secs(120),
            records: RecordShape::default(),
        }
    }
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
