//! A client's session, and a server that says what the script wants; in the end an honest server
//! takes over, and every call that is left gets its one outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::rpc::{self, RpcError};
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::client::{
    CallId, ClientEvent, ClientSession, MessageError, SessionConfig,
};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::kind;
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::session::server::{self, ServerEvent, ServerSession};
use chappe_proto::session::time::ServerClock;
use chappe_proto::{LinkId, MsgId, Now, SessionId};

use crate::identity::{START, later, rng};
use crate::script::Script;
use crate::words::{QUERY, boxed, copy, flatten, perhaps_damaged, query, read};

/// Most steps of one run.
const STEPS_MAX: usize = 200;
/// Longest body that fits into a packet (MSG-03).
const BODY_MAX: usize = 1_044_404;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new();
    script.play(STEPS_MAX, |script| world.step(script));
    world.end();
}

struct World {
    session: ClientSession,
    now: Now,
    is_open: bool,
    /// What the client sent, in this session and in those before.
    sent: Vec<Inner>,
    /// The same by id, for the session that it is in.
    by_id: BTreeMap<MsgId, (i32, Bytes)>,
    last_fresh: MsgId,
    session_id: SessionId,
    /// What the server said.
    said: Vec<Inner>,
    last_id: i64,
    content: i32,
    queries: u32,
    open: BTreeSet<CallId>,
    done: BTreeSet<CallId>,
    /// Calls whose answers do not say what they answer, and which servers do not keep.
    bare: BTreeSet<CallId>,
    /// Messages, and distinct ids named, in this step.
    units: usize,
}

impl World {
    fn new() -> Self {
        let clock = ServerClock::guess(START, 0);
        let session = ClientSession::new(SessionConfig::default(), 1, clock, rng(1));
        let session_id = session.id();
        let mut world = Self {
            session,
            now: START,
            is_open: false,
            sent: Vec::new(),
            by_id: BTreeMap::new(),
            last_fresh: MsgId(0),
            session_id,
            said: Vec::new(),
            last_id: 0,
            content: 0,
            queries: 0,
            open: BTreeSet::new(),
            done: BTreeSet::new(),
            bare: BTreeSet::new(),
            units: 0,
        };
        world.open_link();
        world
    }

    fn step(&mut self, script: &mut Script<'_>) {
        self.units = 0;
        match script.below(16) {
            0..=2 => self.call(script),
            3 => {
                // An answer that waits to be taken is no news to be given up.
                self.drain();
                let open: Vec<CallId> = self.open.iter().copied().collect();
                if let Some(call) = script.pick(&open) {
                    self.session.drop_call(*call);
                    self.open.remove(call);
                    self.done.insert(*call);
                }
            }
            4..=8 => {
                let inner = self.message(script, 0);
                self.say(script, &inner);
            }
            9..=10 => self.say_container(script),
            11 => self.pass(script),
            12 => self.fire(),
            13 => {
                if self.is_open {
                    self.session.handle_link_closed();
                    self.is_open = false;
                }
                if !script.one_in(4) {
                    self.open_link();
                }
            }
            14 => match script.below(3) {
                0 => self.session.flush(),
                1 => self.session.ping(self.now),
                _ => {
                    if let Some(inner) = script.pick(&self.said).cloned() {
                        self.say(script, &inner);
                    }
                }
            },
            _ => {
                let (msg_id, seq_no) = (MsgId(script.i64()), script.i32());
                let body = Bytes::copy_from_slice(script.bytes(128));
                self.units += body.len() / 8;
                self.say(script, &Inner { msg_id, seq_no, body });
            }
        }
        if !script.one_in(4) {
            self.drain();
        }
    }

    fn open_link(&mut self) {
        if !self.is_open {
            self.is_open = true;
            self.session.handle_link_opened(self.now);
        }
    }

