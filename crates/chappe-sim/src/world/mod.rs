//! One world: virtual time, a node, clients, the network between them, and all that goes wrong.

mod service;
mod trouble;
mod weather;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId, Rng};
use chappe_proto::handshake::client::KeyRequest;
use chappe_proto::session::client::SessionConfig;
use chappe_proto::session::salts::FirstSalt;
use chappe_proto::transport::Transport;
use chappe_proto::{LinkId, MsgId, SessionId};

use crate::clock::Clock;
use crate::device::Device;
use crate::fault::{Fault, Plan};
use crate::identity;
use crate::model::{Broken, Model, Rule, Wish};
use crate::network::{Network, Opener, Way};
use crate::node::{Env, Node, NodeConfig, Order};
use crate::peer::Peer;
use crate::town::Town;
use crate::trace::Trace;
use crate::words::{self, Question, Token};

/// What became of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Equal for equal runs.
    pub hash: u64,
    /// Things that happened.
    pub events: u64,
    /// World time at the end.
    pub ended: Duration,
    /// Differences that devices asked for.
    pub asked: u64,
    /// The rule that did not hold.
    pub broken: Option<Broken>,
}

/// Everything there is.
pub struct World {
    at: Duration,
    queue: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    ticks: u64,
    rng: Rng,
    plan: Plan,
    clients: Vec<Peer>,
    node: Node,
    town: Town,
    is_down: bool,
    network: Network,
    model: Model,
    trace: Trace,
    is_well: bool,
    /// When each machine's timer rings: the clients', then the node's.
    alarms: Vec<Option<Duration>>,
    /// What a middleman has recorded: what it speaks, which way it went, and the bytes.
    recorded: VecDeque<(Transport, Way, Bytes)>,
    last_call: Vec<u64>,
    last_push: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Connect(usize),
    Connected(usize),
    NewKey(usize),
    Arrive(LinkId, Way),
    Alarm(usize),
    Wake(usize),
    Call(usize, Option<Duration>),
    GiveUp(usize, Token),
    Push,
    KeyFound(u64, LinkId, AuthKeyId),
    Answer(u64, AuthKeyId, SessionId, MsgId, Token, Question),
    Commit(u64),
    Announce(u64),
    Tell(u64, u32),
    Fault(usize),
    Start,
    Sends(LinkId, Bytes),
    Leaves(LinkId),
    Reap,
    Heal,
    Check,
}

/// Unix second of a change of salts, at or after which every world begins.
const EPOCH: u64 = 1_800_000_000;
/// How long a well network may take to bring every call to its end.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Accounts, where clients hold keys of their own.
const ACCOUNTS: u32 = 2;
/// The first of the tokens of a device's questions, among those of its client.
const DEVICE_TOKENS: u64 = 1 << 23;
/// Things that may happen in one world; more happen only where somebody goes round in circles.
const EVENTS_MAX: u64 = 200_000;

/// Runs the world of a seed to its end.
pub fn run(seed: u64, prints: bool) -> Outcome {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = Rng::from_seed(bytes);
    let plan = Plan::draw(&mut rng);
    run_plan(plan, rng, prints)
}

/// Runs a world of a given course; what the plan leaves open, `rng` decides.
pub fn run_plan(plan: Plan, rng: Rng, prints: bool) -> Outcome {
    let mut world = World::new(plan, rng, prints);
    let mut events = 0;
    while world.model.broken().is_none() {
        let Some(Reverse((at, _, event))) = world.queue.pop() else { break };
        world.at = at;
        if event == Event::Check && world.is_done() {
            break;
        }
        world.handle(event);
        events += 1;
        if events == EVENTS_MAX {
            world.model.fail(Rule::Progress, || format!("{events} things happened until {at:?}"));
        }
    }
    if let Some(broken) = world.model.broken() {
        let text = broken.to_string();
        world.trace.note(world.at, "BROKEN", &[]);
        world.trace.bytes(text.as_bytes());
    }
    Outcome {
        hash: world.trace.hash(),
        events,
        ended: world.at,
        asked: world.clients.iter().filter_map(|peer| Some(peer.device.as_ref()?.asked())).sum(),
        broken: world.model.broken().cloned(),
    }
}

