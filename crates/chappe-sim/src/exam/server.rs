//! A client written by hand examines a node.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::rpc;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::inbox::InboxLimits;
use chappe_proto::session::outbox::OutboxLimits;
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::{LinkId, MsgId, SessionId, Side};
use chappe_tl::{Constructor, Raw, gzip};

use super::{Verdict, expect, judged, require};
use crate::clock::Clock;
use crate::model::{Broken, Model};
use crate::node::{Env, Node, NodeConfig, Order};
use crate::trace::Trace;
use crate::wire::{self, Letter, Secret};
use crate::words::{self, Question, Token, boxed, read};

/// One question to a node.
type Exam = fn(&mut Hand, &mut Rng) -> Verdict;

const EXAMS: &[(&str, Exam)] = &[
    ("age", age),
    ("salts", salts),
    ("parity of ids", parity),
    ("the same again", again),
    ("a forgotten session", forgotten),
    ("containers", containers),
    ("broken containers", broken_containers),
    ("sequence numbers", sequence),
    ("states", states),
    ("packed calls", packed),
    ("dropped answers", dropped),
    ("slow calls", slow),
    ("a second link", second_link),
    ("bounds", bounds),
    ("destroyed keys", destroyed),
    ("damage", damage),
    ("two sessions", two_sessions),
    ("order", order),
    ("future salts", future_salts),
    ("disconnect delay", disconnect),
    ("new sessions", new_sessions),
    ("requests to resend", resend),
    ("the window", window),
    ("copies", copies),
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

/// MSG-11: an id may be 300 s old and 30 s ahead.
fn age(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let edge = [-300_000, 30_000][rng.below(2) as usize];
    let off = 100 + i64::from(rng.below(900)) + 200_000 * i64::from(rng.below(4) / 3);
    let inside = rng.below(2) == 0;
    let millis = if (edge < 0) == inside { edge + off.min(29_000) } else { edge - off };
    let id = hand.id_at(millis);
    let body = hand.question();
    let heard = hand.say(id, 1, body);
    if inside {
        expect("runs", heard.ran.len(), 1)
    } else {
        require("runs", heard.ran.is_empty())?;
        expect("refusals", heard.refusals(), vec![(id, if edge < 0 { 16 } else { 17 })])
    }
}

/// SES-20, SES-21: a salt is accepted from 60 s before its time to 1800 s after it.
fn salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    // Near where the answer changes, on either side.
    let edge = [-60, 0, 1800, 3600][rng.below(4) as usize];
    let epoch = EPOCH as i64 + 1800 * i64::from(rng.below(3));
    let salt = hand.salts.current(epoch).value;
    let second = epoch + edge - 2 + i64::from(rng.below(4));
    hand.node.clock.step((second - hand.second()) * 1000 + i64::from(rng.below(1000)));
    let is_valid = (epoch - 60..epoch + 3600).contains(&hand.second());
    let id = hand.id();
    let body = hand.question();
    let letter = Letter { salt, ..hand.letter(id, 1, body) };
    let heard = hand.post(&letter);
    expect("runs", heard.ran.len(), usize::from(is_valid))?;
    expect("is corrected", heard.has::<ctors::BadServerSalt>(), !is_valid)?;
    for bad in heard.all::<ctors::BadServerSalt>() {
        expect("new salt", bad.new_server_salt, hand.salts.current(hand.second()).value)?;
        expect("bad message", bad.bad_msg_id, id)?;
    }
    Ok(())
}

/// MSG-07, MSG-10: a client's ids are divisible by four; they need no fraction.
fn parity(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let low = i64::from(rng.below(4));
    let id = match low {
        0 => hand.second() << 32,
        low => hand.id_at(0) & !3 | low,
    };
    let body = hand.question();
    let heard = hand.say(id, 1, body);
    expect("runs", heard.ran.len(), usize::from(low == 0))?;
    let refusals = if low == 0 { vec![] } else { vec![(id, 18)] };
    expect("refusals", heard.refusals(), refusals)
}