    fn call(&mut self, script: &mut Script<'_>) {
        self.queries += 1;
        let words = if script.one_in(16) { 600 } else { script.below(64) };
        let choice = script.below(16);
        let body = match choice {
            15 => boxed(&functions::DestroySession { session_id: 5 }),
            14 => boxed(&functions::Ping { ping_id: 6 }),
            13 => boxed(&functions::DestroyAuthKey {}),
            _ => query(self.queries, words),
        };
        let call = self.session.call(body);
        assert!(self.open.insert(call) && !self.done.contains(&call));
        if choice > 12 {
            self.bare.insert(call);
        }
    }

    fn say_container(&mut self, script: &mut Script<'_>) {
        let inners: Vec<Inner> = (0..script.below(6)).map(|_| self.message(script, 0)).collect();
        self.units += inners.len();
        let body = perhaps_damaged(script, container::pack(&inners));
        let msg_id = self.id(script, 1);
        let seq_no = self.seq_no(script, false);
        let outer = Inner { msg_id, seq_no, body };
        self.said.push(outer.clone());
        self.say(script, &outer);
    }

    fn say(&mut self, script: &mut Script<'_>, inner: &Inner) {
        self.units += 1;
        let session_id =
            if script.one_in(32) { SessionId(script.i64()) } else { self.session.id() };
        let header = Header { salt: 1, session_id, msg_id: inner.msg_id, seq_no: inner.seq_no };
        self.hand(Message { header, body: inner.body.clone() });
    }

