//! The reference model: what is right, said as simply as possible, and the first thing that is not.
//!
//! It sees every message as it leaves a session and before it is sealed, every call that begins to
//! run and every outcome that an application hears. It shares no code with what it judges beyond
//! the layout of a container.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::rpc;
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::client::CallError;
use chappe_proto::session::container::Inner;
use chappe_proto::{LinkId, MsgId, SessionId, Side};
use chappe_tl::{Constructor, Raw};

use crate::words::{self, Question, Token};

/// Code of a notification that a message is too old to be known.
const TOO_OLD: i32 = 20;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// In what way.
    pub details: String,
}

/// What must hold in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A message runs at most once per life of a node, key, session and id (MSG-39).
    OneRunPerMessage,
    /// A call runs as one message, whatever is lost or forgotten, unless its client gave a session
    /// up; one that may run twice does so only where an end lost its memory in between (SES-11,
    /// SES-12, SES-17).
    OneRunPerCall,
    /// A call begins when those that it comes after are finished (SVC-44, SVC-45).
    CallsInOrder,
    /// A call gets exactly one outcome, and none after it was dropped.
    OneOutcome,
    /// The outcome is the one that belongs to the call.
    RightOutcome,
    /// What is pushed arrives once, and at whom it is for.
    OnePush,
    /// A device has the events of its account's log, in its order, each once, and no others; a
    /// session hears of each at most once by a push, in order, and of its own by the answer alone
    /// (UPD-01 to UPD-03, UPD-14).
    OneLine,
    /// A link carries messages of the session bound to it alone (SES-03, TRN-41).
    OwnSession,
    /// Ids rise, say who made them and mean one message each (MSG-07 to MSG-09, MSG-13).
    MessageIds,
    /// Sequence numbers count what has to be acknowledged (MSG-16, MSG-18).
    SequenceNumbers,
    /// What is sent again under its old id travels in a container (SES-11, MSG-12).
    OldIdsInContainers,
    /// A client takes a clock back only upon proof (06 §6).
    ClockMovesUponProof,
    /// What a peer can fill stays within its bounds.
    Bounds,
    /// A key that was destroyed is nowhere in memory any more (SVC-37).
    KeyLifetime,
    /// A link whose time is up is closed (SVC-34, TRN-42).
    DeadLinksEnd,
    /// Once the network is well, every call comes to its end and every debt is paid.
    Completion,
    /// Nobody is busy without time passing.
    Progress,
    /// A message written by hand is judged as the specification says.
    Judgement,
    /// A peer's input never makes anybody panic.
    NoPanic,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.details)
    }
}

/// What an application wants of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It may run twice.
    pub is_repeatable: bool,
    /// Calls that have to be finished first.
    pub after: Vec<Token>,
    /// What it asks for.
    pub question: Question,
}

/// What is known of one call.
#[derive(Debug)]
struct Call {
    client: usize,
    wish: Wish,
    /// Excuses of its client when it was made.
    excused: u32,
    /// Sessions that its client had given up by then.
    restarts: u32,
    /// In each life of the node.
    runs: BTreeMap<u64, u32>,
    /// The messages that ran.
    messages: BTreeSet<(SessionId, MsgId)>,
    /// Some run of it has ended.
    is_finished: bool,
    /// What it was answered, where that does not follow from its token.
    answers: Vec<Bytes>,
    is_dropped: bool,
    has_outcome: bool,
}

/// A session as it appears on the wire, from one side.
#[derive(Debug, Default)]
struct Stream {
    /// Numbers and contents of everything sent.
    sent: BTreeMap<MsgId, (i32, u64)>,
    /// Messages sent so far that have to be acknowledged.
    content: i32,
    /// Numbers begin anew above this id: its sender forgot the session there.
    floor: Option<MsgId>,
}

/// What has happened so far, and the first rule that was broken.
#[derive(Debug, Default)]
pub struct Model {
    calls: BTreeMap<Token, Call>,
    runs: BTreeSet<(u64, AuthKeyId, SessionId, MsgId)>,
    /// How often a client's call may have run once more through no fault of anybody.
    excuses: BTreeMap<usize, u32>,
    /// Sessions that a client gave up.
    restarts: BTreeMap<usize, u32>,
    /// Questions about states that a client asked in a row without a reply.
    questions: BTreeMap<usize, u32>,
    pushes: BTreeMap<Token, Option<usize>>,
    owners: BTreeMap<SessionId, usize>,
    from_clients: BTreeMap<SessionId, Stream>,
    from_nodes: BTreeMap<(u64, AuthKeyId, SessionId), Stream>,
    heard_on: BTreeMap<LinkId, (AuthKeyId, SessionId)>,
    broken: Option<Broken>,
    results: u32,
    unreadable: u32,
}

