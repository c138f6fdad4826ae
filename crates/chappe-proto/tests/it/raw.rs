//! One end of a session driven by hand: every id, number and body is the test's choice.

use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{AuthKeyId, Rng};
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::client::{self, ClientEvent, ClientSession, DeadLink, MessageError};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::salts::{FirstSalt, ServerSalts};
use chappe_proto::session::server::{self, IncomingCall, ServerEvent, ServerSession};
use chappe_proto::session::time::ServerClock;
use chappe_proto::{LinkId, MsgId, Now, SessionId};
use chappe_tl::{Constructor, Raw, Reader, Writer};

use crate::pair::EPOCH;

pub(crate) const LINK: LinkId = LinkId(1);
pub(crate) const SESSION: SessionId = SessionId(77);

/// The salts of every test's key; its first salt was made a day before anything happens.
pub(crate) fn salts() -> ServerSalts {
    let first = FirstSalt { value: 4711, created: EPOCH - 86_400 };
    ServerSalts::new(&[9; 32], AuthKeyId::from_le_bytes([5; 8]), first)
}

/// A query of an unknown function, so plainly a call.
pub(crate) fn query(number: u32) -> Bytes {
    words(&[0xaaaa_0001, number])
}

/// The answer that every test's server gives to a query.
pub(crate) fn answer_to(query: &Bytes) -> Bytes {
    let mut answer = 0xbbbb_0001u32.to_le_bytes().to_vec();
    answer.extend_from_slice(&query[4..]);
    answer.into()
}

pub(crate) fn words(words: &[u32]) -> Bytes {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A constructor with its id.
pub(crate) fn boxed<T: Constructor>(object: &T) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(T::ID);
    object.encode_bare(&mut writer);
    writer.finish().unwrap()
}

/// Reads a body as one constructor, if it is that one.
pub(crate) fn read<T: Constructor>(body: &Bytes) -> Option<T> {
    let mut reader = Reader::new(body.clone());
    (reader.u32() == Ok(T::ID)).then_some(())?;
    let object = T::decode_bare(&mut reader).ok()?;
    reader.finish().ok()?;
    Some(object)
}

pub(crate) fn encoded<T: chappe_tl::Encode>(value: &T) -> Bytes {
    chappe_tl::to_bytes(value).unwrap()
}

pub(crate) fn ack(ids: &[MsgId]) -> Bytes {
    boxed(&types::MsgsAck { msg_ids: ids.iter().map(|id| id.0).collect() })
}

/// What a container holds, or the message itself.
pub(crate) fn flatten(message: Message) -> Vec<Inner> {
    let Header { msg_id, seq_no, .. } = message.header;
    match container::unpack(msg_id, &message.body) {
        Ok(inners) if message.body.starts_with(&container::ID.to_le_bytes()) => inners,
        _ => vec![Inner { msg_id, seq_no, body: message.body }],
    }
}

/// A message of a client at a moment: whole seconds since [`EPOCH`] and a rank among equals.
pub(crate) fn id_at(seconds: i64, rank: i64) -> MsgId {
    MsgId(((EPOCH + seconds) << 32) + 4 * rank)
}

/// A server's session, and a client written by hand.
pub(crate) struct RawServer {
    pub(crate) session: ServerSession,
    pub(crate) now: Now,
    pub(crate) salt: i64,
    pub(crate) link: LinkId,
    last: i64,
    content: i32,
}

impl RawServer {
    pub(crate) fn new() -> Self {
        Self::with(server::SessionConfig::default())
    }

    pub(crate) fn with(config: server::SessionConfig) -> Self {
        let session = ServerSession::new(SESSION, salts(), config, Rng::from_seed([2; 32]));
        let unix = Duration::from_secs(EPOCH as u64);
        Self {
            session,
            now: Now { mono: Duration::from_secs(1000), unix },
            salt: salts().current(EPOCH).value,
            link: LINK,
            last: 0,
            content: 0,
        }
    }

    /// A session that has greeted its client and been acknowledged.
    pub(crate) fn greeted() -> Self {
        let mut raw = Self::new();
        raw.greet();
        raw
    }

    /// Sends a ping and acknowledges everything that comes back.
    pub(crate) fn greet(&mut self) {
        self.service(ping(1));
        self.acknowledge_all();
    }