impl World {
    fn new(plan: Plan, mut rng: Rng, prints: bool) -> Self {
        let clock = Clock::new(EPOCH + plan.phase);
        let mut config = NodeConfig { idle_max: plan.idle_max, ..NodeConfig::default() };
        config.session.resend_max_bytes = if rng.below(2) == 0 { 1024 } else { 128 };
        let rsa = plan.makes_keys.then(identity::private);
        let mut node = Node::new(clock, config, rsa, rng.fork());
        let now = (EPOCH + plan.phase) as i64;
        let created = now - i64::from(rng.below(7200));
        let shared: [u8; 256] = rng.bytes();
        let mut clients = Vec::new();
        let mut town = Town::default();
        for (number, transport) in plan.transports.iter().enumerate() {
            let mut clock = clock;
            clock.step(plan.skews[number]);
            let mut config = SessionConfig::default();
            if rng.below(2) == 0 {
                config.ack_delay_max = Duration::from_secs(1 + u64::from(rng.below(30)));
            }
            let rng = rng.fork();
            clients.push(if plan.makes_keys {
                let server_keys = Arc::new([identity::private().public().clone()]);
                let request = KeyRequest { dc: 2, expires_in: None, server_keys };
                Peer::without_key(number, clock, *transport, config, request, rng)
            } else {
                let mut rng = rng;
                let bytes = if plan.shares_key { shared } else { rng.bytes() };
                let key = AuthKey::new(bytes);
                let salt = rng.u64() as i64;
                let first = FirstSalt { value: salt, created };
                match plan.key_life {
                    Some(life) => node.lend_key(key.clone(), first, now + i64::from(life)),
                    None => node.keep_key(key.clone(), first),
                }
                let key_id = key.id();
                let key = Arc::new(key);
                let mut peer = Peer::with_key(number, clock, *transport, config, key, salt, rng);
                peer.is_temporary = plan.key_life.is_some();
                if plan.writes > 0 {
                    let account = if plan.shares_key { 0 } else { number as u32 % ACCOUNTS };
                    town.own(key_id, account);
                    let first = Token(client_tokens(number) | DEVICE_TOKENS);
                    peer.device = Some(Device::new(clock.now(Duration::ZERO).mono, account, first));
                }
                peer
            });
        }
        let mut world = Self {
            at: Duration::ZERO,
            queue: BinaryHeap::new(),
            ticks: 0,
            rng,
            alarms: vec![None; clients.len() + 1],
            last_call: vec![0; clients.len()],
            clients,
            node,
            town,
            is_down: false,
            network: Network::default(),
            model: Model::default(),
            trace: Trace::new(prints),
            is_well: false,
            recorded: VecDeque::new(),
            last_push: 0,
            plan,
        };
        world.schedule();
        world
    }

    fn schedule(&mut self) {
        for number in 0..self.clients.len() {
            self.add(Duration::ZERO, Event::Connect(number));
        }
        for (at, client, until) in self.plan.calls.clone() {
            self.add(at, Event::Call(client, until));
        }
        for at in self.plan.pushes.clone() {
            self.add(at, Event::Push);
        }
        for (number, (at, _)) in self.plan.faults.clone().into_iter().enumerate() {
            self.add(at, Event::Fault(number));
        }
        self.add(Duration::from_secs(10), Event::Reap);
        self.add(self.plan.heals_at, Event::Heal);
    }

    fn add(&mut self, at: Duration, event: Event) {
        self.ticks += 1;
        self.queue.push(Reverse((at.max(self.at), self.ticks, event)));
    }

    fn add_in(&mut self, span: Duration, event: Event) {
        self.add(self.at + span, event);
    }

    /// Whether every call has had its outcome and every debt was paid.
    fn is_done(&mut self) -> bool {
        let open: Vec<Token> = self.model.open().collect();
        let owed: usize = self
            .node
            .sessions()
            .filter(|(_, id, _)| self.is_current(*id))
            .map(|(_, _, session)| session.load().owed)
            .sum();
        let links = self.node.links();
        // An answer that came twice to life, after somebody forgot, is nobody's (SVC-21).
        let owed = if self.model.has_excuses() || self.node.life() > 0 { 0 } else { owed };
        let missed = self.missed();
        let is_done = open.is_empty() && owed == 0 && missed == 0;
        if is_done || self.at < self.plan.heals_at + PATIENCE {
            self.add_in(Duration::from_secs(20), Event::Check);
            return is_done;
        }
        self.model.fail(Rule::Completion, || {
            format!("{PATIENCE:?} after the healing calls {open:x?} are open, {owed} messages owed on {links} links, {missed} events missed")
        });
        true
    }