impl Model {
    /// Notes that a rule was broken; the first time counts.
    pub fn fail(&mut self, rule: Rule, details: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(Broken { rule, details: details() });
        }
    }

    /// The first rule that was broken.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// One end of this client's session lost its memory.
    pub fn excuse(&mut self, client: usize) {
        *self.excuses.entry(client).or_default() += 1;
    }

    /// A client gave up its session. What the node refused there, for instance as too far ahead of
    /// its clock, somebody may play back when its time has come.
    pub fn restarted(&mut self, client: usize) {
        *self.restarts.entry(client).or_default() += 1;
        self.excuse(client);
    }

    /// Whether no end has lost its memory since the sessions began.
    pub fn has_excuses(&self) -> bool {
        self.excuses.values().any(|excuses| *excuses > 1)
    }

    /// The client that a session belongs to.
    pub fn owner(&self, session: SessionId) -> Option<usize> {
        self.owners.get(&session).copied()
    }

    /// An application makes a call.
    pub fn called(&mut self, client: usize, token: Token, wish: Wish) {
        let call = Call {
            client,
            wish,
            excused: self.excuses.get(&client).copied().unwrap_or(0),
            restarts: self.restarts.get(&client).copied().unwrap_or(0),
            runs: BTreeMap::new(),
            messages: BTreeSet::new(),
            is_finished: false,
            answers: Vec::new(),
            is_dropped: false,
            has_outcome: false,
        };
        self.calls.insert(token, call);
    }

    /// A node has ended a run of a call.
    pub fn finished(&mut self, token: Token) {
        if let Some(call) = self.calls.get_mut(&token) {
            call.is_finished = true;
        }
    }

    /// A node answers a call with what does not follow from its token.
    pub fn answered(&mut self, token: Token, answer: Bytes) {
        if let Some(call) = self.calls.get_mut(&token) {
            call.answers.push(answer);
        }
    }

    /// A call that this one comes after and that nobody has ended yet.
    fn is_before(&self, call: &Call) -> Option<Token> {
        call.wish.after.iter().copied().find(|first| {
            self.calls
                .get(first)
                .is_some_and(|first| !first.is_finished && !first.is_dropped && !first.has_outcome)
        })
    }

    /// An application wants to hear no more of a call.
    pub fn dropped(&mut self, token: Token) {
        if let Some(call) = self.calls.get_mut(&token) {
            call.is_dropped = true;
        }
    }

    /// Calls whose outcome is still owed.
    pub fn open(&self) -> impl Iterator<Item = Token> {
        let open = |call: &Call| !call.has_outcome && !call.is_dropped;
        self.calls.iter().filter(move |(_, call)| open(call)).map(|(token, _)| *token)
    }

    /// A node begins to run a call.
    pub fn ran(&mut self, life: u64, key: AuthKeyId, session: SessionId, id: MsgId, body: &[u8]) {
        if !self.runs.insert((life, key, session, id)) {
            self.fail(Rule::OneRunPerMessage, || {
                format!("message {id} of session {session} runs a second time")
            });
        }
        let Some(token) = words::asked(body) else { return };
        let Some(call) = self.calls.get_mut(&token) else { return };
        *call.runs.entry(life).or_default() += 1;
        call.messages.insert((session, id));
        let Some(call) = self.calls.get(&token) else { return };
        let client = call.client;
        let (runs, excuses) = if call.wish.is_repeatable {
            let excuses = self.excuses.get(&client).copied().unwrap_or(0) - call.excused;
            (call.runs[&life], excuses)
        } else {
            let restarts = self.restarts.get(&client).copied().unwrap_or(0) - call.restarts;
            (call.messages.len() as u32, restarts)
        };
        let early = self.is_before(call);
        if runs > 1 + excuses {
            self.fail(Rule::OneRunPerCall, || {
                format!(
                    "call {:x} of client {client} runs {runs} times, {excuses} excused",
                    token.0
                )
            });
        }
        if let Some(first) = early {
            self.fail(Rule::CallsInOrder, || {
                format!("call {:x} of client {client} begins before {:x} ends", token.0, first.0)
            });
        }
    }

    /// An application hears the outcome of its call.
    pub fn outcome(&mut self, token: Token, result: &Result<Raw, CallError>) {
        self.results += u32::from(result.is_ok());
        self.unreadable += u32::from(matches!(result, Err(CallError::Unreadable(_))));
        let Some(call) = self.calls.get_mut(&token) else { return };
        let excuses = self.excuses.get(&call.client).copied().unwrap_or(0);
        // Also before the call: the client may hear of it only afterwards.
        let is_excused = excuses > 0 && !call.wish.is_repeatable;
        let is_late = call.has_outcome || call.is_dropped;
        call.has_outcome = true;
        let is_plain = call.wish.question == Question::Plain;
        let is_right = match (result, words::answer(token)) {
            (Ok(Raw(body)), _) if !is_plain => call.answers.contains(body),
            (Ok(Raw(body)), Ok(right)) => *body == right,
            (Err(CallError::Rpc(error)), Err(right)) => *error == right,
            // Nobody knows whether it ran: only where something was forgotten on the way, and it
            // may not simply run again (SES-12).
            (Err(CallError::Unknown(_)), _) => is_excused,
            _ => false,
        };
        if is_late {
            self.fail(Rule::OneOutcome, || format!("call {:x} has an outcome too many", token.0));
        }
        if !is_right {
            self.fail(Rule::RightOutcome, || {
                let result: String = format!("{result:?}").chars().take(100).collect();
                format!("call {:x} ends with {result}", token.0)
            });
        }
    }

    /// Whether some outcome was a result.
    pub fn saw_result(&self) -> bool {
        self.results > 0
    }

    /// Whether some outcome could not be read.
    pub fn saw_unreadable(&self) -> bool {
        self.unreadable > 0
    }

    /// A node pushes to a session.
    pub fn pushed(&mut self, token: Token, session: SessionId) {
        self.pushes.insert(token, self.owner(session));
    }

    /// A client hears a push.
    pub fn heard_push(&mut self, client: usize, body: &[u8]) {
        let token = words::pushed(body);
        if token.and_then(|token| self.pushes.insert(token, None)).flatten() != Some(client) {
            self.fail(Rule::OnePush, || {
                format!(
                    "client {client} hears a push that is not for it or came before: {token:x?}"
                )
            });
        }
    }

    /// A client works under this session.
    pub fn owns(&mut self, client: usize, session: SessionId) {
        self.owners.insert(session, client);
    }

    /// A node has opened a message that came on a link.
    pub fn opened(&mut self, link: LinkId, key: AuthKeyId, session: SessionId) {
        self.heard_on.insert(link, (key, session));
    }

    /// A node has forgotten a session: its next message there is number one.
    pub fn forgot(&mut self, life: u64, key: AuthKeyId, session: SessionId) {
        if let Some(stream) = self.from_nodes.get_mut(&(life, key, session)) {
            stream.floor = stream.sent.last_key_value().map(|(id, _)| *id);
        }
    }

    /// A client heard states: its questions are answered.
    pub fn heard_states(&mut self, client: usize) {
        self.questions.insert(client, 0);
    }

    /// A message leaves a client.
    pub fn client_sends(&mut self, client: usize, session: SessionId, message: &Message) {
        if message.header.session_id != session {
            self.fail(Rule::OwnSession, || format!("client {client} speaks for another session"));
        }
        let inners = words::flatten(message);
        for inner in &inners {
            if words::id_of(&inner.body) == types::MsgsStateReq::ID {
                let asked = self.questions.entry(client).or_default();
                *asked += 1;
                // After three questions calls go out anew (SES-10).
                if asked.is_multiple_of(3) {
                    self.excuse(client);
                }
            }
        }
        let stream = self.from_clients.entry(session).or_default();
        let fault = stream.judge(Side::Client, message, &inners);
        self.report(fault, "client", session);
    }

    /// A message leaves a node on a link.
    pub fn node_sends(&mut self, life: u64, key: AuthKeyId, link: LinkId, message: &Message) {
        let session = message.header.session_id;
        if self.heard_on.get(&link) != Some(&(key, session)) {
            self.fail(Rule::OwnSession, || {
                format!("session {session} is answered on link {}, bound elsewhere", link.0)
            });
        }
        let inners = words::flatten(message);
        // Whoever hears this sends calls of before again, under new ids: all (SVC-40), or the one
        // that is too old to be known.
        let is_new = |inner: &Inner| match words::id_of(&inner.body) {
            types::NewSession::ID => true,
            ctors::BadMsgNotification::ID => words::read::<ctors::BadMsgNotification>(&inner.body)
                .is_some_and(|notice| notice.error_code == TOO_OLD),
            _ => false,
        };
        if let Some(client) = self.owner(session).filter(|_| inners.iter().any(is_new)) {
            self.excuse(client);
        }
        let stream = self.from_nodes.entry((life, key, session)).or_default();
        let fault = stream.judge(Side::Server, message, &inners);
        self.report(fault, "node", session);
    }

    /// A client has accepted a message; its idea of the server's time was `before` and is `after`.
    pub fn clock_moved(
        &mut self,
        client: usize,
        before: Duration,
        after: Duration,
        message: &Message,
    ) {
        let is_lowered = after < before;
        let is_behind = after < message.header.msg_id.time();
        if !is_lowered && !is_behind {
            return;
        }
        let is_proof = |inner: &Inner| match words::id_of(&inner.body) {
            ctors::BadMsgNotification::ID => true,
            // An answer made long before its question, by the two clocks.
            rpc::RESULT | types::Pong::ID | types::FutureSalts::ID => {
                let question = MsgId(words::long_at(&inner.body, 4));
                inner.msg_id.time() + Duration::from_secs(14) < question.time()
            }
            _ => false,
        };
        if !words::flatten(message).iter().any(is_proof) {
            self.fail(Rule::ClockMovesUponProof, || {
                format!("client {client} moves its clock from {before:?} to {after:?}")
            });
        }
    }

    fn report(&mut self, fault: Option<(Rule, String)>, who: &str, session: SessionId) {
        if let Some((rule, details)) = fault {
            self.fail(rule, || format!("{who} of session {session}: {details}"));
        }
    }
}

