//! Links to middle servers: some to each that is used, shared by all clients.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chappe_crypto::Rng;
use chappe_net::connect::Endpoint;
use chappe_proto::middle::messages::{ConnId, Origin};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::counters::Counters;
use super::inbox::Inbox;
use super::link::{self, Command};
use crate::config::MiddleConfig;
use crate::shared::Shared;

/// All links. They end with it.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What the links were made by: others begin with other settings, and these go on as long as
    /// they have clients.
    config: Option<Arc<MiddleConfig>>,
    servers: HashMap<Endpoint, Arc<Server>>,
    tasks: JoinSet<()>,
    /// Taken with the first link.
    counters: Option<Counters>,
}

/// The links to one middle server.
#[derive(Debug)]
struct Server {
    links: Mutex<Vec<Line>>,
    /// A link to it is ready.
    ready: Arc<Notify>,
}

/// A link, as clients use it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) commands: mpsc::Sender<Command>,
    /// For those who leave, whatever else waits.
    gone: mpsc::UnboundedSender<ConnId>,
    state: Arc<State>,
}

/// What a link says of itself.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) takes_clients: AtomicBool,
    pub(super) clients: AtomicUsize,
}

/// A client on a link; the middle server hears that it is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) client: ConnId,
    line: Line,
}

/// Commands that a link has not taken up; then clients wait.
const COMMANDS_MAX: usize = 64;
/// Clients of each link of a server before it gets another link.
const GROWS_AT: usize = 500;

impl Pool {
    /// A random link to a random server of those for a data centre; waits for one where there is
    /// none yet, as long as the settings say (MPX-07).
    pub(super) async fn line(
        &self,
        config: &Arc<MiddleConfig>,
        dc: i16,
        shared: &Arc<Shared>,
    ) -> Option<Line> {
        let mut rng = shared.rng();
        let mut servers: Vec<&Endpoint> = config.servers(dc).iter().collect();
        shuffle(&mut servers, &mut rng);
        // Some are ready as a rule; the first is waited for where none is.
        let deadline = Instant::now() + config.link_wait_max;
        let ready =
            |server: &&Endpoint| self.server(config, server, shared).pick(&mut shared.rng());
        if let Some(line) = servers.iter().find_map(ready) {
            return Some(line);
        }
        let server = self.server(config, servers.first()?, shared);
        loop {
            let notified = server.ready.notified();
            if let Some(line) = server.pick(&mut rng) {
                return Some(line);
            }
            timeout_at(deadline, notified).await.ok()?;
        }
    }

    /// The links to a server, as many as there should be.
    fn server(
        &self,
        config: &Arc<MiddleConfig>,
        endpoint: &Endpoint,
        shared: &Arc<Shared>,
    ) -> Arc<Server> {
        let mut kept = lock(&self.kept);
        let Kept { config: of, servers, tasks, counters } = &mut *kept;
        let counters = counters.get_or_insert_with(Counters::default);
        if of.as_ref().is_none_or(|of| **of != **config) {
            servers.clear();
            *of = Some(Arc::clone(config));
        }
        while tasks.try_join_next().is_some() {}
        let new = || Arc::new(Server { links: Mutex::default(), ready: Arc::default() });
        let server = Arc::clone(servers.entry(endpoint.clone()).or_insert_with(new));
        let mut links = lock(&server.links);
        while links.len() < *config.links.start() || server_is_full(&links, config) {
            let (commands, taken) = mpsc::channel(COMMANDS_MAX);
            let (gone, left) = mpsc::unbounded_channel();
            let state = Arc::new(State::default());
            links.push(Line { commands, gone, state: Arc::clone(&state) });
            let task = link::Task {
                config: Arc::clone(config),
                endpoint: endpoint.clone(),
                clock: shared.clock,
                rng: shared.rng(),
                commands: taken,
                gone: left,
                state,
                counters: counters.clone(),
                ready: Arc::clone(&server.ready),
            };
            tasks.spawn(task.run());
        }
        drop(links);
        server
    }
}

/// Whether the links there are carry so much that there may be one more.
fn server_is_full(links: &[Line], config: &MiddleConfig) -> bool {
    let is_busy = |line: &Line| line.state.clients.load(Ordering::Relaxed) >= GROWS_AT;
    links.len() < *config.links.end() && links.iter().all(is_busy)
}

impl Server {
    fn pick(&self, rng: &mut Rng) -> Option<Line> {
        let links = lock(&self.links);
        let ready = |line: &&Line| line.state.takes_clients.load(Ordering::Relaxed);
        let mut ready: Vec<&Line> = links.iter().filter(ready).collect();
        shuffle(&mut ready, rng);
        ready.first().copied().cloned()
    }
}

impl Line {
    /// A place for one more client; `None` if the link was lost meanwhile.
    pub(super) async fn open(&self, origin: Origin, inbox: Inbox) -> Option<Place> {
        let (opened, place) = oneshot::channel();
        let line = self.clone();
        let command = Command::Open { origin: Box::new(origin), inbox, line, opened };
        self.commands.send(command).await.ok()?;
        place.await.ok()
    }

    pub(super) fn place(self, client: ConnId) -> Place {
        Place { client, line: self }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A link that is lost has lost its clients as well.
        let _ = self.line.gone.send(self.client);
    }
}

impl Place {
    pub(super) fn commands(&self) -> &mpsc::Sender<Command> {
        &self.line.commands
    }
}

fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for at in (1..items.len()).rev() {
        let other = rng.below(u32::try_from(at + 1).unwrap_or(u32::MAX)) as usize;
        items.swap(at, other);
    }
}

/// What is kept stays whole whatever panicked elsewhere while it was held.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
