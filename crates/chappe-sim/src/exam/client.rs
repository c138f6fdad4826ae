//! A server written by hand examines a client.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_proto::rpc;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::client::SessionConfig;
use chappe_proto::session::container::{self, Inner};
use chappe_proto::transport::{Framing, Transport};
use chappe_proto::{LinkId, MsgId, Side};
use chappe_tl::{Constructor, gzip};

use super::{Verdict, expect, judged, require};
use crate::clock::Clock;
use crate::model::{Broken, Model, Wish};
use crate::node::Env;
use crate::peer::Peer;
use crate::trace::Trace;
use crate::wire::{self, Letter, Secret};
use crate::words::{self, Token, boxed, read};

/// One question to a client.
type Exam = fn(&mut Hand, &mut Rng) -> Verdict;

const EXAMS: &[(&str, Exam)] = &[
    ("foreign messages", foreign),
    ("age", age),
    ("pushes twice", pushes_twice),
    ("wrong salts", wrong_salts),
    ("wrong ids", wrong_ids),
    ("a session given up", session_given_up),
    ("refusals of nothing", refusals_of_nothing),
    ("broken containers", broken_containers),
    ("packed answers", packed_answers),
    ("answers to others", answers_to_others),
    ("acknowledgements", acknowledgements),
    ("questions about states", states),
    ("announced answers", announced),
    ("old messages and the clock", old_messages),
    ("its own words", own_words),
    ("a new link", new_link),
    ("silence", silence),
    ("dropped calls", dropped),
    ("future salts", future_salts),
    ("a forgetful server", forgetful_server),
    ("old announcements", old_announcements),
    ("questions without a reply", unanswered_questions),
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

/// SEC-25, SEC-26: a message of another session, or of a client, ends the link.
fn foreign(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let result = words::answer(token).map_err(|error| error.to_string())?;
    let body = rpc::result_body(call.msg_id, &result);
    let (id, seq_no) = (hand.id(1), hand.seq_no(true));
    match rng.below(4) {
        0 => hand.say_in(hand.session ^ 2, id, seq_no, body),
        1 => hand.say(id & !1, seq_no, body),
        2 => {
            let inner = Inner { msg_id: MsgId(id & !3), seq_no, body };
            let id = hand.id(1);
            hand.say(id, seq_no + 1, container::pack(&[inner]));
        }
        _ => {
            let letter = Letter { salt: 1, session: hand.session, id, seq_no, body };
            let room = 32 + letter.body.len() + 12;
            let padding = vec![9; 12 + (16 - room % 16) % 16];
            let packet = wire::seal(&hand.secret, Side::Server, &letter, &padding);
            let mut packet = packet;
            let bit = 64 + rng.below(8 * (packet.len() as u32 - 8));
            packet[bit as usize / 8] ^= 1 << (bit % 8);
            hand.throw(&packet);
        }
    }
    require("is believed", !hand.is_answered(token))?;
    require("link goes on", hand.is_over())
}

/// MSG-R09: what is more than 300 s old or 30 s ahead is not heeded.
fn age(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let result = words::answer(token).map_err(|error| error.to_string())?;
    let body = rpc::result_body(call.msg_id, &result);
    let now = hand.id(1);
    let off = ((i64::from(rng.below(1000)) + 100) << 32) / 1000;
    let (age, is_timely) = match rng.below(4) {
        0 => ((300 << 32) + off, false),
        1 => ((300 << 32) - off, true),
        2 => (-(30 << 32) - off, false),
        _ => (-(30 << 32) + off, true),
    };
    hand.say((now - age) & !3 | 1, 9, body);
    expect("is believed", hand.is_answered(token), is_timely)?;
    // It comes again on another link alone.
    expect("link ends", hand.is_over(), !is_timely)
}

/// SES-15: what comes twice is told once and acknowledged twice.
fn pushes_twice(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.push();
    let (id, seq_no) = (hand.id(3), hand.seq_no(true));
    hand.say(id, seq_no, body.clone());
    hand.wait(Duration::from_secs(31));
    let acks: Vec<_> =
        hand.said_as::<types::MsgsAck>().into_iter().map(|ack| ack.msg_ids).collect();
    expect("acknowledged", acks, vec![vec![id]])?;
    if rng.below(2) == 0 {
        let inner = Inner { msg_id: MsgId(id), seq_no, body };
        hand.tell(false, container::pack(&[inner]));
    } else {
        hand.say(id, seq_no, body);
    }
    hand.wait(Duration::from_secs(31));
    let acks: Vec<_> =
        hand.said_as::<types::MsgsAck>().into_iter().map(|ack| ack.msg_ids).collect();
    expect("acknowledged again", acks, vec![vec![id]])
}

/// SVC-08, SES-23: the call goes out again under a new id, with the new salt, however soon one
/// correction follows another.
fn wrong_salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, mut call) = hand.call()?;
    for _ in 0..=rng.below(3) {
        let new_server_salt = rng.u64() as i64;
        let bad = ctors::BadServerSalt {
            bad_msg_id: call.msg_id.0,
            bad_msg_seqno: call.seq_no,
            error_code: 48,
            new_server_salt,
        };
        hand.tell(false, boxed(&bad));
        let letters = hand.letters();
        require("says nothing", !letters.is_empty())?;
        expect("salts", letters.iter().all(|letter| letter.salt == new_server_salt), true)?;
        hand.heard = letters;
        let again = hand.calls_said(token);
        expect("calls again", again.len(), 1)?;
        require("under its old id", again[0].msg_id > call.msg_id)?;
        call = again[0].clone();
    }
    hand.answer(call.msg_id, token);
    require("no outcome", hand.is_answered(token))
}