/// 04-messages §7: a message that came before is acknowledged or answered again, and not run.
fn again(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.question();
    let Inner { msg_id, seq_no, body } = hand.number(true, body);
    let first = hand.say(msg_id.0, seq_no, body.clone());
    expect("runs", first.ran.len(), 1)?;
    let is_answered = rng.below(2) == 0;
    let result = if is_answered {
        hand.answer(msg_id.0, Ok(Bytes::from_static(&[1; 8]))).results()
    } else {
        Vec::new()
    };
    for _ in 0..1 + rng.below(4) {
        hand.call();
    }
    let second = if rng.below(2) == 0 {
        hand.say(msg_id.0, seq_no, body)
    } else {
        let inner = Inner { msg_id, seq_no, body };
        hand.send(false, container::pack(&[inner])).1
    };
    require("runs again", second.ran.is_empty())?;
    if is_answered {
        expect("answer", second.results(), result)
    } else {
        expect("acknowledged", second.acks(), vec![msg_id.0])
    }
}

/// MSG-39: what ran before a session was forgotten does not run after it.
fn forgotten(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (id, _) = hand.call();
    let body = hand.question();
    let calls: Vec<i64> = (0..rng.below(3)).map(|_| hand.call().0).collect();
    for _ in 0..1 + rng.below(3) {
        hand.wait(Duration::from_millis(u64::from(rng.below(90_000))));
        if rng.below(3) == 0 {
            hand.ping();
        }
        hand.forget();
    }
    let heard = hand.say(id, 1, body.clone());
    require("runs again", heard.ran.is_empty())?;
    for id in calls {
        require("another runs again", hand.say(id, 3, body.clone()).ran.is_empty())?;
    }
    // Inside a container it may be of any age, and its id is not remembered for ever.
    hand.wait(Duration::from_secs(331));
    hand.forget();
    hand.forget_ids();
    let inner = Inner { msg_id: MsgId(id), seq_no: 1, body };
    hand.content = 8;
    let greeted = hand.ping().1.has::<types::NewSession>();
    require("is known", greeted)?;
    let (_, heard) = hand.send(false, container::pack(&[inner]));
    require("runs after all was forgotten", heard.ran.is_empty())?;
    expect("refusals", heard.refusals(), vec![(id, 20)])
}

/// MSG-20, MSG-25: all that is in a container counts as if it had come alone.
fn containers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let count = 1 + rng.below(CALLS_MAX as u32);
    let inners: Vec<Inner> = (0..count)
        .map(|_| {
            let body = hand.question();
            hand.number(true, body)
        })
        .collect();
    let ids: Vec<MsgId> = inners.iter().map(|inner| inner.msg_id).collect();
    let (_, heard) = hand.send(false, container::pack(&inners));
    expect("runs", &heard.ran, &ids)?;
    let new: Vec<i64> =
        heard.all::<types::NewSession>().iter().map(|new| new.first_msg_id).collect();
    expect("first message", new, vec![ids[0].0])
}

/// MSG-24: a container that contradicts itself is refused whole.
fn broken_containers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let mut inners: Vec<Inner> = (0..1 + rng.below(4))
        .map(|_| {
            let body = hand.question();
            hand.number(true, body)
        })
        .collect();
    let last = inners.len() - 1;
    let kind = rng.below(7);
    let mut seq_no = 2 * hand.content;
    let id = hand.id();
    match kind {
        0 => inners[last].msg_id = MsgId(id),
        1 => inners[last].seq_no = seq_no + 1,
        2 => inners[last].body = container::pack(&[]),
        5 => seq_no += 1,
        _ => {}
    }
    let mut body = container::pack(&inners).to_vec();
    match kind {
        3 => body.extend_from_slice(&[0; 4]),
        4 => body.truncate(body.len() - 4),
        6 => body[4..8].copy_from_slice(&1025i32.to_le_bytes()),
        _ => {}
    }
    let heard = hand.say(id, seq_no, body.into());
    require("something in it runs", heard.ran.is_empty())?;
    match kind {
        5 => expect("refusals", heard.refusals(), vec![(id, 34)]),
        6 => expect("errors", heard.errors, vec![-429]),
        _ => expect("refusals", heard.refusals(), vec![(id, 64)]),
    }
}