    pub(crate) fn acknowledge_all(&mut self) {
        let ids: Vec<MsgId> = self.replies().iter().map(|inner| inner.msg_id).collect();
        self.service(ack(&ids));
    }

    /// Lets time pass on both clocks.
    pub(crate) fn wait(&mut self, span: Duration) {
        self.now.mono += span;
        self.now.unix += span;
    }

    /// The next id of the client.
    pub(crate) fn id(&mut self) -> MsgId {
        let time = (self.now.unix.as_secs() as i64) << 32;
        self.last = (self.last + 4).max(time + 4);
        MsgId(self.last)
    }

    /// The next sequence number of the client.
    pub(crate) fn seq_no(&mut self, is_content: bool) -> i32 {
        let even = self.content * 2;
        self.content += i32::from(is_content);
        even + i32::from(is_content)
    }

    pub(crate) fn inner(&mut self, is_content: bool, body: Bytes) -> Inner {
        Inner { msg_id: self.id(), seq_no: self.seq_no(is_content), body }
    }

    pub(crate) fn send(&mut self, msg_id: MsgId, seq_no: i32, body: Bytes) {
        let header = Header { salt: self.salt, session_id: SESSION, msg_id, seq_no };
        self.session.handle_message(self.now, self.link, Message { header, body });
    }

    /// Sends messages as a request of HTTP, on a link of their own.
    pub(crate) fn request(&mut self, link: u64, inners: &[Inner]) -> MsgId {
        let Inner { msg_id, seq_no, body } = self.inner(false, container::pack(inners));
        let header = Header { salt: self.salt, session_id: SESSION, msg_id, seq_no };
        self.session.handle_request(self.now, LinkId(link), Message { header, body });
        msg_id
    }

    pub(crate) fn call(&mut self, body: Bytes) -> MsgId {
        let Inner { msg_id, seq_no, body } = self.inner(true, body);
        self.send(msg_id, seq_no, body);
        msg_id
    }

    pub(crate) fn service(&mut self, body: Bytes) -> MsgId {
        let Inner { msg_id, seq_no, body } = self.inner(false, body);
        self.send(msg_id, seq_no, body);
        msg_id
    }

    pub(crate) fn container(&mut self, inners: &[Inner]) -> MsgId {
        self.service(container::pack(inners))
    }

    /// Everything that the session sends on any link, out of its containers.
    pub(crate) fn replies(&mut self) -> Vec<Inner> {
        self.packets().into_iter().flat_map(|(_, message)| flatten(message)).collect()
    }

    pub(crate) fn packets(&mut self) -> Vec<(LinkId, Message)> {
        std::iter::from_fn(|| self.session.poll_transmit(self.now)).collect()
    }

    /// The replies that are one constructor.
    pub(crate) fn replied<T: Constructor>(&mut self) -> Vec<T> {
        self.replies().iter().filter_map(|inner| read(&inner.body)).collect()
    }

    /// The codes of the refusals sent, with what they refuse.
    pub(crate) fn refusals(&mut self) -> Vec<(MsgId, i32, i32)> {
        self.replied::<ctors::BadMsgNotification>()
            .into_iter()
            .map(|bad| (MsgId(bad.bad_msg_id), bad.bad_msg_seqno, bad.error_code))
            .collect()
    }