/// 05-service-messages §3: what follows from a refusal.
fn wrong_ids(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.repeats = true;
    let (token, call) = hand.call()?;
    let session = hand.session;
    let code = [16, 17, 18, 19, 20, 32, 33, 34, 35, 64][rng.below(10) as usize];
    hand.refuse(call.msg_id, code);
    let again = hand.calls_said(token);
    expect("calls again", again.len(), 1)?;
    let is_same = matches!(code, 16 | 20);
    expect("session stays", hand.session == session, is_same)?;
    if is_same {
        require("under its old id", again[0].msg_id > call.msg_id)?;
    }
    hand.answer(again[0].msg_id, token);
    require("no outcome", hand.is_answered(token))
}

/// SES-17, SES-12: a refusal that ends the session sends what it refuses again, and nothing that
/// may be running: of that the old session may still tell, and after 10 s nobody knows.
fn session_given_up(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (open, call) = hand.call()?;
    let (refused, bad) = hand.call()?;
    let old = hand.session;
    hand.refuse(bad.msg_id, [17, 32, 33, 34, 35][rng.below(5) as usize]);
    let said = hand.said();
    let again =
        |token| said.iter().filter(|inner| words::asked(&inner.body) == Some(token)).count();
    expect("refused call again", again(refused), 1)?;
    expect("open call again", again(open), 0)?;
    require("session stays", hand.session != old)?;
    if rng.below(2) == 0 {
        let result = words::answer(open).map_err(|error| error.to_string())?;
        let (id, seq_no) = (hand.id(1), hand.seq_no(true));
        hand.say_in(old, id, seq_no, rpc::result_body(call.msg_id, &result));
    } else {
        hand.stay(Duration::from_secs(11));
    }
    expect("calls again", hand.calls_said(open), vec![])?;
    require("no outcome", hand.is_answered(open))
}

/// MSG-31: a refusal of what nobody sent changes nothing.
fn refusals_of_nothing(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let session = hand.session;
    let code = [16, 17, 18, 20, 32, 48, 64][rng.below(7) as usize];
    hand.refuse(MsgId(call.msg_id.0 + 4 * (1 + i64::from(rng.below(50)))), code);
    expect("calls again", hand.calls_said(token), vec![])?;
    expect("session", hand.session, session)
}