/// 04-messages §8: codes 32 to 35.
fn sequence(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let lowest = hand.id();
    hand.call();
    hand.call();
    hand.id();
    let between = hand.id();
    hand.call();
    let (id, seq_no, code) = match rng.below(4) {
        // Not above the message before it.
        0 => (hand.id(), 5, 32),
        // Not below the message after it.
        1 => (between, 5 + 2 * rng.below(3) as i32, 33),
        // A call has to be acknowledged.
        2 => (hand.id(), 6, 35),
        // As the one before all others.
        _ => (lowest, 1, 33),
    };
    let body = hand.question();
    let heard = hand.say(id, seq_no, body);
    require("runs", heard.ran.is_empty())?;
    expect("refusals", heard.refusals(), vec![(id, code)])
}

/// 05-service-messages §4: what is known of each message.
fn states(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (answered, _) = hand.call();
    hand.answer(answered, Ok(Bytes::from_static(&[1; 8])));
    let missing = hand.id();
    let (ping, _) = hand.ping();
    let (running, _) = hand.call();
    let waits = rng.below(2) == 0;
    if waits {
        hand.wait(Duration::from_secs(1));
    }
    let above = hand.id() + (100 << 32);
    let msg_ids = vec![answered, missing, ping, running, above];
    let (_, heard) = hand.send(false, boxed(&types::MsgsStateReq { msg_ids }));
    let acknowledged = if waits { 8 } else { 0 };
    let right = vec![4 | 8 | 32 | 64, 2, 4 | 8 | 16, 4 | 32 | acknowledged, 3];
    let told: Vec<Vec<u8>> =
        heard.all::<types::MsgsStateInfo>().iter().map(|info| info.info.to_vec()).collect();
    expect("states", told, vec![right])
}

/// TL-30: a packed call may unpack to so many bytes, and not to one word more.
fn packed(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let too_much = 4 * rng.below(2) as usize;
    let mut body = hand.question().to_vec();
    body.resize(INFLATED_MAX + too_much, 0);
    let packed = gzip::deflate(&body).ok_or("does not pack")?;
    let (id, heard) = hand.send(true, rpc::gzip_packed(&packed));
    expect("runs", heard.ran.len(), usize::from(too_much == 0))?;
    let failed: Vec<i64> = heard.results().iter().map(|(id, _)| *id).collect();
    expect("fails", failed, if too_much == 0 { vec![] } else { vec![id] })
}

/// SVC-29, SVC-30: the three answers to `rpc_drop_answer`.
fn dropped(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, _) = hand.call();
    let kind = rng.below(3);
    let answer = match kind {
        0 => hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).messages.pop(),
        _ => None,
    };
    let wanted = if kind == 2 { call - 4 } else { call };
    let (request, heard) = hand.send(true, boxed(&functions::RpcDropAnswer { req_msg_id: wanted }));
    let results = heard.results();
    expect("answers", results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), vec![request])?;
    let result = results[0].1.clone();
    match (kind, answer) {
        (0, Some(answer)) => {
            let told: Option<ctors::RpcAnswerDropped> = read(&result);
            expect("dropped", told.map(|told| told.msg_id), Some(answer.msg_id.0))?;
            hand.connect();
            require("comes again", hand.ping().1.results().iter().all(|(id, _)| *id != call))
        }
        (0, None) => Err("no answer".into()),
        (1, _) => {
            expect("told", words::id_of(&result), 0xcd78_e586)?;
            let late = hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).results();
            expect("result", late, vec![(call, 0xcd78_e586_u32.to_le_bytes().to_vec().into())])
        }
        _ => expect("told", words::id_of(&result), 0x5e2a_d36e),
    }
}

