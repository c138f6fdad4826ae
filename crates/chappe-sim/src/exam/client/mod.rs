//! A server written by hand examines a client.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::client::SessionConfig;
use chappe_proto::session::container::{self, Inner};
use chappe_proto::transport::{Framing, Transport};
use chappe_proto::{LinkId, MsgId, Side, rpc};
use chappe_tl::Constructor;

use super::{Verdict, judged, require};
use crate::clock::Clock;
use crate::model::{Broken, Model, Wish};
use crate::node::Env;
use crate::peer::Peer;
use crate::trace::Trace;
use crate::wire::{self, Letter, Secret};
use crate::words::{self, Token, boxed, read};

mod contents;
mod lives;
mod messages;

/// One question to a client.
type Exam = fn(&mut Hand, &mut Rng) -> Verdict;

const EXAMS: &[(&str, Exam)] = &[
    ("foreign messages", messages::foreign),
    ("age", messages::age),
    ("pushes twice", messages::pushes_twice),
    ("wrong salts", messages::wrong_salts),
    ("wrong ids", messages::wrong_ids),
    ("a session given up", lives::session_given_up),
    ("refusals of nothing", messages::refusals_of_nothing),
    ("broken containers", contents::broken_containers),
    ("packed answers", contents::packed_answers),
    ("answers to others", contents::answers_to_others),
    ("acknowledgements", contents::acknowledgements),
    ("questions about states", contents::states),
    ("announced answers", contents::announced),
    ("old messages and the clock", messages::old_messages),
    ("its own words", messages::own_words),
    ("a new link", lives::new_link),
    ("silence", lives::silence),
    ("dropped calls", lives::dropped),
    ("future salts", messages::future_salts),
    ("a forgetful server", lives::forgetful_server),
    ("old announcements", messages::old_announcements),
    ("questions without a reply", lives::unanswered_questions),
];

const EPOCH: u64 = 1_800_000_000;
/// Most that an answer may unpack to.
const INFLATED_MAX: usize = 8192;

pub(super) fn run(rng: &mut Rng) -> Option<Broken> {
    let (name, exam) = EXAMS[rng.below(EXAMS.len() as u32) as usize];
    let mut hand = Hand::new(rng);
    let verdict = hand.settle_in().and_then(|()| exam(&mut hand, rng));
    judged(name, verdict).or_else(|| hand.model.broken().cloned())
}

/// What a client with calls open thinks nothing of.
const SILENCE: Duration = Duration::from_secs(7);

/// The hand-written server, with a client all for itself.
struct Hand {
    peer: Peer,
    model: Model,
    trace: Trace,
    at: Duration,
    secret: Secret,
    session: i64,
    last: i64,
    content: i32,
    token: u64,
    links: u64,
    /// Its calls may run twice.
    repeats: bool,
    /// Everything that the client has said and nobody looked at yet.
    heard: Vec<Letter>,
    unread: BytesMut,
}

impl Hand {
    fn new(rng: &mut Rng) -> Self {
        let mut rng = rng.fork();
        let secret: Secret = rng.bytes();
        let clock = Clock::new(EPOCH);
        let transport = Transport::plain(Framing::Intermediate);
        let mut config = SessionConfig::default();
        config.inflated_max_bytes = INFLATED_MAX;
        let key = Arc::new(AuthKey::new(secret));
        Self {
            peer: Peer::with_key(0, clock, transport, config, key, 1, rng.fork()),
            model: Model::default(),
            trace: Trace::new(false),
            at: Duration::ZERO,
            secret,
            session: 0,
            last: 0,
            content: 0,
            token: 7,
            links: 0,
            repeats: false,
            heard: Vec::new(),
            unread: BytesMut::new(),
        }
    }

    /// Opens a link, answers what a client asks first and lets everything be acknowledged.
    fn settle_in(&mut self) -> Verdict {
        self.connect();
        let said = self.said();
        let first = said.iter().map(|inner| inner.msg_id.0).min().ok_or("says nothing at first")?;
        let new = types::NewSession { first_msg_id: first, unique_id: 1, server_salt: 1 };
        self.tell(true, boxed(&new));
        for inner in said {
            if read::<functions::GetFutureSalts>(&inner.body).is_some() {
                self.give_salts(inner.msg_id.0, 1);
            }
            if let Some(ping) = read::<functions::PingDelayDisconnect>(&inner.body) {
                let pong = types::Pong { msg_id: inner.msg_id.0, ping_id: ping.ping_id };
                self.tell(false, boxed(&pong));
            }
        }
        self.wait(Duration::from_secs(31));
        self.said();
        require("does not settle", !self.is_over())
    }

    fn connect(&mut self) {
        self.links += 1;
        let link = LinkId(self.links);
        self.act(|peer, env| peer.open(env, link));
        // What announces the transport.
        let _ = self.unread.split_to(4.min(self.unread.len()));
        self.read();
    }

    fn reconnect(&mut self) {
        self.act(Peer::handle_end);
        self.unread.clear();
        self.connect();
    }