    /// Hands the session a message; whatever it refuses ends the link and changes nothing.
    fn hand(&mut self, message: Message) {
        let before = format!("{:?}", self.session);
        match self.session.handle_message(self.now, message) {
            Ok(()) => {}
            // This one begins a new session on purpose.
            Err(MessageError::TooOld(_)) => self.close(),
            Err(error) => {
                assert_eq!(format!("{:?}", self.session), before, "{error} left a trace");
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if self.is_open {
            self.is_open = false;
            self.session.handle_link_closed();
        }
    }

    fn message(&mut self, script: &mut Script<'_>, depth: usize) -> Inner {
        let (is_content, low_bits, body) = self.body(script, depth);
        let body = perhaps_damaged(script, body);
        let msg_id = self.id(script, low_bits);
        let seq_no = self.seq_no(script, is_content);
        let inner = Inner { msg_id, seq_no, body };
        self.said.push(inner.clone());
        inner
    }

    fn body(&mut self, script: &mut Script<'_>, depth: usize) -> (bool, i64, Bytes) {
        let bad_msg_id = self.id_sent(script).0;
        let body = match script.below(24) {
            0..=4 => return (true, 1, self.result(script)),
            5..=6 => return (true, 3, query(0, script.below(8))),
            7 => {
                let error_code = match script.below(16) {
                    15 => script.i32(),
                    at => [16, 17, 18, 19, 20, 32, 33, 34, 35, 48, 64, 16, 17, 20, 64][at],
                };
                let bad_msg_seqno = 0;
                boxed(&ctors::BadMsgNotification { bad_msg_id, bad_msg_seqno, error_code })
            }
            8 => boxed(&ctors::BadServerSalt {
                bad_msg_id,
                bad_msg_seqno: 0,
                error_code: 48,
                new_server_salt: script.i64(),
            }),
            9 => {
                let unique_id = i64::from(script.byte() % 4);
                let new = types::NewSession { first_msg_id: bad_msg_id, unique_id, server_salt: 3 };
                return (true, 1, boxed(&new));
            }
            10..=11 => boxed(&types::MsgsAck { msg_ids: self.ids_sent(script) }),
            12..=13 => boxed(&self.state_info(script)),
            14 => {
                let msg_ids = self.ids_sent(script);
                let info: Vec<u8> =
                    msg_ids.iter().map(|_| [4, 1, 2, 3, 12, 0][script.below(6)]).collect();
                boxed(&types::MsgsAllInfo { msg_ids, info: info.into() })
            }
            15 => boxed(&types::MsgsStateReq { msg_ids: self.ids_any(script) }),
            16 => boxed(&ctors::MsgDetailedInfo {
                msg_id: bad_msg_id,
                answer_msg_id: self.id_said(script).0,
                bytes: 8,
                status: 0,
            }),
            17 => boxed(&ctors::MsgNewDetailedInfo {
                answer_msg_id: self.id_said(script).0,
                bytes: 8,
                status: 0,
            }),
            18 => boxed(&ctors::MsgResendReq { msg_ids: self.ids_any(script) }),
            19 => self.pong(script),
            20 => {
                let now = self.now.unix_seconds() as i32;
                let salts = (0..i32::from(script.byte() % 4))
                    .map(|at| types::FutureSalt {
                        valid_since: now + 1800 * at - 900,
                        valid_until: if script.one_in(4) { script.i32() } else { now + 1800 * at },
                        salt: i64::from(at),
                    })
                    .collect();
                let now = if script.one_in(4) { script.i32() } else { now };
                boxed(&types::FutureSalts { req_msg_id: bad_msg_id, now, salts })
            }
            21 if depth == 0 => {
                let inner = self.message(script, 1);
                copy(&inner)
            }
            22 => boxed(&ctors::DestroySessionOk { session_id: 5 }),
            _ => chappe_tl::gzip::deflate(&query(0, 200))
                .map_or_else(Bytes::new, |packed| rpc::gzip_packed(&packed)),
        };
        (false, 1, body)
    }

    fn result(&mut self, script: &mut Script<'_>) -> Bytes {
        let call = self.id_sent(script);
        let result = match script.below(6) {
            0 => RpcError::bad_request("TEST_FAILED").to_tl(),
            1 => chappe_tl::gzip::deflate(&query(0, 200))
                .map_or_else(Bytes::new, |packed| rpc::gzip_packed(&packed)),
            2 => Bytes::copy_from_slice(script.bytes(16)),
            _ => query(7, 1),
        };
        rpc::result_body(call, &result)
    }

    fn pong(&mut self, script: &mut Script<'_>) -> Bytes {
        let pings: Vec<(MsgId, i64)> = self
            .sent
            .iter()
            .filter_map(|inner| {
                let ping = read::<functions::PingDelayDisconnect>(&inner.body)?;
                Some((inner.msg_id, ping.ping_id))
            })
            .collect();
        let (msg_id, ping_id) = script.pick(&pings).copied().unwrap_or((MsgId(4), 0));
        boxed(&types::Pong { msg_id: msg_id.0, ping_id })
    }

    /// An answer to one of the client's questions, as long as it should be or not.
    fn state_info(&mut self, script: &mut Script<'_>) -> types::MsgsStateInfo {
        let questions: Vec<(MsgId, usize)> = self
            .sent
            .iter()
            .filter_map(|inner| {
                let request = read::<types::MsgsStateReq>(&inner.body)?;
                Some((inner.msg_id, request.msg_ids.len()))
            })
            .collect();
        let (request, len) = script.pick(&questions).copied().unwrap_or((MsgId(4), 1));
        let len = if script.one_in(8) { script.below(8) } else { len };
        self.units += len;
        let info: Vec<u8> = (0..len).map(|_| [4, 1, 2, 3, 12, 0][script.below(6)]).collect();
        types::MsgsStateInfo { req_msg_id: request.0, info: info.into() }
    }

    fn id_sent(&mut self, script: &mut Script<'_>) -> MsgId {
        // The latest ones are of most interest.
        let recent = &self.sent[self.sent.len().saturating_sub(16)..];
        let from = if script.one_in(4) { &self.sent[..] } else { recent };
        let sent = script.pick(from).map(|inner| inner.msg_id);
        sent.unwrap_or_else(|| MsgId(script.i64()))
    }

    fn id_said(&mut self, script: &mut Script<'_>) -> MsgId {
        let said = script.pick(&self.said).map(|inner| inner.msg_id);
        said.unwrap_or_else(|| MsgId(script.i64()))
    }

    fn ids_sent(&mut self, script: &mut Script<'_>) -> Vec<i64> {
        let count = script.below(8);
        let mut ids: Vec<i64> = (0..count).map(|_| self.id_sent(script).0).collect();
        self.units += ids.iter().collect::<BTreeSet<_>>().len();
        if script.one_in(8) {
            // Named again and again, they stand for no more.
            ids = ids.repeat(200);
        }
        ids
    }

    fn ids_any(&mut self, script: &mut Script<'_>) -> Vec<i64> {
        let mut ids = self.ids_sent(script);
        for _ in 0..script.below(6) {
            ids.push(self.id_said(script).0);
        }
        self.units += 6;
        ids
    }

    fn id(&mut self, script: &mut Script<'_>, low_bits: i64) -> MsgId {
        let time = (self.now.unix.as_secs() as i64) << 32;
        self.last_id = (self.last_id + 4).max(time + 4) & !3;
        let id = self.last_id | low_bits;
        if !script.one_in(12) {
            return MsgId(id);
        }
        match script.below(5) {
            0 => MsgId(self.last_id),
            1 => MsgId(id + ((i64::from(script.byte()) - 200) << 34)),
            2 => self.id_said(script),
            3 => MsgId(id - 4 * i64::from(script.byte())),
            _ => MsgId(script.i64()),
        }
    }

    fn seq_no(&mut self, script: &mut Script<'_>, is_content: bool) -> i32 {
        if script.one_in(16) {
            return script.i32();
        }
        let seq_no = self.content * 2 + i32::from(is_content);
        self.content += i32::from(is_content);
        seq_no
    }

    fn pass(&mut self, script: &mut Script<'_>) {
        let span = match script.below(4) {
            0 => Duration::from_millis(u64::from(script.byte())),
            1 => Duration::from_secs(u64::from(script.byte())),
            2 => Duration::from_secs(1800 * u64::from(script.byte() % 4)),
            _ => {
                // The wall clock steps; the other one does not.
                let unix = self.now.unix.as_secs().saturating_add_signed(i64::from(script.i32()));
                // Not into the years in which seconds have no place in an id.
                self.now.unix = Duration::from_secs(unix.clamp(1_000_000_000, 2_000_000_000));
                return;
            }
        };
        self.now = later(self.now, span);
    }

    fn fire(&mut self) {
        let Some(due) = self.session.poll_timeout() else { return };
        self.now = later(self.now, due.saturating_sub(self.now.mono));
        self.session.handle_timeout(self.now);
        self.units += 1;
        self.drain();
        let next = self.session.poll_timeout();
        assert!(
            !self.is_open || next.is_none_or(|next| next > self.now.mono),
            "a timer that ran out runs again"
        );
    }

    fn drain(&mut self) {
        let bound = 64 + 8 * (self.units + self.open.len());
        let mut count = 0;
        let mut is_dead = false;
        while let Some(event) = self.session.poll_event() {
            count += 1;
            assert!(count <= bound, "{count} events of {} units", self.units);
            match event {
                ClientEvent::Answer(call, _) => {
                    assert!(self.open.remove(&call), "{call:?} is answered twice");
                    self.done.insert(call);
                }
                ClientEvent::LinkIsDead(_) => is_dead = true,
                _ => {}
            }
        }
        assert_eq!(self.session.calls(), self.open.len());
        let mut count = 0;
        while let Some(message) = self.session.poll_transmit(self.now) {
            assert!(self.is_open, "a packet without a link");
            count += self.hear(&message).len();
            assert!(count <= bound, "{count} messages because of {} units", self.units);
        }
        if is_dead {
            self.close();
            // Calls may end with their link.
            self.drain();
        }
    }

    /// Checks a packet of the client; what is in it.
    fn hear(&mut self, message: &Message) -> Vec<Inner> {
        let Header { session_id, msg_id, seq_no, .. } = message.header;
        assert_eq!(session_id, self.session.id());
        if session_id != self.session_id {
            self.session_id = session_id;
            self.by_id.clear();
            self.last_fresh = MsgId(0);
        }
        assert!(message.body.len() <= BODY_MAX);
        let mut inners = flatten(msg_id, seq_no, &message.body);
        let contents = inners.clone();
        if kind::id_of(&message.body) == container::ID {
            assert!((1..=1000).contains(&inners.len()) && seq_no % 2 == 0);
            assert!(inners.iter().all(|inner| inner.seq_no <= seq_no));
            inners.push(Inner { msg_id, seq_no, body: message.body.clone() });
        }
        for Inner { msg_id, seq_no, body } in &inners {
            assert!(msg_id.0 & 3 == 0 && msg_id.has_fraction(), "{msg_id}");
            let known = self.by_id.get(msg_id);
            if known.is_none() {
                assert!(*msg_id > self.last_fresh, "{msg_id} does not rise");
                self.last_fresh = *msg_id;
            }
            assert!(known.is_none_or(|known| *known == (*seq_no, body.clone())));
            self.by_id.insert(*msg_id, (*seq_no, body.clone()));
            if let Some(ack) = read::<types::MsgsAck>(body) {
                assert!(!ack.msg_ids.is_empty() && ack.msg_ids.len() <= 8192);
                assert!(seq_no % 2 == 0);
            }
        }
        self.sent.extend(inners);
        contents
    }

    /// An honest server, whose clock is right, takes over: within some minutes and a few links
    /// every call has its outcome, but for bare answers that the server before took with it.
    fn end(mut self) {
        self.units = 1000;
        self.drain();
        let mut honest = Honest::new(self.session.id());
        for _ in 0..300 {
            self.open_link();
            self.drain_into(&mut honest);
            if self.open.is_subset(&self.bare) {
                return;
            }
            self.now = later(self.now, Duration::from_secs(1));
            self.session.handle_timeout(self.now);
        }
        panic!("{} calls have no outcome", self.open.len());
    }

    fn drain_into(&mut self, honest: &mut Honest) {
        for round in 0.. {
            assert!(round < 1000, "the two talk without end");
            let mut packets = Vec::new();
            while let Some(message) = self.session.poll_transmit(self.now) {
                self.hear(&message);
                packets.push(message);
            }
            if packets.is_empty() {
                break;
            }
            for message in packets {
                for reply in honest.hear(self.now, message) {
                    if self.is_open && self.session.handle_message(self.now, reply).is_err() {
                        self.close();
                    }
                }
                self.drain_events();
            }
        }
        self.drain_events();
    }

    fn drain_events(&mut self) {
        let mut is_dead = false;
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Answer(call, _) => {
                    assert!(self.open.remove(&call), "{call:?} is answered twice");
                }
                ClientEvent::LinkIsDead(_) => is_dead = true,
                _ => {}
            }
        }
        if is_dead {
            self.close();
        }
    }
}

