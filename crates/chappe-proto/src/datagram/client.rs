//! The client's end of a UDP socket: what leaves in datagrams, and when they are not to be trusted
//! with anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_tl::Constructor;

use super::flight::{Flight, Late};
use super::{BODY_MAX, DATAGRAM_MAX, Kind, kind_of};
use crate::envelope::encrypted::{self, Message};
use crate::ids::{MsgId, Side};
use crate::now::Now;
use crate::schema::functions::{Ping, PingDelayDisconnect};
use crate::session::{container, kind};

/// Where a server is reached by datagrams, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Where datagrams are sent.
    pub server: SocketAddr,
    /// Addresses that the server may answer from beside that one (UDP-07). Default: none.
    pub announced: BTreeSet<IpAddr>,
    /// Time between two pings that keep the way through address translators open. Default: 25 s
    /// (UDP-13).
    pub ping_interval: Duration,
    /// Pings in a row without a sign of life, after which streams carry everything. Default: 3.
    pub losses_max: u32,
    /// How long they do. Default: 5 min.
    pub rest: Duration,
}

impl From<SocketAddr> for ClientConfig {
    fn from(server: SocketAddr) -> Self {
        Self::new(server)
    }
}

impl ClientConfig {
    /// The defaults for a server at this address.
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            announced: BTreeSet::new(),
            ping_interval: Duration::from_secs(25),
            losses_max: 3,
            rest: Duration::from_secs(300),
        }
    }
}

/// What a client's end asks of its owner.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A message came, authentic as one of a stream: it is for the session.
    Message(Message),
    /// Have the session write a [`ping`](crate::session::client::ClientSession::keep_alive), and
    /// [`send`](ClientEndpoint::send) it.
    Ping,
    /// Datagrams do not carry this: send it on a stream.
    Undelivered(Message),
    /// An error came, as a positive code, from the server or whoever can forge its address: no
    /// more than a hint to look whether a stream works (UDP-12).
    Hint(i32),
}

/// The client's end of a UDP socket, for one session.
///
/// Holds no socket, clock or task. The caller
///
/// 1. feeds what happened: [`handle_datagram`](Self::handle_datagram), and, whenever the session
///    has heard something, [`settle`](Self::settle), or [`handle_timeout`](Self::handle_timeout);
/// 2. gives to [`send`](Self::send) the messages that it [`takes`](Self::takes), and all others to
///    a stream;
/// 3. drains [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit);
/// 4. waits for input, at most until [`poll_timeout`](Self::poll_timeout), and begins again.
///
/// It takes nothing before an answer to its first ping has come.
#[derive(Debug)]
pub struct ClientEndpoint {
    config: ClientConfig,
    key: Arc<AuthKey>,
    rng: Rng,
    state: State,
    /// When the next ping is due, or the next try.
    due: Duration,
    flight: Flight,
    /// What is under way, to be sent again.
    sent: BTreeMap<MsgId, Message>,
    events: VecDeque<ClientEvent>,
    outbound: VecDeque<(SocketAddr, Bytes)>,
}

/// Wait for an answer to the first ping of all, doubled for each one without.
const TRY_WAIT: Duration = Duration::from_millis(500);
const TRY_DOUBLED_MAX: u32 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Datagrams go through: `losses` pings in a row were not answered.
    Open { losses: u32 },
    /// Nothing says so: `losses` pings were not answered.
    Trying { losses: u32 },
    /// They do not; streams carry everything for a while.
    Resting,
}

impl ClientEndpoint {
    /// An end that pings first of all.
    pub fn new(now: Now, config: ClientConfig, key: Arc<AuthKey>, rng: Rng) -> Self {
        Self {
            config,
            key,
            rng,
            state: State::Trying { losses: 0 },
            due: now.mono,
            flight: Flight::default(),
            sent: BTreeMap::new(),
            events: VecDeque::new(),
            outbound: VecDeque::new(),
        }
    }

