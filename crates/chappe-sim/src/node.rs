//! A server node: links, sessions and keys, coupled as the server's tasks couple them.
//!
//! It mirrors `chappe-server` (`link.rs`, `session.rs`, `directory.rs`) without tasks, channels
//! and locks; what it decides is decided there in the same way.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, AuthKeyId, Rng};
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::handshake::server::{Exchanges, HandshakeConfig, Origin, Output, Stored};
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent};
use chappe_proto::session::outbox::Mark;
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::session::server::{
    IncomingCall, KeyDestroyed, ServerEvent, ServerSession, SessionConfig, Told,
};
use chappe_proto::transport::{Detect, DetectConfig};
use chappe_proto::{LinkId, MsgId, Now, SessionId};

use crate::clock::Clock;
use crate::model::{Model, Rule};
use crate::trace::Trace;
use crate::words::{self, Question};

/// What a machine sees of the world while it acts.
pub struct Env<'a> {
    /// The world's time.
    pub at: Duration,
    /// Who judges.
    pub model: &'a mut Model,
    /// Who takes it down.
    pub trace: &'a mut Trace,
}

/// What a node wants of the world.
#[derive(Debug)]
pub enum Order {
    /// Send these bytes.
    Send(LinkId, Bytes),
    /// Close the connection after them.
    Close(LinkId),
    /// Look a key up, and [`Node::key_found`].
    FindKey(LinkId, AuthKeyId),
    /// Run a call, and [`Node::answer`].
    Run(AuthKeyId, SessionId, Box<IncomingCall>),
}

/// Limits and habits of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Of its sessions.
    pub session: SessionConfig,
    /// Of its links.
    pub link: LinkConfig,
    /// A session without a link is forgotten after this.
    pub idle_max: Duration,
    /// Ids of forgotten sessions are kept for this long.
    pub ids_kept: Duration,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            session: SessionConfig::default(),
            link: LinkConfig::server(),
            idle_max: Duration::from_secs(900),
            ids_kept: Duration::from_secs(330),
        }
    }
}

/// One server process after another on one machine, over keys that outlive them.
pub struct Node {
    /// The machine's clocks.
    pub clock: Clock,
    /// What the world has to do for it.
    pub orders: Vec<Order>,
    config: NodeConfig,
    life: u64,
    secret: [u8; 32],
    store: BTreeMap<AuthKeyId, Stock>,
    destroyed: Vec<Weak<AuthKey>>,
    sessions: BTreeMap<(AuthKeyId, SessionId), Entry>,
    links: BTreeMap<LinkId, Line>,
    exchanges: Exchanges,
    detect: Arc<Detect>,
    rng: Rng,
}

struct Stock {
    key: Arc<AuthKey>,
    first: FirstSalt,
    /// Unix second at which a temporary key dies; it does not outlive the process either.
    end: Option<i64>,
}

struct Entry {
    session: ServerSession,
    is_alive: bool,
    links: Vec<LinkId>,
    idle_since: Option<Duration>,
}

struct Line {
    link: Link,
    inbound: BytesMut,
    bound: Option<(AuthKeyId, SessionId)>,
    /// When the session wanted it closed for want of a ping.
    no_ping_at: Option<Duration>,
    heard_at: Duration,
}

/// Transport errors.
const NOT_FOUND: i32 = 404;
/// How late a timer may be served before it counts as not served.
const SLACK: Duration = Duration::from_secs(1);

impl Node {
    /// A node that has just started.
    pub fn new(
        clock: Clock,
        config: NodeConfig,
        identity: Option<chappe_crypto::rsa::PrivateKey>,
        mut rng: Rng,
    ) -> Self {
        let identities: Arc<[_]> = identity.into_iter().collect();
        Self {
            clock,
            orders: Vec::new(),
            config,
            life: 0,
            secret: rng.bytes(),
            store: BTreeMap::new(),
            destroyed: Vec::new(),
            sessions: BTreeMap::new(),
            links: BTreeMap::new(),
            exchanges: Exchanges::new(HandshakeConfig::default(), identities, rng.fork()),
            detect: Arc::new(Detect::new(DetectConfig::default())),
            rng,
        }
    }

