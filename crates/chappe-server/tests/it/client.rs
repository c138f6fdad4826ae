//! The client's end: a wire that speaks frames, and a session over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_net::{BoxedIo, Clock, Io};
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::handshake::client::{DhGen, HandshakeError, KeyRequest, start};
use chappe_proto::link::{Link, LinkConfig, LinkEvent};
use chappe_proto::rpc::RpcError;
use chappe_proto::session::client::{CallError, CallId, ClientEvent, ClientSession, SessionConfig};
use chappe_proto::session::msg_id::{MsgIds, Origin};
use chappe_proto::session::time::ServerClock;
use chappe_proto::transport::{ClientOptions, Framing, Transport};
use chappe_proto::{MsgId, SessionId};
use chappe_tl::{Encode, Function, Raw, Reader, to_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::World;

/// Nothing in these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A different seed for each thing that wants one.
pub(crate) fn rng() -> Rng {
    static SEEDS: AtomicU8 = AtomicU8::new(0);
    Rng::from_seed([SEEDS.fetch_add(1, Ordering::Relaxed); 32])
}

/// A connection that speaks frames.
pub(crate) struct Wire {
    pub(crate) stream: BoxedIo,
    pub(crate) link: Link,
    inbound: BytesMut,
    pub(crate) clock: Clock,
    rng: Rng,
}

/// What a wire hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Plain(Bytes),
    Message(Message),
    Error(i32),
    End,
}

