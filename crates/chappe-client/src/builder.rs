//! How a client connects: every setting, with its default.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::rsa::PublicKey;
use chappe_net::connect::Proxy;
use chappe_net::{Clock, DriveConfig, entropy};
use chappe_proto::datagram::ClientConfig;
use chappe_proto::handshake::client::KeyRequest;
use chappe_proto::keys::{KeysConfig, PfsConfig};
use chappe_proto::link::LinkConfig;
use chappe_proto::session::client::SessionConfig;
use chappe_proto::transport::{ClientOptions, DcField, EndpointSecret, Framing, Secret, Transport};
use tokio::sync::{mpsc, oneshot};

use crate::address::Address;
use crate::calls::Init;
use crate::client::RawClient;
use crate::error::ConnectError;
use crate::metrics::Metrics;
use crate::push;
use crate::routes::{Addresses, Disguise, Routes};
use crate::storage::{KeyRecord, MemoryStorage, ServerId, Storage, StorageError};
use crate::target::{MtProxy, Target, TargetError};
use crate::task::{Handles, Task};
use crate::way::{Fallback, Way};
use crate::web::{Web, WebConfig};

/// What to do when the server does not know our permanent key any more (SES-18).
///
/// It counts as lost when two fresh connections in a row say so, never for one alone: anybody
/// between us and the server can say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyLoss {
    /// Fail every call with [`InvokeError::KeyLost`](crate::InvokeError::KeyLost), and leave the
    /// storage as it is. A key is who we are to the server: under another one calls would run as
    /// a stranger's, and a server that was only restored wrongly would find its own key gone.
    #[default]
    Stop,
    /// Make a new one, put it in the old one's place, say so by
    /// [`Push::NewKey`](crate::Push::NewKey), and send open calls under it: those that never left
    /// and those that may run twice. For clients that are nobody in particular.
    MakeNew,
}

/// Settings of a [`RawClient`]; see [`RawClient::builder`].
pub struct Builder {
    /// As it was given last.
    target: Result<Target, TargetError>,
    way: Way,
    fallback: Fallback,
    web: WebConfig,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) server_keys: Arc<[PublicKey]>,
    pub(crate) dc: i32,
    transport: Transport,
    disguise: Option<Disguise>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) init: Option<Init>,
    pub(crate) session: SessionConfig,
    pub(crate) link: LinkConfig,
    pub(crate) mtproto1: bool,
    pub(crate) drive: DriveConfig,
    pub(crate) connect_timeout: Duration,
    pub(crate) exchange_timeout: Duration,
    pub(crate) unreachable_max: Option<Duration>,
    pub(crate) key_loss: KeyLoss,
    pub(crate) keys: KeysConfig,
    pub(crate) without_updates: bool,
    pub(crate) calls_max: usize,
    pub(crate) pushes_max: usize,
    pub(crate) pushes_max_bytes: usize,
    pub(crate) datagrams: Option<ClientConfig>,
    pub(crate) clock: Clock,
}

impl Builder {
    pub(crate) fn new(target: &str, server_keys: Arc<[PublicKey]>) -> Self {
        Self {
            target: target.parse(),
            way: Way::Tcp,
            fallback: Fallback::none(),
            web: WebConfig::default(),
            proxy: None,
            server_keys,
            dc: 2,
            transport: Transport::plain(Framing::Abridged),
            disguise: None,
            storage: Arc::new(MemoryStorage::new()),
            init: None,
            session: SessionConfig::default(),
            link: LinkConfig::client(),
            mtproto1: false,
            drive: DriveConfig::default(),
            connect_timeout: Duration::from_secs(60),
            exchange_timeout: Duration::from_secs(60),
            unreachable_max: None,
            key_loss: KeyLoss::default(),
            keys: KeysConfig::default(),
            without_updates: false,
            calls_max: 1000,
            pushes_max: 1024,
            pushes_max_bytes: 16 << 20,
            datagrams: None,
            clock: Clock::system(),
        }
    }

