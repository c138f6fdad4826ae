//! Accepting connections until told to stop, and changing the settings meanwhile.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chappe_net::entropy::{self, EntropyError};
use chappe_net::limits::Connections;
use chappe_net::listen::{Accepted, Ends, Listener};
use chappe_net::shutdown::{Shutdown, Stage, Watcher};
use chappe_net::{Clock, Stream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::config::{ConfigError, ProxyConfig};
use crate::connection::Connection;
use crate::memory::Memory;
use crate::metrics::{Gauged, Metrics, Rejected};
use crate::policy::Policy;
use crate::rates::Rates;
use crate::seen::Seen;
use crate::shared::Shared;
use crate::site::Sites;
use crate::upstream::Pool;
use crate::users::{Register, UserStatistics};
use crate::{measure, state};

/// A proxy, ready to serve.
pub struct Proxy {
    shared: Arc<Shared>,
}

/// What a running proxy is asked and told by.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What users have passed was written down, and cannot be read.
    #[error("{}: {error}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What hinders.
        #[source]
        error: io::Error,
    },
    /// The system gives no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl Proxy {
    /// A proxy of these settings.
    ///
    /// # Errors
    ///
    /// See [`ProxyError`].
    pub fn new(config: ProxyConfig) -> Result<Self, ProxyError> {
        let metrics = Metrics::new();
        let (held, evicted) = (metrics.held.clone(), metrics.evicted.clone());
        let memory = Memory::new(config.relay.held_max_bytes, held, evicted);
        let (seen, connections) =
            (Seen::new(&config.hello), Connections::new(config.connections.clone()));
        let state = config.state.clone();
        let before = state.as_ref().map(|path| {
            state::load(path).map_err(|error| ProxyError::State { path: path.clone(), error })
        });
        let sites = Arc::new(Sites::default());
        let mut register = Register::new(before.transpose()?.unwrap_or_default());
        let policy = Policy::new(config, &mut register, Arc::clone(&sites))?;
        warn_of_weak(&policy.config);
        let shared = Shared {
            policy: watch::Sender::new(Arc::new(policy)),
            register: Mutex::new(register),
            state,
            seen,
            sites,
            memory: Arc::new(memory),
            connections,
            rates: Rates::default(),
            masked: AtomicUsize::new(0),
            middle: Pool::default(),
            clock: Clock::system(),
            metrics,
            rng: Mutex::new(entropy::rng()?),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What it is asked and told by while it serves.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Serves listeners, for ever unless told otherwise. Nothing happens until awaited.
    pub fn serve_all<L: Into<Listener>>(self, listeners: impl IntoIterator<Item = L>) -> Serve {
        Serve {
            shared: self.shared,
            listeners: listeners.into_iter().map(Into::into).collect(),
            drain_max: Duration::ZERO,
            stop: Box::pin(std::future::pending()),
        }
    }
}

impl Handle {
    /// Replaces the settings, as a whole or not at all. Connections stay, with the new limits of
    /// their users (PRX-37).
    ///
    /// # Errors
    ///
    /// What is wrong with them; the old ones stay.
    pub fn reload(&self, config: ProxyConfig) -> Result<(), ConfigError> {
        let shared = &self.shared;
        let policy = Policy::new(config, &mut shared.register(), Arc::clone(&shared.sites))?;
        warn_of_weak(&policy.config);
        shared.memory.set_max(policy.config.relay.held_max_bytes);
        shared.connections.set_limits(policy.config.connections.clone());
        shared.policy.send_replace(Arc::new(policy));
        shared.metrics.reloads.increment(1);
        Ok(())
    }

    /// Gives up the connections that a user has now: the next settings that do not serve them as
    /// they came end them, whatever [`ProxyConfig::close_removed`] says.
    pub fn revoke(&self, name: &str) {
        if let Some(user) = self.shared.register().find(name) {
            user.revoke();
        }
    }

    /// What is known of each user, by name: of those who were removed, too, since the start.
    pub fn statistics(&self) -> Vec<UserStatistics> {
        self.shared.register().statistics(self.shared.clock.now().unix)
    }
}

fn warn_of_weak(config: &ProxyConfig) {
    for name in config.weak() {
        warn!(user = name, "the secret is one that anybody would guess");
    }
}

/// A proxy about to serve: await it.
#[must_use = "a proxy serves while it is awaited"]
pub struct Serve {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    drain_max: Duration,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Serve {
    /// Stops when `stop` is ready: accepts nobody, lets connections go on for `drain_max`, and
    /// closes them (PRX-38).
    pub fn with_graceful_shutdown(
        mut self,
        stop: impl Future<Output = ()> + Send + 'static,
        drain_max: Duration,
    ) -> Self {
        self.stop = Box::pin(stop);
        self.drain_max = drain_max;
        self
    }

    async fn run(self) {
        let Self { shared, listeners, drain_max, stop } = self;
        let mut shutdown = Shutdown::default();
        let mut tasks = JoinSet::new();
        if let Some(watcher) = shutdown.watcher() {
            for listener in listeners {
                tasks.spawn(accept(Arc::clone(&shared), listener, watcher.clone()));
            }
        }
        tasks.spawn(measure::run(Arc::clone(&shared)));
        tasks.spawn(state::run(Arc::clone(&shared)));
        stop.await;
        info!(connections = shared.connections.len(), "stopping");
        tasks.shutdown().await;
        if !shutdown.stop(drain_max, END_MAX).await {
            warn!("connections are still open; stopping without them");
        }
        state::write(&shared, None).await;
    }
}

/// Time for connections to close that are told to.
const END_MAX: Duration = Duration::from_secs(1);

impl IntoFuture for Serve {
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

async fn accept(shared: Arc<Shared>, listener: Listener, watcher: Watcher) {
    loop {
        let (stream, ends) = listener.accept().await;
        if watcher.stage() != Stage::Running {
            return;
        }
        shared.metrics.accepted.increment(1);
        match admit(&shared, stream, ends, &watcher) {
            Ok((connection, stream, announced)) => {
                tokio::spawn(connection.serve(stream, announced));
            }
            Err(reason) => {
                shared.metrics.rejected(reason);
                debug!(peer = %ends.peer, ?reason, "a connection is refused");
            }
        }
    }
}

fn admit(
    shared: &Arc<Shared>,
    stream: Accepted,
    ends: Ends,
    watcher: &Watcher,
) -> Result<(Connection, Stream, bool), Rejected> {
    let policy = shared.policy.borrow();
    let access = &policy.config.access;
    let address = ends.peer.ip();
    let announced = access.proxy_protocol_from.iter().any(|network| network.contains(&address));
    if shared.memory.is_full() {
        return Err(Rejected::Memory);
    }
    // A balancer speaks for many: whom it speaks for is counted when it has said so.
    let permit = if announced {
        shared.connections.admit_unknown()
    } else {
        if !access.admits(address) && !access.mask_denied {
            return Err(Rejected::Denied);
        }
        let now = shared.clock.now().mono;
        if !shared.rates.admit(address, access.per_address_per_second, now) {
            return Err(Rejected::Rate);
        }
        shared.connections.admit(address)
    };
    let connection = Connection {
        shared: Arc::clone(shared),
        ends,
        watcher: watcher.clone(),
        permit: permit.ok_or(Rejected::Connections)?,
        open: Gauged::new(&shared.metrics.open),
    };
    Ok((connection, stream.into(), announced))
}