/// MSG-24: nothing of a container that contradicts itself is believed, and the link ends.
fn broken_containers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let result = words::answer(token).map_err(|error| error.to_string())?;
    let (id, seq_no) = (hand.id(1), hand.seq_no(true));
    let body = rpc::result_body(call.msg_id, &result);
    let mut inner = Inner { msg_id: MsgId(id), seq_no, body };
    let top = hand.id(1);
    let kind = rng.below(4);
    if kind == 0 {
        inner.msg_id = MsgId(top);
    }
    let mut body = container::pack(&[inner]).to_vec();
    match kind {
        1 => body.extend_from_slice(&[0; 4]),
        2 => body.truncate(body.len() - 4),
        3 => body[4] = 2,
        _ => {}
    }
    hand.say(top, seq_no + 1, body.into());
    require("is believed", !hand.is_answered(token))?;
    require("link goes on", hand.is_over())
}

/// TL-30, TL-38: an answer may unpack to so many bytes; one word more, and its call fails.
fn packed_answers(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let too_much = rng.below(2) == 1;
    let body = vec![1; INFLATED_MAX + if too_much { 4 } else { 0 }];
    let packed = gzip::deflate(&body).ok_or("does not pack")?;
    // The answer is not the right one, so the model has to be asked before it complains.
    let mut model = std::mem::take(&mut hand.model);
    hand.tell(true, rpc::result_body(call.msg_id, &rpc::gzip_packed(&packed)));
    std::mem::swap(&mut hand.model, &mut model);
    let (is_unreadable, is_read) = (model.saw_unreadable(), model.saw_result());
    require("two outcomes or none", is_unreadable != is_read)?;
    let _ = token;
    expect("is read", is_read, !too_much)
}

/// SVC-25: an answer to nobody's message is acknowledged, and no more.
fn answers_to_others(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let (other, other_call) = hand.call()?;
    hand.answer(MsgId(call.msg_id.0 - 4 * i64::from(1 + rng.below(9))), token);
    require("is believed", !hand.is_answered(token) && !hand.is_answered(other))?;
    hand.answer(other_call.msg_id, other);
    require("is believed", !hand.is_answered(token) && hand.is_answered(other))?;
    hand.answer(call.msg_id, token);
    require("no outcome", hand.is_answered(token))?;
    hand.answer(call.msg_id, token);
    Ok(())
}

/// SVC-02: sixteen acknowledgements do not wait, and all ride with whatever leaves.
fn acknowledgements(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let count = 1 + rng.below(16);
    let mut ids = Vec::new();
    for _ in 0..count {
        let body = hand.push();
        ids.push(hand.tell(true, body));
    }
    let acks = |hand: &mut Hand| -> Vec<i64> {
        hand.said_as::<types::MsgsAck>().into_iter().flat_map(|ack| ack.msg_ids).collect()
    };
    if count < 16 {
        expect("acknowledged early", acks(hand), vec![])?;
        hand.token += 8;
        let token = Token(hand.token << 7 | 0b111_0011);
        hand.make_call(token);
    }
    expect("acknowledged", acks(hand), ids)
}

/// SVC-11, SVC-16: the client tells what it knows.
fn states(hand: &mut Hand, _: &mut Rng) -> Verdict {
    let missing = hand.id(3);
    let body = hand.push();
    let id = hand.tell(true, body);
    let above = hand.id(3) + (100 << 32);
    let msg_ids = vec![missing, id, above];
    hand.tell(false, boxed(&types::MsgsStateReq { msg_ids }));
    let told: Vec<_> =
        hand.said_as::<types::MsgsStateInfo>().iter().map(|told| told.info.to_vec()).collect();
    expect("states", told, vec![vec![2, 4, 3]])
}