/// SVC-01, SVC-03: a call without an answer is acknowledged after half a second, once.
fn slow(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, heard) = hand.call();
    require("acknowledged at once", heard.acks().is_empty())?;
    let early = hand.wait(Duration::from_millis(u64::from(rng.below(500))));
    require("acknowledged early", early.acks().is_empty())?;
    let is_quick = rng.below(3) == 0;
    if is_quick {
        expect("results", hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).results().len(), 1)?;
    }
    let late = hand.wait(Duration::from_secs(1));
    expect("acknowledged", late.acks(), if is_quick { vec![] } else { vec![call] })?;
    let later = hand.wait(Duration::from_secs(5));
    require("acknowledged again", later.acks().is_empty())
}

/// SES-09, SVC-04: what was not acknowledged comes again on a new link, and then no more.
fn second_link(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (_, heard) = hand.ping();
    hand.acknowledge(heard.messages.iter().map(|inner| inner.msg_id.0).collect());
    let (call, _) = hand.call();
    let is_large = rng.below(2) == 0;
    let result = Bytes::from(vec![7; if is_large { 2000 } else { 8 }]);
    let first = hand.answer(call, Ok(result)).messages;
    expect("answers", first.len(), 1)?;
    let old = hand.link;
    hand.connect();
    hand.act(|node, env| node.handle_end(env, old));
    let heard = hand.ping().1;
    let is_first = |inner: &&Inner| inner.msg_id == first[0].msg_id;
    if is_large {
        let told = heard.all::<ctors::MsgDetailedInfo>();
        let told: Vec<_> = told.iter().map(|told| (told.msg_id, told.answer_msg_id)).collect();
        expect("told", told, vec![(call, first[0].msg_id.0)])?;
    } else {
        let again: Vec<&Inner> = heard.messages.iter().filter(is_first).collect();
        expect("again", again, vec![&first[0]])?;
    }
    // The id of a container stands for what is in it.
    let id = match (is_large, heard.containers.last()) {
        (false, Some(container)) if rng.below(2) == 0 => *container,
        _ => first[0].msg_id.0,
    };
    hand.acknowledge(vec![id]);
    let old = hand.link;
    hand.connect();
    hand.act(|node, env| node.handle_end(env, old));
    let heard = hand.ping().1;
    let comes_again = heard.messages.iter().any(|inner| is_first(&inner));
    require("comes a third time", !comes_again && !heard.has::<ctors::MsgDetailedInfo>())
}

/// SES-07: so many calls at once, so many messages kept; no more.
fn bounds(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    if rng.below(2) == 0 {
        for number in 0..CALLS_MAX + 2 {
            let (_, heard) = hand.call();
            expect("runs", heard.ran.len(), usize::from(number < CALLS_MAX))?;
            expect("refused", heard.results().len(), usize::from(number >= CALLS_MAX))?;
        }
        return Ok(());
    }
    hand.ping();
    let session = (wire::key_id(&hand.secret), SessionId(hand.session));
    for number in 0..2 * OWED_MAX as u64 {
        let body = words::push(Token(number << 6 | 0b11_1000));
        hand.act(|node, env| node.push(env, session, body));
    }
    let owed = hand.node.sessions().map(|(_, _, session)| session.load().owed).sum::<usize>();
    expect("messages kept", owed, OWED_MAX)
}

/// SVC-37: a key that was destroyed opens nothing any more.
fn destroyed(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    for _ in 0..rng.below(3) {
        hand.call();
    }
    let (_, heard) = hand.send(true, boxed(&functions::DestroyAuthKey {}));
    let ok = heard.messages.iter().any(|inner| words::id_of(&inner.body) == 0xf660_e1d4);
    require("not told", ok)?;
    if rng.below(2) == 0 {
        hand.connect();
    }
    let (_, heard) = hand.call();
    require("runs", heard.ran.is_empty())?;
    expect("errors", heard.errors, vec![-404])
}