impl Stream {
    /// Takes down one envelope; what is wrong with it.
    fn judge(&mut self, side: Side, message: &Message, inners: &[Inner]) -> Option<(Rule, String)> {
        let top = message.header.msg_id;
        let is_container = words::is_container(message);
        if !is_container && self.sent.contains_key(&top) {
            return Some((Rule::OldIdsInContainers, format!("message {top} goes out alone again")));
        }
        for inner in inners {
            if is_container && inner.msg_id >= top {
                return Some((Rule::MessageIds, format!("{} is in {top}", inner.msg_id)));
            }
            if let Some(fault) = self.judge_one(side, inner.msg_id, inner.seq_no, &inner.body) {
                return Some(fault);
            }
        }
        if is_container {
            return self.judge_one(side, top, message.header.seq_no, &message.body);
        }
        None
    }

    fn judge_one(
        &mut self,
        side: Side,
        id: MsgId,
        seq_no: i32,
        body: &Bytes,
    ) -> Option<(Rule, String)> {
        let mut print = 0u64;
        for chunk in body.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            print = (print.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9);
        }
        if let Some(known) = self.sent.get(&id) {
            // Sent again: the same numbers, the same words.
            return (*known != (seq_no, print))
                .then(|| (Rule::MessageIds, format!("id {id} means two messages")));
        }
        let low = if side == Side::Client { id.0 & 3 == 0 } else { id.0 & 1 == 1 };
        if !low || !id.has_fraction() {
            return Some((Rule::MessageIds, format!("id {id} cannot come from a {side:?}")));
        }
        let fault = match side {
            Side::Client => {
                let highest = self.sent.last_key_value().map(|(id, _)| *id);
                if highest.is_some_and(|highest| highest >= id) {
                    return Some((Rule::MessageIds, format!("{id} follows {highest:?}")));
                }
                let is_content = words::is_question(body);
                let right = 2 * self.content + i32::from(is_content);
                self.content += i32::from(is_content);
                (seq_no != right).then(|| format!("message {id} is number {seq_no}, not {right}"))
            }
            Side::Server => {
                let is_content = matches!(words::id_of(body), rpc::RESULT | types::NewSession::ID)
                    || words::is_push(body);
                let below = self.sent.range(..id).next_back();
                let below = below.filter(|(id, _)| Some(**id) > self.floor);
                let below = below.map(|(_, (seq, _))| *seq);
                let above = self.sent.range(id..).next().map(|(_, (seq, _))| *seq);
                let rises = |a: i32, b: i32| a < b || (a == b && a & 1 == 0);
                let fits = below.is_none_or(|below| rises(below, seq_no))
                    && above.is_none_or(|above| rises(seq_no, above))
                    && (seq_no & 1 == 1) == is_content;
                (!fits).then(|| {
                    format!("message {id} is number {seq_no} between {below:?} and {above:?}")
                })
            }
        };
        self.sent.insert(id, (seq_no, print));
        fault.map(|details| (Rule::SequenceNumbers, details))
    }
}
