//! The server's end of a UDP socket: whom to believe, and where to answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, AuthKeyId, Rng};

use super::hello::{Asked, Hellos, Nonce, nonce_of};
use super::{DATAGRAM_MAX, Kind, kind_of};
use crate::envelope::encrypted::{self, Message};
use crate::envelope::plain;
use crate::ids::{LinkId, MsgId, SessionId, Side};
use crate::now::Now;
use crate::session::msg_id::{MsgIds, Origin};

/// Limits of a server's end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Sessions that are reached by datagrams at once; what others send is dropped. Default:
    /// 10 000. Each costs some 4 KiB.
    pub paths_max: usize,
    /// A path over which nothing was heard for this long is forgotten. Default: 2 min, in which a
    /// client would have pinged four times.
    pub idle_max: Duration,
    /// Datagrams that wait until their key was looked up; more are dropped. Default: 64.
    pub held_max: usize,
    /// Addresses that were told -404 of late; while there are so many, no other is. Default: 1024.
    pub refusals_max: usize,
    /// Key exchanges over UDP at once. Default: 0, which answers none: clients make their keys on
    /// streams (UDP-05).
    pub hellos_max: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            paths_max: 10_000,
            idle_max: Duration::from_secs(120),
            held_max: 64,
            refusals_max: 1024,
            hellos_max: 0,
        }
    }
}

/// What a server's end asks of its owner.
#[derive(Debug)]
pub enum ServerEvent {
    /// A datagram names this key: answer with [`ServerEndpoint::provide_key`].
    KeyWanted(AuthKeyId),
    /// A message came under this key. If its session has no path, [`ServerEndpoint::open`] one;
    /// then tell [`ServerEndpoint::hear`], and give the message to the session. If that takes all
    /// of it, tell [`ServerEndpoint::accept`].
    Message(AuthKeyId, Heard, Message),
    /// A message of the key exchange, to be answered with [`ServerEndpoint::reply`] or
    /// [put off](ServerEndpoint::put_off).
    Plain(SocketAddr, Nonce, Bytes),
    /// The path of this link is no more: the owner closed it, or forgot its key.
    Closed(LinkId),
    /// Nor is this one, over which nothing was heard for long.
    Silent(LinkId),
}

/// An authentic datagram whose message has not been judged by its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Names the datagram. It is what a quick acknowledgement would carry, and never leaves.
    pub token: u32,
    from: SocketAddr,
    len: usize,
    msg_id: MsgId,
}

impl Heard {
    /// Where it came from.
    pub fn from(&self) -> SocketAddr {
        self.from
    }
}

/// The server's end of a UDP socket.
///
/// Holds no socket, clock or task. The caller
///
/// 1. feeds what happened: [`handle_datagram`](Self::handle_datagram),
///    [`handle_timeout`](Self::handle_timeout), or a command such as [`send`](Self::send);
/// 2. drains [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit);
/// 3. waits for input, at most until [`poll_timeout`](Self::poll_timeout), and begins again.
///
/// Whoever sends from an address that is not theirs gains nothing: an address is sent no more than
/// came from it, until a session has taken a message from there (UDP-04); and a recording, sent
/// from elsewhere, moves no session (UDP-06).
#[derive(Debug)]
pub struct ServerEndpoint {
    config: ServerConfig,
    rng: Rng,
    paths: BTreeMap<LinkId, Path>,
    by_session: BTreeMap<(AuthKeyId, SessionId), LinkId>,
    /// Keys of paths, and such as were looked up for what is being handled.
    keys: BTreeMap<AuthKeyId, Arc<AuthKey>>,
    /// Datagrams whose key is being looked up.
    held: VecDeque<(AuthKeyId, SocketAddr, BytesMut)>,
    /// Who was told -404, and when.
    refused: BTreeMap<IpAddr, Duration>,
    hellos: Hellos,
    plain_ids: MsgIds,
    events: VecDeque<ServerEvent>,
    outbound: VecDeque<(SocketAddr, Bytes)>,
    /// When idle paths are looked for next.
    look_at: Duration,
}

/// The way to a session.
#[derive(Debug)]
struct Path {
    key: Arc<AuthKey>,
    session: SessionId,
    /// Where the session is: the source of the message with the highest id that it took.
    proved: Option<(SocketAddr, MsgId)>,
    /// Before that: the last source of anything authentic, and the bytes it may be sent.
    unproved: Option<(SocketAddr, usize)>,
    /// What the session has not judged, or has refused.
    heard: VecDeque<Heard>,
    heard_at: Duration,
}

/// Datagrams of one path that may wait for the judgement of its session.
const HEARD_MAX: usize = 64;
/// Keys remembered beside those of paths.
const SPARE_KEYS_MAX: usize = 64;
/// Time in which one address is told -404 once (UDP-03).
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);
/// Transport error for an unknown key.
const NOT_FOUND: i32 = 404;

