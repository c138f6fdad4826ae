//! Accepting connections until told to stop, and changing the settings meanwhile.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chappe_net::Clock;
use chappe_net::entropy::{self, EntropyError};
use chappe_net::limits::{ConnectionLimits, Connections};
use chappe_net::listen::Listener;
use chappe_net::shutdown::Shutdown;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::accept::accept;
use crate::config::{ConfigError, ProxyConfig, StrangersConfig};
use crate::handover::{
    Charge, Desk, HERE, Ledger, Link, LinkId, Links, Predecessor, Socket, TO_PREDECESSOR, Turn,
};
use crate::memory::Memory;
use crate::metrics::{Fetched, Metrics};
use crate::policy::Policy;
use crate::rates::Rates;
use crate::seen::{Greeting, Seen};
use crate::seldom::Seldom;
use crate::shared::Shared;
use crate::site::Sites;
use crate::state::{Keeper, Kept};
use crate::upstream::Pool;
use crate::users::{Register, UserStatistics};
use crate::{measure, seen, state};

/// A proxy, ready to serve.
pub struct Proxy {
    shared: Arc<Shared>,
    predecessor: Option<Taken>,
}

/// What is left of a predecessor once everything it offered is taken.
struct Taken {
    stream: UnixStream,
    ledger: Ledger,
    greetings: broadcast::Receiver<(LinkId, Greeting)>,
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
    /// The folder of what outlives a process cannot be used, or not be read.
    #[error("state, {}: {error}", path.display())]
    State {
        /// The folder.
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
        Self::after(config, None)
    }

