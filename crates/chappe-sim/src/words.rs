//! What the calls of the world say: a question that names itself, and its only right answer; what
//! was written, and what was missed.

use bytes::Bytes;
use chappe_proto::MsgId;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::rpc::{self, RpcError};
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::{self, Inner};
use chappe_tl::{Constructor, Raw, Reader, Writer};
use chappe_updates::Step;

/// Names one call or push of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Constructors of no schema: questions, answers, pushes.
const QUESTION: u32 = 0xaaaa_0001;
const WRITE: u32 = 0xaaaa_0002;
const MISSED: u32 = 0xaaaa_0003;
const ANSWER: u32 = 0xbbbb_0001;
const EVENTS: u32 = 0xbbbb_0002;
const PUSH: u32 = 0xcccc_0001;
const NEWS: u32 = 0xcccc_0002;

/// What a call asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// What follows from its token.
    #[default]
    Plain,
    /// To be written into the log of its account, and of this one.
    Write(u32),
    /// What its account's log has after this pts.
    Missed(i32),
}

/// An event of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// How it moved the log.
    pub step: Step,
    /// The call that wrote it.
    pub token: Token,
}

/// Events in order, as the answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The log has this pts after them.
    pub pts: i32,
    /// The log has no more.
    pub is_whole: bool,
    /// In order.
    pub events: Vec<Event>,
}

/// What calls are wrapped in that come after others.
const AFTER_MSG: u32 = <functions::InvokeAfterMsg<Raw> as Constructor>::ID;
const AFTER_MSGS: u32 = <functions::InvokeAfterMsgs<Raw> as Constructor>::ID;

/// Bytes beyond the token: few, many that do not pack, many that do.
fn filler(token: Token, style: u64) -> Vec<u8> {
    match style % 8 {
        0 => noise(token.0, 2048),
        1 => vec![7; 6000],
        2 => noise(token.0, 256),
        _ => Vec::new(),
    }
}

/// Bytes without a pattern that follow from `seed`.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut word = seed | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        out.extend_from_slice(&word.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out
}

fn body(id: u32, token: Token, style: u64) -> Bytes {
    let filler = filler(token, style);
    let mut out = Vec::with_capacity(12 + filler.len());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&token.0.to_le_bytes());
    out.extend_from_slice(&filler);
    out.into()
}

/// The body of a call.
pub fn question(token: Token, question: Question) -> Bytes {
    let (id, about) = match question {
        Question::Plain => return body(QUESTION, token, token.0),
        Question::Write(account) => (WRITE, account),
        Question::Missed(pts) => (MISSED, pts as u32),
    };
    let mut out = body(id, token, 7).to_vec();
    out.extend_from_slice(&about.to_le_bytes());
    out.into()
}

/// What happened to an account, pushed.
pub fn news(account: u32, event: Event) -> Bytes {
    let mut out = NEWS.to_le_bytes().to_vec();
    put_event(&mut out, event);
    out.extend_from_slice(&account.to_le_bytes());
    out.into()
}

/// The answer to a call that writes, or that asks what it missed.
pub fn events(token: Token, events: &Events) -> Bytes {
    let mut out = body(EVENTS, token, 7).to_vec();
    out.extend_from_slice(&events.pts.to_le_bytes());
    out.extend_from_slice(&u32::from(events.is_whole).to_le_bytes());
    for event in &events.events {
        put_event(&mut out, *event);
    }
    out.into()
}

fn put_event(out: &mut Vec<u8>, event: Event) {
    out.extend_from_slice(&event.token.0.to_le_bytes());
    out.extend_from_slice(&event.step.pts.to_le_bytes());
    out.extend_from_slice(&event.step.count.to_le_bytes());
}

fn get_event(bytes: &[u8]) -> Option<Event> {
    let (token, step) = bytes.split_first_chunk()?;
    let (pts, count) = step.split_first_chunk()?;
    let count = count.first_chunk()?;
    let step = Step { pts: i32::from_le_bytes(*pts), count: i32::from_le_bytes(*count) };
    Some(Event { step, token: Token(u64::from_le_bytes(*token)) })
}

/// Bytes of an event.
const EVENT_LEN: usize = 16;

/// The account and the event of a push.
pub fn read_news(body: &[u8]) -> Option<(u32, Event)> {
    let rest = body.strip_prefix(&NEWS.to_le_bytes())?;
    let account = rest.get(EVENT_LEN..)?.first_chunk()?;
    Some((u32::from_le_bytes(*account), get_event(rest)?))
}

/// The events of an answer.
pub fn read_events(body: &[u8]) -> Option<Events> {
    let (_, rest) = read_token(EVENTS, body)?;
    let (pts, rest) = rest.split_first_chunk()?;
    let (is_whole, rest) = rest.split_first_chunk()?;
    let events = rest.chunks(EVENT_LEN).map(get_event).collect::<Option<_>>()?;
    let is_whole = u32::from_le_bytes(*is_whole) == 1;
    Some(Events { pts: i32::from_le_bytes(*pts), is_whole, events })
}