impl ServerEndpoint {
    /// An end that has heard nothing.
    pub fn new(config: ServerConfig, mut rng: Rng) -> Self {
        Self {
            hellos: Hellos::new(config.hellos_max, rng.fork()),
            config,
            rng,
            paths: BTreeMap::new(),
            by_session: BTreeMap::new(),
            keys: BTreeMap::new(),
            held: VecDeque::new(),
            refused: BTreeMap::new(),
            plain_ids: MsgIds::default(),
            events: VecDeque::new(),
            outbound: VecDeque::new(),
            look_at: Duration::ZERO,
        }
    }

    /// Takes a datagram. One that cannot be understood, or believed, is as if it had never come
    /// (UDP-03).
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, datagram: BytesMut) {
        match kind_of(&datagram, Side::Client) {
            Some(Kind::Encrypted(id)) => {
                if self.keys.contains_key(&id) {
                    return self.open_datagram(id, from, datagram);
                }
                if self.held.len() < self.config.held_max {
                    if !self.held.iter().any(|(held, ..)| *held == id) {
                        self.events.push_back(ServerEvent::KeyWanted(id));
                    }
                    self.held.push_back((id, from, datagram));
                }
            }
            Some(Kind::Plain) if self.config.hellos_max > 0 => self.hello(now, from, datagram),
            _ => {}
        }
    }

    /// Answers [`ServerEvent::KeyWanted`]; `None` when there is no such key. How many addresses are
    /// told so.
    pub fn provide_key(&mut self, now: Now, id: AuthKeyId, key: Option<Arc<AuthKey>>) -> usize {
        let (named, rest) = std::mem::take(&mut self.held).into_iter().partition(|it| it.0 == id);
        self.held = rest;
        let named: VecDeque<(AuthKeyId, SocketAddr, BytesMut)> = named;
        match key {
            Some(key) => {
                self.make_room_for_key();
                self.keys.insert(id, key);
                for (id, from, datagram) in named {
                    self.open_datagram(id, from, datagram);
                }
                0
            }
            None => named.iter().filter(|(_, from, _)| self.refuse(now, *from)).count(),
        }
    }

    /// The key cannot be looked up at present: what waits for it is as if it had never come.
    pub fn drop_held(&mut self, id: AuthKeyId) {
        self.held.retain(|(held, ..)| *held != id);
    }

    /// The key is no more, nor are the paths of its sessions.
    pub fn forget_key(&mut self, id: AuthKeyId) {
        self.keys.remove(&id);
        let of_key = |(link, path): (&LinkId, &Path)| (path.key.id() == id).then_some(*link);
        let links: Vec<LinkId> = self.paths.iter().filter_map(of_key).collect();
        for link in links {
            self.close(link);
        }
    }

    /// The path of a session, if it has one.
    pub fn link_of(&self, key: AuthKeyId, session: SessionId) -> Option<LinkId> {
        self.by_session.get(&(key, session)).copied()
    }

    /// Opens the path of a session under the number of a link; `false` if there are too many, or
    /// the key was forgotten.
    pub fn open(&mut self, now: Now, link: LinkId, key: AuthKeyId, session: SessionId) -> bool {
        let Some(held) = self.keys.get(&key) else { return false };
        if self.paths.len() >= self.config.paths_max {
            return false;
        }
        let path = Path {
            key: Arc::clone(held),
            session,
            proved: None,
            unproved: None,
            heard: VecDeque::new(),
            heard_at: now.mono,
        };
        self.paths.insert(link, path);
        self.by_session.insert((key, session), link);
        true
    }

    /// The session is gone, or does not want this path.
    pub fn close(&mut self, link: LinkId) {
        if self.remove(link) {
            self.events.push_back(ServerEvent::Closed(link));
        }
    }

    /// An authentic datagram is for the session of this path. Its source may be sent as much as
    /// came from there, while the session has been nowhere else.
    pub fn hear(&mut self, now: Now, link: LinkId, heard: Heard) {
        let Some(path) = self.paths.get_mut(&link) else { return };
        path.heard_at = now.mono;
        if path.heard.len() == HEARD_MAX {
            path.heard.pop_front();
        }
        path.heard.push_back(heard);
        if path.proved.is_none() {
            let budget = match path.unproved {
                Some((from, budget)) if from == heard.from => budget,
                _ => 0,
            };
            path.unproved = Some((heard.from, budget + heard.len));
        }
    }

    /// The session took the message that came as `token`: it is where that came from, unless it
    /// was elsewhere later (UDP-06).
    pub fn accept(&mut self, link: LinkId, token: u32) {
        let Some(path) = self.paths.get_mut(&link) else { return };
        let Some(at) = path.heard.iter().position(|heard| heard.token == token) else { return };
        let Some(Heard { from, msg_id, .. }) = path.heard.remove(at) else { return };
        if path.proved.is_none_or(|(_, latest)| latest < msg_id) {
            path.proved = Some((from, msg_id));
            path.unproved = None;
        }
    }

    /// Sends a message on the path of its session; one that is too large, or for which an address
    /// that has proved nothing has not sent enough, is dropped.
    pub fn send(&mut self, link: LinkId, message: &Message) {
        let Some(path) = self.paths.get_mut(&link) else { return };
        let (to, room) = match (path.proved, path.unproved) {
            (Some((to, _)), _) => (to, DATAGRAM_MAX),
            (None, Some((to, budget))) => (to, budget.min(DATAGRAM_MAX)),
            (None, None) => return,
        };
        let sealed = encrypted::seal_within(&path.key, message, room, Side::Server, &mut self.rng);
        let Some(sealed) = sealed else { return };
        if let (None, Some((_, budget))) = (path.proved, &mut path.unproved) {
            *budget -= sealed.packet.len();
        }
        self.outbound.push_back((to, sealed.packet.freeze()));
    }

    /// Answers [`ServerEvent::Plain`]. Of a body that fits no datagram nothing is sent: the key
    /// has to be made on a stream.
    pub fn reply(&mut self, now: Now, to: SocketAddr, nonce: Nonce, body: &[u8]) {
        let msg_id = self.plain_ids.next(now.unix, Origin::Answer, &mut self.rng);
        let mut packet = BytesMut::new();
        plain::seal(msg_id, body, &mut packet);
        if packet.len() <= DATAGRAM_MAX {
            let packet = packet.freeze();
            self.hellos.answer(to, nonce, packet.clone());
            self.outbound.push_back((to, packet));
        }
    }

    /// Does not answer [`ServerEvent::Plain`] at present: the same message may be asked again.
    pub fn put_off(&mut self, from: SocketAddr, nonce: Nonce) {
        self.hellos.forget(from, nonce);
    }

    /// The next thing the owner has to do.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// The next datagram to send, and where.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.outbound.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        (!self.paths.is_empty()).then_some(self.look_at)
    }

    /// Forgets the paths on which nothing was heard for long.
    pub fn handle_timeout(&mut self, now: Now) {
        self.look_at = now.mono + self.config.idle_max / 4;
        let is_idle = |path: &Path| path.heard_at + self.config.idle_max <= now.mono;
        let idle = self.paths.iter().filter(|(_, path)| is_idle(path)).map(|(link, _)| *link);
        for link in idle.collect::<Vec<_>>() {
            self.remove(link);
            self.events.push_back(ServerEvent::Silent(link));
        }
    }

    fn remove(&mut self, link: LinkId) -> bool {
        let Some(path) = self.paths.remove(&link) else { return false };
        self.by_session.remove(&(path.key.id(), path.session));
        true
    }

    fn open_datagram(&mut self, id: AuthKeyId, from: SocketAddr, datagram: BytesMut) {
        let Some(key) = self.keys.get(&id) else { return };
        let len = datagram.len();
        let opened = encrypted::open(key, vec![datagram], Side::Client).pop();
        let Some(Ok(opened)) = opened else { return };
        let heard = Heard { token: opened.token, from, len, msg_id: opened.message.header.msg_id };
        self.events.push_back(ServerEvent::Message(id, heard, opened.message));
    }

    fn hello(&mut self, now: Now, from: SocketAddr, datagram: BytesMut) {
        let Ok(message) = plain::open(datagram.freeze(), Side::Client) else { return };
        let Some(nonce) = nonce_of(&message.body) else { return };
        match self.hellos.ask(now.mono, from, &message.body) {
            Some(Asked::New) => {
                self.events.push_back(ServerEvent::Plain(from, nonce, message.body));
            }
            Some(Asked::Answered(reply)) => self.outbound.push_back((from, reply)),
            Some(Asked::Pending) | None => {}
        }
    }

    /// Tells an address that its key is not known: 4 bytes for 72 at least, and seldom. Whether it
    /// does.
    fn refuse(&mut self, now: Now, from: SocketAddr) -> bool {
        self.refused.retain(|_, at| now.mono < *at + REFUSAL_PAUSE);
        let is_room = self.refused.len() < self.config.refusals_max;
        let is_told = is_room && !self.refused.contains_key(&from.ip());
        if is_told {
            self.refused.insert(from.ip(), now.mono);
            self.outbound.push_back((from, Bytes::copy_from_slice(&(-NOT_FOUND).to_le_bytes())));
        }
        is_told
    }

    fn make_room_for_key(&mut self) {
        if self.keys.len() < self.paths.len() + SPARE_KEYS_MAX {
            return;
        }
        let used: BTreeSet<AuthKeyId> = self.by_session.keys().map(|(key, _)| *key).collect();
        self.keys.retain(|id, _| used.contains(id));
    }
}