    pub(crate) fn events(&mut self) -> Vec<ServerEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// The calls handed out.
    pub(crate) fn calls(&mut self) -> Vec<IncomingCall> {
        self.events()
            .into_iter()
            .filter_map(|event| match event {
                ServerEvent::Call(call) => Some(call),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn ran(&mut self) -> Vec<MsgId> {
        self.calls().iter().map(|call| call.msg_id).collect()
    }

    pub(crate) fn answer(&mut self, call: MsgId, result: Bytes) {
        self.session.answer(self.now, call, Ok(result));
    }

    pub(crate) fn fail(&mut self, call: MsgId) {
        let error = chappe_proto::rpc::RpcError::bad_request("TEST_FAILED");
        self.session.answer(self.now, call, Err(error));
    }

    pub(crate) fn timeout(&mut self) {
        self.session.handle_timeout(self.now);
    }

    /// The results sent: call, and the boxed result.
    pub(crate) fn results(&mut self) -> Vec<(MsgId, Bytes)> {
        results_in(&self.replies())
    }

    /// The texts of the errors sent as results.
    pub(crate) fn errors(&mut self) -> Vec<String> {
        self.results()
            .iter()
            .filter_map(|(_, result)| read::<types::RpcError>(result))
            .map(|error| format!("{} {}", error.error_code, error.error_message.as_str().unwrap()))
            .collect()
    }
}

pub(crate) fn results_in(inners: &[Inner]) -> Vec<(MsgId, Bytes)> {
    inners
        .iter()
        .filter(|inner| inner.body.starts_with(&0xf35c_6d01u32.to_le_bytes()))
        .map(|inner| {
            let id = inner.body[4..12].try_into().unwrap();
            (MsgId(i64::from_le_bytes(id)), inner.body.slice(12..))
        })
        .collect()
}

pub(crate) fn ping(ping_id: i64) -> Bytes {
    boxed(&chappe_proto::schema::functions::Ping { ping_id })
}

/// A client's session, and a server written by hand.
pub(crate) struct RawClient {
    pub(crate) session: ClientSession,
    pub(crate) now: Now,
    /// Salt of the server's messages, which says nothing to the client.
    pub(crate) salt: i64,
    last: i64,
    content: i32,
    events: Vec<ClientEvent>,
}

impl RawClient {
    pub(crate) fn new() -> Self {
        Self::with(client::SessionConfig::default())
    }

    pub(crate) fn with(config: client::SessionConfig) -> Self {
        let unix = Duration::from_secs(EPOCH as u64);
        let now = Now { mono: Duration::from_secs(1000), unix };
        let clock = ServerClock::guess(now, 0);
        let mut session = ClientSession::new(config, 1, clock, Rng::from_seed([1; 32]));
        session.handle_link_opened(now);
        Self { session, now, salt: 1, last: 0, content: 0, events: Vec::new() }
    }

    /// A client that has its salts and knows the time.
    pub(crate) fn settled() -> Self {
        let mut raw = Self::new();
        let call = raw.session.call(query(0));
        let sent = raw.sent();
        let first = sent.iter().map(|inner| inner.msg_id).min().unwrap();
        raw.push(boxed(&types::NewSession { first_msg_id: first.0, unique_id: 1, server_salt: 1 }));
        for inner in raw.sent_or(sent) {
            raw.oblige(&inner);
        }
        let answers = raw.answers();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].0, call);
        raw.wait(Duration::from_secs(31));
        raw.sent();
        raw.events();
        raw
    }

    fn sent_or(&mut self, mut sent: Vec<Inner>) -> Vec<Inner> {
        sent.extend(self.sent());
        sent
    }

    /// Answers a query or a request for salts the way a server would.
    pub(crate) fn oblige(&mut self, inner: &Inner) {
        use chappe_proto::schema::functions::GetFutureSalts;
        if read::<GetFutureSalts>(&inner.body).is_some() {
            let since = self.now.unix_seconds() as i32;
            let salt = types::FutureSalt { valid_since: since, valid_until: since + 9999, salt: 1 };
            let salts =
                types::FutureSalts { req_msg_id: inner.msg_id.0, now: since, salts: vec![salt] };
            self.reply(boxed(&salts));
        } else if inner.body.starts_with(&0xaaaa_0001u32.to_le_bytes()) {
            self.result(inner.msg_id, &answer_to(&inner.body));
        }
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now.mono += span;
        self.now.unix += span;
        self.session.handle_timeout(self.now);
    }

    /// The next id of the server.
    pub(crate) fn id(&mut self, low_bits: i64) -> MsgId {
        let time = (self.now.unix.as_secs() as i64) << 32
            | ((i64::from(self.now.unix.subsec_nanos()) << 32) / 1_000_000_000);
        self.last = (self.last + 4).max(time & !3);
        MsgId(self.last | low_bits)
    }

    pub(crate) fn seq_no(&mut self, is_content: bool) -> i32 {
        let even = self.content * 2;
        self.content += i32::from(is_content);
        even + i32::from(is_content)
    }

    pub(crate) fn hand(
        &mut self,
        msg_id: MsgId,
        seq_no: i32,
        body: Bytes,
    ) -> Result<(), MessageError> {
        let session_id = self.session.id();
        self.hand_for(session_id, msg_id, seq_no, body)
    }

    pub(crate) fn hand_for(
        &mut self,
        session_id: SessionId,
        msg_id: MsgId,
        seq_no: i32,
        body: Bytes,
    ) -> Result<(), MessageError> {
        let header = Header { salt: self.salt, session_id, msg_id, seq_no };
        self.session.handle_message(self.now, Message { header, body })
    }

    /// Sends a message that needs no acknowledgement.
    pub(crate) fn reply(&mut self, body: Bytes) -> MsgId {
        let (id, seq_no) = (self.id(1), self.seq_no(false));
        self.hand(id, seq_no, body).unwrap();
        id
    }

    /// Sends a content-related message.
    pub(crate) fn push(&mut self, body: Bytes) -> MsgId {
        let (id, seq_no) = (self.id(3), self.seq_no(true));
        self.hand(id, seq_no, body).unwrap();
        id
    }

    pub(crate) fn result(&mut self, call: MsgId, result: &[u8]) -> MsgId {
        let (id, seq_no) = (self.id(1), self.seq_no(true));
        self.hand(id, seq_no, result_of(call, result)).unwrap();
        id
    }

    pub(crate) fn refuse(&mut self, bad: MsgId, code: i32) {
        self.reply(boxed(&ctors::BadMsgNotification {
            bad_msg_id: bad.0,
            bad_msg_seqno: 0,
            error_code: code,
        }));
    }

    pub(crate) fn correct_salt(&mut self, bad: MsgId, salt: i64) {
        self.reply(boxed(&ctors::BadServerSalt {
            bad_msg_id: bad.0,
            bad_msg_seqno: 0,
            error_code: 48,
            new_server_salt: salt,
        }));
    }

    pub(crate) fn packets(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.session.poll_transmit(self.now)).collect()
    }

