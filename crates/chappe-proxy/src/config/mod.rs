//! What a proxy is told: whom it serves and how, what strangers see, and how much of each.
//!
//! | file | holds |
//! | --- | --- |
//! | `user` | one who is served, and his limits |
//! | `domain` | the web sites that the proxy seems to be |
//! | `hello` | which greetings are fresh |
//! | `direct`, `middle` | how data centres are reached: straight, or through middle servers |
//! | `relay` | what passes through |
//! | `strangers` | what strangers are given |
//! | `access` | from whom connections are taken, and how often |
//! | `error` | why settings cannot be used |

mod access;
mod direct;
mod domain;
mod error;
mod hello;
mod middle;
mod relay;
mod strangers;
mod user;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chappe_net::limits::ConnectionLimits;

use crate::centres::Centres;

pub use access::AccessConfig;
pub use direct::{DirectConfig, Family};
pub use domain::{Domain, SiteAddress, UnknownDomain};
pub use error::ConfigError;
pub use hello::HelloConfig;
pub use middle::MiddleConfig;
pub use relay::{RecordShape, RelayConfig};
pub use strangers::StrangersConfig;
pub use user::{Quota, UserConfig};

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

impl Default for Modes {
    fn default() -> Self {
        Self { plain: false, padded: true, tls: true }
    }
}

/// Longest time that a setting may be: what is added to the time of now stays a time.
pub const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Longest name of a site in a secret.
const DOMAIN_MAX: usize = 182;