/// What a push says.
pub fn push(token: Token) -> Bytes {
    body(PUSH, token, token.0 / 8)
}

/// The answer that a handler gives to a question; some questions fail.
pub fn answer(token: Token) -> Result<Bytes, RpcError> {
    if token.0 % 16 == 9 {
        return Err(RpcError::bad_request(format!("SIM_{}", token.0)));
    }
    Ok(body(ANSWER, token, token.0 / 8))
}

/// The token of a call.
pub fn asked(body: &[u8]) -> Option<Token> {
    Some(read_question(body)?.0)
}

/// The token of a call, and what it asks for.
pub fn read_question(body: &[u8]) -> Option<(Token, Question)> {
    let about = |rest: &[u8]| rest.first_chunk().map(|about| u32::from_le_bytes(*about));
    match id_of(body) {
        QUESTION => Some((read_token(QUESTION, body)?.0, Question::Plain)),
        WRITE => {
            let (token, rest) = read_token(WRITE, body)?;
            Some((token, Question::Write(about(rest)?)))
        }
        MISSED => {
            let (token, rest) = read_token(MISSED, body)?;
            Some((token, Question::Missed(about(rest)? as i32)))
        }
        _ => None,
    }
}

/// The token of a push.
pub fn pushed(body: &[u8]) -> Option<Token> {
    Some(read_token(PUSH, body)?.0)
}

/// Whether a body is a push.
pub fn is_push(body: &[u8]) -> bool {
    matches!(id_of(body), PUSH | NEWS)
}

fn read_token(id: u32, body: &[u8]) -> Option<(Token, &[u8])> {
    let (token, rest) = body.strip_prefix(&id.to_le_bytes())?.split_first_chunk()?;
    Some((Token(u64::from_le_bytes(*token)), rest))
}

/// The constructor id of a body.
pub fn id_of(body: &[u8]) -> u32 {
    body.first_chunk().map_or(0, |id| u32::from_le_bytes(*id))
}

/// What a constructor is called.
pub fn name_of(id: u32) -> &'static str {
    match id {
        QUESTION => "question",
        WRITE => "write",
        MISSED => "what is missed",
        ANSWER => "answer",
        EVENTS => "events",
        PUSH => "push",
        NEWS => "news",
        rpc::RESULT => "rpc_result",
        rpc::GZIP_PACKED => "gzip_packed",
        types::MsgsAck::ID => "msgs_ack",
        types::NewSession::ID => "new_session_created",
        types::MsgsStateReq::ID => "msgs_state_req",
        types::MsgsStateInfo::ID => "msgs_state_info",
        types::Pong::ID => "pong",
        types::FutureSalts::ID => "future_salts",
        ctors::BadMsgNotification::ID => "bad_msg_notification",
        ctors::BadServerSalt::ID => "bad_server_salt",
        ctors::MsgDetailedInfo::ID => "msg_detailed_info",
        ctors::MsgNewDetailedInfo::ID => "msg_new_detailed_info",
        ctors::MsgResendReq::ID => "msg_resend_req",
        functions::PingDelayDisconnect::ID => "ping_delay_disconnect",
        functions::GetFutureSalts::ID => "get_future_salts",
        functions::RpcDropAnswer::ID => "rpc_drop_answer",
        AFTER_MSG => "invoke_after_msg",
        AFTER_MSGS => "invoke_after_msgs",
        _ => "something",
    }
}

/// The `long` at an offset; 0 where there is none.
pub fn long_at(body: &[u8], at: usize) -> i64 {
    body.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |long| i64::from_le_bytes(*long))
}

/// A constructor with its id before it.
pub fn boxed<T: Constructor>(object: &T) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(T::ID);
    object.encode_bare(&mut writer);
    writer.finish().expect("service messages hold no string of 16 MiB")
}

/// Reads a body as one constructor, if it is that one.
pub fn read<T: Constructor>(body: &Bytes) -> Option<T> {
    let mut reader = Reader::new(body.clone());
    (reader.u32() == Ok(T::ID)).then_some(())?;
    let object = T::decode_bare(&mut reader).ok()?;
    reader.finish().ok()?;
    Some(object)
}

/// The messages that an envelope brings: those in its container, or the one that it is.
pub fn flatten(message: &Message) -> Vec<Inner> {
    let (msg_id, seq_no) = (message.header.msg_id, message.header.seq_no);
    let alone = || vec![Inner { msg_id, seq_no, body: message.body.clone() }];
    if is_container(message) {
        container::unpack(msg_id, &message.body).unwrap_or_default()
    } else {
        alone()
    }
}

/// Whether an envelope brings a container.
pub fn is_container(message: &Message) -> bool {
    id_of(&message.body) == container::ID
}

/// Whether a body is something that its sender wants acknowledged: from a client a call.
pub fn is_question(body: &Bytes) -> bool {
    let is_wrapped = matches!(id_of(body), AFTER_MSG | AFTER_MSGS | rpc::GZIP_PACKED);
    is_wrapped || asked(body).is_some()
}

/// The id as a fact for the log.
pub fn fact(id: MsgId) -> u64 {
    id.0 as u64
}
