//! A client written by hand examines a node.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::inbox::InboxLimits;
use chappe_proto::session::outbox::OutboxLimits;
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::{LinkId, MsgId, SessionId, Side, rpc};
use chappe_tl::Constructor;

use super::{Verdict, judged};
use crate::clock::Clock;
use crate::model::{Broken, Model};
use crate::node::{Env, Node, NodeConfig, Order};
use crate::trace::Trace;
use crate::wire::{self, Letter, Secret};
use crate::words::{self, Question, Token, boxed, read};

mod contents;
mod lives;
mod messages;

/// One question to a node.
type Exam = fn(&mut Hand, &mut Rng) -> Verdict;

const EXAMS: &[(&str, Exam)] = &[
    ("age", messages::age),
    ("salts", messages::salts),
    ("parity of ids", messages::parity),
    ("the same again", messages::again),
    ("a forgotten session", lives::forgotten),
    ("containers", contents::containers),
    ("broken containers", contents::broken_containers),
    ("sequence numbers", messages::sequence),
    ("states", contents::states),
    ("packed calls", contents::packed),
    ("dropped answers", lives::dropped),
    ("slow calls", lives::slow),
    ("a second link", lives::second_link),
    ("bounds", lives::bounds),
    ("destroyed keys", lives::destroyed),
    ("damage", messages::damage),
    ("two sessions", lives::two_sessions),
    ("order", messages::order),
    ("future salts", messages::future_salts),
    ("disconnect delay", lives::disconnect),
    ("new sessions", lives::new_sessions),
    ("requests to resend", contents::resend),
    ("the window", messages::window),
    ("copies", contents::copies),
];

/// Seconds after a change of salts at which exams begin.
const PHASE: u64 = 900;
const EPOCH: u64 = 1_800_000_000;
/// Limits small enough to be reached.
const CALLS_MAX: usize = 6;
const INFLATED_MAX: usize = 8192;
const OWED_MAX: usize = 10;

pub(super) fn run(rng: &mut Rng) -> Option<Broken> {
    let (name, exam) = EXAMS[rng.below(EXAMS.len() as u32) as usize];
    let mut hand = Hand::new(rng);
    let verdict = exam(&mut hand, rng);
    judged(name, verdict).or_else(|| hand.model.broken().cloned())
}

/// The hand-written client, with a node all for itself.
struct Hand {
    node: Node,
    model: Model,
    trace: Trace,
    at: Duration,
    link: LinkId,
    secret: Secret,
    session: i64,
    salts: ServerSalts,
    last: i64,
    content: i32,
    rng: Rng,
}

/// What came back.
#[derive(Debug, Default)]
struct Heard {
    messages: Vec<Inner>,
    /// Ids of the containers that they came in.
    containers: Vec<i64>,
    ran: Vec<MsgId>,
    errors: Vec<i32>,
    is_closed: bool,
}

impl Heard {
    fn all<T: Constructor>(&self) -> Vec<T> {
        self.messages.iter().filter_map(|inner| read(&inner.body)).collect()
    }

    fn has<T: Constructor>(&self) -> bool {
        !self.all::<T>().is_empty()
    }

    /// Codes of refusals, with what they refuse.
    fn refusals(&self) -> Vec<(i64, i32)> {
        let refusals = self.all::<ctors::BadMsgNotification>().into_iter();
        refusals.map(|bad| (bad.bad_msg_id, bad.error_code)).collect()
    }

    /// Results: of which message, what.
    fn results(&self) -> Vec<(i64, Bytes)> {
        let results = self.messages.iter().filter(|inner| words::id_of(&inner.body) == rpc::RESULT);
        results.map(|inner| (words::long_at(&inner.body, 4), inner.body.slice(12..))).collect()
    }

    fn acks(&self) -> Vec<i64> {
        self.all::<types::MsgsAck>().into_iter().flat_map(|ack| ack.msg_ids).collect()
    }
}

impl Hand {
    fn new(rng: &mut Rng) -> Self {
        let mut rng = rng.fork();
        let secret: Secret = rng.bytes();
        let mut config = NodeConfig::default();
        config.session.calls_max = CALLS_MAX;
        config.session.inflated_max_bytes = INFLATED_MAX;
        config.session.outbox = OutboxLimits::new(OWED_MAX, 1 << 20);
        config.session.inbox = InboxLimits::SERVER.with_ids(12, 12);
        let mut node = Node::new(Clock::new(EPOCH + PHASE), config, None, rng.fork());
        let first = FirstSalt { value: 1, created: EPOCH as i64 - 86_400 };
        node.keep_key(AuthKey::new(secret), first);
        let salts = node.salts(wire::key_id(&secret)).expect("the key was just kept");
        let mut hand = Self {
            node,
            model: Model::default(),
            trace: Trace::new(false),
            at: Duration::ZERO,
            link: LinkId(0),
            secret,
            session: rng.u64() as i64 | 1,
            salts,
            last: 0,
            content: 0,
            rng,
        };
        hand.connect();
        hand
    }

    /// Opens a link and leaves the one before open.
    fn connect(&mut self) {
        self.link = LinkId(self.link.0 + 1);
        let link = self.link;
        self.act(|node, env| {
            node.accept(env, link);
            node.handle_bytes(env, link, &[0xee; 4]);
        });
    }