    /// Puts a key into the store.
    pub fn keep_key(&mut self, mut key: AuthKey, first: FirstSalt) {
        key.forget_client_part();
        self.store.insert(key.id(), Stock { key: Arc::new(key), first, end: None });
    }

    /// Takes a temporary key, which dies at the Unix second `end`.
    pub fn lend_key(&mut self, mut key: AuthKey, first: FirstSalt, end: i64) {
        key.forget_client_part();
        self.store.insert(key.id(), Stock { key: Arc::new(key), first, end: Some(end) });
    }

    /// The salts of a key.
    pub fn salts(&self, key: AuthKeyId) -> Option<ServerSalts> {
        let stock = self.store.get(&key)?;
        Some(ServerSalts::new(&self.secret, key, stock.first))
    }

    /// Which process it is.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// The process ends and another begins: keys stay, everything else is gone.
    pub fn restart(&mut self) {
        self.life += 1;
        self.sessions.clear();
        self.links.clear();
        self.orders.clear();
        let is_temporary = |(_, stock): &(&AuthKeyId, &Stock)| stock.end.is_some();
        let temporary: Vec<AuthKeyId> =
            self.store.iter().filter(is_temporary).map(|(id, _)| *id).collect();
        for key in temporary {
            self.destroy_key(key);
        }
    }

    /// The process runs again.
    pub fn start(&mut self, env: &mut Env<'_>) {
        self.config.session.not_before = self.clock.now(env.at).unix;
    }

    /// Whether a link is open.
    pub fn has_link(&self, id: LinkId) -> bool {
        self.links.contains_key(&id)
    }

    /// Open links.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// Sessions that are not forgotten.
    pub fn sessions(&self) -> impl Iterator<Item = (AuthKeyId, SessionId, &ServerSession)> {
        let alive = self.sessions.iter().filter(|(_, entry)| entry.is_alive);
        alive.map(|((key, id), entry)| (*key, *id, &entry.session))
    }

    /// A connection was accepted.
    pub fn accept(&mut self, env: &mut Env<'_>, id: LinkId) {
        let now = self.clock.now(env.at);
        let detect = Arc::clone(&self.detect);
        let link = Link::server(now, self.config.link.clone(), detect, self.rng.fork());
        let line = Line {
            link,
            inbound: BytesMut::new(),
            bound: None,
            no_ping_at: None,
            heard_at: env.at,
        };
        self.links.insert(id, line);
    }

    /// Bytes came on a link.
    pub fn handle_bytes(&mut self, env: &mut Env<'_>, id: LinkId, bytes: &[u8]) {
        let now = self.clock.now(env.at);
        let Some(line) = self.links.get_mut(&id) else { return };
        line.heard_at = env.at;
        line.inbound.extend_from_slice(bytes);
        if line.link.wants_bytes() {
            line.link.handle_bytes(now, &mut line.inbound);
        }
        self.settle(env);
    }

    /// The peer's end of a connection is gone.
    pub fn handle_end(&mut self, env: &mut Env<'_>, id: LinkId) {
        self.remove_link(env, id);
        self.settle(env);
    }

    /// The store has spoken.
    pub fn key_found(&mut self, env: &mut Env<'_>, id: LinkId, key: AuthKeyId) {
        let now = self.clock.now(env.at);
        self.bury(now, key);
        let found = self.store.get(&key).map(|stock| Arc::clone(&stock.key));
        let Some(line) = self.links.get_mut(&id) else { return };
        line.link.provide_key(now, key, found);
        if line.link.wants_bytes() {
            line.link.handle_bytes(now, &mut line.inbound);
        }
        self.settle(env);
    }

