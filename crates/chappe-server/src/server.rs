//! Accepting connections until told to stop.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chappe_net::Io;
use chappe_net::entropy;
use chappe_net::listen::{Accepted, Listener};
use chappe_net::shutdown::{Shutdown, Watcher};
use chappe_proto::middle::keys::ProxySecret;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

use crate::builder::Builder;
use crate::config::contains;
use crate::connection::Connection;
use crate::error::ServeError;
use crate::middle::{self, Entrance};
use crate::push::Pusher;
use crate::registry::LinkCommand;
use crate::revoke::Revoker;
use crate::session::Input;
use crate::shared::Shared;
use crate::udp;

/// An MTProto server, ready to serve.
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// Collects the parts of a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends what nobody asked for; works as long as the server does.
    pub fn pusher(&self) -> Pusher {
        Pusher::new(&self.shared)
    }

    /// Takes keys away from their clients; works as long as the server does.
    pub fn revoker(&self) -> Revoker {
        self.pusher().revoker()
    }

    /// Serves a listener, for ever unless told otherwise. Nothing happens until awaited.
    pub fn serve(self, listener: impl Into<Listener>) -> Serve {
        self.serve_all([listener])
    }

    /// Serves several listeners, of several kinds perhaps.
    pub fn serve_all<L: Into<Listener>>(self, listeners: impl IntoIterator<Item = L>) -> Serve {
        Serve {
            shared: self.shared,
            listeners: listeners.into_iter().map(Into::into).collect(),
            sockets: Vec::new(),
            entrances: Vec::new(),
            stop: Box::pin(std::future::pending()),
        }
    }
}

/// A server about to serve: await it.
#[must_use = "a server serves while it is awaited"]
pub struct Serve {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    sockets: Vec<UdpSocket>,
    entrances: Vec<Entrance>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Serve {
    /// Stops when `stop` is ready: accepts nobody, begins no call, lets those that run finish for
    /// as long as the settings allow, sends what is left to send, and closes.
    pub fn with_graceful_shutdown(
        mut self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.stop = Box::pin(stop);
        self
    }

    /// Serves this socket, too, made by [`chappe_net::udp::bind`]: messages of sessions that have a
    /// stream may come and leave as datagrams.
    ///
    /// EXPERIMENTAL: what is spoken there, "MTU1", is a definition of this project. It is no
    /// transport of Telegram's, nobody else speaks it, and it may change or go (UDP-01).
    pub fn experimental_udp(mut self, socket: UdpSocket) -> Self {
        self.sockets.push(socket);
        self
    }

    /// Accepts links of proxies here, too: such as know one of these secrets bring the packets of their
    /// clients, and are believed where those are (MPX-16).
    pub fn middle(
        mut self,
        listener: impl Into<Listener>,
        secrets: impl IntoIterator<Item = ProxySecret>,
    ) -> Self {
        let secrets = secrets.into_iter().collect();
        self.entrances.push(Entrance { listener: listener.into(), secrets });
        self
    }

    async fn run(self) -> Result<(), ServeError> {
        let Self { shared, listeners, sockets, entrances, stop } = self;
        let fresh = Zeroizing::new(entropy::seed()?);
        let secret = shared.backend.store().server_secret(fresh).await?;
        shared.secret.get_or_init(|| secret);
        // However serving ends, so do the tasks it began.
        let _guard = Guard(Arc::clone(&shared));
        let mut shutdown = Shutdown::default();
        let mut tasks = JoinSet::new();
        if let Some(watcher) = shutdown.watcher() {
            for listener in listeners {
                tasks.spawn(accept(Arc::clone(&shared), listener, watcher.clone()));
            }
            for entrance in entrances {
                tasks.spawn(middle::accept(Arc::clone(&shared), entrance, watcher.clone()));
            }
            // Not one of the tasks that end at once: answers leave until all sessions have ended.
            for socket in sockets {
                tokio::spawn(udp::serve(Arc::clone(&shared), socket, watcher.clone()));
            }
        }
        tasks.spawn(reap(Arc::clone(&shared)));
        stop.await;
        info!(connections = shared.connections.len(), "stopping");
        tasks.shutdown().await;
        // Before anyone is told: who begins later sees the stage, who began earlier is told.
        shutdown.begin();
        shared.directory.broadcast(|| Input::Drain);
        shared.registry.broadcast(|| LinkCommand::Drain);
        if !shutdown.stop(shared.config.drain_max, Duration::ZERO).await {
            warn!("calls are still running; stopping without their answers");
        }
        Ok(())
    }
}

impl IntoFuture for Serve {
    type Output = Result<(), ServeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.directory.broadcast(|| Input::End);
        self.0.registry.broadcast(|| LinkCommand::Close);
    }
}

async fn accept(shared: Arc<Shared>, listener: Listener, watcher: Watcher) {
    loop {
        let (stream, ends) = listener.accept().await;
        let is_from = |networks| contains(networks, ends.peer.ip());
        let announced = is_from(&shared.config.proxy_protocol_from);
        // Nor does the address of a reverse proxy say anything, which speaks for anybody.
        let permit = match announced || is_from(&shared.config.forwarded_from) {
            true => shared.connections.admit_unknown(),
            false => shared.connections.admit(ends.peer.ip()),
        };
        // Nothing is known of what it speaks: there is no way to tell it why.
        let Some(permit) = permit else {
            shared.metrics.links_refused.increment(1);
            debug!(peer = %ends.peer, "too many connections");
            continue;
        };
        let connection = Connection::new(Arc::clone(&shared), ends, permit, watcher.clone());
        let Some(connection) = connection else { continue };
        match stream {
            Accepted::Tcp(stream) => start(connection, stream, announced),
            Accepted::Unix(stream) => start(connection, stream, announced),
        }
    }
}

fn start(connection: Box<Connection>, stream: impl Io + 'static, announced: bool) {
    if announced {
        tokio::spawn(connection.serve_announced(Box::new(stream)));
    } else {
        tokio::spawn(connection.serve(stream));
    }
}

/// Forgets idle sessions, and temporary keys whose time is over (PFS-03).
async fn reap(shared: Arc<Shared>) {
    let interval = (shared.config.sessions.idle_max / 4).clamp(REAP_MIN, REAP_MAX);
    loop {
        let unix = shared.clock.now().unix;
        let next_end = shared.directory.next_end().and_then(|end| u64::try_from(end).ok());
        let until_end = next_end.map(|end| Duration::from_secs(end).saturating_sub(unix));
        tokio::time::sleep(until_end.map_or(interval, |until| until.clamp(REAP_MIN, interval)))
            .await;
        let now = shared.clock.now();
        shared.directory.reap(now.mono);
        for key in shared.directory.expire(now.unix_seconds()) {
            debug!(auth_key_id = %key, "temporary key expired");
        }
        if let Err(error) = shared.backend.store().expire_keys(now.unix.as_secs()).await {
            warn!(%error, "expired keys cannot be wiped");
        }
    }
}

/// Bounds of the time between two looks.
const REAP_MIN: Duration = Duration::from_millis(50);
const REAP_MAX: Duration = Duration::from_secs(30);
