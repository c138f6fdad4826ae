//! A client: one link at a time, one session over all of them, as the client's task couples them.
//!
//! It mirrors `chappe-client` (`task/`) without tasks and channels.
//!
//! | file | holds |
//! | --- | --- |
//! | `calls` | calls, from whoever makes them to their outcome |
//! | `events` | what is heard, and what the session makes of it |
//! | `exchange` | making a key |

mod calls;
mod events;
mod exchange;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::handshake::client::{self, KeyRequest};
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent};
use chappe_proto::session::client::{CallError, CallId, ClientSession, Doubt, SessionConfig};
use chappe_proto::session::time::ServerClock;
use chappe_proto::transport::{ClientOptions, Transport};
use chappe_proto::{LinkId, SessionId};

use crate::clock::Clock;
use crate::device::Device;
use crate::model::{Rule, Wish};
use crate::node::Env;
use crate::words::Token;
use exchange::Step;

/// One client and its machine.
pub struct Peer {
    /// Its place among the clients.
    pub number: usize,
    /// The machine's clocks.
    pub clock: Clock,
    /// Until when the machine sleeps.
    pub sleeps_until: Option<Duration>,
    /// What its connections speak.
    pub transport: Transport,
    /// Bytes for the connection in hand.
    pub outbound: BytesMut,
    /// The key is temporary: -404 means that it is no more (SES-18).
    pub is_temporary: bool,
    /// It has no key and gets one from the world.
    pub wants_key: bool,
    /// What follows the log of an account over it, in worlds that have some.
    pub device: Option<Device>,
    config: SessionConfig,
    key: Option<Arc<AuthKey>>,
    salt: i64,
    server_clock: Option<ServerClock>,
    request: Option<KeyRequest>,
    step: Option<Step>,
    session: Option<ClientSession>,
    line: Option<Line>,
    calls: BTreeMap<CallId, Token>,
    /// What is wanted of the calls that have no outcome.
    wishes: BTreeMap<Token, Wish>,
    /// Calls made before there was a session, in the order in which they were made.
    waiting: Vec<Token>,
    failures: u32,
    rng: Rng,
}

struct Line {
    id: LinkId,
    /// Monotonic.
    opened: Duration,
    link: Link,
    inbound: BytesMut,
    /// Nothing more is believed on it.
    has_verdict: bool,
}

/// Longest time of a link without a key (KEY-33).
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

impl Peer {
    /// A client that holds a key already.
    pub fn with_key(
        number: usize,
        clock: Clock,
        transport: Transport,
        config: SessionConfig,
        key: Arc<AuthKey>,
        salt: i64,
        rng: Rng,
    ) -> Self {
        let key = Some(key);
        Self { key, salt, ..Self::new(number, clock, transport, config, rng) }
    }

    /// A client that makes a key first.
    pub fn without_key(
        number: usize,
        clock: Clock,
        transport: Transport,
        config: SessionConfig,
        request: KeyRequest,
        rng: Rng,
    ) -> Self {
        Self { request: Some(request), ..Self::new(number, clock, transport, config, rng) }
    }

    fn new(
        number: usize,
        clock: Clock,
        transport: Transport,
        config: SessionConfig,
        rng: Rng,
    ) -> Self {
        Self {
            number,
            clock,
            sleeps_until: None,
            transport,
            outbound: BytesMut::new(),
            is_temporary: false,
            wants_key: false,
            device: None,
            config,
            key: None,
            salt: 0,
            server_clock: None,
            request: None,
            step: None,
            session: None,
            line: None,
            calls: BTreeMap::new(),
            wishes: BTreeMap::new(),
            waiting: Vec::new(),
            failures: 0,
            rng,
        }
    }

    /// The connection in hand.
    pub fn link(&self) -> Option<LinkId> {
        self.line.as_ref().map(|line| line.id)
    }

    /// Whether it holds a key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The session it works under.
    pub fn session(&self) -> Option<SessionId> {
        self.session.as_ref().map(ClientSession::id)
    }

    /// The wait before the next attempt to connect (SES-13).
    pub fn backoff(&mut self) -> Duration {
        let seconds = match self.failures {
            0 => 0,
            n => 60.min(1 << (n - 1).min(6)),
        };
        self.failures += 1;
        Duration::from_millis(seconds * u64::from(800 + self.rng.below(401)))
    }

    /// A temporary key was made, as if by an exchange.
    pub fn take_key(&mut self, env: &mut Env<'_>, key: AuthKey, salt: i64, server_time: Duration) {
        let now = self.clock.now(env.at);
        let mut clock = ServerClock::guess(now, 0);
        clock.set(now, server_time);
        self.server_clock = Some(clock);
        self.key = Some(Arc::new(key));
        self.salt = salt;
        self.wants_key = false;
        self.open_session(env);
        self.settle(env);
    }

    /// The server knows the key no more: calls that may run twice and those that never left go out
    /// under the next one, of the others nobody can say whether they ran.
    fn lose_key(&mut self, env: &mut Env<'_>) {
        env.trace.note(env.at, "client {} loses its key", &[self.number as u64]);
        env.model.excuse(self.number);
        self.key = None;
        let session = self.session.take();
        for (call, token) in std::mem::take(&mut self.calls) {
            let is_unsent = session.as_ref().is_some_and(|session| session.is_unsent(call));
            if is_unsent || self.wishes.get(&token).is_some_and(|wish| wish.is_repeatable) {
                self.waiting.push(token);
            } else {
                self.end_call(env, token, &Err(CallError::Unknown(Doubt::KeyGone)));
            }
        }
    }

