//! Settings as connections see them: one picture, which a reload replaces as a whole.

use std::sync::Arc;
use std::time::Duration;

use chappe_net::connect::Endpoint;
use chappe_proto::transport::Secret;
use chappe_proto::transport::fake_tls::Shape;

use crate::config::{ConfigError, Domain, ProxyConfig, SiteAddress, UserConfig};
use crate::site::Sites;
use crate::users::{Register, User};

/// The settings, and what follows from them.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) config: ProxyConfig,
    /// Those who are served, and, in the same order, their secrets.
    pub(crate) listed: Vec<Listed>,
    pub(crate) secrets: Vec<Secret>,
    sites: Arc<Sites>,
}

/// A user as the settings have him.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) config: UserConfig,
    pub(crate) user: Arc<User>,
}

impl Policy {
    /// Enters whoever is new into the register, and gives all their limits.
    pub(crate) fn new(
        config: ProxyConfig,
        register: &mut Register,
        sites: Arc<Sites>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let mut listed = Vec::new();
        for user_config in &config.users {
            let user = register.enter(&user_config.name);
            user.apply(user_config);
            if user_config.enabled {
                listed.push(Listed { config: user_config.clone(), user });
            }
        }
        let secrets = listed.iter().map(|listed| listed.config.secret.clone()).collect();
        Ok(Self { config, listed, secrets, sites })
    }

    /// The site of that name.
    pub(crate) fn domain(&self, name: &str) -> Option<&Domain> {
        self.config.domains.iter().find(|domain| domain.name == name)
    }

    /// The site that strangers see who asked for `name`.
    pub(crate) fn domain_or_first(&self, name: Option<&str>) -> Option<&Domain> {
        name.and_then(|name| self.domain(name)).or(self.config.domains.first())
    }

    /// How that site answers hellos.
    pub(crate) fn shape(&self, domain: &Domain, drawn: u32) -> Shape {
        self.sites.shape(&domain.name, drawn)
    }

    /// How long a user waits for such an answer.
    pub(crate) fn answer_wait(&self, domain: &Domain, drawn: u32) -> Duration {
        match self.config.strangers.imitate_time {
            true => self.sites.time(&domain.name, drawn),
            false => Duration::ZERO,
        }
    }

    /// Whether one who came by `secret` is still served so.
    pub(crate) fn serves(&self, user: &User, secret: &[u8; 16]) -> bool {
        let same = |listed: &&Listed| listed.user.name() == user.name();
        let listed = self.listed.iter().find(same);
        listed.is_some_and(|listed| listed.config.secret.fingerprint() == *secret)
    }
}

impl Domain {
    /// Where the site is, for who came to `port` of ours.
    pub(crate) fn address(&self, port: u16) -> Option<SiteAddress> {
        if let Some(at) = &self.at {
            return Some(at.clone());
        }
        let port = if port == 80 { 80 } else { 443 };
        Endpoint::new(&self.name, port).ok().map(SiteAddress::Tcp)
    }
}