/// SVC-21: an announced answer is fetched; one that came is acknowledged.
fn announced(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let is_known = rng.below(2) == 0;
    let answer_msg_id = if is_known {
        let body = hand.push();
        hand.tell(true, body)
    } else {
        hand.id(1)
    };
    hand.said();
    let info =
        ctors::MsgDetailedInfo { msg_id: call.msg_id.0, answer_msg_id, bytes: 9999, status: 0 };
    hand.tell(false, boxed(&info));
    hand.wait(Duration::from_secs(31));
    let said = hand.said();
    let asked: Vec<_> =
        said.iter().filter_map(|inner| read::<ctors::MsgResendReq>(&inner.body)).collect();
    let asked: Vec<_> = asked.into_iter().map(|asked| asked.msg_ids).collect();
    expect("asks", asked, if is_known { vec![] } else { vec![vec![answer_msg_id]] })?;
    require("believes", !hand.is_answered(token))
}

/// SES-28: an old message does not set the clock back; the model sees to it.
fn old_messages(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let body = hand.push();
    let early = hand.id(3) - (i64::from(rng.below(290)) << 32);
    hand.say(early, 1, body);
    let (_, call) = hand.call()?;
    let now = hand.id(1);
    require("its ids run behind", call.msg_id.0 + (1 << 31) > now)
}

/// CRY-03: what the client itself has said does not come from a server.
fn own_words(hand: &mut Hand, _: &mut Rng) -> Verdict {
    let token = Token(hand.token << 7 | 0b111_0011);
    hand.make_call(token);
    let frame = hand.unread.split();
    hand.act(|peer, env| peer.handle_bytes(env, &frame));
    require("link goes on", hand.is_over())
}

/// SES-10, SES-11: on a new link the fate of calls is asked for, and lost ones go out again under
/// their old ids in a container.
fn new_link(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    let is_acknowledged = rng.below(3) == 0;
    if is_acknowledged {
        hand.tell(false, boxed(&types::MsgsAck { msg_ids: vec![call.msg_id.0] }));
    }
    hand.reconnect();
    let said = hand.said();
    let ask = said.iter().find_map(|inner| {
        let asked = read::<types::MsgsStateReq>(&inner.body)?;
        Some((inner.msg_id.0, asked.msg_ids))
    });
    expect("asks", ask.is_some(), !is_acknowledged)?;
    require("calls again unasked", said.iter().all(|inner| inner.msg_id != call.msg_id))?;
    let Some((req_msg_id, asked)) = ask else { return Ok(()) };
    let state = [1, 2, 3, 4][rng.below(4) as usize];
    // What it knows to be here shows that the session is the same.
    let of = |id: &i64| if *id == call.msg_id.0 { state } else { 4 };
    let info = asked.iter().map(of).collect::<Vec<u8>>().into();
    hand.tell(false, boxed(&types::MsgsStateInfo { req_msg_id, info }));
    let letters = hand.letters();
    let is_alone = letters.iter().any(|letter| letter.id == call.msg_id.0);
    require("goes out alone", !is_alone)?;
    hand.heard = letters;
    let again: Vec<_> = hand.calls_said(token).iter().map(|inner| inner.msg_id).collect();
    expect("calls again", again, if state == 4 { vec![] } else { vec![call.msg_id] })
}

/// SES-14: a link without a pong is given up.
fn silence(hand: &mut Hand, _: &mut Rng) -> Verdict {
    hand.wait(Duration::from_secs(60));
    require("does not ping", !hand.said_as::<functions::PingDelayDisconnect>().is_empty())?;
    hand.wait(Duration::from_secs(80));
    require("link goes on", hand.is_over())
}

/// SVC-29: a call that nobody waits for is dropped at the server, too.
fn dropped(hand: &mut Hand, _: &mut Rng) -> Verdict {
    let (token, call) = hand.call()?;
    hand.act(|peer, env| peer.drop_call(env, token));
    let told: Vec<_> =
        hand.said_as::<functions::RpcDropAnswer>().iter().map(|drop| drop.req_msg_id).collect();
    expect("told", told, vec![call.msg_id.0])?;
    hand.answer(call.msg_id, token);
    Ok(())
}