    /// Everything that the session sends, out of its containers.
    pub(crate) fn sent(&mut self) -> Vec<Inner> {
        self.packets().into_iter().flat_map(flatten).collect()
    }

    /// The calls sent, without whatever else travelled with them.
    pub(crate) fn sent_calls(&mut self) -> Vec<Inner> {
        self.sent().into_iter().filter(is_query).collect()
    }

    pub(crate) fn sent_as<T: Constructor>(&mut self) -> Vec<T> {
        self.sent().iter().filter_map(|inner| read(&inner.body)).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<ClientEvent> {
        let mut events = std::mem::take(&mut self.events);
        events.extend(std::iter::from_fn(|| self.session.poll_event()));
        events
    }

    /// Why the link is of no use, if the session says so.
    pub(crate) fn dead_link(&mut self) -> Option<DeadLink> {
        self.events().into_iter().find_map(|event| match event {
            ClientEvent::LinkIsDead(why) => Some(why),
            _ => None,
        })
    }

    pub(crate) fn answers(&mut self) -> Vec<(client::CallId, Result<Raw, client::CallError>)> {
        let (answers, rest): (Vec<_>, Vec<_>) =
            self.events().into_iter().partition(|event| matches!(event, ClientEvent::Answer(..)));
        self.events = rest;
        answers
            .into_iter()
            .filter_map(|event| match event {
                ClientEvent::Answer(call, result) => Some((call, result)),
                _ => None,
            })
            .collect()
    }
}

/// A client with one call on its way, and that call's message.
pub(crate) fn calling() -> (RawClient, client::CallId, Inner) {
    let mut raw = RawClient::settled();
    let call = raw.session.call(query(1));
    let sent = raw.sent_calls().remove(0);
    (raw, call, sent)
}

/// The same, with a call that may run twice.
pub(crate) fn calling_repeatable() -> (RawClient, client::CallId, Inner) {
    let mut raw = RawClient::settled();
    let call = raw.session.call_with(query(1), client::CallOptions::default().repeatable());
    let sent = raw.sent_calls().remove(0);
    (raw, call, sent)
}

pub(crate) fn state_info(request: MsgId, info: &[u8]) -> Bytes {
    let info = Bytes::copy_from_slice(info);
    boxed(&types::MsgsStateInfo { req_msg_id: request.0, info })
}

/// Closes the link and opens another.
pub(crate) fn reopen(raw: &mut RawClient) {
    raw.session.handle_link_closed();
    raw.session.handle_link_opened(raw.now);
}

/// The body of a result.
pub(crate) fn result_of(call: MsgId, result: &[u8]) -> Bytes {
    chappe_proto::rpc::result_body(call, &Bytes::copy_from_slice(result))
}

pub(crate) fn is_query(inner: &Inner) -> bool {
    inner.body.starts_with(&0xaaaa_0001u32.to_le_bytes())
}
