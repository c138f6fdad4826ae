//! Both ends of MTU1, and a network that loses, repeats, delays, damages and forges: nobody is made
//! to send much to others, a session is where it was last, and no message is lost unseen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::AuthKey;
use chappe_proto::datagram::{
    ClientConfig, ClientEndpoint, ClientEvent, DATAGRAM_MAX, Heard, ServerConfig, ServerEndpoint,
    ServerEvent,
};
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::envelope::plain;
use chappe_proto::schema::functions;
use chappe_proto::{LinkId, MsgId, Now, SessionId};

use crate::identity::{START, later, rng};
use crate::script::Script;
use crate::words::encoded;

/// Most steps of one run.
const STEPS_MAX: usize = 200;
const SESSION: SessionId = SessionId(77);
/// Datagrams on their way, or recorded, that a script can choose from.
const KEPT_MAX: usize = 64;
/// Messages of a path that wait to be judged.
const HEARD_MAX: usize = 64;
/// Time in which an address is told -404 once (UDP-03).
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    script.play(STEPS_MAX, |script| world.step(script));
    world.end();
}

struct World {
    now: Now,
    key: Arc<AuthKey>,
    /// The server has the key.
    is_known: bool,
    client: ClientEndpoint,
    server: ServerEndpoint,
    to_server: Vec<Bytes>,
    to_client: Vec<Bytes>,
    /// What each end sent, by id: nothing else may come out at the other.
    said: BTreeMap<MsgId, Message>,
    told: BTreeMap<MsgId, Message>,
    /// What the client waits for to be acknowledged.
    owed: BTreeSet<MsgId>,
    last_id: i64,
    last_link: u64,
    /// What the server's end should know of the one session.
    heard: VecDeque<Heard>,
    proved: Option<(SocketAddr, MsgId)>,
    /// Bytes from each address and to it, and which of them have shown to be there.
    traffic: BTreeMap<SocketAddr, (usize, usize)>,
    shown: BTreeSet<SocketAddr>,
    refused: BTreeMap<IpAddr, Duration>,
}

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let mut config = ServerConfig::default();
        config.hellos_max = script.below(3);
        config.held_max = 4;
        config.refusals_max = 2;
        let key = Arc::new(AuthKey::new(rng(7).bytes()));
        let reached = ClientConfig::new(server());
        Self {
            now: START,
            is_known: !script.one_in(4),
            client: ClientEndpoint::new(START, reached, Arc::clone(&key), rng(1)),
            server: ServerEndpoint::new(config, rng(2)),
            key,
            to_server: Vec::new(),
            to_client: Vec::new(),
            said: BTreeMap::new(),
            told: BTreeMap::new(),
            owed: BTreeSet::new(),
            last_id: START.unix_seconds() << 32,
            last_link: 0,
            heard: VecDeque::new(),
            proved: None,
            traffic: BTreeMap::new(),
            shown: BTreeSet::new(),
            refused: BTreeMap::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..=2 => self.say(script),
            3..=5 => {
                let datagram = carried(script, &mut self.to_server);
                self.reach_server(script, datagram);
            }
            6..=7 => {
                let datagram = carried(script, &mut self.to_client);
                self.reach_client(script, datagram);
            }
            8 => {
                let datagram = script.bytes(DATAGRAM_MAX + 1).into();
                self.reach_server(script, datagram);
            }
            9 => {
                let datagram = script.bytes(DATAGRAM_MAX + 1).into();
                self.reach_client(script, datagram);
            }
            10..=11 => self.tell(script),
            12 => self.acknowledge(script),
            13 => self.hello(script),
            14 => self.pass(Duration::from_millis(100 * u64::from(script.byte()))),
            _ => self.change(script),
        }
        self.drain_server(script);
        self.drain_client();
    }

    fn message(&mut self, body: Bytes) -> Message {
        self.last_id += 4;
        let msg_id = MsgId(self.last_id);
        Message { header: Header { salt: 1, session_id: SESSION, msg_id, seq_no: 0 }, body }
    }

    /// The client has something to say.
    fn say(&mut self, script: &mut Script<'_>) {
        let is_owed = !script.one_in(4);
        let message = self.message(vec![9; 4 * (1 + 2 * script.below(160))].into());
        if self.client.takes(&message, is_owed) {
            let id = message.header.msg_id;
            self.said.insert(id, message.clone());
            if is_owed {
                self.owed.insert(id);
            }
            self.client.send(self.now, message, is_owed);
        }
    }

    /// So has the session.
    fn tell(&mut self, script: &mut Script<'_>) {
        let mut message = self.message(vec![7; 4 * (1 + 2 * script.below(160))].into());
        message.header.msg_id.0 |= 1;
        if let Some(link) = self.server.link_of(self.key.id(), SESSION) {
            self.told.insert(message.header.msg_id, message.clone());
            self.server.send(link, &message);
        }
    }

    fn acknowledge(&mut self, script: &mut Script<'_>) {
        let owed: Vec<MsgId> = self.owed.iter().copied().collect();
        for _ in 0..script.below(4) {
            if let Some(id) = script.pick(&owed) {
                self.owed.remove(id);
            }
        }
        let owed = &self.owed;
        self.client.settle(self.now, |id| owed.contains(&id));
    }

    /// A stranger begins a key exchange.
    fn hello(&mut self, script: &mut Script<'_>) {
        let body = [[script.byte() % 2; 4].as_slice(), &[script.byte() % 4; 16]].concat();
        let mut datagram = BytesMut::new();
        plain::seal(MsgId(4), &body, &mut datagram);
        datagram.resize(DATAGRAM_MAX - usize::from(script.one_in(8)), 0);
        self.reach_server(script, datagram);
    }

    fn pass(&mut self, span: Duration) {
        self.now = later(self.now, span);
        self.fire();
    }

    /// Lets the timers run out that are due.
    fn fire(&mut self) {
        if self.client.poll_timeout() <= self.now.mono {
            self.client.handle_timeout(self.now);
            assert!(self.client.poll_timeout() > self.now.mono, "the client's timer runs again");
        }
        if self.server.poll_timeout().is_some_and(|at| at <= self.now.mono) {
            self.server.handle_timeout(self.now);
            let next = self.server.poll_timeout();
            assert!(next.is_none_or(|at| at > self.now.mono), "the server's timer runs again");
        }
    }

    fn change(&mut self, script: &mut Script<'_>) {
        match script.below(3) {
            0 => self.server.forget_key(self.key.id()),
            1 => {
                if let Some(link) = self.server.link_of(self.key.id(), SESSION) {
                    self.server.close(link);
                }
            }
            _ => self.is_known = !self.is_known,
        }
    }

    fn reach_server(&mut self, script: &mut Script<'_>, datagram: BytesMut) {
        let from = address(script);
        self.traffic.entry(from).or_default().0 += datagram.len();
        self.server.handle_datagram(self.now, from, datagram);
    }

    fn reach_client(&mut self, script: &mut Script<'_>, datagram: BytesMut) {
        let from = if script.one_in(4) { address(script) } else { server() };
        self.client.handle_datagram(self.now, from, datagram);
    }

    fn drain_server(&mut self, script: &mut Script<'_>) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::KeyWanted(id) => {
                    let is_ours = self.is_known && id == self.key.id();
                    let key = is_ours.then(|| Arc::clone(&self.key));
                    let told = self.server.provide_key(self.now, id, key);
                    assert!(told == 0 || !is_ours);
                }
                ServerEvent::Message(id, heard, message) => {
                    assert_eq!(id, self.key.id());
                    assert_eq!(self.said.get(&message.header.msg_id), Some(&message));
                    self.hear(script, heard, message.header.msg_id);
                }
                ServerEvent::Plain(to, nonce, _) => {
                    let body = vec![1; 20 + 5 * script.below(256)];
                    self.server.reply(self.now, to, nonce, &body);
                }
                ServerEvent::Closed(_) | ServerEvent::Silent(_) => {
                    self.heard.clear();
                    self.proved = None;
                }
            }
        }
        while let Some((to, datagram)) = self.server.poll_transmit() {
            self.check(to, &datagram);
            keep(&mut self.to_client, datagram);
        }
    }

    /// A message for the session, which takes it or not.
    fn hear(&mut self, script: &mut Script<'_>, heard: Heard, msg_id: MsgId) {
        let id = self.key.id();
        let link = self.server.link_of(id, SESSION).or_else(|| {
            self.last_link += 1;
            let link = LinkId(self.last_link);
            self.server.open(self.now, link, id, SESSION).then_some(link)
        });
        let Some(link) = link else { return };
        self.server.hear(self.now, link, heard);
        if self.heard.len() == HEARD_MAX {
            self.heard.pop_front();
        }
        self.heard.push_back(heard);
        if script.one_in(4) {
            return;
        }
        self.server.accept(link, heard.token);
        // Of copies the one that came first counts.
        let at = self.heard.iter().position(|other| other.token == heard.token).unwrap();
        let from = self.heard.remove(at).unwrap().from();
        if self.proved.is_none_or(|(_, latest)| latest < msg_id) {
            self.proved = Some((from, msg_id));
            self.shown.insert(from);
        }
    }

    /// What the server sends: small, seldom, and to where the session is.
    fn check(&mut self, to: SocketAddr, datagram: &Bytes) {
        assert!(datagram.len() <= DATAGRAM_MAX, "{} bytes", datagram.len());
        let (received, sent) = self.traffic.entry(to).or_default();
        *sent += datagram.len();
        let is_due = *sent <= *received || self.shown.contains(&to);
        assert!(is_due, "{sent} bytes to {to}, from where {received} came");
        if datagram.len() == 4 {
            let last = self.refused.insert(to.ip(), self.now.mono);
            let is_seldom = last.is_none_or(|at| at + REFUSAL_PAUSE <= self.now.mono);
            assert!(is_seldom, "{to} is told twice that there is no such key");
        } else if datagram.starts_with(&self.key.id().to_le_bytes()) {
            assert!(self.proved.is_none_or(|(at, _)| at == to), "the session is not at {to}");
        }
    }

    fn drain_client(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Message(message) => {
                    assert_eq!(self.told.get(&message.header.msg_id), Some(&message));
                }
                ClientEvent::Ping => {
                    let ping = self.message(encoded(&functions::Ping { ping_id: 1 }));
                    self.said.insert(ping.header.msg_id, ping.clone());
                    if self.client.takes(&ping, false) {
                        self.client.send(self.now, ping, false);
                    }
                }
                ClientEvent::Undelivered(message) => {
                    let id = message.header.msg_id;
                    assert_eq!(self.said.get(&id), Some(&message));
                    assert!(self.owed.remove(&id), "{id} is given back that was not owed");
                }
                ClientEvent::Hint(code) => assert!(code > 0),
            }
        }
        while let Some((to, datagram)) = self.client.poll_transmit() {
            assert_eq!(to, server());
            assert!(datagram.len() <= DATAGRAM_MAX, "{} bytes", datagram.len());
            keep(&mut self.to_server, datagram);
        }
    }

    /// Nothing comes any more: whatever is under way goes by a stream in the end.
    fn end(mut self) {
        let mut firings = 0;
        while !self.owed.is_empty() {
            self.now = later(self.now, self.client.poll_timeout().saturating_sub(self.now.mono));
            self.fire();
            self.drain_client();
            firings += 1;
            assert!(firings < 10_000, "{:?} are lost", self.owed);
        }
    }
}

/// A datagram that was sent, the latest as a rule; it may come again, or come damaged.
fn carried(script: &mut Script<'_>, sent: &mut Vec<Bytes>) -> BytesMut {
    let datagram = match script.below(4) {
        0 => script.pick(sent).cloned(),
        1 => sent.pop(),
        _ => sent.last().cloned(),
    };
    let mut datagram = BytesMut::from(&datagram.unwrap_or_default()[..]);
    if script.one_in(8) && !datagram.is_empty() {
        let at = 4 * usize::from(script.byte()) % datagram.len();
        datagram[at] ^= 1 << script.below(8);
    }
    datagram
}

fn keep(sent: &mut Vec<Bytes>, datagram: Bytes) {
    if sent.len() == KEPT_MAX {
        sent.remove(0);
    }
    sent.push(datagram);
}

fn server() -> SocketAddr {
    ([192, 0, 2, 1], 443).into()
}

/// One of four: two ports of one address, and two others.
fn address(script: &mut Script<'_>) -> SocketAddr {
    let number = script.byte() % 4;
    ([198, 51, 100, number.max(1)], 1000 + u16::from(number)).into()
}