/// MSG-R03 to MSG-R06, SEC-48: a damaged packet ends its link without a word.
fn damage(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.ping();
    let id = hand.id();
    let body = hand.question();
    let letter = hand.letter(id, 1, body);
    let room = |least: usize| least + (16 - (32 + letter.body.len() + least) % 16) % 16;
    let kind = rng.below(4);
    let padding = match kind {
        0 => room(0),
        1 => room(1025),
        _ => room(12),
    };
    let mut packet = wire::seal(&hand.secret, Side::Client, &letter, &vec![3; padding]);
    if padding >= 12 && kind == 0 {
        return Ok(());
    }
    match kind {
        2 => {
            let bit = 64 + rng.below(8 * (packet.len() as u32 - 8));
            packet[bit as usize / 8] ^= 1 << (bit % 8);
        }
        3 => packet = wire::seal(&hand.secret, Side::Server, &letter, &vec![3; padding]),
        _ => {}
    }
    let heard = hand.throw(&packet);
    require("runs", heard.ran.is_empty())?;
    require("is answered", heard.messages.is_empty() && heard.errors.is_empty())?;
    require("goes on", heard.is_closed)
}

/// SES-03, TRN-41: an answer waits until its own session speaks on the link again.
fn two_sessions(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, _) = hand.call();
    let (mine, content) = (hand.session, hand.content);
    hand.session = hand.rng.u64() as i64 | 1;
    hand.content = 0;
    let ids: Vec<MsgId> = hand.ping().1.messages.iter().map(|inner| inner.msg_id).collect();
    require("not served", !ids.is_empty())?;
    let other = hand.session;
    hand.session = mine;
    let heard = hand.answer(call, Ok(Bytes::from_static(&[1; 8])));
    require("answered in another session", heard.messages.is_empty())?;
    if rng.below(2) == 0 {
        hand.session = other;
        require("answered to another session", hand.ping().1.results().is_empty())?;
        hand.session = mine;
    }
    hand.content = content;
    let results = hand.ping().1.results();
    expect("results", results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), vec![call])
}

/// SVC-44: a call waits for the one it names, half a second at most.
fn order(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (first, _) = hand.call();
    let query = Raw(hand.question());
    let body = boxed(&functions::InvokeAfterMsg { msg_id: first, query });
    let (second, heard) = hand.send(true, body);
    require("runs early", heard.ran.is_empty())?;
    match rng.below(3) {
        0 => {
            let heard = hand.answer(first, Ok(Bytes::from_static(&[1; 8])));
            expect("runs", heard.ran, vec![MsgId(second)])
        }
        1 => {
            let error = rpc::RpcError::bad_request("SIM");
            let heard = hand.answer(first, Err(error));
            require("runs after a failure", heard.ran.is_empty())?;
            expect("results", heard.results().len(), 2)
        }
        _ => {
            let heard = hand.wait(Duration::from_millis(600));
            let results = heard.results();
            expect("results", results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), vec![second])?;
            let heard = hand.answer(first, Ok(Bytes::from_static(&[1; 8])));
            require("runs late", heard.ran.is_empty())
        }
    }
}

/// SVC-31: the present salt and those after it, 1 to 64 of them.
fn future_salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let num = rng.below(140) as i32 - 40;
    let second = hand.second();
    let (_, heard) = hand.send(true, boxed(&functions::GetFutureSalts { num }));
    let answers = heard.all::<types::FutureSalts>();
    expect("answers", answers.len(), 1)?;
    let right: Vec<i64> = (0..num.clamp(1, 64))
        .map(|number| hand.salts.current(second + 1800 * i64::from(number)).value)
        .collect();
    expect("salts", answers[0].salts.iter().map(|salt| salt.salt).collect(), right)?;
    let is_row = answers[0].salts.windows(2).all(|two| two[0].valid_until == two[1].valid_since);
    require("gaps between salts", is_row)
}

