//! A session as the server sees it: messages in, calls out; answers in, messages out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;

use crate::envelope::encrypted::{Header, Message};
use crate::ids::{LinkId, MsgId, SessionId, Side};
use crate::now::Now;
use crate::rpc::{self, RpcError, Unwrapped};
use crate::schema::{ctors, types};
use crate::session::acks::Acks;
use crate::session::container::{self, ContainerError};
use crate::session::inbox::{Admission, Inbox, InboxLimits, SeqNoDisorder};
use crate::session::kind::{self, Parity};
use crate::session::msg_id::{MsgIds, Origin};
use crate::session::outbox::{Outbox, OutboxLimits};
use crate::session::salts::ServerSalts;
use crate::session::seq_no::{SeqNo, is_content_related};

mod send;
mod service;

use send::Ready;

/// Limits and timers of a server's sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Window of received ids.
    pub inbox: InboxLimits,
    /// Unacknowledged messages kept. A client that never acknowledges makes us hold these.
    pub outbox: OutboxLimits,
    /// Wait before a slow call is acknowledged by itself. Default: 0.5 s (SVC-03).
    pub ack_delay_max: Duration,
    /// Calls running at once; more are refused with `FLOOD_WAIT_1`. Default: 1000.
    pub calls_max: usize,
    /// Wait of a call for those it names in `invokeAfterMsg`. Default: 0.5 s (SVC-44).
    pub after_wait_max: Duration,
    /// Largest answer sent again whole; larger ones are announced first. Default: 1 KiB (SVC-19).
    pub resend_max_bytes: usize,
    /// Smallest answer worth compressing. Default: 4 KiB; at least 256 bytes pay (TL-31).
    pub gzip_min_bytes: usize,
    /// Most that a compressed call may unpack to. Default: 1 MiB (TL-30).
    pub inflated_max_bytes: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            inbox: InboxLimits::SERVER,
            outbox: OutboxLimits::default(),
            ack_delay_max: Duration::from_millis(500),
            calls_max: 1000,
            after_wait_max: Duration::from_millis(500),
            resend_max_bytes: 1024,
            gzip_min_bytes: 4096,
            inflated_max_bytes: 1 << 20,
        }
    }
}

/// What a session asks of its owner.
#[derive(Debug)]
pub enum ServerEvent {
    /// Run this call once, then give the result to [`ServerSession::answer`].
    Call(IncomingCall),
    /// The client no longer wants this call; it may be stopped. Its answer is still due.
    CallDropped(MsgId),
    /// Forget this other session of the same key, then call
    /// [`ServerSession::session_destroyed`].
    DestroySession {
        /// Message that asked.
        request: MsgId,
        /// Session to forget.
        session_id: SessionId,
    },
    /// Destroy the auth key, then call [`ServerSession::auth_key_destroyed`].
    DestroyAuthKey {
        /// Message that asked.
        request: MsgId,
    },
    /// (Re)start the disconnect timer of this link (SVC-34).
    DisconnectAfter(LinkId, Duration),
    /// Send this transport error on this link and close it (MSG-22).
    CloseLink(LinkId, i32),
}

/// A call as it leaves the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingCall {
    /// Names the call within its session.
    pub msg_id: MsgId,
    /// The link it came on.
    pub link: LinkId,
    /// The function, freed of its wrappers.
    pub call: Unwrapped,
}

/// Outcome of `destroy_auth_key` (SVC-37).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDestroyed {
    /// It is gone.
    Ok,
    /// There was none.
    None,
    /// Not possible now.
    Fail,
}

/// One MTProto session on a server.
///
/// Holds no socket, clock or task. The caller
///
/// 1. feeds what happened: [`handle_message`](Self::handle_message),
///    [`handle_link_closed`](Self::handle_link_closed),
///    [`handle_timeout`](Self::handle_timeout), or a command such as [`answer`](Self::answer);
/// 2. drains [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event)
///    until both give `None`;
/// 3. waits for input, at most until [`poll_timeout`](Self::poll_timeout), and begins again.
///
/// The same inputs and seed give the same outputs, byte for byte.
#[derive(Debug)]
pub struct ServerSession {
    id: SessionId,
    config: SessionConfig,
    rng: Rng,
    salts: ServerSalts,
    created: Option<Created>,
    inbox: Inbox,
    outbox: Outbox,
    acks: Acks,
    ids: MsgIds,
    seq_no: SeqNo,
    /// Open links of this session, the one heard from last at the end.
    links: Vec<LinkId>,
    /// Ids heard before the session was forgotten: they must not run again (MSG-39).
    retired: BTreeSet<MsgId>,
    /// Calls handed out and not answered yet.
    running: BTreeMap<MsgId, Running>,
    /// Calls that wait for others (SVC-44).
    held: Vec<Held>,
    ready: VecDeque<Ready>,
    events: VecDeque<ServerEvent>,
    dropped_pushes: u64,
}

