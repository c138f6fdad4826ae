//! A server node: links, sessions and keys, coupled as the server's tasks couple them.
//!
//! It mirrors `chappe-server` (`link.rs`, `session.rs`, `directory.rs`) without tasks, channels
//! and locks; what it decides is decided there in the same way.
//!
//! | file | holds |
//! | --- | --- |
//! | `links` | what comes on links, and which session each is bound to |
//! | `sessions` | what sessions are told, what they want, what leaves |
//! | `keys` | what is stored, lent and destroyed; the exchanges |
//! | `check` | what must hold after every step |

mod check;
mod keys;
mod links;
mod sessions;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, AuthKeyId, Rng};
use chappe_proto::handshake::server::{Exchanges, HandshakeConfig};
use chappe_proto::link::{LinkConfig, LinkEvent};
use chappe_proto::session::server::{IncomingCall, SessionConfig};
use chappe_proto::transport::{Detect, DetectConfig};
use chappe_proto::{LinkId, SessionId};

use crate::clock::Clock;
use crate::model::{Model, Rule};
use crate::trace::Trace;
use keys::Stock;
use links::Line;
use sessions::Entry;

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
}