/// SVC-34: a link is closed so long after the last ping that asked for it.
fn disconnect(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let disconnect_delay = 1 + rng.below(100) as i32;
    let ping = boxed(&functions::PingDelayDisconnect { ping_id: 1, disconnect_delay });
    hand.send(false, ping.clone());
    let delay = Duration::from_secs(disconnect_delay.unsigned_abs().into());
    if rng.below(2) == 0 {
        require("closed early", !hand.wait(delay / 2).is_closed)?;
        hand.send(false, ping);
    }
    require("closed early", !hand.wait(delay - Duration::from_millis(10)).is_closed)?;
    require("not closed", hand.wait(Duration::from_millis(20)).is_closed)
}

/// SVC-39: a session is announced with its lowest message, and again when a lower one turns up.
fn new_sessions(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let early = hand.id();
    hand.id();
    hand.content = 1;
    let (first, heard) = hand.call();
    let new = heard.all::<types::NewSession>();
    let told: Vec<i64> = new.iter().map(|new| new.first_msg_id).collect();
    expect("first", told, vec![first])?;
    expect("salt", new[0].server_salt, hand.salts.current(hand.second()).value)?;
    for _ in 0..rng.below(3) {
        require("announced again", !hand.call().1.has::<types::NewSession>())?;
    }
    let body = hand.question();
    let again = hand.say(early, 1, body).all::<types::NewSession>();
    let told: Vec<_> = again.iter().map(|new| (new.first_msg_id, new.unique_id)).collect();
    expect("earlier", told, vec![(early, new[0].unique_id)])
}

/// SVC-22, SVC-23: what is known is sent again, of the rest the state is told.
fn resend(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (call, _) = hand.call();
    let answer = hand.answer(call, Ok(Bytes::from_static(&[1; 8]))).messages;
    expect("answers", answer.len(), 1)?;
    let id = answer[0].msg_id.0;
    match rng.below(3) {
        0 => {
            let body = boxed(&ctors::MsgResendReq { msg_ids: vec![id] });
            expect("again", hand.send(false, body).1.messages, answer)
        }
        1 => {
            let body = boxed(&ctors::MsgResendReq { msg_ids: vec![id, id + 4] });
            let heard = hand.send(false, body).1;
            let told: Vec<_> =
                heard.all::<types::MsgsStateInfo>().iter().map(|told| told.info.to_vec()).collect();
            expect("states", told, vec![vec![4 | 16, 1]])
        }
        _ => {
            let body = boxed(&ctors::MsgResendAnsReq { msg_ids: vec![call] });
            let heard = hand.send(false, body).1;
            expect("again", heard.results(), vec![(call, Bytes::from_static(&[1; 8]))])?;
            require("states", heard.has::<types::MsgsStateInfo>())
        }
    }
}

/// MSG-37, MSG-38: an id below all that is remembered is refused; nobody knows whether it ran.
fn window(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (id, heard) = hand.call();
    expect("runs", heard.ran.len(), 1)?;
    for _ in 0..12 + rng.below(6) {
        hand.ping();
    }
    let body = hand.question();
    let heard = hand.say(id, 1, body);
    require("runs again", heard.ran.is_empty())?;
    expect("refusals", heard.refusals(), vec![(id, 20)])
}

/// MSG-27: a copy counts as the message in it.
fn copies(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.question();
    let Inner { msg_id, seq_no, body } = hand.number(true, body);
    let mut copy = BytesMut::new();
    copy.put_u32_le(0xe060_46b2);
    copy.put_u32_le(0x5bb8_e511);
    copy.put_i64_le(msg_id.0);
    copy.put_i32_le(seq_no);
    copy.put_u32_le(body.len() as u32);
    copy.extend_from_slice(&body);
    let is_known = rng.below(2) == 0;
    if is_known {
        expect("runs", hand.say(msg_id.0, seq_no, body).ran.len(), 1)?;
    }
    let (_, heard) = hand.send(false, copy.freeze());
    expect("acknowledged", heard.acks().contains(&msg_id.0), is_known)?;
    expect("runs", heard.ran, if is_known { vec![] } else { vec![msg_id] })
}