/// SES-24: the next salt is used from its time on, unasked.
fn future_salts(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let hours = 1 + i64::from(rng.below(2));
    // Sleeps through it, so that nothing is said meanwhile.
    hand.act(Peer::handle_end);
    hand.unread.clear();
    hand.at += Duration::from_secs(1800 * hours as u64 + 1) - Duration::from_secs(31);
    hand.at -= Duration::from_secs(2);
    hand.connect();
    let salts: Vec<_> = hand.letters().iter().map(|letter| letter.salt).collect();
    require("uses a later salt", salts.iter().all(|salt| *salt == hours))?;
    hand.act(Peer::handle_end);
    hand.unread.clear();
    hand.at += Duration::from_secs(3);
    hand.connect();
    let salts: Vec<_> = hand.letters().iter().map(|letter| letter.salt).collect();
    require("uses an earlier salt", salts.iter().all(|salt| *salt == hours + 1))
}

/// SVC-40, SES-10: a server that begins the session anew is asked what it still knows, even of
/// what it had acknowledged, and of what lies above the first id that it names.
fn forgetful_server(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.repeats = true;
    let (token, call) = hand.call()?;
    if rng.below(2) == 0 {
        hand.tell(false, boxed(&types::MsgsAck { msg_ids: vec![call.msg_id.0] }));
    }
    let is_below = rng.below(2) == 0;
    let first_msg_id = call.msg_id.0 + if is_below { 4 } else { -400 };
    let new = types::NewSession { first_msg_id, unique_id: 2, server_salt: 1 };
    hand.tell(true, boxed(&new));
    let said = hand.said();
    let asks = said.iter().any(|inner| {
        read::<types::MsgsStateReq>(&inner.body)
            .is_some_and(|asked| asked.msg_ids.contains(&call.msg_id.0))
    });
    let anew = said.iter().filter(|inner| words::asked(&inner.body) == Some(token)).count();
    expect("calls again", anew, usize::from(is_below))?;
    expect("asks", asks, !is_below)
}

/// SES-10: after three questions without a reply the calls that they were about go out anew, and
/// no others.
fn unanswered_questions(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    hand.repeats = true;
    let (old, _) = hand.call()?;
    hand.reconnect();
    hand.said();
    // Before the server has spoken on the new link nothing is called there.
    hand.tell(false, boxed(&types::MsgsAck { msg_ids: vec![] }));
    let spent = Duration::from_millis(u64::from(1 + rng.below(20_000)));
    hand.stay(spent);
    let (young, _) = hand.call()?;
    hand.stay(Duration::from_secs(31) - spent);
    let said = hand.said();
    let anew = |token| said.iter().filter(|inner| words::asked(&inner.body) == Some(token)).count();
    expect("old call again", anew(old), 1)?;
    expect("young call again", anew(young), 0)
}

/// SES-23: a session announced long ago brings no salt; the one just corrected is newer.
fn old_announcements(hand: &mut Hand, rng: &mut Rng) -> Verdict {
    let (_, call) = hand.call()?;
    let early = hand.id(1);
    hand.stay(Duration::from_secs(u64::from(1 + rng.below(40))));
    let is_old = rng.below(2) == 0;
    let id = if is_old { early - (100 << 32) } else { hand.id(1) };
    let bad = ctors::BadServerSalt {
        bad_msg_id: call.msg_id.0,
        bad_msg_seqno: call.seq_no,
        error_code: 48,
        new_server_salt: 77,
    };
    hand.tell(false, boxed(&bad));
    hand.said();
    let new = types::NewSession { first_msg_id: call.msg_id.0, unique_id: 2, server_salt: 88 };
    hand.say(id, 1, boxed(&new));
    hand.letters();
    let token = Token(hand.token << 7 | 0b111_1011);
    hand.make_call(token);
    let salts: Vec<i64> = hand.letters().iter().map(|letter| letter.salt).collect();
    expect("salts", salts, vec![if is_old { 77 } else { 88 }])
}