    /// A handler of this life has ended.
    pub fn answer(
        &mut self,
        env: &mut Env<'_>,
        session: (AuthKeyId, SessionId),
        call: MsgId,
        result: Result<Bytes, chappe_proto::rpc::RpcError>,
    ) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.session.answer(now, call, result);
        }
        self.settle(env);
    }

    /// Pushes to a session, if it is open.
    pub fn push(&mut self, env: &mut Env<'_>, session: (AuthKeyId, SessionId), body: Bytes) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.is_alive) {
            entry.session.push(now, body);
        }
        self.settle(env);
    }

    /// Pushes an event of a line to a session, if it is open.
    pub fn push_in_line(
        &mut self,
        env: &mut Env<'_>,
        session: (AuthKeyId, SessionId),
        mark: Mark,
        body: Bytes,
    ) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.is_alive) {
            entry.session.push_in_line(now, mark, body);
        }
        self.settle(env);
    }

    /// What the answer of a handler tells of what was missed.
    pub fn told(
        &mut self,
        env: &mut Env<'_>,
        session: (AuthKeyId, SessionId),
        call: MsgId,
        told: Option<Told>,
    ) {
        let now = self.clock.now(env.at);
        if let Some(entry) = self.sessions.get_mut(&session) {
            entry.session.told(now, call, told);
        }
        self.settle(env);
    }

    /// Forgets a session, its ids excepted; whether there was one.
    pub fn forget(&mut self, env: &mut Env<'_>, session: (AuthKeyId, SessionId)) -> bool {
        let now = self.clock.now(env.at);
        let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.is_alive) else {
            return false;
        };
        entry.is_alive = false;
        entry.session.forget(now);
        env.model.forgot(self.life, session.0, session.1);
        env.trace.note(env.at, "node forgets session {}", &[session.1.0 as u64]);
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, in the world's time.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let links = self.links.values().filter_map(|line| line.link.poll_timeout());
        let sessions = self.sessions.values().filter_map(|entry| entry.session.poll_timeout());
        links.chain(sessions).min().map(|mono| self.clock.world_time(mono))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, env: &mut Env<'_>) {
        let now = self.clock.now(env.at);
        for line in self.links.values_mut() {
            line.link.handle_timeout(now);
        }
        for entry in self.sessions.values_mut() {
            if entry.session.poll_timeout().is_some_and(|due| due <= now.mono) {
                entry.session.handle_timeout(now);
            }
        }
        self.settle(env);
    }

    /// Forgets sessions that had no link for long.
    pub fn reap(&mut self, env: &mut Env<'_>) {
        let mono = self.clock.now(env.at).mono;
        let gone_after = self.config.idle_max.max(self.config.ids_kept);
        let idle = |entry: &Entry| mono - entry.idle_since.unwrap_or(mono);
        let due = |(_, entry): &(_, &Entry)| idle(entry) >= self.config.idle_max;
        let old: Vec<_> = self.sessions.iter().filter(due).map(|(id, _)| *id).collect();
        for id in old {
            self.forget(env, id);
            if idle(&self.sessions[&id]) >= gone_after {
                self.sessions.remove(&id);
                env.model.forgot(self.life, id.0, id.1);
            }
        }
    }

    /// Does everything that can be done without waiting.
    fn settle(&mut self, env: &mut Env<'_>) {
        let now = self.clock.now(env.at);
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        let mut ended = Vec::new();
        for id in &ids {
            while let Some(line) = self.links.get_mut(id)
                && let Some(event) = line.link.poll_event()
            {
                if matches!(event, LinkEvent::Closed(_)) {
                    ended.push(*id);
                } else {
                    self.handle_link_event(env, now, *id, event);
                }
            }
        }
        self.talk(env, now);
        for id in ids {
            let Some(line) = self.links.get_mut(&id) else { continue };
            let mut out = BytesMut::new();
            if line.link.poll_transmit(&mut out).is_err() {
                env.model.fail(Rule::Bounds, || format!("link {} gets an oversize packet", id.0));
            }
            line.link.rest();
            if !out.is_empty() {
                self.orders.push(Order::Send(id, out.freeze()));
            }
        }
        for id in ended {
            self.orders.push(Order::Close(id));
            self.remove_link(env, id);
        }
        self.talk(env, now);
        for entry in self.sessions.values_mut() {
            entry.session.rest();
        }
        self.check(env, now);
    }

    fn handle_link_event(&mut self, env: &mut Env<'_>, now: Now, id: LinkId, event: LinkEvent) {
        match event {
            LinkEvent::KeyWanted(key) => self.orders.push(Order::FindKey(id, key)),
            LinkEvent::Message(key, opened) => {
                self.handle_message(env, now, id, key, opened.message);
            }
            LinkEvent::Plain(message) => {
                let address = [127, 0, 0, 1].into();
                self.exchanges.handle_plain(now, Origin { link: id, address }, &message.body);
                self.exchange(now);
            }
            _ => {}
        }
    }

    fn handle_message(
        &mut self,
        env: &mut Env<'_>,
        now: Now,
        id: LinkId,
        key: AuthKeyId,
        message: Message,
    ) {
        self.bury(now, key);
        let Some(line) = self.links.get_mut(&id) else { return };
        if !self.store.contains_key(&key) {
            line.link.forget_key(key);
            return line.link.fail(now, NOT_FOUND);
        }
        let session = message.header.session_id;
        if session.0 == 0 {
            return line.link.close(CloseReason::Owner);
        }
        env.model.opened(id, key, session);
        self.bind(now, id, (key, session));
        env.trace.note(
            env.at,
            "node hears {} on link {}",
            &[words::fact(message.header.msg_id), id.0],
        );
        if let Some(entry) = self.sessions.get_mut(&(key, session)) {
            entry.session.handle_message(now, id, message);
        }
        self.handle_session_events(env, now);
    }

    fn bind(&mut self, now: Now, id: LinkId, wanted: (AuthKeyId, SessionId)) {
        let Some(bound) = self.links.get(&id).map(|line| line.bound) else { return };
        let is_alive = |session| self.sessions.get(&session).is_some_and(|e: &Entry| e.is_alive);
        if bound == Some(wanted) && is_alive(wanted) {
            return;
        }
        self.unbind(now, id);
        let Some(salts) = self.salts(wanted.0) else { return };
        let config = &self.config.session;
        let rng = &mut self.rng;
        let entry = self.sessions.entry(wanted).or_insert_with(|| Entry {
            session: ServerSession::new(wanted.1, salts, config.clone(), rng.fork()),
            is_alive: true,
            links: Vec::new(),
            idle_since: None,
        });
        entry.is_alive = true;
        entry.idle_since = None;
        entry.links.push(id);
        if let Some(line) = self.links.get_mut(&id) {
            line.bound = Some(wanted);
        }
    }

    fn unbind(&mut self, now: Now, id: LinkId) {
        let Some(line) = self.links.get_mut(&id) else { return };
        line.no_ping_at = None;
        let Some(bound) = line.bound.take() else { return };
        let Some(entry) = self.sessions.get_mut(&bound) else { return };
        entry.session.handle_link_closed(id);
        entry.links.retain(|link| *link != id);
        if entry.links.is_empty() {
            entry.idle_since = Some(now.mono);
        }
    }

    fn remove_link(&mut self, env: &mut Env<'_>, id: LinkId) {
        self.unbind(self.clock.now(env.at), id);
        if self.links.remove(&id).is_some() {
            env.trace.note(env.at, "node loses link {}", &[id.0]);
        }
    }

    fn handle_session_events(&mut self, env: &mut Env<'_>, now: Now) {
        let ids: Vec<_> = self.sessions.keys().copied().collect();
        for id in ids {
            while let Some(entry) = self.sessions.get_mut(&id)
                && let Some(event) = entry.session.poll_event()
            {
                self.handle_session_event(env, now, id, event);
            }
        }
    }

    fn handle_session_event(
        &mut self,
        env: &mut Env<'_>,
        now: Now,
        id: (AuthKeyId, SessionId),
        event: ServerEvent,
    ) {
        match event {
            ServerEvent::Call(call) => {
                env.model.ran(self.life, id.0, id.1, call.msg_id, &call.call.query);
                env.trace.note(env.at, "node runs {}", &[words::fact(call.msg_id)]);
                if let Some((_, Question::Missed(_))) = words::read_question(&call.call.query)
                    && let Some(entry) = self.sessions.get_mut(&id)
                {
                    entry.session.ask(call.msg_id);
                }
                self.orders.push(Order::Run(id.0, id.1, Box::new(call)));
            }
            ServerEvent::CallDropped(call) => {
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.session.told(now, call, None);
                }
            }
            ServerEvent::DestroySession { request, session_id } => {
                let existed = self.forget(env, (id.0, session_id));
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.session.session_destroyed(now, request, session_id, existed);
                }
            }
            ServerEvent::DestroyAuthKey { request } => {
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.session.auth_key_destroyed(now, request, KeyDestroyed::Ok);
                }
                self.talk(env, now);
                self.destroy_key(id.0);
            }
            ServerEvent::DisconnectAfter(link, delay) => {
                if let Some(line) = self.links.get_mut(&link) {
                    line.link.disconnect_after(now, delay);
                    line.no_ping_at = Some(now.mono + delay);
                }
            }
            ServerEvent::CloseLink(link, code) => {
                if let Some(line) = self.links.get_mut(&link) {
                    line.link.fail(now, -code);
                }
            }
        }
    }

    /// Destroys a temporary key whose time is over.
    fn bury(&mut self, now: Now, key: AuthKeyId) {
        let end = self.store.get(&key).and_then(|stock| stock.end);
        if end.is_some_and(|end| end <= now.unix_seconds()) {
            self.destroy_key(key);
        }
    }

    /// Ends everything of a key.
    fn destroy_key(&mut self, key: AuthKeyId) {
        if let Some(stock) = self.store.remove(&key) {
            self.destroyed.push(Arc::downgrade(&stock.key));
        }
        self.sessions.retain(|(owner, _), _| *owner != key);
        for line in self.links.values_mut() {
            line.link.forget_key(key);
            if line.bound.is_some_and(|(owner, _)| owner == key) {
                line.bound = None;
            }
        }
    }

    /// Hands what sessions want to send to their links.
    fn talk(&mut self, env: &mut Env<'_>, now: Now) {
        self.handle_session_events(env, now);
        for ((key, id), entry) in &mut self.sessions {
            while let Some((link, message)) = entry.session.poll_transmit(now) {
                let Some(line) = self.links.get_mut(&link) else { continue };
                // What a session sent before the link was bound elsewhere must not leave here.
                if line.bound != Some((*key, *id)) {
                    continue;
                }
                let Some(stock) = self.store.get(key) else { continue };
                env.model.node_sends(self.life, *key, link, &message);
                env.trace.message(env.at, "node says on link {} {}", link.0, &message);
                line.link.send(Arc::clone(&stock.key), message);
            }
        }
    }

    /// Runs the key exchanges; work and store take no time.
    fn exchange(&mut self, now: Now) {
        let mut is_stored = false;
        while let Some(output) = self.exchanges.poll_output() {
            match output {
                Output::Reply(link, body) => {
                    let Some(line) = self.links.get_mut(&link) else { continue };
                    if is_stored {
                        line.link.lift_limits();
                    }
                    line.link.send_plain(now.unix, &body);
                }
                Output::Error(link, code) => {
                    if let Some(line) = self.links.get_mut(&link) {
                        line.link.fail(now, -code);
                    }
                }
                Output::Work(work) => {
                    self.exchanges.handle_done(now, work.run(now.unix_seconds()));
                }
                Output::Store(ticket, new, _) => {
                    let first = FirstSalt { value: new.first_salt, created: now.unix_seconds() };
                    self.keep_key(new.key, first);
                    self.exchanges.handle_stored(now, ticket, Stored::Kept);
                    is_stored = true;
                }
            }
        }
    }

    /// What must hold after every step.
    fn check(&mut self, env: &mut Env<'_>, now: Now) {
        for ((_, id), entry) in &self.sessions {
            let load = entry.session.load();
            let limits = &self.config.session;
            let is_within = load.heard <= limits.inbox.ids_max.max(limits.inbox.ids_kept)
                && load.owed <= limits.outbox.messages_max
                && load.running <= limits.calls_max;
            if !is_within {
                env.model.fail(Rule::Bounds, || format!("session {id} holds {load:?}"));
            }
        }
        for (id, line) in &self.links {
            let pinged = line.no_ping_at.is_some_and(|at| at + SLACK < now.mono);
            let idle = env.at - line.heard_at > self.config.link.idle_max + SLACK;
            if pinged || idle {
                env.model.fail(Rule::DeadLinksEnd, || {
                    format!("link {} lives on, unheard since {:?}", id.0, line.heard_at)
                });
            }
        }
        if let Some(key) = self.destroyed.iter().find_map(Weak::upgrade) {
            let users = Arc::strong_count(&key) - 1;
            env.model.fail(Rule::KeyLifetime, || format!("{} has {users} users left", key.id()));
        }
    }
}
