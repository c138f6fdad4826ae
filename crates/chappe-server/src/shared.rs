//! What all tasks of a server share.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chappe_backend::Backend;
use chappe_crypto::{AuthKeyId, Rng};
use chappe_net::Clock;
use chappe_net::limits::Connections;
use chappe_net::tls::Certificate;
use chappe_proto::link::LinkConfig;
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::session::server::SessionConfig;
use chappe_proto::transport::{Detect, DetectConfig};
use zeroize::Zeroizing;

use crate::binding::Turns;
use crate::config::ServerConfig;
use crate::connection::Carrier;
use crate::directory::Directory;
use crate::events::Events;
use crate::exchange::KeyExchange;
use crate::layer::Calls;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::router::{Policy, Routed, Translate};

/// What recognises peers, by what wraps them.
pub(crate) struct Detectors {
    stream: Arc<Detect>,
    inside_tls: Arc<Detect>,
    inside_websocket: Arc<Detect>,
    inside_middle: Arc<Detect>,
}

impl Detectors {
    fn new(config: &ServerConfig) -> Self {
        let stream = Detect::new(config.detect.clone());
        let mut middle = DetectConfig::default();
        middle.transports.retain(|transport| Carrier::Middle.carries(*transport));
        Self {
            inside_tls: Arc::new(stream.inside_tls()),
            inside_websocket: Arc::new(Detect::inside_websocket()),
            inside_middle: Arc::new(Detect::new(middle)),
            stream: Arc::new(stream),
        }
    }

    pub(crate) fn inside(&self, carrier: Carrier) -> Arc<Detect> {
        Arc::clone(match carrier {
            Carrier::Stream | Carrier::Http => &self.stream,
            Carrier::Tls | Carrier::Https => &self.inside_tls,
            Carrier::Ws | Carrier::Wss => &self.inside_websocket,
            Carrier::Middle => &self.inside_middle,
        })
    }
}

pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) clock: Clock,
    /// Of every session: what clients said before the server was built, it cannot know.
    pub(crate) session_config: Arc<SessionConfig>,
    pub(crate) link_config: Arc<LinkConfig>,
    pub(crate) backend: Backend,
    pub(crate) calls: Calls,
    pub(crate) policy: Policy,
    /// What becomes of pushes on their way.
    pub(crate) pushes: Option<Translate>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) detect: Detectors,
    pub(crate) connections: Connections,
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    pub(crate) exchange: KeyExchange,
    pub(crate) turns: Turns,
    pub(crate) memory: Memory,
    pub(crate) metrics: Metrics,
    pub(crate) certificate: Option<Certificate>,
    /// Secret of the installation, from which salts follow; set before the first connection.
    pub(crate) secret: OnceLock<Zeroizing<[u8; 32]>>,
    rng: Mutex<Rng>,
}

impl Shared {
    #[allow(clippy::too_many_arguments, reason = "called once, by the builder")]
    pub(crate) fn new(
        config: ServerConfig,
        clock: Clock,
        backend: Backend,
        routed: Routed,
        events: Arc<dyn Events>,
        exchange: KeyExchange,
        metrics: Metrics,
        certificate: Option<Certificate>,
        rng: Rng,
    ) -> Self {
        let mut session_config = config.session.clone();
        session_config.not_before = session_config.not_before.max(clock.now().unix);
        Self {
            detect: Detectors::new(&config),
            connections: Connections::new(config.connections.clone()),
            registry: Registry::default(),
            directory: Directory::new(
                config.sessions.clone(),
                config.keys_unused_max,
                metrics.keys_cached.clone(),
            ),
            memory: Memory::new(config.sessions.memory_max_bytes, metrics.session_memory.clone()),
            link_config: Arc::new(config.link.clone()),
            config,
            session_config: Arc::new(session_config),
            clock,
            backend,
            calls: routed.calls,
            policy: routed.policy,
            pushes: routed.pushes,
            events,
            exchange,
            turns: Turns::new(),
            metrics,
            certificate,
            secret: OnceLock::new(),
            rng: Mutex::new(rng),
        }
    }

    /// A generator for one more link or session.
    pub(crate) fn rng(&self) -> Rng {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }

    /// The salts of a key.
    pub(crate) fn salts(&self, key: AuthKeyId, first: FirstSalt) -> ServerSalts {
        let secret = self.secret.get().expect("it is set before the first connection");
        ServerSalts::new(secret, key, first)
    }
}