    /// Whether some client still works under this session.
    fn is_current(&self, session: SessionId) -> bool {
        self.clients.iter().any(|client| client.session() == Some(session))
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connect(client) => self.connect(client),
            Event::Connected(client) => self.connected(client),
            Event::NewKey(client) => self.make_key(client),
            Event::Arrive(link, way) => self.arrive(link, way),
            Event::Alarm(machine) => self.alarm(machine),
            Event::Wake(client) => self.wake(client),
            Event::Call(client, until) => {
                if let Some(at) = self.clients[client].sleeps_until {
                    return self.add(at, Event::Call(client, until.map(|until| until.max(at))));
                }
                self.last_call[client] += 1;
                let token = Token(client_tokens(client) | self.last_call[client]);
                self.trace.note(self.at, "client {} calls {}", &[client as u64, token.0]);
                if let Some(until) = until {
                    self.add(until, Event::GiveUp(client, token));
                }
                let wish = self.wish(client);
                self.client(client, |peer, env| peer.call(env, token, wish));
            }
            Event::GiveUp(client, token) => {
                self.trace.note(self.at, "client {} gives up {}", &[client as u64, token.0]);
                self.client(client, |peer, env| peer.drop_call(env, token));
            }
            Event::Push => self.push(),
            Event::KeyFound(life, link, key) => {
                if self.runs(life) {
                    self.node(|node, env| node.key_found(env, link, key));
                }
            }
            Event::Answer(life, key, session, call, token, question) if self.runs(life) => {
                self.finish((key, session), call, token, question);
            }
            Event::Commit(life) if self.runs(life) => self.commit(),
            Event::Announce(life) if self.runs(life) => self.announce(),
            Event::Tell(life, account) if self.runs(life) => self.tell(account),
            // Of a process that is no more.
            Event::Answer(..) | Event::Commit(_) | Event::Announce(_) | Event::Tell(..) => {}
            Event::Fault(number) => {
                if !self.is_well || self.plan.faults[number].1 == Fault::LateReplay {
                    self.strike(self.plan.faults[number].1);
                }
            }
            Event::Start => {
                self.trace.note(self.at, "node starts", &[]);
                self.is_down = false;
                self.node(Node::start);
            }
            Event::Sends(link, bytes) => self.put(link, Way::Up, &bytes),
            Event::Leaves(link) => self.end(link, Way::Up),
            Event::Reap => {
                self.node(Node::reap);
                self.add_in(Duration::from_secs(10), Event::Reap);
            }
            Event::Heal => self.heal(),
            Event::Check => {}
        }
    }

    /// What an application wants of its next call.
    fn wish(&mut self, client: usize) -> Wish {
        let is_repeatable = self.rng.below(100) < self.plan.repeatable;
        let is_ordered = self.rng.below(100) < self.plan.ordered;
        let open = if is_ordered { self.clients[client].open_calls() } else { Vec::new() };
        let most = [1, open.len()][self.rng.below(2) as usize];
        let after = open.into_iter().rev().take(most).collect();
        let is_write = self.plan.writes > 0 && self.rng.below(100) < self.plan.writes;
        let question =
            if is_write { Question::Write(self.rng.below(ACCOUNTS)) } else { Question::Plain };
        Wish { is_repeatable, after, question }
    }

    /// Whether a process of the node still runs.
    fn runs(&self, life: u64) -> bool {
        life == self.node.life() && !self.is_down
    }

    /// Lets a client act, then does what it wants.
    fn client(&mut self, number: usize, act: impl FnOnce(&mut Peer, &mut Env<'_>)) {
        let peer = &mut self.clients[number];
        let mut env = Env { at: self.at, model: &mut self.model, trace: &mut self.trace };
        act(peer, &mut env);
        self.compare(number);
        let peer = &mut self.clients[number];
        if std::mem::take(&mut peer.wants_key) {
            let wait = Duration::from_millis(u64::from(50 + self.rng.below(2000)));
            self.add(self.at + wait, Event::NewKey(number));
        }
        let peer = &mut self.clients[number];
        let out = peer.outbound.split();
        let link = peer.link();
        let is_over = peer.is_over();
        if let Some(link) = link {
            if !out.is_empty() {
                self.transmit(link, Way::Up, &out);
            }
            if is_over {
                self.end(link, Way::Up);
                self.lose_link(number);
            }
        }
        let due = self.clients[number].poll_timeout();
        self.set_alarm(number, due);
    }

    /// Lets the node act, then does what it wants.
    fn node(&mut self, act: impl FnOnce(&mut Node, &mut Env<'_>)) {
        let mut env = Env { at: self.at, model: &mut self.model, trace: &mut self.trace };
        act(&mut self.node, &mut env);
        for order in std::mem::take(&mut self.node.orders) {
            match order {
                Order::Send(link, bytes) => self.transmit(link, Way::Down, &bytes),
                Order::Close(link) => self.end(link, Way::Down),
                Order::FindKey(link, key) => {
                    let wait = Duration::from_millis(u64::from(self.rng.below(30)));
                    self.add_in(wait, Event::KeyFound(self.node.life(), link, key));
                }
                Order::Run(key, session, call) => {
                    let Some((token, question)) = words::read_question(&call.call.query) else {
                        continue;
                    };
                    let longest = match self.rng.below(self.plan.slow) {
                        0 => self.plan.slowest,
                        _ => Duration::from_millis(20),
                    };
                    let wait = longest.mul_f64(f64::from(self.rng.below(1000)) / 1000.0);
                    let life = self.node.life();
                    let call = call.msg_id;
                    self.add_in(wait, Event::Answer(life, key, session, call, token, question));
                }
            }
        }
        let due = self.node.poll_timeout();
        self.set_alarm(self.clients.len(), due);
    }

    fn set_alarm(&mut self, machine: usize, due: Option<Duration>) {
        let Some(due) = due.map(|due| due.max(self.at)) else { return };
        if self.alarms[machine].is_none_or(|set| due < set) {
            self.alarms[machine] = Some(due);
            self.add(due, Event::Alarm(machine));
        }
    }

    fn alarm(&mut self, machine: usize) {
        if self.alarms[machine] != Some(self.at) {
            return;
        }
        self.alarms[machine] = None;
        if machine == self.clients.len() {
            if !self.is_down {
                self.node(Node::handle_timeout);
            }
        } else if self.clients[machine].sleeps_until.is_none() {
            self.client(machine, Peer::handle_timeout);
        }
    }

    fn connect(&mut self, client: usize) {
        let delay = self.delay();
        if let Some(at) = self.clients[client].sleeps_until {
            return self.add(at, Event::Connect(client));
        }
        self.add_in(delay, Event::Connected(client));
    }

    fn connected(&mut self, client: usize) {
        if self.clients[client].sleeps_until.is_some() || self.is_down {
            return self.retry(client);
        }
        let link = self.network.open(Opener::Client(client));
        self.trace.note(self.at, "client {} opens link {}", &[client as u64, link.0]);
        self.node(|node, env| node.accept(env, link));
        self.client(client, |peer, env| peer.open(env, link));
    }

    /// Stands for an exchange that leads to a temporary key.
    fn make_key(&mut self, client: usize) {
        if let Some(at) = self.clients[client].sleeps_until {
            return self.add(at, Event::NewKey(client));
        }
        let has_key = self.clients[client].has_key();
        let Some(link) = self.clients[client].link().filter(|_| !has_key) else { return };
        if self.is_down || !self.node.has_link(link) {
            // An exchange without an answer ends its link; the next one begins another.
            return self.lose_link(client);
        }
        let key = AuthKey::new(self.rng.bytes());
        let value = self.rng.u64() as i64;
        let now = self.node.clock.now(self.at);
        let first = FirstSalt { value, created: now.unix_seconds() };
        let life = i64::from(self.plan.key_life.unwrap_or(0));
        self.node.lend_key(key.clone(), first, now.unix_seconds() + life);
        if let Some(device) = &self.clients[client].device {
            self.town.own(key.id(), device.account());
        }
        self.client(client, |peer, env| peer.take_key(env, key, value, now.unix));
    }

    fn retry(&mut self, client: usize) {
        let wait = self.clients[client].backoff();
        self.add_in(wait, Event::Connect(client));
    }

    /// A client's connection is over for it: it tries again.
    fn lose_link(&mut self, client: usize) {
        if self.clients[client].link().is_some() {
            self.client(client, Peer::handle_end);
            self.retry(client);
        }
    }
}

/// Where the tokens of a client begin.
fn client_tokens(client: usize) -> u64 {
    (client as u64 + 1) << 24
}
