//! A client made of the core's parts, with a key of its own and a server of its own.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use chappe_api::functions::help::GetNearestDc;
use chappe_api::functions::{InitConnection, InvokeWithLayer};
use chappe_api::{ctors, types};
use chappe_backend::{Backend, Database};
use chappe_crypto::rsa::PublicKey;
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::handshake::client::{DhGen, KeyRequest, start};
use chappe_proto::link::{Link, LinkConfig, LinkEvent};
use chappe_proto::rpc::{CallResult, RESULT, RpcError};
use chappe_proto::session::msg_id::{MsgIds, Origin};
use chappe_proto::session::{container, kind};
use chappe_proto::transport::{ClientOptions, Framing, Transport};
use chappe_proto::{MsgId, Now, SessionId};
use chappe_server::{RsaIdentity, Server};
use chappe_telegram::{Admin, Config};
use chappe_tl::{Encode, Function, Raw};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::engine;

pub(crate) struct Client {
    stream: TcpStream,
    link: Link,
    inbound: BytesMut,
    begun: Instant,
    rng: Rng,
    ids: MsgIds,
    calls: i32,
    /// Announced with the first call.
    pub(crate) layer: i32,
    /// Says nothing of itself.
    pub(crate) is_silent: bool,
    key: Arc<AuthKey>,
    salt: i64,
    session: SessionId,
    /// Came unasked and was not looked at.
    pushed: VecDeque<types::Updates>,
    /// How many of these came before the last answer.
    early: usize,
    /// Came unasked, in the words of an older layer.
    foreign: VecDeque<Bytes>,
}

/// `updates`, of every layer.
const UPDATES: u32 = 0x74ae_4240;

/// A service with a database of its own.
pub(crate) struct Home {
    pub(crate) address: SocketAddr,
    server_keys: Arc<[PublicKey]>,
    clients: u8,
    backend: Backend,
    _folder: TempDir,
}

impl Home {
    pub(crate) async fn open(config: Config) -> Self {
        Self::on(engine::backend(None).await, config).await
    }

    /// With a database that answers one at a time.
    pub(crate) async fn with_one_connection(config: Config) -> Self {
        Self::on(engine::backend(Some(1)).await, config).await
    }

    async fn on((backend, folder): (Backend, TempDir), config: Config) -> Self {
        let identity = RsaIdentity::generate(&mut Rng::from_seed([1; 32]));
        let server_keys = Arc::new([identity.public().clone()]);
        let rng = Rng::from_seed([2; 32]);
        let router = chappe_telegram::router(config, &backend, rng).await.unwrap();
        let server = Server::builder().identity(identity).backend(backend.clone()).router(router);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server.build().unwrap().serve(listener).into_future());
        Self { address, server_keys, clients: 0, backend, _folder: folder }
    }

    /// Where it keeps everything.
    pub(crate) fn database(&self) -> &Database {
        self.backend.database().unwrap()
    }

    /// What its operator does by hand.
    pub(crate) async fn admin(&self) -> Admin {
        Admin::open(&self.backend, Rng::from_seed([3; 32])).await.unwrap()
    }

    /// A client with a permanent key that nobody has signed in with.
    pub(crate) async fn client(&mut self) -> Client {
        self.connect(None).await
    }

    async fn connect(&mut self, expires_in: Option<i32>) -> Client {
        self.clients += 1;
        let rng = Rng::from_seed([100 + self.clients; 32]);
        Client::connect(self.address, Arc::clone(&self.server_keys), (2, expires_in), rng).await
    }
}

impl Client {
    /// A client with a temporary key that it binds to nothing, and its server.
    pub(crate) async fn temporary() -> (Home, Self) {
        let mut home = Home::open(Config::default()).await;
        let client = home.connect(Some(1000)).await;
        (home, client)
    }

    /// A client with a permanent key that nobody has signed in with, and its server.
    pub(crate) async fn stranger(config: Config) -> (Home, Self) {
        let mut home = Home::open(config).await;
        let client = home.client().await;
        (home, client)
    }