    /// Whether a message may leave as a datagram: they go through, it fits (UDP-11), and if it is
    /// `owed`, to be acknowledged, not too much is under way. Everything else is for a stream.
    ///
    /// A container cannot be sent twice, and a ping that bounds the life of a link is for streams
    /// alone; a bare one also tries the way where nothing is known of it.
    pub fn takes(&self, message: &Message, is_owed: bool) -> bool {
        match kind::id_of(&message.body) {
            container::ID | PingDelayDisconnect::ID => false,
            Ping::ID if !is_owed => self.state != State::Resting,
            _ => {
                self.is_open()
                    && message.body.len() <= BODY_MAX
                    && (!is_owed || self.flight.has_room())
            }
        }
    }

    /// Whether datagrams go through.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Sends a message; one that is owed an acknowledgement is kept until that comes.
    pub fn send(&mut self, now: Now, message: Message, is_owed: bool) {
        self.seal(&message);
        if is_owed {
            let id = message.header.msg_id;
            self.flight.sent(now.mono, id);
            self.sent.insert(id, message);
        }
    }

    /// Takes a datagram. One that cannot be understood, or believed, is as if it had never come.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, datagram: BytesMut) {
        match kind_of(&datagram, Side::Server) {
            Some(Kind::Encrypted(id)) if id == self.key.id() && self.is_announced(from) => {
                let opened = encrypted::open(&self.key, vec![datagram], Side::Server).pop();
                let Some(Ok(opened)) = opened else { return };
                self.events.push_back(ClientEvent::Message(opened.message));
                self.note_life(now);
            }
            Some(Kind::Control(code)) if from == self.config.server => {
                self.events.push_back(ClientEvent::Hint(code));
                self.rest(now);
            }
            _ => {}
        }
    }

    /// The session has heard something: what is not owed any more has arrived.
    pub fn settle(&mut self, now: Now, is_owed: impl Fn(MsgId) -> bool) {
        if self.sent.is_empty() {
            return;
        }
        self.flight.settle(now.mono, is_owed);
        let flight = &self.flight;
        self.sent.retain(|id, _| flight.carries(*id));
    }

    /// Sends again what is late, and pings.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(late) = self.flight.take_late(now.mono) {
            match late {
                Late::Again(id) => {
                    if let Some(message) = self.sent.get(&id).cloned() {
                        self.seal(&message);
                        self.flight.sent(now.mono, id);
                    }
                }
                Late::GivenUp(id) => self.hand_back(id),
            }
        }
        if self.due > now.mono {
            return;
        }
        match &mut self.state {
            State::Resting => self.state = State::Trying { losses: 1 },
            State::Open { losses } | State::Trying { losses }
                if *losses < self.config.losses_max =>
            {
                *losses += 1;
            }
            _ => return self.rest(now),
        }
        let interval = self.config.ping_interval;
        let wait = match self.state {
            // Nothing depends on it yet, and soon it could.
            State::Trying { losses } => interval.min(TRY_WAIT * (1 << losses.min(TRY_DOUBLED_MAX))),
            State::Open { .. } | State::Resting => interval,
        };
        self.due = now.mono + wait;
        self.events.push_back(ClientEvent::Ping);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Duration {
        self.flight.due().map_or(self.due, |due| due.min(self.due))
    }

    /// The next thing the owner has to do.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The next datagram to send, and where.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.outbound.pop_front()
    }

    fn is_announced(&self, from: SocketAddr) -> bool {
        from.ip() == self.config.server.ip() || self.config.announced.contains(&from.ip())
    }

    /// Something authentic came: whatever was lost, the way is open.
    fn note_life(&mut self, now: Now) {
        if !self.is_open() {
            self.due = now.mono + self.config.ping_interval;
        }
        self.state = State::Open { losses: 0 };
    }

    /// Streams carry everything for a while, what is under way as well.
    fn rest(&mut self, now: Now) {
        self.state = State::Resting;
        self.due = now.mono + self.config.rest;
        for id in self.flight.clear() {
            self.hand_back(id);
        }
        self.flight = Flight::default();
    }

    fn hand_back(&mut self, id: MsgId) {
        if let Some(message) = self.sent.remove(&id) {
            self.events.push_back(ClientEvent::Undelivered(message));
        }
    }

    fn seal(&mut self, message: &Message) {
        let key = &self.key;
        let sealed =
            encrypted::seal_within(key, message, DATAGRAM_MAX, Side::Client, &mut self.rng);
        if let Some(sealed) = sealed {
            self.outbound.push_back((self.config.server, sealed.packet.freeze()));
        }
    }
}