    /// Where the server is, in the place of what the client was made with.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        Self { target: Ok(target), ..self }
    }

    /// The addresses of the server, best first. They are tried in this order, each a quarter of a
    /// second after the one before; the first that answers is used.
    #[must_use]
    pub fn addresses(self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.target(Target::Addresses(addresses.into_iter().collect()))
    }

    /// Reaches the server by an MTProto proxy and in no other way. The proxy goes by the data
    /// centre set ([`dc`](Self::dc)), and its secret says which transport is spoken.
    #[must_use]
    pub fn mtproxy(self, proxy: MtProxy) -> Self {
        self.target(Target::Proxy(proxy))
    }

    /// A SOCKS5 or HTTP proxy that every connection is made through, those to an MTProto proxy
    /// too. It resolves names itself. Default: none.
    #[must_use]
    pub fn proxy(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// What carries packets. Default: TCP.
    #[must_use]
    pub fn way(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// What to try when that is blocked. Default: nothing else.
    #[must_use]
    pub fn fallback(self, fallback: Fallback) -> Self {
        Self { fallback, ..self }
    }

    /// How the server is asked for by WebSocket and HTTP.
    #[must_use]
    pub fn web(self, web: WebConfig) -> Self {
        Self { web, ..self }
    }

    /// The data centre to ask for: its number, +10000 for a test server, negative for one of
    /// media (KEY-11). Default: 2.
    #[must_use]
    pub fn dc(self, dc: i32) -> Self {
        Self { dc, ..self }
    }

    /// How packets travel on TCP. Default: abridged framing as it is, which costs least.
    #[must_use]
    pub fn transport(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// Sends what is small as datagrams to this address, where the server is told to take them, and
    /// everything else over the connection as ever. Default: no datagrams.
    ///
    /// EXPERIMENTAL: what is spoken there, "MTU1", is a definition of this project. It is no
    /// transport of Telegram's, nobody else speaks it, and it may change or go (UDP-01). Usually
    /// the port is that of the connection.
    #[must_use]
    pub fn experimental_udp(self, server: impl Into<ClientConfig>) -> Self {
        Self { datagrams: Some(server.into()), ..self }
    }

    /// The secret of all addresses that have none of their own. With one, every transport is
    /// obfuscated. Default: none.
    #[must_use]
    pub fn secret(self, secret: Secret) -> Self {
        Self { disguise: Some(secret.into()), ..self }
    }

    /// The same as proxies and servers give it: with the transport that it asks for, in fake TLS
    /// where it names a host.
    #[must_use]
    pub fn endpoint_secret(self, endpoint: EndpointSecret) -> Self {
        let EndpointSecret { secret, transport, domain } = endpoint;
        Self { disguise: Some(Disguise { secret, domain }), ..self }.transport(transport)
    }

    /// Where the auth key stays between runs. Default: in memory, so that each run makes a key.
    #[must_use]
    pub fn storage(self, storage: impl Storage) -> Self {
        Self { storage: Arc::new(storage), ..self }
    }

    /// Wraps encoded calls into what introduces the client to the server, for Telegram
    /// `invokeWithLayer(initConnection(…))`. Default: nothing does.
    ///
    /// Calls are wrapped from the start, and after a new key, until one of them succeeds; and
    /// again when the server asks for it with `CONNECTION_NOT_INITED` or
    /// `CONNECTION_LAYER_INVALID`.
    #[must_use]
    pub fn init(self, wrap: impl Fn(Bytes) -> Bytes + Send + Sync + 'static) -> Self {
        Self { init: Some(Arc::new(wrap)), ..self }
    }

    /// Limits and timers of the session.
    #[must_use]
    pub fn session_config(self, session: SessionConfig) -> Self {
        Self { session, ..self }
    }

    /// Speaks MTProto 1.0, which is weaker than 2.0: for servers that know nothing else.
    #[must_use]
    pub fn mtproto1(self) -> Self {
        Self { mtproto1: true, ..self }
    }

    /// Limits of a connection. Its `mtproto1` does what [`mtproto1`](Self::mtproto1) does.
    #[must_use]
    pub fn link_config(self, link: LinkConfig) -> Self {
        Self { link, ..self }
    }

    /// Bounds of what waits for a slow connection.
    #[must_use]
    pub fn drive_config(self, drive: DriveConfig) -> Self {
        Self { drive, ..self }
    }

    /// Longest wait of [`connect`](Self::connect), all attempts together. Default: 60 s.
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Longest run of a key exchange; then another begins. Default: 60 s (KEY-33).
    #[must_use]
    pub fn exchange_timeout(self, exchange_timeout: Duration) -> Self {
        Self { exchange_timeout, ..self }
    }

    /// Time without a server after which calls fail as unreachable, those that wait and, until
    /// it is back, each new one. Default: none; calls wait for as long as their callers do.
    #[must_use]
    pub fn unreachable_max(self, unreachable_max: Duration) -> Self {
        Self { unreachable_max: Some(unreachable_max), ..self }
    }

    /// Whether traffic goes under temporary keys, which are in memory only: who steals the stored
    /// key later reads nothing of it (perfect forward secrecy). Default: yes.
    ///
    /// It costs one key exchange at each start and each day. A server that cannot do it ends
    /// [`connect`](Self::connect) with an error that says so; nothing is ever sent under the stored
    /// key instead.
    #[must_use]
    pub fn pfs(self, pfs: bool) -> Self {
        let pfs = pfs.then(|| self.keys.pfs.unwrap_or_default());
        Self { keys: KeysConfig::new(pfs), ..self }
    }

    /// How long temporary keys live, and when they are replaced; turns them on.
    #[must_use]
    pub fn temporary_keys(self, pfs: PfsConfig) -> Self {
        Self { keys: KeysConfig::new(Some(pfs)), ..self }
    }

    /// Keeps this client from being pushed to, by `invokeWithoutUpdates` around every call: for a
    /// second one with the same key that moves files, where only one should hear updates
    /// (SES-08). Default: the server may push.
    #[must_use]
    pub fn without_updates(self) -> Self {
        Self { without_updates: true, ..self }
    }

    /// What to do when the server does not know our key any more. Default: fail all calls.
    #[must_use]
    pub fn key_loss(self, key_loss: KeyLoss) -> Self {
        Self { key_loss, ..self }
    }

    /// Calls open at once; further ones wait for their turn. Default: 1000. Each holds its body.
    #[must_use]
    pub fn calls_max(self, calls_max: usize) -> Self {
        Self { calls_max: calls_max.max(1), ..self }
    }

    /// Pushes that may wait for a receiver that is slow; then the oldest go. Default: 1024.
    #[must_use]
    pub fn pushes_max(self, pushes_max: usize) -> Self {
        Self { pushes_max: pushes_max.clamp(1, 1 << 20), ..self }
    }

    /// Bytes of the pushes that may wait for a receiver that is slow, the newest apart; then the
    /// oldest go. Default: 16 MiB.
    #[must_use]
    pub fn pushes_max_bytes(self, pushes_max_bytes: usize) -> Self {
        Self { pushes_max_bytes, ..self }
    }

    /// The clock to go by. Default: the system's.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Connects, makes a key unless one is stored, and returns when the server has shown that it
    /// holds the key. Attempts are repeated until the time is over.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(self) -> Result<RawClient, ConnectError> {
        if self.server_keys.is_empty() {
            return Err(ConnectError::NoServerKey);
        }
        let routes = self.routes()?;
        let rng = entropy::rng()?;
        let known = self.load().await?;
        let (commands, commanded) = mpsc::unbounded_channel();
        let (pushes, source) = push::channel(self.pushes_max, self.pushes_max_bytes);
        let metrics = Arc::new(Metrics::new());
        let counted = Arc::clone(&metrics);
        let client = RawClient::new(commands, self.calls_max, source, counted, self.clock);
        let (ready, is_ready) = oneshot::channel();
        let handles = Handles { commands: commanded, pushes, metrics, ready };
        tokio::spawn(Task::new(self, routes, rng, known, handles).run());
        // The task answers before it ends, unless the runtime goes down under it.
        is_ready
            .await
            .unwrap_or(Err(ConnectError::Timeout { waited: Duration::ZERO, last: None }))?;
        Ok(client)
    }

    /// What is stored of the first server key that has something stored.
    async fn load(&self) -> Result<Option<(ServerId, KeyRecord)>, StorageError> {
        for key in &*self.server_keys {
            let server = ServerId { dc: self.dc, fingerprint: key.fingerprint() };
            let storage = Arc::clone(&self.storage);
            let loaded = tokio::task::spawn_blocking(move || storage.load(server)).await;
            // A storage that panics has told why.
            if let Some(record) = loaded.unwrap_or_else(|panic| Err(panicked(panic)))? {
                return Ok(Some((server, record)));
            }
        }
        Ok(None)
    }

    pub(crate) fn key_request(&self, expires_in: Option<i32>) -> KeyRequest {
        KeyRequest { dc: self.dc, expires_in, server_keys: Arc::clone(&self.server_keys) }
    }

    pub(crate) fn link_settings(&self) -> LinkConfig {
        let mut link = self.link.clone();
        link.mtproto1 |= self.mtproto1;
        link
    }

    /// The ways to the server.
    fn routes(&self) -> Result<Routes, ConnectError> {
        let through_proxy = self.proxy.is_some();
        let (transport, disguise) = (self.transport, self.disguise.clone());
        let web = self.web.addresses.clone();
        let ways = self.fallback.after(self.way);
        let (ways, addresses) = match self.target.clone()? {
            Target::Addresses(main) => (ways, Addresses { main, web }),
            Target::Web { way, address, .. } => {
                (self.fallback.after(way), Addresses { main: vec![address], web })
            }
            Target::Proxy(MtProxy { endpoint, secret }) => {
                // The proxy connects to whatever the field says (OBF-12).
                let field = i16::try_from(self.dc).ok().and_then(DcField::decode);
                field.ok_or(ConnectError::DcUnnamed { dc: self.dc })?;
                // Nothing goes around it (PRX-08), or to it in a weaker way (PRX-09).
                let main = vec![Address::new(endpoint).secret(secret)];
                (vec![Way::Tcp], Addresses { main, web: Vec::new() })
            }
        };
        let routes = Routes::new(ways, addresses, transport, disguise, through_proxy);
        routes.ok_or(ConnectError::NoWay)
    }

    /// Whether an MTProto proxy is on the way.
    pub(crate) fn has_mtproxy(&self) -> bool {
        matches!(self.target, Ok(Target::Proxy(_)))
    }

    /// How to ask for the server by WebSocket and HTTP.
    pub(crate) fn web_settings(&self) -> Web {
        let mut web = self.web.clone();
        if let Ok(Target::Web { way, path: Some(path), .. }) = &self.target {
            let place = if way.is_http() { &mut web.http_path } else { &mut web.ws_path };
            *place = Some(path.clone());
        }
        Web::new(&web, self.dc)
    }

    /// What the header of an obfuscated transport says, but for the secret.
    pub(crate) fn client_options(&self) -> ClientOptions {
        // The header has 16 bits for it; what does not fit is left unsaid.
        let dc = i16::try_from(self.dc).unwrap_or(0);
        ClientOptions { dc, ..ClientOptions::default() }
    }
}

/// The error in the place of a storage's answer when it panicked instead.
pub(crate) fn panicked(panic: tokio::task::JoinError) -> StorageError {
    StorageError::Other(Arc::new(panic))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.target)
            .field("dc", &self.dc)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
