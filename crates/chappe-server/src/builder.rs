//! Putting a server together.

use std::collections::HashMap;
use std::sync::Arc;

use chappe_backend::Backend;
use chappe_net::tls::Certificate;
use chappe_net::{Clock, entropy};

use crate::config::ServerConfig;
use crate::error::BuildError;
use crate::events::{Events, Silence};
use crate::exchange::KeyExchange;
use crate::keys::RsaIdentity;
use crate::metrics::Metrics;
use crate::router::{Routed, Router};
use crate::server::Server;
use crate::shared::Shared;

/// Collects the parts of a [`Server`].
#[must_use]
pub struct Builder {
    identities: Vec<RsaIdentity>,
    backend: Option<Backend>,
    routed: Option<Routed>,
    names: HashMap<u32, &'static str>,
    config: ServerConfig,
    events: Arc<dyn Events>,
    clock: Option<Clock>,
    certificate: Option<Certificate>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            identities: Vec::new(),
            backend: None,
            routed: None,
            names: HashMap::new(),
            config: ServerConfig::default(),
            events: Arc::new(Silence),
            clock: None,
            certificate: None,
        }
    }

    /// Adds an RSA key by which clients know this server; they are offered in this order.
    pub fn identity(mut self, identity: RsaIdentity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Where keys are kept.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// What is answered.
    pub fn router<S: Clone + Send + Sync + 'static>(mut self, router: Router<S>) -> Self {
        self.names = router.names();
        self.routed = Some(router.into_routed());
        self
    }

    /// Limits and timers other than the defaults.
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Who hears what becomes of keys and sessions.
    pub fn events(mut self, events: Arc<dyn Events>) -> Self {
        self.events = events;
        self
    }

    /// With a certificate TLS is understood in front of everything else, on the same listeners. It
    /// may be replaced while the server runs.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// A clock other than the system's, for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The server. What it counts goes to the recorder of `metrics` that is installed by now.
    ///
    /// # Errors
    ///
    /// What is missing, or which setting cannot work.
    pub fn build(self) -> Result<Server, BuildError> {
        let Self { identities, backend, routed, names, mut config, events, clock, certificate } =
            self;
        if identities.is_empty() {
            return Err(BuildError::NoIdentity);
        }
        let backend = backend.ok_or(BuildError::NoBackend)?;
        let routed = routed.ok_or(BuildError::NoRouter)?;
        config.check()?;
        config.detect.tls = certificate.is_some();
        let mut rng = entropy::rng()?;
        let identities = identities.into_iter().map(|identity| identity.0).collect();
        let exchange = KeyExchange::new(config.handshake.clone(), identities, rng.fork());
        let clock = clock.unwrap_or_else(Clock::system);
        let metrics = Metrics::new(names);
        let shared = Shared::new(
            config,
            clock,
            backend,
            routed,
            events,
            exchange,
            metrics,
            certificate,
            rng,
        );
        Ok(Server::new(Arc::new(shared)))
    }
}
