//! The server's side of key exchanges, several at once, with honest clients whose messages the
//! script delays, damages, repeats and mixes up: who gets a key has the one that was stored.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::handshake::client::{
    self, AwaitDhGen, AwaitDhParams, AwaitResPq, DhGen, KeyRequest,
};
use chappe_proto::handshake::server::{
    Exchanges, HandshakeConfig, Origin, Output, Stored, Ticket, Work,
};
use chappe_proto::schema::functions;
use chappe_proto::{LinkId, Now};
use chappe_tl::Constructor;

use crate::identity::{IDENTITY, START, later, rng};
use crate::script::Script;

const STEPS_MAX: usize = 60;
const CLIENTS: usize = 3;
const EXCHANGES_MAX: usize = 4;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new();
    script.play(STEPS_MAX, |script| world.step(script));
}

struct World {
    exchanges: Exchanges,
    now: Now,
    clients: [Client; CLIENTS],
    work: VecDeque<Work>,
    stores: VecDeque<(Ticket, AuthKeyId, i64)>,
    /// Keys kept, with their first salts.
    kept: BTreeMap<AuthKeyId, i64>,
    /// Everything that was said to the server.
    said: Vec<Bytes>,
}

/// A client at its step, what it wants to say and what it was told.
#[derive(Default)]
struct Client {
    state: State,
    to_say: Option<Vec<u8>>,
    told: VecDeque<Bytes>,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    ResPq(AwaitResPq),
    DhParams(AwaitDhParams),
    DhGen(Box<AwaitDhGen>),
}

impl World {
    fn new() -> Self {
        let mut config = HandshakeConfig::default();
        config.exchanges_max = EXCHANGES_MAX;
        config.exchanges_per_link_max = 3;
        Self {
            exchanges: Exchanges::new(config, Arc::clone(&IDENTITY), rng(7)),
            now: START,
            clients: Default::default(),
            work: VecDeque::new(),
            stores: VecDeque::new(),
            kept: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let at = script.below(CLIENTS);
        match script.below(12) {
            0 => self.start(script, at),
            1..=4 => {
                let Some(body) = self.clients[at].to_say.take() else { return };
                self.said.push(body.clone().into());
                self.say(script, at, body);
            }
            5 => {
                if let Some(body) = script.pick(&self.said).cloned() {
                    self.say(script, at, body.to_vec());
                }
            }
            6 => self.say_anything(script, at),
            7 => {
                if let Some(work) = self.work.pop_front() {
                    let done = work.run(self.now.unix_seconds());
                    self.exchanges.handle_done(self.now, done);
                    self.drain();
                }
            }
            8 => self.store(script),
            9 => {
                let span = Duration::from_secs(u64::from(script.byte()) * 4);
                self.now = later(self.now, span);
            }
            _ => self.tell(script, at),
        }
    }

    fn start(&mut self, script: &mut Script<'_>, at: usize) {
        let expires_in = script.one_in(2).then(|| script.i32().saturating_abs().max(1));
        let server_keys = IDENTITY.iter().map(|key| key.public().clone()).collect::<Arc<[_]>>();
        let request = KeyRequest { dc: 2, expires_in, server_keys };
        let (state, body) = client::start(request, &mut rng(script.byte() % 8));
        self.clients[at] =
            Client { state: State::ResPq(state), to_say: Some(body), told: VecDeque::new() };
    }

    fn say(&mut self, script: &mut Script<'_>, at: usize, mut body: Vec<u8>) {
        match script.below(8) {
            6 => {
                let place = usize::from(script.byte()) % body.len();
                body[place] ^= 1 << script.below(8);
            }
            7 => body.truncate(usize::from(script.byte()) * 2),
            _ => {}
        }
        self.hand(at, body.into());
    }

    fn say_anything(&mut self, script: &mut Script<'_>, at: usize) {
        let id = [
            functions::ReqPq::ID,
            functions::ReqPqMulti::ID,
            functions::ReqDhParams::ID,
            functions::SetClientDhParams::ID,
            0,
        ][script.below(5)];
        let body = [&id.to_le_bytes()[..], script.bytes(400)].concat();
        self.hand(at, body.into());
    }

    fn hand(&mut self, at: usize, body: Bytes) {
        let origin = Origin { link: LinkId(at as u64), address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
        self.exchanges.handle_plain(self.now, origin, &body);
        self.drain();
    }

    fn store(&mut self, script: &mut Script<'_>) {
        let Some((ticket, key, salt)) = self.stores.pop_front() else { return };
        let stored = match script.below(8) {
            6 => Stored::Collision,
            7 => Stored::Failed,
            _ => {
                self.kept.insert(key, salt);
                Stored::Kept
            }
        };
        self.exchanges.handle_stored(self.now, ticket, stored);
        self.drain();
    }

    /// Each thing that happens makes the server do one thing at most.
    fn drain(&mut self) {
        assert!(self.exchanges.len() <= EXCHANGES_MAX, "more exchanges than there may be");
        let Some(output) = self.exchanges.poll_output() else { return };
        match output {
            Output::Reply(LinkId(link), body) => {
                self.clients[link as usize].told.push_back(body);
            }
            Output::Error(_, code) => assert!(matches!(code, -404 | -429 | -444), "{code}"),
            Output::Work(work) => self.work.push_back(work),
            Output::Store(ticket, key, _) => {
                self.stores.push_back((ticket, key.key.id(), key.first_salt));
            }
        }
        assert!(self.exchanges.poll_output().is_none(), "two answers to one message");
    }

    /// Gives a client what it was told, perhaps damaged.
    fn tell(&mut self, script: &mut Script<'_>, at: usize) {
        let client = &mut self.clients[at];
        let Some(mut body) = client.told.pop_front() else { return };
        if script.one_in(8) {
            let mut damaged = body.to_vec();
            let place = usize::from(script.byte()) % damaged.len();
            damaged[place] ^= 1;
            body = damaged.into();
        }
        let mut rng = rng(9 + script.byte() % 8);
        let (state, to_say) = match std::mem::take(&mut client.state) {
            State::Idle => return,
            State::ResPq(state) => match state.handle(&body, &mut rng) {
                Ok((next, say)) => (State::DhParams(next), Some(say)),
                Err(_) => (State::Idle, None),
            },
            State::DhParams(state) => match state.handle(self.now, &body, &mut rng) {
                Ok((next, say)) => (State::DhGen(Box::new(next)), Some(say)),
                Err(_) => (State::Idle, None),
            },
            State::DhGen(state) => match state.handle(&body, &mut rng) {
                Ok(DhGen::Again(next, say)) => (State::DhGen(next), Some(say)),
                Ok(DhGen::Finished(finished)) => {
                    let salt = self.kept.get(&finished.key.id());
                    assert_eq!(salt, Some(&finished.first_salt), "a key that nobody stored");
                    (State::Idle, None)
                }
                Err(_) => (State::Idle, None),
            },
        };
        client.state = state;
        if to_say.is_some() {
            client.to_say = to_say;
        }
    }
}