    fn act(&mut self, act: impl FnOnce(&mut Peer, &mut Env<'_>)) {
        let mut env = Env { at: self.at, model: &mut self.model, trace: &mut self.trace };
        act(&mut self.peer, &mut env);
        self.unread.unsplit(self.peer.outbound.split());
        self.session = self.peer.session().map_or(0, |session| session.0);
    }

    fn read(&mut self) {
        while let Some(len) = self.unread.first_chunk() {
            let len = u32::from_le_bytes(*len) as usize;
            let packet = self.unread.split_to(4 + len).split_off(4);
            self.heard.extend(wire::open(&self.secret, Side::Client, &packet));
        }
    }

    /// What the client has said since somebody asked last, out of its containers.
    fn said(&mut self) -> Vec<Inner> {
        self.letters()
            .into_iter()
            .flat_map(|letter| {
                let Letter { id, seq_no, body, .. } = letter;
                if words::id_of(&body) == container::ID {
                    container::unpack(MsgId(id), &body).unwrap_or_default()
                } else {
                    vec![Inner { msg_id: MsgId(id), seq_no, body }]
                }
            })
            .collect()
    }

    fn letters(&mut self) -> Vec<Letter> {
        self.read();
        std::mem::take(&mut self.heard)
    }

    fn said_as<T: Constructor>(&mut self) -> Vec<T> {
        self.said().iter().filter_map(|inner| read(&inner.body)).collect()
    }

    fn is_over(&self) -> bool {
        self.peer.is_over()
    }

    /// Makes the client call; gives the message of the call.
    fn call(&mut self) -> Result<(Token, Inner), String> {
        self.token += 8;
        // Small, and answered without an error.
        let token = Token(self.token << 7 | 0b111_0011);
        self.make_call(token);
        let said = self.said().into_iter().find(|inner| words::asked(&inner.body) == Some(token));
        said.map(|inner| (token, inner)).ok_or_else(|| "does not call".to_owned())
    }

    fn make_call(&mut self, token: Token) {
        let wish = Wish { is_repeatable: self.repeats, ..Wish::default() };
        self.act(|peer, env| peer.call(env, token, wish));
    }

    fn is_answered(&self, token: Token) -> bool {
        !self.model.open().any(|open| open == token)
    }

    /// The messages under which a call went out since somebody asked last.
    fn calls_said(&mut self, token: Token) -> Vec<Inner> {
        let mut said = self.said();
        said.retain(|inner| words::asked(&inner.body) == Some(token));
        said
    }

    fn id(&mut self, low: i64) -> i64 {
        let unix = self.peer.clock.now(self.at).unix;
        let fraction = (i64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        let time = ((unix.as_secs() as i64) << 32) | fraction;
        self.last = (self.last + 4).max(time & !3);
        self.last | low
    }

    /// Sends a packet as it is.
    fn throw(&mut self, packet: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_u32_le(packet.len() as u32);
        frame.extend_from_slice(packet);
        self.act(|peer, env| peer.handle_bytes(env, &frame));
    }

    fn say_in(&mut self, session: i64, id: i64, seq_no: i32, body: Bytes) {
        let letter = Letter { salt: 1, session, id, seq_no, body };
        let padding = vec![9; 12 + (16 - (32 + letter.body.len() + 12) % 16) % 16];
        self.throw(&wire::seal(&self.secret, Side::Server, &letter, &padding));
    }

    fn say(&mut self, id: i64, seq_no: i32, body: Bytes) {
        self.say_in(self.session, id, seq_no, body);
    }

    fn seq_no(&mut self, is_content: bool) -> i32 {
        let even = 2 * self.content;
        self.content += i32::from(is_content);
        even + i32::from(is_content)
    }

    fn tell(&mut self, is_content: bool, body: Bytes) -> i64 {
        let (id, seq_no) = (self.id(1), self.seq_no(is_content));
        self.say(id, seq_no, body);
        id
    }

    fn answer(&mut self, message: MsgId, token: Token) {
        let result = words::answer(token).unwrap_or_default();
        self.tell(true, rpc::result_body(message, &result));
    }

    fn refuse(&mut self, bad: MsgId, error_code: i32) {
        let notice = ctors::BadMsgNotification { bad_msg_id: bad.0, bad_msg_seqno: 1, error_code };
        self.tell(false, boxed(&notice));
    }

    fn give_salts(&mut self, req_msg_id: i64, first: i64) {
        let now = self.peer.clock.now(self.at).unix.as_secs() as i32;
        let salts = (0..4)
            .map(|number| types::FutureSalt {
                valid_since: now + 1800 * number,
                valid_until: now + 1800 * (number + 1),
                salt: first + i64::from(number),
            })
            .collect();
        self.tell(false, boxed(&types::FutureSalts { req_msg_id, now, salts }));
    }

    fn push(&mut self) -> Bytes {
        self.token += 8;
        let token = Token(self.token << 6 | 0b11_1000);
        self.model.pushed(token, chappe_proto::SessionId(self.session));
        words::push(token)
    }

    /// Lets time pass, with the client's timers.
    /// Waits, and says now and then what means nothing, lest the client takes the link for dead.
    fn stay(&mut self, span: Duration) {
        let mut left = span;
        while left > SILENCE {
            self.wait(SILENCE);
            self.tell(false, boxed(&types::MsgsAck { msg_ids: vec![] }));
            left -= SILENCE;
        }
        self.wait(left);
    }

    fn wait(&mut self, span: Duration) {
        let end = self.at + span;
        while let Some(due) = self.peer.poll_timeout().filter(|due| *due <= end) {
            self.at = self.at.max(due);
            self.act(Peer::handle_timeout);
            if self.is_over() {
                break;
            }
        }
        self.at = end;
    }
}