/// A key with its first salt.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) key: Arc<AuthKey>,
    pub(crate) salt: i64,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, LinkConfig::client()).await
    }

    pub(crate) async fn connect_with(address: SocketAddr, config: LinkConfig) -> Self {
        let transport = Transport::plain(Framing::Intermediate);
        Self::over_with(TcpStream::connect(address).await.unwrap(), transport, config)
    }

    /// Speaks a transport over any connection.
    pub(crate) fn over(stream: impl Io + 'static, transport: Transport) -> Self {
        Self::over_with(stream, transport, LinkConfig::client())
    }

    fn over_with(stream: impl Io + 'static, transport: Transport, config: LinkConfig) -> Self {
        let link = Link::client(config, transport, &ClientOptions::default(), rng());
        let (stream, inbound) = (Box::new(stream), BytesMut::new());
        Self { stream, link, inbound, clock: Clock::system(), rng: rng() }
    }

    pub(crate) async fn plain(&mut self, body: &[u8]) {
        self.link.send_plain(self.clock.now().unix, body);
        self.flush().await;
    }

    pub(crate) async fn send(&mut self, key: &Arc<AuthKey>, message: Message) {
        self.link.use_key(Arc::clone(key));
        self.link.send(Arc::clone(key), message);
        self.flush().await;
    }

    /// Writes what is to be sent. The other end may have gone.
    async fn flush(&mut self) {
        let mut out = BytesMut::new();
        self.link.poll_transmit(&mut out).unwrap();
        let _ = self.stream.write_all(&out).await;
        let _ = self.stream.flush().await;
    }

    /// The bytes that `message` makes, for sending them more than once.
    pub(crate) fn record(&mut self, key: &Arc<AuthKey>, message: Message) -> BytesMut {
        let mut out = BytesMut::new();
        self.link.send(Arc::clone(key), message);
        self.link.poll_transmit(&mut out).unwrap();
        out
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        timeout(PATIENCE, self.hear_patiently()).await.expect("the server says nothing")
    }

    /// What comes within a moment in which nothing should.
    pub(crate) async fn hear_nothing(&mut self) {
        let heard = timeout(Duration::from_millis(150), self.hear_patiently()).await;
        assert!(heard.is_err(), "heard {heard:?}");
    }

    async fn hear_patiently(&mut self) -> Heard {
        loop {
            match self.link.poll_event() {
                Some(LinkEvent::Plain(message)) => return Heard::Plain(message.body),
                Some(LinkEvent::Message(_, opened)) => return Heard::Message(opened.message),
                Some(LinkEvent::TransportError(code)) => return Heard::Error(code),
                Some(event) => panic!("{event:?}"),
                None => {}
            }
            match self.stream.read_buf(&mut self.inbound).await {
                Ok(0) | Err(_) => return Heard::End,
                Ok(_) => self.link.handle_bytes(self.clock.now(), &mut self.inbound),
            }
        }
    }

    pub(crate) async fn ends(&mut self) {
        let heard = self.hear().await;
        assert!(matches!(heard, Heard::End), "heard {heard:?}");
    }

    pub(crate) async fn errs(&mut self, code: i32) {
        let heard = self.hear().await;
        assert!(matches!(heard, Heard::Error(heard) if heard == code), "heard {heard:?}");
    }

    async fn answer(&mut self) -> Result<Bytes, i32> {
        match self.hear().await {
            Heard::Plain(body) => Ok(body),
            Heard::Error(code) => Err(code),
            heard => panic!("heard {heard:?}"),
        }
    }

    /// A whole key exchange; the code of a transport error that ended it.
    pub(crate) async fn exchange(&mut self, world: &World) -> Result<Account, i32> {
        self.exchange_for(world, 2, None).await
    }

    pub(crate) async fn exchange_for(
        &mut self,
        world: &World,
        dc: i32,
        expires_in: Option<i32>,
    ) -> Result<Account, i32> {
        let request = KeyRequest { dc, expires_in, server_keys: world.trusted() };
        let mut rng = self.rng.fork();
        let (state, body) = start(request, &mut rng);
        self.plain(&body).await;
        let (state, body) = state.handle(&self.answer().await?, &mut rng).unwrap();
        self.plain(&body).await;
        let answer = self.answer().await?;
        let (state, body) = state.handle(self.clock.now(), &answer, &mut rng).unwrap();
        self.plain(&body).await;
        match state.handle(&self.answer().await?, &mut rng) {
            Ok(DhGen::Finished(finished)) => {
                Ok(Account { key: Arc::new(finished.key), salt: finished.first_salt })
            }
            Ok(DhGen::Again(..)) => panic!("retry"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The steps of an exchange as bodies, each on whatever wire it likes.
pub(crate) async fn exchange_on_three(world: &World) -> Result<Account, HandshakeError> {
    let request = KeyRequest { dc: 2, expires_in: None, server_keys: world.trusted() };
    let mut rng = rng();
    let (state, body) = start(request, &mut rng);
    let answer = ask_alone(world, &body).await;
    let (state, body) = state.handle(&answer, &mut rng)?;
    let answer = ask_alone(world, &body).await;
    let (state, body) = state.handle(world.clock.now(), &answer, &mut rng)?;
    let answer = ask_alone(world, &body).await;
    let DhGen::Finished(finished) = state.handle(&answer, &mut rng)? else { panic!("retry") };
    Ok(Account { key: Arc::new(finished.key), salt: finished.first_salt })
}

async fn ask_alone(world: &World, body: &[u8]) -> Bytes {
    let mut wire = Wire::connect(world.address).await;
    wire.plain(body).await;
    wire.answer().await.unwrap()
}

/// Writes single messages of a session, right or wrong, as a test likes.
pub(crate) struct Scribe {
    pub(crate) account: Account,
    pub(crate) session_id: SessionId,
    ids: MsgIds,
    contents: i32,
    pub(crate) clock: Clock,
    rng: Rng,
}

impl Scribe {
    pub(crate) fn new(account: &Account) -> Self {
        let mut rng = rng();
        let session_id = SessionId(rng.u64() as i64 | 1);
        Self {
            account: account.clone(),
            session_id,
            ids: MsgIds::default(),
            contents: 0,
            clock: Clock::system(),
            rng,
        }
    }

    pub(crate) fn id(&mut self) -> MsgId {
        self.ids.next(self.clock.now().unix, Origin::Client, &mut self.rng)
    }

    /// A content-related message.
    pub(crate) fn write(&mut self, object: &impl Encode) -> Message {
        let seq_no = self.contents * 2 + 1;
        self.contents += 1;
        self.write_with(seq_no, to_bytes(object).unwrap())
    }

    /// A content-related message whose body says its own id.
    pub(crate) fn write_itself(&mut self, body: impl FnOnce(MsgId) -> Bytes) -> Message {
        let mut message = self.write(&Raw(Bytes::new()));
        message.body = body(message.header.msg_id);
        message
    }

    pub(crate) fn write_with(&mut self, seq_no: i32, body: Bytes) -> Message {
        let header = Header {
            salt: self.account.salt,
            session_id: self.session_id,
            msg_id: self.id(),
            seq_no,
        };
        Message { header, body }
    }
}

/// A session over a wire.
pub(crate) struct Client {
    pub(crate) wire: Wire,
    pub(crate) account: Account,
    pub(crate) session: ClientSession,
}

impl Client {
    /// With a new key.
    pub(crate) async fn new(world: &World) -> Self {
        let mut wire = Wire::connect(world.address).await;
        let account = wire.exchange(world).await.unwrap();
        Self::over(wire, &account)
    }

    /// A new session of a key.
    pub(crate) async fn with(world: &World, account: &Account) -> Self {
        Self::over(Wire::connect(world.address).await, account)
    }

    pub(crate) fn over(wire: Wire, account: &Account) -> Self {
        let now = wire.clock.now();
        let clock = ServerClock::guess(now, 0);
        let mut session = ClientSession::new(SessionConfig::default(), account.salt, clock, rng());
        session.handle_link_opened(now);
        Self { wire, account: account.clone(), session }
    }

    /// Another connection for the same session.
    pub(crate) async fn reconnect(&mut self, world: &World) {
        self.reconnect_over(Wire::connect(world.address).await).await;
    }

    pub(crate) async fn reconnect_over(&mut self, wire: Wire) {
        let clock = self.wire.clock;
        self.wire = wire;
        self.wire.clock = clock;
        self.session.handle_link_closed();
        self.session.handle_link_opened(clock.now());
        self.flush().await;
    }

    pub(crate) async fn begin(&mut self, function: &impl Encode) -> CallId {
        let call = self.session.call(to_bytes(function).unwrap());
        self.flush().await;
        call
    }

    /// Wants no answer to a call any more.
    pub(crate) async fn give_up(&mut self, call: CallId) {
        self.session.drop_call(call);
        self.flush().await;
    }

    pub(crate) async fn call<F: Function>(&mut self, function: F) -> Result<F::Return, RpcError> {
        self.call_raw::<F>(&function).await
    }

    /// Calls something that answers as `F` does, such as `F` in a wrapper.
    pub(crate) async fn call_raw<F: Function>(
        &mut self,
        function: &impl Encode,
    ) -> Result<F::Return, RpcError> {
        let call = self.begin(function).await;
        self.answer::<F>(call).await
    }

    pub(crate) async fn answer<F: Function>(
        &mut self,
        call: CallId,
    ) -> Result<F::Return, RpcError> {
        loop {
            if let ClientEvent::Answer(answered, result) = self.event().await {
                assert_eq!(answered, call, "the answer of another call");
                return match result {
                    Ok(raw) => {
                        Ok(<F::Return as chappe_tl::Decode>::decode(&mut Reader::new(raw.0))
                            .unwrap())
                    }
                    Err(CallError::Rpc(error)) => Err(error),
                    Err(error) => panic!("{error}"),
                };
            }
        }
    }

    pub(crate) async fn event(&mut self) -> ClientEvent {
        loop {
            if let Some(event) = self.session.poll_event() {
                return event;
            }
            match self.wire.hear().await {
                Heard::Message(message) => {
                    let now = self.wire.clock.now();
                    self.session.handle_message(now, message).unwrap();
                    self.flush().await;
                }
                heard => panic!("heard {heard:?}"),
            }
        }
    }

    /// The next push.
    pub(crate) async fn pushed(&mut self) -> Bytes {
        loop {
            if let ClientEvent::Pushed(body) = self.event().await {
                return body;
            }
        }
    }

    pub(crate) async fn flush(&mut self) {
        while let Some(message) = self.session.poll_transmit(self.wire.clock.now()) {
            self.wire.send(&self.account.key, message).await;
        }
    }
}