/// A server that keeps to the rules and answers every call.
struct Honest {
    session: ServerSession,
    links: u64,
}

impl Honest {
    fn new(id: SessionId) -> Self {
        let first = FirstSalt { value: 4711, created: START.unix_seconds() };
        let salts = ServerSalts::new(&[9; 32], AuthKeyId(5), first);
        let session = ServerSession::new(id, salts, server::SessionConfig::default(), rng(2));
        Self { session, links: 1 }
    }

    fn hear(&mut self, now: Now, message: Message) -> Vec<Message> {
        if message.header.session_id != self.session.id() {
            *self = Self { links: self.links + 1, ..Self::new(message.header.session_id) };
        }
        self.session.handle_message(now, LinkId(self.links), message);
        self.session.handle_timeout(now);
        let mut replies = Vec::new();
        loop {
            let mut is_idle = true;
            while let Some(event) = self.session.poll_event() {
                is_idle = false;
                if let ServerEvent::Call(call) = event {
                    let is_query = call.call.query.starts_with(&QUERY.to_le_bytes());
                    let result = is_query.then(|| query(7, 1));
                    let result = result.ok_or_else(|| RpcError::bad_request("TEST"));
                    self.session.answer(now, call.msg_id, result);
                } else if let ServerEvent::DestroySession { request, session_id } = event {
                    self.session.session_destroyed(now, request, session_id, true);
                } else if let ServerEvent::DestroyAuthKey { request } = event {
                    let outcome = server::KeyDestroyed::Fail;
                    self.session.auth_key_destroyed(now, request, outcome);
                }
            }
            while let Some((_, message)) = self.session.poll_transmit(now) {
                is_idle = false;
                replies.push(message);
            }
            if is_idle {
                return replies;
            }
        }
    }
}