    fn act(&mut self, act: impl FnOnce(&mut Node, &mut Env<'_>)) -> Heard {
        let mut env = Env { at: self.at, model: &mut self.model, trace: &mut self.trace };
        act(&mut self.node, &mut env);
        let mut heard = Heard::default();
        loop {
            let orders = std::mem::take(&mut self.node.orders);
            if orders.is_empty() {
                return heard;
            }
            for order in orders {
                match order {
                    Order::Send(link, bytes) if link == self.link => self.read(&bytes, &mut heard),
                    Order::Send(..) => {}
                    Order::Close(link) => heard.is_closed |= link == self.link,
                    Order::FindKey(link, key) => {
                        let (model, trace) = (&mut self.model, &mut self.trace);
                        let mut env = Env { at: self.at, model, trace };
                        self.node.key_found(&mut env, link, key);
                    }
                    Order::Run(_, _, call) => {
                        heard.ran.push(call.msg_id);
                    }
                }
            }
        }
    }

    fn read(&mut self, mut bytes: &[u8], heard: &mut Heard) {
        while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
            let len = u32::from_le_bytes(*len) as usize;
            let (packet, rest) = rest.split_at(len.min(rest.len()));
            bytes = rest;
            if let Ok(code) = <[u8; 4]>::try_from(packet) {
                heard.errors.push(i32::from_le_bytes(code));
                continue;
            }
            let Some(letter) = wire::open(&self.secret, Side::Server, packet) else {
                heard.errors.push(0);
                continue;
            };
            let (id, body) = (MsgId(letter.id), letter.body);
            if words::id_of(&body) == container::ID {
                heard.containers.push(letter.id);
                heard.messages.extend(container::unpack(id, &body).unwrap_or_default());
            } else {
                heard.messages.push(Inner { msg_id: id, seq_no: letter.seq_no, body });
            }
        }
    }

    /// Sends a packet as it is.
    fn throw(&mut self, packet: &[u8]) -> Heard {
        let mut frame = BytesMut::new();
        frame.put_u32_le(packet.len() as u32);
        frame.extend_from_slice(packet);
        let link = self.link;
        self.act(|node, env| node.handle_bytes(env, link, &frame))
    }

    fn letter(&mut self, id: i64, seq_no: i32, body: Bytes) -> Letter {
        let salt = self.salts.current(self.second()).value;
        Letter { salt, session: self.session, id, seq_no, body }
    }

    fn post(&mut self, letter: &Letter) -> Heard {
        let least =
            (12 + 15 - (32 + letter.body.len() + 12 + 15) % 16) + 16 * self.rng.below(8) as usize;
        let mut padding = vec![0; least];
        self.rng.fill(&mut padding);
        let packet = wire::seal(&self.secret, Side::Client, letter, &padding);
        self.throw(&packet)
    }

    /// Sends a message under these numbers.
    fn say(&mut self, id: i64, seq_no: i32, body: Bytes) -> Heard {
        let letter = self.letter(id, seq_no, body);
        self.post(&letter)
    }

    fn number(&mut self, is_content: bool, body: Bytes) -> Inner {
        let (msg_id, seq_no) = (MsgId(self.id()), 2 * self.content + i32::from(is_content));
        self.content += i32::from(is_content);
        Inner { msg_id, seq_no, body }
    }

    fn send(&mut self, is_content: bool, body: Bytes) -> (i64, Heard) {
        let Inner { msg_id, seq_no, body } = self.number(is_content, body);
        (msg_id.0, self.say(msg_id.0, seq_no, body))
    }

    /// Makes a call.
    fn call(&mut self) -> (i64, Heard) {
        let body = self.question();
        self.send(true, body)
    }

    fn question(&mut self) -> Bytes {
        // Small, and answered without an error.
        words::question(Token(u64::from(self.rng.u32()) << 7 | 0b111_0011), Question::Plain)
    }

    fn ping(&mut self) -> (i64, Heard) {
        self.send(false, boxed(&functions::Ping { ping_id: 5 }))
    }

    fn acknowledge(&mut self, ids: Vec<i64>) {
        self.send(false, boxed(&types::MsgsAck { msg_ids: ids }));
    }

    /// Ends the handler of a call.
    fn answer(&mut self, call: i64, result: Result<Bytes, rpc::RpcError>) -> Heard {
        let session = (wire::key_id(&self.secret), SessionId(self.session));
        self.act(|node, env| node.answer(env, session, MsgId(call), result))
    }

    /// Lets time pass, with the node's timers.
    fn wait(&mut self, span: Duration) -> Heard {
        let end = self.at + span;
        let mut all = Heard::default();
        while let Some(due) = self.node.poll_timeout().filter(|due| *due <= end) {
            self.at = self.at.max(due);
            let heard = self.act(Node::handle_timeout);
            all.messages.extend(heard.messages);
            all.containers.extend(heard.containers);
            all.errors.extend(heard.errors);
            all.is_closed |= heard.is_closed;
        }
        self.at = end;
        all
    }

    fn unix(&self) -> Duration {
        self.node.clock.now(self.at).unix
    }

    fn second(&self) -> i64 {
        self.unix().as_secs() as i64
    }

    /// The id of this moment by the node's clock, moved by some milliseconds.
    fn id_at(&self, millis: i64) -> i64 {
        let millis = self.unix().as_millis() as i64 + millis;
        let fraction = (millis.rem_euclid(1000) << 32) / 1000;
        (millis.div_euclid(1000) << 32 | fraction & !3).max(4)
    }

    fn id(&mut self) -> i64 {
        self.last = (self.last + 4).max(self.id_at(0) | 4);
        self.last
    }

    /// Lets the ids of forgotten sessions be forgotten as well.
    fn forget_ids(&mut self) {
        let link = self.link;
        self.act(|node, env| node.handle_end(env, link));
        self.at += Duration::from_secs(901);
        self.act(Node::reap);
        self.connect();
    }

    fn forget(&mut self) {
        let session = (wire::key_id(&self.secret), SessionId(self.session));
        self.act(|node, env| {
            node.forget(env, session);
        });
    }
}