    /// The same, to take over from a process that runs, if there is one: with what it knows, and
    /// with what it goes on counting. The other one goes on until this one serves.
    ///
    /// # Errors
    ///
    /// See [`ProxyError`].
    pub fn after(
        config: ProxyConfig,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, ProxyError> {
        let metrics = Metrics::new();
        let (held, evicted) = (metrics.held.clone(), metrics.evicted.clone());
        let memory = Memory::new(config.relay.held_max_bytes, held, evicted);
        let (seen, connections) =
            (Seen::new(&config.hello), Connections::new(config.connections.clone()));
        let masked = Connections::new(masked_limits(&config.strangers));
        let clock = Clock::system();
        let now = clock.now();
        let keeper = config.state.as_deref().map(Keeper::new);
        let mut kept = Kept::default();
        if let Some(keeper) = &keeper {
            let of_folder = |error| ProxyError::State { path: keeper.folder().into(), error };
            state::make_folder(keeper.folder()).map_err(of_folder)?;
            if predecessor.is_none() {
                kept = keeper.load().map_err(of_folder)?;
            }
        }
        seen.resume(HERE, &kept.greetings.bytes, now);
        if kept.greetings.is_whole {
            seen.set_whole();
        }
        let sites = Arc::new(Sites::default());
        let mut register = Register::new(kept.used);
        let policy = Policy::new(config, &mut register, Arc::clone(&sites))?;
        warn_of_weak(&policy.config);
        let predecessor = predecessor.map(|predecessor| {
            let mut ledger = Ledger::new(TO_PREDECESSOR);
            // Nobody has a connection here that could have been given up.
            let _ = ledger.enter(predecessor.report, &mut register, now.unix);
            seen.resume(TO_PREDECESSOR, &predecessor.greetings, now);
            if predecessor.is_whole {
                seen.set_whole();
            }
            Taken { stream: predecessor.stream, ledger, greetings: seen.listen() }
        });
        let shared = Shared {
            policy: watch::Sender::new(Arc::new(policy)),
            register: Mutex::new(register),
            keeper,
            charge: watch::Sender::new(Charge::Asked),
            seen,
            sites,
            memory: Arc::new(memory),
            connections,
            rates: Rates::default(),
            masked,
            seldom: Seldom::default(),
            middle: Pool::default(),
            clock,
            metrics,
            rng: Mutex::new(entropy::rng()?),
        };
        Ok(Self { shared: Arc::new(shared), predecessor })
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
            predecessor: self.predecessor,
            desk: None,
            handed_over_max: Duration::ZERO,
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
        shared.seen.set_span(&policy.config.hello, shared.clock.now());
        shared.memory.set_max(policy.config.relay.held_max_bytes);
        shared.masked.set_limits(masked_limits(&policy.config.strangers));
        shared.connections.set_limits(policy.config.connections.clone());
        shared.policy.send_replace(Arc::new(policy));
        shared.metrics.reloads.increment(1);
        Ok(())
    }

    /// Counts settings that were of no use before they came here.
    pub fn reload_failed(&self) {
        self.shared.metrics.reloads_failed.increment(1);
    }

    /// Counts one of the two files of middle servers that was fetched, or was not to be had.
    pub fn middle_fetched(&self, fetched: Fetched) {
        self.shared.metrics.middle_fetched(fetched);
    }

    /// Says when the older of the two was fetched, in seconds since 1970.
    pub fn middle_is_of(&self, unix: u64) {
        self.shared.metrics.middle_fetched.set(unix as f64);
    }

    /// Whether this process is the one that accepts connections.
    pub fn charge(&self) -> Charge {
        *self.shared.charge.borrow()
    }

    /// Waits until it has come so far, or further.
    pub async fn reached(&self, charge: Charge) {
        // What is shared outlives whoever waits here.
        let _ = self.shared.charge.subscribe().wait_for(|at| *at >= charge).await;
    }

    /// The same, and those connections of a user end that he had until now and that these settings
    /// do not serve as they came, whatever [`ProxyConfig::close_removed`] says: in this process, and
    /// in those that it takes over from or that take over from it.
    ///
    /// # Errors
    ///
    /// What is wrong with them; the old ones stay.
    pub fn reload_revoking(&self, config: ProxyConfig, name: &str) -> Result<(), ConfigError> {
        // Who comes meanwhile is judged by the new ones; before them, he would be by the old ones
        // and count as one who came afterwards.
        self.reload(config)?;
        if let Some(user) = self.shared.register().find(name) {
            user.revoke(1);
        }
        self.shared.look_again();
        Ok(())
    }

    /// What is known of each user, by name: of those who were removed, too, since the start.
    pub fn statistics(&self) -> Vec<UserStatistics> {
        self.shared.register().statistics(self.shared.clock.now().unix)
    }
}

/// How many strangers are shown a site.
fn masked_limits(config: &StrangersConfig) -> ConnectionLimits {
    let mut limits = ConnectionLimits::default();
    limits.total_max = config.total_max;
    limits.per_address_max = config.per_address_max;
    limits
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
    predecessor: Option<Taken>,
    desk: Option<Desk>,
    handed_over_max: Duration,
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

    /// Lets another process take over, with these sockets: those of the listeners, and what else
    /// is listened at. Then connections go on for `handed_over_max`, and are closed. Without a
    /// state folder nobody would know where to ask, and nothing happens.
    ///
    /// # Errors
    ///
    /// What the system says to the socket at which a successor is to ask.
    pub fn with_successor(
        mut self,
        sockets: Vec<Socket>,
        handed_over_max: Duration,
    ) -> io::Result<Self> {
        let keeper = self.shared.keeper.as_ref();
        self.desk = keeper.map(|keeper| Desk::open(keeper.folder(), sockets)).transpose()?;
        self.handed_over_max = handed_over_max;
        Ok(self)
    }

    async fn run(self) {
        let Self { shared, listeners, predecessor, mut desk, handed_over_max, drain_max, mut stop } =
            self;
        let mut links = Links::default();
        match predecessor.map(Taken::link).transpose() {
            Ok(link) => links.predecessor = link,
            Err(error) => return error!(%error, "nothing can be taken over"),
        }
        let mut shutdown = Shutdown::default();
        let mut tasks = JoinSet::new();
        if let Some(watcher) = shutdown.watcher() {
            for listener in listeners {
                tasks.spawn(accept(Arc::clone(&shared), listener, watcher.clone()));
            }
        }
        if links.predecessor.is_none() {
            take_charge(&shared, desk.as_ref()).await;
        }
        tasks.spawn(measure::run(Arc::clone(&shared)));
        tasks.spawn(state::run(Arc::clone(&shared)));
        tasks.spawn(seen::run(Arc::clone(&shared)));
        let mut is_told_to_stop = false;
        loop {
            tokio::select! {
                // As long as another process is in charge it is not known which of them is to end.
                () = &mut stop, if !is_asked(&shared) => {
                    is_told_to_stop = true;
                    if let Some(desk) = &mut desk {
                        links.successor = desk.last_successor(&shared).await;
                    }
                    break;
                }
                turn = links.next(&shared) => match turn {
                    Turn::Ours => take_charge(&shared, desk.as_ref()).await,
                    Turn::PredecessorLost if is_asked(&shared) => {
                        if is_another_there(&shared) {
                            return error!("the proxy that runs does not hand over");
                        }
                        warn!("the proxy that ran ended before it handed over");
                        take_charge(&shared, desk.as_ref()).await;
                    }
                    Turn::PredecessorLost => {
                        warn!("the process before this one is gone; what it counted last is lost");
                    }
                    _ => {}
                },
                link = successor(&mut desk, &shared), if !is_asked(&shared) => {
                    links.successor = Some(link);
                    break;
                }
            }
        }

        // Nobody is accepted from here on, and whoever was is served. What was offered goes first: a
        // socket in the file system stays there as long as somebody listens.
        match desk {
            Some(desk) if links.successor.is_none() => desk.remove(),
            desk => drop(desk),
        }
        tasks.shutdown().await;
        let mut wait = drain_max;
        if links.successor.is_some() {
            shared.charge.send_replace(Charge::HandedOver);
            info!(connections = shared.connections.len(), "another process has taken over");
            if !is_told_to_stop {
                let over = serve_out(&shared, &mut links, &mut shutdown);
                tokio::select! {
                    told = over => wait = told,
                    () = sleep(handed_over_max) => wait = Duration::ZERO,
                    () = &mut stop => {}
                }
            }
        }
        info!(connections = shared.connections.len(), "stopping");
        links.stop_predecessor(wait);
        if !links.during(shutdown.stop(wait, END_MAX), &shared).await {
            warn!("connections are still open; stopping without them");
        }
        links.predecessor_done(wait, &shared).await;
        links.finish(&shared).await;
        state::write_last(&shared).await;
    }
}

/// Serves connections, while another process accepts, until the last one is over, or the other process
/// wants them to be: how long they may still go on.
async fn serve_out(shared: &Shared, links: &mut Links, shutdown: &mut Shutdown) -> Duration {
    let mut has_none = false;
    // What the process before this one counts comes to the next one through this one.
    while !has_none || links.predecessor.is_some() {
        tokio::select! {
            () = shutdown.all_left(), if !has_none => has_none = true,
            turn = links.next(shared) => if let Turn::Stop(wait) = turn {
                return wait;
            },
        }
    }
    Duration::ZERO
}

/// From here on this process is the one that accepts connections and keeps the state.
async fn take_charge(shared: &Shared, desk: Option<&Desk>) {
    if let Some(keeper) = &shared.keeper {
        keeper.take().await;
    }
    if let Some(desk) = desk {
        desk.show();
    }
    shared.charge.send_replace(Charge::Held);
}

fn is_asked(shared: &Shared) -> bool {
    *shared.charge.borrow() == Charge::Asked
}

/// Whether another process holds what this one was to take over.
fn is_another_there(shared: &Shared) -> bool {
    shared.keeper.as_ref().is_some_and(|keeper| Predecessor::is_there(keeper.folder()))
}

async fn successor(desk: &mut Option<Desk>, shared: &Arc<Shared>) -> Link {
    match desk {
        Some(desk) => desk.successor(shared).await,
        None => std::future::pending().await,
    }
}

impl Taken {
    /// Says that this process serves.
    fn link(self) -> io::Result<Link> {
        self.stream.set_nonblocking(true)?;
        let stream = tokio::net::UnixStream::from_std(self.stream)?;
        Ok(Link::committed(stream, self.ledger, self.greetings))
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
