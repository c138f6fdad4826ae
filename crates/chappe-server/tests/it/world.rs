//! A server for one test.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};

use chappe_backend::Backend;
use chappe_crypto::{AuthKeyId, Rng, rsa};
use chappe_net::Clock;
use chappe_net::listen::Listener;
use chappe_net::tls::Certificate;
use chappe_proto::SessionId;
use chappe_proto::middle::keys::ProxySecret;
use chappe_server::{
    Events, Pusher, Revoker, Router, RsaIdentity, ServeError, Server, ServerConfig,
};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::functions::{self, App};

/// One key for all tests: making one takes a while.
static IDENTITY: LazyLock<String> =
    LazyLock::new(|| RsaIdentity::generate(&mut Rng::from_seed([42; 32])).to_pem().to_string());

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    /// Where proxies connect, if they may.
    pub(crate) middle: SocketAddr,
    pub(crate) public_key: rsa::PublicKey,
    pub(crate) app: App,
    pub(crate) pusher: Pusher,
    pub(crate) revoker: Revoker,
    pub(crate) clock: Clock,
    pub(crate) backend: Backend,
    pub(crate) heard: Heard,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

/// What a server is made of.
pub(crate) struct Setup {
    pub(crate) backend: Backend,
    pub(crate) app: App,
    pub(crate) router: Router<App>,
    pub(crate) config: ServerConfig,
    pub(crate) clock: Clock,
    pub(crate) events: Option<Arc<dyn Events>>,
    /// Whether datagrams are taken, too, at the same port.
    pub(crate) datagrams: bool,
    pub(crate) certificate: Option<Certificate>,
    /// With secrets links of proxies are taken.
    pub(crate) proxy_secrets: Vec<ProxySecret>,
}

impl Default for Setup {
    fn default() -> Self {
        let app = App::default();
        Self {
            backend: Backend::memory(),
            router: functions::router(app.clone()),
            app,
            config: ServerConfig::default(),
            clock: Clock::system(),
            events: None,
            datagrams: false,
            certificate: None,
            proxy_secrets: Vec::new(),
        }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::on(Backend::memory(), change).await
    }

    pub(crate) async fn on(backend: Backend, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let app = App::default();
        Self::routed(backend, change, app.clone(), functions::router(app)).await
    }

    pub(crate) async fn routed(
        backend: Backend,
        change: impl FnOnce(&mut ServerConfig),
        app: App,
        router: Router<App>,
    ) -> Self {
        let mut setup = Setup { backend, app, router, ..Setup::default() };
        change(&mut setup.config);
        Self::start(setup).await
    }

    pub(crate) async fn start(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = match setup.datagrams {
            true => Some(chappe_net::udp::bind(address, false).unwrap()),
            false => None,
        };
        Self { address, ..Self::start_with(setup, listener, socket).await }
    }

    /// A server that listens elsewhere.
    pub(crate) async fn start_at(setup: Setup, listener: impl Into<Listener>) -> Self {
        Self::start_with(setup, listener, None).await
    }

    async fn start_with(
        setup: Setup,
        listener: impl Into<Listener>,
        socket: Option<UdpSocket>,
    ) -> Self {
        let Setup {
            backend, app, router, config, clock, events, certificate, proxy_secrets, ..
        } = setup;
        let identity = RsaIdentity::from_pem(&IDENTITY).unwrap();
        let public_key = identity.public().clone();
        let heard = Heard::default();
        let mut builder = Server::builder()
            .identity(identity)
            .backend(backend.clone())
            .router(router)
            .config(config)
            .events(events.unwrap_or_else(|| Arc::new(heard.clone())))
            .clock(clock);
        if let Some(certificate) = certificate {
            builder = builder.certificate(certificate);
        }
        let server = builder.build().unwrap();
        let address = "0.0.0.0:0".parse().unwrap();
        let (pusher, revoker) = (server.pusher(), server.revoker());
        let (stop, stopped) = oneshot::channel();
        let mut serving = server.serve(listener).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        if let Some(socket) = socket {
            serving = serving.experimental_udp(socket);
        }
        let mut middle = address;
        if !proxy_secrets.is_empty() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            middle = listener.local_addr().unwrap();
            serving = serving.middle(listener, proxy_secrets);
        }
        let task = tokio::spawn(serving.into_future());
        let stop = Some(stop);
        Self {
            address,
            middle,
            public_key,
            app,
            pusher,
            revoker,
            clock,
            backend,
            heard,
            stop,
            task,
        }
    }

    /// Asks for the stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until serving has ended.
    pub(crate) async fn ended(self) {
        self.task.await.unwrap().unwrap();
    }

    pub(crate) fn trusted(&self) -> Arc<[rsa::PublicKey]> {
        Arc::new([self.public_key.clone()])
    }
}

/// What the server told its program.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Opened(SessionId),
    Forgotten(SessionId),
    PushesDropped(SessionId, u64),
}

impl Heard {
    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events for Heard {
    fn session_opened(&self, _: AuthKeyId, session: SessionId) {
        self.note(Event::Opened(session));
    }

    fn session_forgotten(&self, _: AuthKeyId, session: SessionId) {
        self.note(Event::Forgotten(session));
    }

    fn pushes_dropped(&self, _: AuthKeyId, session: SessionId, count: u64) {
        self.note(Event::PushesDropped(session, count));
    }
}