    async fn connect(
        address: SocketAddr,
        server_keys: Arc<[PublicKey]>,
        (dc, expires_in): (i32, Option<i32>),
        mut rng: Rng,
    ) -> Self {
        let mut client = Self::open(address, rng.fork()).await;
        let request = KeyRequest { dc, expires_in, server_keys };
        let (state, body) = start(request, &mut rng);
        let (state, body) = state.handle(&client.exchange(&body).await, &mut rng).unwrap();
        let answer = client.exchange(&body).await;
        let (state, body) = state.handle(client.now(), &answer, &mut rng).unwrap();
        let DhGen::Finished(new) = state.handle(&client.exchange(&body).await, &mut rng).unwrap()
        else {
            panic!("a key that exists")
        };
        (client.key, client.salt) = (Arc::new(new.key), new.first_salt);
        client
    }

    /// A connection without a key.
    async fn open(address: SocketAddr, mut rng: Rng) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let transport = Transport::plain(Framing::Intermediate);
        let options = ClientOptions::default();
        Self {
            stream,
            link: Link::client(LinkConfig::client(), transport, &options, rng.fork()),
            inbound: BytesMut::new(),
            begun: Instant::now(),
            rng,
            ids: MsgIds::default(),
            calls: 0,
            layer: chappe_api::LAYER,
            is_silent: false,
            key: Arc::new(AuthKey::new([0; 256])),
            salt: 0,
            session: SessionId(7),
            pushed: VecDeque::new(),
            early: 0,
            foreign: VecDeque::new(),
        }
    }

    /// Another session of the same key, on a connection of its own.
    pub(crate) async fn beside(&self, home: &Home, session: i64) -> Self {
        let rng = Rng::from_seed([u8::try_from(session).unwrap(); 32]);
        let (key, salt, session) = (Arc::clone(&self.key), self.salt, SessionId(session));
        Self { key, salt, session, ..Self::open(home.address, rng).await }
    }

    /// A key made with a data centre of this number.
    pub(crate) async fn of_dc(home: &Home, dc: i32) -> Self {
        let rng = Rng::from_seed([99; 32]);
        Self::connect(home.address, Arc::clone(&home.server_keys), (dc, None), rng).await
    }

    /// The answer to a call.
    pub(crate) async fn ask<C: Function>(&mut self, call: C) -> Result<C::Return, RpcError> {
        let body = self.call(&call).await?;
        Ok(chappe_tl::from_bytes(body).unwrap())
    }

    /// The error that a call ends with.
    pub(crate) async fn fail<C: Function>(&mut self, call: C) -> (i32, String) {
        let Err(error) = self.call(&call).await else { panic!("{} is answered", C::NAME) };
        (error.code, error.message)
    }

    /// The outcome of a call, in whatever wrappers it is.
    pub(crate) async fn call(&mut self, call: &impl Encode) -> Result<Bytes, RpcError> {
        let msg_id = self.send(call).await;
        loop {
            if let Some((_, outcome)) =
                self.results().await.into_iter().find(|(of, _)| *of == msg_id)
            {
                return outcome;
            }
        }
    }

    /// The answers to calls that are made at the same time, in their order.
    pub(crate) async fn ask_at_once<C: Function>(
        &mut self,
        calls: Vec<C>,
    ) -> Vec<Result<C::Return, RpcError>> {
        let mut sent = Vec::new();
        for call in &calls {
            sent.push(self.send(call).await);
        }
        let mut outcomes = BTreeMap::new();
        while outcomes.len() < sent.len() {
            outcomes.extend(self.results().await.into_iter().filter(|(of, _)| sent.contains(of)));
        }
        let read = |body| chappe_tl::from_bytes(body).unwrap();
        outcomes.into_values().map(|outcome| outcome.map(read)).collect()
    }

    /// Makes a call; its answer has this id.
    async fn send(&mut self, call: &impl Encode) -> MsgId {
        let now = self.now();
        let msg_id = self.ids.next(now.unix, Origin::Client, &mut self.rng);
        let header = Header {
            salt: self.salt,
            session_id: self.session,
            msg_id,
            seq_no: self.calls * 2 + 1,
        };
        self.link.use_key(Arc::clone(&self.key));
        let mut body = chappe_tl::to_bytes(call).unwrap();
        if self.calls == 0 && !self.is_silent {
            body = introduced(self.layer, body);
        }
        self.calls += 1;
        self.early = self.pushed.len();
        self.link.send(Arc::clone(&self.key), Message { header, body });
        self.flush().await;
        msg_id
    }

    /// The outcomes that the next message has.
    async fn results(&mut self) -> Vec<(MsgId, Result<Bytes, RpcError>)> {
        let mut results = Vec::new();
        for body in self.bodies().await {
            if kind::id_of(&body) != RESULT {
                self.keep(body);
                if results.is_empty() {
                    self.early = self.pushed.len();
                }
                continue;
            }
            let result = CallResult::read(&body, 1 << 20).unwrap();
            results.push((result.call, result.result.map(|raw| raw.0)));
        }
        results
    }

    /// The next update that comes unasked, in the long form.
    pub(crate) async fn pushed(&mut self) -> ctors::Updates {
        let types::Updates::Updates(updates) = self.told().await else { panic!("another form") };
        updates
    }

    /// The next update that comes unasked.
    pub(crate) async fn told(&mut self) -> types::Updates {
        loop {
            if let Some(updates) = self.pushed.pop_front() {
                return updates;
            }
            for body in self.bodies().await {
                self.keep(body);
            }
        }
    }

    /// What came unasked before the answer to the last call.
    pub(crate) fn take_early(&mut self) -> Vec<types::Updates> {
        let early = self.pushed.drain(..self.early).collect();
        self.early = 0;
        early
    }

    /// What came unasked, if anything did.
    pub(crate) fn take_pushed(&mut self) -> Vec<types::Updates> {
        self.pushed.drain(..).collect()
    }

    /// Its key, as tables have it.
    pub(crate) fn key_id(&self) -> i64 {
        self.key.id().0.cast_signed()
    }

    /// Announces a layer anew.
    pub(crate) async fn announce(&mut self, layer: i32) {
        let call = chappe_tl::to_bytes(&GetNearestDc {}).unwrap();
        self.call(&Raw(introduced(layer, call))).await.unwrap();
    }

    /// What comes unasked next, in the words of an older layer.
    pub(crate) async fn told_otherwise(&mut self) -> Bytes {
        loop {
            if let Some(body) = self.foreign.pop_front() {
                return body;
            }
            for body in self.bodies().await {
                self.keep(body);
            }
        }
    }

    fn keep(&mut self, body: Bytes) {
        match chappe_tl::from_bytes(body.clone()) {
            Ok(updates) => self.pushed.push_back(updates),
            Err(_) if kind::id_of(&body) == UPDATES => self.foreign.push_back(body),
            Err(_) => {}
        }
    }

    /// What the next message holds.
    async fn bodies(&mut self) -> Vec<Bytes> {
        let LinkEvent::Message(_, opened) = self.hear().await else { panic!("no message") };
        let Message { header, body } = opened.message;
        match kind::id_of(&body) {
            container::ID => {
                let inners = container::unpack(header.msg_id, &body).unwrap();
                inners.into_iter().map(|inner| inner.body).collect()
            }
            _ => vec![body],
        }
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Now { mono: self.begun.elapsed(), unix }
    }

    async fn exchange(&mut self, body: &[u8]) -> Bytes {
        let now = self.now();
        self.link.send_plain(now.unix, body);
        self.flush().await;
        let LinkEvent::Plain(message) = self.hear().await else { panic!("no answer") };
        message.body
    }

    async fn flush(&mut self) {
        let mut out = BytesMut::new();
        self.link.poll_transmit(&mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    async fn hear(&mut self) -> LinkEvent {
        loop {
            if let Some(event) = self.link.poll_event() {
                return event;
            }
            let read = self.stream.read_buf(&mut self.inbound);
            assert_ne!(timeout(Duration::from_secs(60), read).await.unwrap().unwrap(), 0);
            let now = self.now();
            self.link.handle_bytes(now, &mut self.inbound);
        }
    }
}

/// A call with what a client says of itself before its first one.
fn introduced(layer: i32, call: Bytes) -> Bytes {
    let query = InitConnection {
        api_id: 1,
        device_model: "test".into(),
        system_version: "1".into(),
        app_version: "1".into(),
        system_lang_code: "en".into(),
        lang_pack: "".into(),
        lang_code: "en".into(),
        proxy: None,
        params: None,
        query: Raw(call),
    };
    chappe_tl::to_bytes(&InvokeWithLayer { layer, query }).unwrap()
}