    /// A connection is open.
    pub fn open(&mut self, env: &mut Env<'_>, id: LinkId) {
        let options = ClientOptions::default();
        let config = LinkConfig::client();
        let mut link = Link::client(config, self.transport, &options, self.rng.fork());
        if let (None, Some(request)) = (&self.key, &self.request) {
            let (step, body) = client::start(request.clone(), &mut self.rng);
            link.send_plain(self.clock.now(env.at).unix, &body);
            self.step = Some(Step::ResPq(step));
        }
        let opened = self.clock.now(env.at).mono;
        self.line = Some(Line { id, opened, link, inbound: BytesMut::new(), has_verdict: false });
        self.wants_key = self.key.is_none() && self.is_temporary;
        self.open_session(env);
        self.settle(env);
    }

    fn open_session(&mut self, env: &mut Env<'_>) {
        let now = self.clock.now(env.at);
        let (Some(key), Some(line)) = (&self.key, &mut self.line) else { return };
        line.link.use_key(Arc::clone(key));
        let session = self.session.get_or_insert_with(|| {
            let clock = self.server_clock.unwrap_or_else(|| ServerClock::guess(now, 0));
            ClientSession::new(self.config.clone(), self.salt, clock, self.rng.fork())
        });
        env.model.owns(self.number, session.id());
        session.handle_link_opened(now);
        session.ping(now);
        self.hand_calls_over();
    }

    /// The connection in hand is gone.
    pub fn handle_end(&mut self, env: &mut Env<'_>) {
        if self.line.take().is_none() {
            return;
        }
        self.step = None;
        env.trace.note(env.at, "client {} loses its link", &[self.number as u64]);
        if let Some(session) = &mut self.session {
            session.handle_link_closed();
        }
        self.settle(env);
    }

    /// Bytes came on the connection in hand.
    pub fn handle_bytes(&mut self, env: &mut Env<'_>, bytes: &[u8]) {
        let now = self.clock.now(env.at);
        let Some(line) = &mut self.line else { return };
        line.inbound.extend_from_slice(bytes);
        line.link.handle_bytes(now, &mut line.inbound);
        if let Some(session) = &mut self.session {
            session.handle_progress(now.mono);
        }
        self.settle(env);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, in the world's time.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let line = self.line.as_ref()?;
        let exchange = self.key.is_none().then_some(line.opened + EXCHANGE_MAX);
        let session = self.session.as_ref().and_then(ClientSession::poll_timeout);
        let device = self.device.as_ref().and_then(Device::poll_timeout);
        [exchange, session, device]
            .into_iter()
            .flatten()
            .min()
            .map(|due| self.clock.world_time(due))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, env: &mut Env<'_>) {
        let now = self.clock.now(env.at);
        if let (Some(session), Some(_)) = (&mut self.session, &self.line) {
            session.handle_timeout(now);
        }
        if let Some(device) = &mut self.device {
            device.handle_timeout(now.mono);
        }
        let opened = self.line.as_ref().map_or(now.mono, |line| line.opened);
        if self.key.is_none() && opened + EXCHANGE_MAX <= now.mono {
            self.give_up();
        }
        self.settle(env);
    }

    /// Whether the link in hand is over and the connection has to be closed.
    pub fn is_over(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.has_verdict)
    }

    fn settle(&mut self, env: &mut Env<'_>) {
        let now = self.clock.now(env.at);
        while let Some(line) = &mut self.line
            && let Some(event) = line.link.poll_event()
        {
            let is_believed = !line.has_verdict;
            match event {
                LinkEvent::Closed(_) => line.has_verdict = true,
                LinkEvent::Message(_, opened) if is_believed => self.hear(env, opened.message),
                LinkEvent::Plain(message) if is_believed => {
                    self.take_plain(env, now, &message.body);
                }
                LinkEvent::TransportError(code) if is_believed => {
                    self.give_up();
                    if code == 404 && self.is_temporary && self.key.is_some() {
                        self.lose_key(env);
                    }
                }
                _ => {}
            }
            self.take_events(env);
        }
        self.take_events(env);
        self.ask(env);
        let (Some(line), Some(session), Some(key)) = (&mut self.line, &mut self.session, &self.key)
        else {
            return self.write();
        };
        while !line.has_verdict
            && let Some(message) = session.poll_transmit(now)
        {
            env.model.client_sends(self.number, session.id(), &message);
            env.trace.message(env.at, "client {} says {}", self.number as u64, &message);
            line.link.send(Arc::clone(key), message);
        }
        if session.load().remembered > 4096 + session.calls() + self.calls.len() {
            env.model.fail(Rule::Bounds, || format!("a client remembers {:?}", session.load()));
        }
        self.write();
    }

    fn write(&mut self) {
        if let Some(line) = &mut self.line {
            line.has_verdict |= line.link.poll_transmit(&mut self.outbound).is_err();
            line.link.rest();
        }
    }

    fn give_up(&mut self) {
        if let Some(line) = &mut self.line {
            line.has_verdict = true;
            line.link.close(CloseReason::Owner);
        }
    }
}