#[derive(Debug)]
struct Created {
    unique_id: i64,
    first_msg_id: MsgId,
}

#[derive(Debug)]
struct Running {
    link: LinkId,
    is_dropped: bool,
}

#[derive(Debug)]
struct Held {
    call: IncomingCall,
    deadline: Duration,
}

/// A message may be this much older than the server's clock (MSG-11).
pub const AGE_MAX: Duration = Duration::from_secs(300);
/// A message may be this much ahead of the server's clock (MSG-11).
pub const AHEAD_MAX: Duration = Duration::from_secs(30);

impl ServerSession {
    /// A session nobody has written in yet. It counts as created with its first valid message.
    pub fn new(id: SessionId, salts: ServerSalts, config: SessionConfig, rng: Rng) -> Self {
        Self {
            id,
            rng,
            salts,
            created: None,
            inbox: Inbox::new(config.inbox),
            outbox: Outbox::new(config.outbox),
            config,
            acks: Acks::default(),
            ids: MsgIds::default(),
            seq_no: SeqNo::default(),
            links: Vec::new(),
            retired: BTreeSet::new(),
            running: BTreeMap::new(),
            held: Vec::new(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
            dropped_pushes: 0,
        }
    }

    /// Forgets everything but the ids that a recording of the last minutes could bring back: the
    /// next message creates the session anew, and what ran before does not run again (MSG-39).
    ///
    /// Calls that are running go on; their answers are nobody's any more.
    pub fn forget(&mut self, now: Now) {
        let fresh = Self::new(self.id, self.salts.clone(), self.config.clone(), self.rng.fork());
        let old = std::mem::replace(self, fresh);
        let span = old.config.inbox.span;
        let is_recent = |id: &MsgId| id.time() + span >= now.unix;
        self.retired = old.retired.into_iter().chain(old.inbox.ids()).filter(is_recent).collect();
        // Time and numbers go on, so that no id of ours means two messages.
        self.ids = old.ids;
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Takes one opened message that names this session.
    ///
    /// Cannot fail: a message that breaks a session rule is answered with a notification and the
    /// session goes on. The checks stand in the order of 04-messages §5.
    pub fn handle_message(&mut self, now: Now, link: LinkId, message: Message) {
        let Message { header, body } = message;
        let Header { msg_id, seq_no, .. } = header;
        if !msg_id.may_come_from(Side::Client) {
            return self.refuse(now, link, msg_id, seq_no, 18);
        }
        if !self.salts.accepts(header.salt, now.unix_seconds()) {
            return self.correct_salt(now, link, msg_id, seq_no);
        }
        if let Err(code) = check_time(msg_id, now.unix) {
            return self.refuse(now, link, msg_id, seq_no, code);
        }
        self.attach(now, link);
        if kind::id_of(&body) == container::ID {
            self.handle_container(now, link, header, &body);
        } else {
            self.admit(now, link, msg_id, seq_no, body);
        }
        self.release_held(now);
    }

    /// The link is gone. Its calls run on; their answers wait for another link (SES-16).
    pub fn handle_link_closed(&mut self, link: LinkId) {
        self.links.retain(|open| *open != link);
        let outbox = &self.outbox;
        // What is kept in the outbox is sent again on the next link; the rest was for this one.
        self.ready.retain(|ready| {
            ready.link != link || outbox.get(ready.msg_id).is_some() && self.links.last().is_some()
        });
        if let Some(other) = self.links.last() {
            for ready in self.ready.iter_mut().filter(|ready| ready.link == link) {
                ready.link = *other;
            }
        }
    }

    /// Does what is due: acknowledgements of slow calls, calls that waited too long.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = self.acks.take_due(now.mono);
        if let Some(link) = self.links.last().copied()
            && !due.is_empty()
        {
            self.send_acks(now, link, &due);
        }
        self.release_held(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let held = self.held.iter().map(|held| held.deadline).min();
        [self.acks.due(), held].into_iter().flatten().min()
    }

    /// The next thing the owner has to do.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// Gives the result of a call: the boxed result, or the error.
    ///
    /// A call that is unknown or already answered is ignored, so an answer is made once.
    pub fn answer(&mut self, now: Now, call: MsgId, result: Result<Bytes, RpcError>) {
        let Some(running) = self.running.remove(&call) else { return };
        let result = if running.is_dropped {
            Ok(rpc::encoded(&types::RpcDropAnswer::RpcAnswerDroppedRunning))
        } else {
            result
        };
        let failed = result.is_err();
        let result = result.unwrap_or_else(|error| error.to_tl());
        self.send_result(now, running.link, call, result, failed);
        self.release_held(now);
    }

    /// Sends something unasked, such as an update, on the link heard from last; it is kept until
    /// the client acknowledges it.
    pub fn push(&mut self, now: Now, body: Bytes) {
        let link = self.links.last().copied();
        self.send_content(now, link, Origin::Push, body, None);
    }

    /// Messages that had to be given up because the client acknowledges nothing (SES-07).
    pub fn dropped(&self) -> u64 {
        self.dropped_pushes
    }

    /// Whether no link is open and no call is running.
    pub fn is_idle(&self) -> bool {
        self.links.is_empty() && self.running.is_empty() && self.held.is_empty()
    }

    /// Open links of this session.
    pub fn links(&self) -> &[LinkId] {
        &self.links
    }

    fn handle_container(&mut self, now: Now, link: LinkId, header: Header, body: &Bytes) {
        let Header { msg_id, seq_no, .. } = header;
        match self.judge(msg_id) {
            Admission::Fresh => {}
            Admission::Duplicate => return self.refuse(now, link, msg_id, seq_no, 19),
            Admission::TooOld => return self.refuse(now, link, msg_id, seq_no, 20),
        }
        if is_content_related(seq_no) {
            return self.refuse(now, link, msg_id, seq_no, 34);
        }
        if let Err(disorder) = self.inbox.seq_no_order(msg_id, seq_no) {
            return self.refuse(now, link, msg_id, seq_no, disorder_code(disorder));
        }
        let inners = match container::unpack(msg_id, body) {
            Ok(inners) => inners,
            Err(ContainerError::TooMany(_)) => {
                return self.events.push_back(ServerEvent::CloseLink(link, -429));
            }
            Err(ContainerError::Malformed(_)) => {
                return self.refuse(now, link, msg_id, seq_no, 64);
            }
        };
        if inners.iter().any(|inner| inner.seq_no > seq_no) {
            return self.refuse(now, link, msg_id, seq_no, 64);
        }
        self.inbox.remember(msg_id, seq_no, now.unix);
        for inner in inners {
            if !inner.msg_id.may_come_from(Side::Client) {
                self.refuse(now, link, inner.msg_id, inner.seq_no, 18);
                continue;
            }
            self.admit(now, link, inner.msg_id, inner.seq_no, inner.body);
        }
    }

    /// Judges one message, alone or out of a container, and acts on it (MSG-25).
    fn admit(&mut self, now: Now, link: LinkId, msg_id: MsgId, seq_no: i32, body: Bytes) {
        match self.judge(msg_id) {
            Admission::Fresh => {}
            Admission::Duplicate => return self.repeat(now, link, msg_id, seq_no),
            Admission::TooOld => return self.refuse(now, link, msg_id, seq_no, 20),
        }
        let is_content = is_content_related(seq_no);
        match kind::parity_wanted(&body) {
            Parity::Odd if !is_content => return self.refuse(now, link, msg_id, seq_no, 35),
            Parity::Even if is_content => return self.refuse(now, link, msg_id, seq_no, 34),
            _ => {}
        }
        if let Err(disorder) = self.inbox.seq_no_order(msg_id, seq_no) {
            return self.refuse(now, link, msg_id, seq_no, disorder_code(disorder));
        }
        self.inbox.remember(msg_id, seq_no, now.unix);
        self.create(now, link, msg_id);
        if is_content {
            self.acks.owe(msg_id, now.mono + self.config.ack_delay_max);
        }
        self.dispatch(now, link, msg_id, body);
    }

    fn judge(&self, msg_id: MsgId) -> Admission {
        if self.retired.contains(&msg_id) {
            return Admission::Duplicate;
        }
        self.inbox.judge(msg_id)
    }

    /// A message heard before: acknowledged again, never run again (04-messages §7).
    fn repeat(&mut self, now: Now, link: LinkId, msg_id: MsgId, seq_no: i32) {
        if !is_content_related(seq_no) {
            return;
        }
        let Some(answer) = self.inbox.get(msg_id).and_then(|heard| heard.answer) else {
            return self.send_acks(now, link, &[msg_id]);
        };
        match self.outbox.get(answer).map(|owed| owed.body.len()) {
            Some(len) if len <= self.config.resend_max_bytes => self.resend(link, answer),
            Some(len) => {
                let info = ctors::MsgDetailedInfo {
                    msg_id: msg_id.0,
                    answer_msg_id: answer.0,
                    bytes: len as i32,
                    status: 0,
                };
                self.send_service(now, link, rpc::boxed(&info));
            }
            None => self.send_acks(now, link, &[msg_id]),
        }
    }

    /// Announces the session with its first message, and again when an earlier one turns up
    /// (SVC-39).
    fn create(&mut self, now: Now, link: LinkId, msg_id: MsgId) {
        match &mut self.created {
            Some(created) if created.first_msg_id <= msg_id => return,
            Some(created) => created.first_msg_id = msg_id,
            None => {
                let unique_id = self.rng.u64() as i64;
                self.created = Some(Created { unique_id, first_msg_id: msg_id });
            }
        }
        let Some(Created { unique_id, first_msg_id }) = self.created else { return };
        let server_salt = self.salts.current(now.unix_seconds()).value;
        let body = rpc::boxed(&types::NewSession {
            first_msg_id: first_msg_id.0,
            unique_id,
            server_salt,
        });
        self.send_content(now, Some(link), Origin::Answer, body, None);
    }

    /// Notes that the session is heard on `link`; the first link after none gets everything
    /// again that was not acknowledged (SES-09).
    fn attach(&mut self, now: Now, link: LinkId) {
        let was_alone = self.links.is_empty();
        let is_new = !self.links.contains(&link);
        self.links.retain(|open| *open != link);
        self.links.push(link);
        if was_alone && is_new {
            self.resend_all(now, link);
        }
    }

    fn release_held(&mut self, now: Now) {
        let mut at = 0;
        while at < self.held.len() {
            let verdict = self.after_verdict(&self.held[at].call.call.after);
            let is_late = self.held[at].deadline <= now.mono;
            let error = match verdict {
                After::Run => None,
                After::Failed => Some("MSG_WAIT_FAILED"),
                After::Wait if is_late => Some("MSG_WAIT_TIMEOUT"),
                After::Wait => {
                    at += 1;
                    continue;
                }
            };
            let call = self.held.remove(at).call;
            match error {
                None => self.events.push_back(ServerEvent::Call(call)),
                Some(text) => self.answer(now, call.msg_id, Err(RpcError::new(400, text))),
            }
            at = 0;
        }
    }

    /// Whether the messages that a call names have finished (SVC-44).
    fn after_verdict(&self, after: &[i64]) -> After {
        let mut verdict = After::Run;
        for id in after.iter().map(|raw| MsgId(*raw)) {
            match self.inbox.get(id) {
                Some(heard) if heard.failed => return After::Failed,
                Some(heard) if heard.call && heard.answer.is_none() => verdict = After::Wait,
                Some(_) => {}
                None if self.inbox.judge(id) == Admission::TooOld => {}
                None => return After::Failed,
            }
        }
        verdict
    }

    fn refuse(&mut self, now: Now, link: LinkId, id: MsgId, seq_no: i32, code: i32) {
        let body = rpc::boxed(&ctors::BadMsgNotification {
            bad_msg_id: id.0,
            bad_msg_seqno: seq_no,
            error_code: code,
        });
        self.send_service(now, link, body);
    }

    fn correct_salt(&mut self, now: Now, link: LinkId, id: MsgId, seq_no: i32) {
        let body = rpc::boxed(&ctors::BadServerSalt {
            bad_msg_id: id.0,
            bad_msg_seqno: seq_no,
            error_code: 48,
            new_server_salt: self.salts.current(now.unix_seconds()).value,
        });
        self.send_service(now, link, body);
    }
}

enum After {
    Run,
    Wait,
    Failed,
}

fn disorder_code(disorder: SeqNoDisorder) -> i32 {
    match disorder {
        SeqNoDisorder::TooLow => 32,
        SeqNoDisorder::TooHigh => 33,
    }
}

/// Code 16 or 17 for an id outside its time, or without a fraction (MSG-10, MSG-11).
fn check_time(id: MsgId, server_time: Duration) -> Result<(), i32> {
    let time = id.time();
    if time + AGE_MAX < server_time || !id.has_fraction() {
        return Err(16);
    }
    if time > server_time + AHEAD_MAX {
        return Err(17);
    }
    Ok(())
}
