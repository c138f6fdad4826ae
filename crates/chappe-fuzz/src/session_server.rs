//! A server's session, and a client that says what the script wants: containers, copies,
//! acknowledgements, questions, on several links that come and go, while time passes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::kind;
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::session::server::{KeyDestroyed, ServerEvent, ServerSession, SessionConfig};
use chappe_proto::{LinkId, MsgId, Now, SessionId};
use chappe_tl::Raw;

use crate::identity::{START, later, rng};
use crate::script::Script;
use crate::words::{boxed, copy, encoded, flatten, perhaps_damaged, query, read};

/// Most steps of one run.
const STEPS_MAX: usize = 200;
const SESSION: SessionId = SessionId(77);

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    script.play(STEPS_MAX, |script| world.step(script));
    world.end();
}

struct World {
    session: ServerSession,
    salts: ServerSalts,
    now: Now,
    /// Links are numbered on; the last few are open.
    last_link: u64,
    open: Vec<LinkId>,
    /// Everything that was sent to the session.
    said: Vec<Inner>,
    last_id: i64,
    content: i32,
    queries: u32,
    running: Vec<MsgId>,
    /// Calls handed out; each once (MSG-39).
    ran: BTreeSet<MsgId>,
    /// Calls that the client asked to drop: their answers may be lost on the way.
    dropped: BTreeSet<MsgId>,
    /// What the session sent under each id: the same whenever it sends it again.
    heard: BTreeMap<MsgId, (i32, Bytes)>,
    results: BTreeMap<MsgId, MsgId>,
    announced: BTreeSet<MsgId>,
    /// Messages and ids named in this step, and messages that the session may still owe.
    units: usize,
    owed_max: usize,
    forgotten: bool,
}

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let first = FirstSalt { value: 4711, created: START.unix_seconds() - 86_400 };
        let salts = ServerSalts::new(&[9; 32], AuthKeyId(5), first);
        let mut config = SessionConfig::default();
        if script.one_in(2) {
            // Small bounds, so that a script of few bytes reaches them.
            config.calls_max = 4;
            config.outbox.messages_max = 6;
            config.outbox.bytes_max = 4096;
            config.inbox = config.inbox.with_ids(8, 16);
        }
        Self {
            session: ServerSession::new(SESSION, salts.clone(), config, rng(2)),
            salts,
            now: START,
            last_link: 1,
            open: vec![LinkId(1)],
            said: Vec::new(),
            last_id: 0,
            content: 0,
            queries: 0,
            running: Vec::new(),
            ran: BTreeSet::new(),
            dropped: BTreeSet::new(),
            heard: BTreeMap::new(),
            results: BTreeMap::new(),
            announced: BTreeSet::new(),
            units: 0,
            owed_max: 0,
            forgotten: false,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        self.units = 0;
        match script.below(16) {
            0..=4 => {
                let inner = self.message(script, 0);
                self.say(script, inner);
            }
            5..=7 => self.say_container(script),
            8..=9 => self.answer(script),
            10 => {
                self.owed_max += 1;
                let body = query(0, usize::from(script.byte()) * 8);
                self.session.push(self.now, body);
            }
            11 => self.pass(script),
            12 => self.fire(),
            13 => self.change_links(script),
            14 => self.repeat(script),
            _ => match script.below(4) {
                0 => self.forget(),
                _ => self.say_anything(script),
            },
        }
        // A script may leave what is ready where it is for some steps.
        if !script.one_in(4) {
            self.drain();
        }
    }

    fn say(&mut self, script: &mut Script<'_>, Inner { msg_id, seq_no, body }: Inner) {
        let salt = if script.one_in(16) { script.i64() } else { self.salt() };
        let link = script.pick(&self.open).copied().unwrap_or_else(|| self.open_link());
        let header = Header { salt, session_id: SESSION, msg_id, seq_no };
        self.units += 1;
        self.session.handle_message(self.now, link, Message { header, body });
    }

    fn open_link(&mut self) -> LinkId {
        self.last_link += 1;
        self.open.push(LinkId(self.last_link));
        LinkId(self.last_link)
    }

    fn salt(&self) -> i64 {
        self.salts.current(self.now.unix_seconds()).value
    }

    fn say_container(&mut self, script: &mut Script<'_>) {
        let inners: Vec<Inner> = (0..script.below(6)).map(|_| self.message(script, 0)).collect();
        self.units += inners.len();
        let body = perhaps_damaged(script, container::pack(&inners));
        let msg_id = self.id(script);
        let seq_no = self.seq_no(script, false);
        let outer = Inner { msg_id, seq_no, body };
        self.said.push(outer.clone());
        self.say(script, outer);
    }

    /// One more message of the client; its numbers are mostly right.
    fn message(&mut self, script: &mut Script<'_>, depth: usize) -> Inner {
        let (is_content, body) = self.body(script, depth);
        let body = perhaps_damaged(script, body);
        let msg_id = self.id(script);
        let seq_no = self.seq_no(script, is_content);
        let inner = Inner { msg_id, seq_no, body };
        self.said.push(inner.clone());
        inner
    }

    fn body(&mut self, script: &mut Script<'_>, depth: usize) -> (bool, Bytes) {
        let body = match script.below(20) {
            0..=3 => return (true, self.query(script)),
            4 => return (true, self.wrapped(script)),
            5 => boxed(&functions::Ping { ping_id: 1 }),
            6 => {
                let disconnect_delay = script.i32();
                boxed(&functions::PingDelayDisconnect { ping_id: 2, disconnect_delay })
            }
            7 => boxed(&functions::GetFutureSalts { num: script.i32() }),
            8..=10 => boxed(&types::MsgsAck { msg_ids: self.ids_heard(script) }),
            11 => boxed(&types::MsgsStateReq { msg_ids: self.ids_any(script) }),
            12 => boxed(&ctors::MsgResendReq { msg_ids: self.ids_heard(script) }),
            13 => boxed(&ctors::MsgResendAnsReq { msg_ids: self.ids_any(script) }),
            14 => {
                let msg_ids = self.ids_heard(script);
                let info = vec![if script.one_in(2) { 4 } else { 1 }; msg_ids.len()].into();
                boxed(&types::MsgsAllInfo { msg_ids, info })
            }
            15 => {
                let call = self.id_said(script);
                self.dropped.insert(call);
                boxed(&functions::RpcDropAnswer { req_msg_id: call.0 })
            }
            16 => {
                let session_id = if script.one_in(2) { SESSION.0 } else { script.i64() };
                boxed(&functions::DestroySession { session_id })
            }
            17 => boxed(&functions::DestroyAuthKey {}),
            18 if depth == 0 => {
                let inner = self.message(script, depth + 1);
                copy(&inner)
            }
            _ => boxed(&types::HttpWait { max_delay: 1, wait_after: 2, max_wait: 3 }),
        };
        (false, body)
    }

    fn query(&mut self, script: &mut Script<'_>) -> Bytes {
        self.queries += 1;
        query(self.queries, script.below(8))
    }

    fn wrapped(&mut self, script: &mut Script<'_>) -> Bytes {
        let inner = self.query(script);
        let after = self.id_said(script).0;
        match script.below(4) {
            0 => encoded(&functions::InvokeAfterMsg { msg_id: after, query: Raw(inner) }),
            1 => {
                let msg_ids = self.ids_any(script);
                encoded(&functions::InvokeAfterMsgs { msg_ids, query: Raw(inner) })
            }
            2 => chappe_tl::gzip::deflate(&query(self.queries, 200))
                .map_or(inner, |packed| chappe_proto::rpc::gzip_packed(&packed)),
            _ => encoded(&functions::InvokeWithLayer { layer: 230, query: Raw(inner) }),
        }
    }

    fn ids_heard(&mut self, script: &mut Script<'_>) -> Vec<i64> {
        let known: Vec<MsgId> = self.heard.keys().copied().collect();
        let ids: Vec<i64> =
            (0..script.below(6)).filter_map(|_| script.pick(&known)).map(|id| id.0).collect();
        self.units += ids.len();
        ids
    }

    fn ids_any(&mut self, script: &mut Script<'_>) -> Vec<i64> {
        let mut ids = self.ids_heard(script);
        for _ in 0..script.below(6) {
            ids.push(self.id_said(script).0);
        }
        self.units += ids.len();
        ids
    }

    fn id_said(&mut self, script: &mut Script<'_>) -> MsgId {
        let said = script.pick(&self.said).map(|inner| inner.msg_id);
        said.unwrap_or_else(|| MsgId(script.i64()))
    }

    /// The next id, or now and then one that is old, early, late or no client's.
    fn id(&mut self, script: &mut Script<'_>) -> MsgId {
        let time = (self.now.unix.as_secs() as i64) << 32;
        self.last_id = (self.last_id + 4).max(time + 4);
        if !script.one_in(8) {
            return MsgId(self.last_id);
        }
        match script.below(5) {
            0 => MsgId(self.last_id + 1),
            1 => MsgId(self.last_id + ((i64::from(script.byte()) - 200) << 34)),
            2 => self.id_said(script),
            3 => MsgId(self.last_id - 4 * i64::from(script.byte())),
            _ => MsgId(script.i64()),
        }
    }

    fn seq_no(&mut self, script: &mut Script<'_>, is_content: bool) -> i32 {
        let seq_no = self.content * 2 + i32::from(is_content);
        if script.one_in(16) {
            return script.i32();
        }
        self.content += i32::from(is_content);
        seq_no
    }

    fn answer(&mut self, script: &mut Script<'_>) {
        if self.running.is_empty() {
            return;
        }
        let call = self.running.swap_remove(script.below(self.running.len().min(256)));
        let result = match script.below(4) {
            0 => Err(RpcError::bad_request("TEST_FAILED")),
            1 => Ok(query(1, 2000)),
            _ => Ok(query(1, script.below(4))),
        };
        self.owed_max += 1;
        self.session.answer(self.now, call, result);
    }

    fn pass(&mut self, script: &mut Script<'_>) {
        let span = match script.below(3) {
            0 => Duration::from_millis(u64::from(script.byte())),
            1 => Duration::from_secs(u64::from(script.byte())),
            _ => Duration::from_secs(1800 * u64::from(script.byte() % 4)),
        };
        self.now = later(self.now, span);
    }

    /// Lets the session's own timer run out.
    fn fire(&mut self) {
        let Some(due) = self.session.poll_timeout() else { return };
        self.now = later(self.now, due.saturating_sub(self.now.mono));
        self.session.handle_timeout(self.now);
        self.drain();
        let next = self.session.poll_timeout();
        assert!(next.is_none_or(|next| next > due), "a timer that ran out runs again");
    }

    fn change_links(&mut self, script: &mut Script<'_>) {
        if script.one_in(2) || self.open.is_empty() {
            self.open_link();
        }
        if self.open.len() > 3 || script.one_in(2) {
            let link = self.open.remove(script.below(self.open.len()));
            self.session.handle_link_closed(link);
        }
    }

    fn repeat(&mut self, script: &mut Script<'_>) {
        if let Some(inner) = script.pick(&self.said).cloned() {
            self.say(script, inner);
        }
    }

    fn say_anything(&mut self, script: &mut Script<'_>) {
        let msg_id = MsgId(script.i64());
        let seq_no = script.i32();
        let body = Bytes::copy_from_slice(script.bytes(128));
        self.units += body.len() / 8;
        self.say(script, Inner { msg_id, seq_no, body });
    }

    /// The session is forgotten. Ids are remembered for 330 s more; an older one comes back in a
    /// container only, whose own id proves that its client means it (MSG-39).
    fn forget(&mut self) {
        self.session.forget(self.now);
        self.heard.clear();
        self.forgotten = true;
        let is_remembered = |id: &MsgId| id.time() + Duration::from_secs(330) >= self.now.unix;
        self.ran.retain(is_remembered);
        self.results.retain(|id, _| is_remembered(id));
    }

    /// Takes everything that the session wants done and sent, and checks it.
    fn drain(&mut self) {
        let units = self.units;
        self.owed_max += units;
        let bound = 64 + 8 * (units + self.owed_max);
        let mut count = 0;
        while let Some(event) = self.session.poll_event() {
            count += 1;
            assert!(count <= bound, "{count} events of {units} messages");
            self.heed(event);
        }
        let mut count = 0;
        while let Some((link, message)) = self.session.poll_transmit(self.now) {
            count += 1;
            assert!(count <= bound, "{count} packets because of {units} messages");
            self.hear(link, &message);
        }
    }

    fn heed(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Call(call) => {
                assert!(self.ran.insert(call.msg_id), "a call is handed out twice");
                self.running.push(call.msg_id);
            }
            // It may have been answered meanwhile.
            ServerEvent::CallDropped(_) => {}
            ServerEvent::DestroySession { request, session_id } => {
                self.session.session_destroyed(self.now, request, session_id, true);
            }
            ServerEvent::DestroyAuthKey { request } => {
                self.session.auth_key_destroyed(self.now, request, KeyDestroyed::Fail);
            }
            ServerEvent::DisconnectAfter(_, delay) => assert!(delay <= Duration::from_secs(3600)),
            ServerEvent::CloseLink(link, _) => {
                self.open.retain(|open| *open != link);
                self.session.handle_link_closed(link);
            }
        }
    }

    fn hear(&mut self, link: LinkId, message: &Message) {
        let Header { salt, session_id, msg_id, seq_no } = message.header;
        assert_eq!((session_id, salt), (SESSION, self.salt()));
        assert!(self.open.contains(&link), "a packet for a link that is closed");
        let inners = flatten(msg_id, seq_no, &message.body);
        if kind::id_of(&message.body) == container::ID {
            assert!(!inners.is_empty() && inners.len() <= container::MESSAGES_MAX);
            assert!(seq_no % 2 == 0 && inners.iter().all(|inner| inner.seq_no <= seq_no));
            self.note(msg_id, seq_no, &message.body);
        }
        for inner in inners {
            self.note(inner.msg_id, inner.seq_no, &inner.body);
            if inner.body.starts_with(&chappe_proto::rpc::RESULT.to_le_bytes()) {
                let call = inner.body[4..12].try_into().map(i64::from_le_bytes).unwrap();
                let answer = *self.results.entry(MsgId(call)).or_insert(inner.msg_id);
                assert_eq!(answer, inner.msg_id, "a call is answered twice");
            }
            if let Some(info) = read::<ctors::MsgDetailedInfo>(&inner.body) {
                self.announced.insert(MsgId(info.msg_id));
            }
            if let Some(bad) = read::<ctors::BadMsgNotification>(&inner.body) {
                assert!(matches!(bad.error_code, 16..=20 | 32..=35 | 64), "{bad:?}");
            }
        }
    }

    /// A message is the same whenever it is sent; ids and sequence numbers rise together.
    fn note(&mut self, msg_id: MsgId, seq_no: i32, body: &Bytes) {
        assert!(msg_id.0 & 1 == 1 && msg_id.has_fraction(), "{msg_id}");
        let known = self.heard.entry(msg_id).or_insert_with(|| (seq_no, body.clone()));
        assert_eq!(*known, (seq_no, body.clone()), "{msg_id} means two messages");
        let rises = |older: i32, newer: i32| older < newer || (older == newer && older % 2 == 0);
        let below = self.heard.range(..msg_id).next_back();
        assert!(below.is_none_or(|(_, (below, _))| rises(*below, seq_no)), "{msg_id} after");
        let above = self.heard.range(MsgId(msg_id.0 + 1)..).next();
        assert!(above.is_none_or(|(_, (above, _))| rises(seq_no, *above)), "{msg_id} before");
    }

    /// Everything is answered and heard: nothing is left over.
    fn end(mut self) {
        self.units = 1;
        self.now = later(self.now, Duration::from_secs(2));
        self.session.handle_timeout(self.now);
        self.drain();
        while let Some(call) = self.running.pop() {
            self.owed_max += 1;
            self.session.answer(self.now, call, Ok(query(1, 1)));
            self.drain();
        }
        // A minute later no id of the script is ahead of this one.
        self.now = later(self.now, Duration::from_secs(60));
        let link = self.open_link();
        let header = Header {
            salt: self.salt(),
            session_id: SESSION,
            msg_id: MsgId(((self.now.unix.as_secs() as i64) << 32) + 4),
            seq_no: i32::MAX - 1,
        };
        let body = boxed(&functions::Ping { ping_id: 9 });
        self.session.handle_message(self.now, link, Message { header, body });
        self.drain();
        let is_heard = self.session.links().contains(&link);
        for link in self.session.links().to_vec() {
            self.session.handle_link_closed(link);
        }
        assert!(self.session.is_idle(), "something still runs");
        // What a bounded outbox or a forgotten session gave up is lost, as it says.
        if is_heard && self.session.dropped() == 0 && !self.forgotten {
            for call in &self.ran {
                let is_known = self.results.contains_key(call)
                    || self.announced.contains(call)
                    || self.dropped.contains(call);
                assert!(is_known, "call {call} was never answered");
            }
        }
    }
}
