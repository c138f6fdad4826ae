//! A session as the client sees it: calls in, messages out; messages in, answers out.
//!
//! | file | holds |
//! | --- | --- |
//! | `config` | limits and timers |
//! | `event`, `error` | what the owner is told; why there is no result |
//! | `call` | what a call is and where it stands |
//! | `send` | what leaves, and in which packets |
//! | `receive` | the checks on what comes |
//! | `service` | what the server's messages mean |
//! | `datagrams` | what it has to know where messages leave as datagrams |
//! | `quick_acks` | calls whose receipt the server is to acknowledge quickly |
//! | `recovery` | refusals, lost links, questions about lost calls |
//! | `http` | a session over requests, in whose answers alone the server speaks |
//! | `silence` | links that show no life while calls wait |
//! | `restart` | the next session, and what becomes of calls of the one before |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;

use crate::envelope::encrypted::BODY_MAX;
use crate::ids::{MsgId, SessionId};
use crate::now::Now;
use crate::rpc;
use crate::session::acks::Acks;
use crate::session::container;
use crate::session::inbox::Inbox;
use crate::session::msg_id::MsgIds;
use crate::session::salts::ClientSalts;
use crate::session::seq_no::SeqNo;
use crate::session::time::ServerClock;

mod call;
mod config;
mod datagrams;
mod error;
mod event;
mod http;
mod quick_acks;
mod receive;
mod recovery;
mod restart;
mod send;
mod service;
mod silence;

pub use call::{Bind, CallId, CallOptions, Doubt};
pub use config::SessionConfig;
pub use error::{CallError, MessageError};
pub use event::{ClientEvent, DeadLink};

use call::{Call, Content, Flight};
use http::Polls;
use restart::Former;
use send::Outgoing;
use silence::Silence;

/// What a session holds, for those who watch over memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Calls without an answer.
    pub calls: usize,
    /// Messages of ours that the server may still speak about.
    pub remembered: usize,
    /// Ids in the window of received messages.
    pub heard: usize,
}

/// One MTProto session on a client.
///
/// Holds no socket, clock or task. The caller
///
/// 1. feeds what happened: [`handle_link_opened`](Self::handle_link_opened),
///    [`handle_message`](Self::handle_message), [`handle_link_closed`](Self::handle_link_closed),
///    [`handle_timeout`](Self::handle_timeout), or a command such as [`call`](Self::call);
/// 2. drains [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event)
///    until both give `None`;
/// 3. waits for input, at most until [`poll_timeout`](Self::poll_timeout), and begins again.
///
/// The same inputs and seed give the same outputs, byte for byte.
#[derive(Debug)]
pub struct ClientSession {
    id: SessionId,
    /// Sessions that we gave up: the server may still speak in them (06 §4).
    former: VecDeque<Former>,
    config: SessionConfig,
    rng: Rng,
    salts: ClientSalts,
    clock: ServerClock,
    inbox: Inbox,
    acks: Acks,
    ids: MsgIds,
    seq_no: SeqNo,
    calls: BTreeMap<CallId, Call>,
    /// Those of `calls` whose receipt the server is to acknowledge quickly, and has not.
    quick_acks: BTreeSet<CallId>,
    last_call: u64,
    /// Messages of ours that the server may still speak about.
    sent: BTreeMap<MsgId, Sent>,
    /// Those of `sent` that no answer will remove, oldest first; some are gone already.
    passing: VecDeque<MsgId>,
    /// Calls that wait until the calls they come after are finished (SVC-45).
    waiting: BTreeSet<CallId>,
    /// Service messages to be sent.
    services: VecDeque<(Sent, Bytes)>,
    /// Calls to be sent.
    queue: VecDeque<Outgoing>,
    /// Every message leaves in a packet of its own, so that it fits a datagram.
    is_split: bool,
    /// A container was refused (code 64): what is queued goes out in packets of its own.
    sends_singly: bool,
    links: usize,
    /// The server has spoken since the first of these links was opened.
    is_heard: bool,
    /// The call that binds the key; no other is sent before it has succeeded (PFS-09).
    binding: Option<CallId>,
    /// Code of a refusal that asks for a new session, once the message with it is used up.
    restart_due: Option<i32>,
    /// A link is gone and others are open: what it carried has to be asked for.
    ask_due: bool,
    /// Of this session as the server created it last.
    unique_id: Option<i64>,
    /// The server has created a session of ours before.
    was_created: bool,
    /// When the next ping is due, and when the link counts as dead without a pong.
    ping_due: Duration,
    pong_due: Option<Duration>,
    /// When this link last brought a pong.
    ponged: Option<Duration>,
    silence: Silence,
    /// The link is made of requests of HTTP.
    polls: Option<Polls>,
    /// Time from the first ping without a pong until one came.
    round_trip: Option<Duration>,
    salts_asked: Option<Duration>,
    salt_corrected: Option<Duration>,
    state: Option<StateQuestion>,
    /// The latest call of this session that the server is known to have received. Whoever says
    /// later that it was not received has forgotten the session (SVC-40).
    witness: Option<MsgId>,
    /// The wall clock minus the monotonic one, in nanoseconds, when both were read last.
    skew: Option<i128>,
    events: VecDeque<ClientEvent>,
}

/// What a message of ours was.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    /// A call; perhaps not the latest message of it.
    Call(CallId),
    /// A call whose answer nobody wants any more.
    Dropped,
    /// The request to drop the answer to that call.
    Drop(MsgId),
    Container(Vec<MsgId>),
    Acks(Vec<MsgId>),
    Ping {
        ping_id: i64,
    },
    GetFutureSalts,
    /// What only tells the server when to answer a request of HTTP.
    HttpWait,
    /// About calls; the witness, if there is one, comes first.
    StateRequest {
        witness: Option<MsgId>,
        calls: Vec<MsgId>,
    },
    /// Any other service message, and how often it was refused.
    Service {
        body: Bytes,
        corrections: u32,
    },
}

/// An open question about what became of calls sent on a lost link (SES-10).
#[derive(Debug)]
struct StateQuestion {
    asked: u32,
    due: Duration,
    /// It is about calls with ids above this one.
    above: MsgId,
}

/// Ids of our own messages, calls apart, that are remembered for the server's notices.
const SENT_MAX: usize = 4096;
/// Sessions given up whose late messages are ignored instead of ending the link.
const FORMER_MAX: usize = 8;
/// A wall clock that gains this much on the monotonic one shows that the machine may have slept.
const SLEEP_MIN: Duration = Duration::from_secs(30);
/// Wait for a pong after that, since the link may be long gone.
const WAKE_WAIT: Duration = Duration::from_secs(10);
/// Largest call: sent again, it goes into a container (SES-11).
const CALL_MAX: usize = BODY_MAX - container::HEADER - container::INNER_HEADER;

impl ClientSession {
    /// A new session under a random id.
    pub fn new(config: SessionConfig, salt: i64, clock: ServerClock, mut rng: Rng) -> Self {
        Self {
            id: new_id(&mut rng),
            former: VecDeque::new(),
            rng,
            salts: ClientSalts::new(salt),
            clock,
            inbox: Inbox::new(config.inbox),
            config,
            acks: Acks::default(),
            ids: MsgIds::default(),
            seq_no: SeqNo::default(),
            calls: BTreeMap::new(),
            quick_acks: BTreeSet::new(),
            last_call: 0,
            sent: BTreeMap::new(),
            passing: VecDeque::new(),
            waiting: BTreeSet::new(),
            services: VecDeque::new(),
            queue: VecDeque::new(),
            is_split: false,
            sends_singly: false,
            links: 0,
            is_heard: false,
            binding: None,
            restart_due: None,
            ask_due: false,
            unique_id: None,
            was_created: false,
            ping_due: Duration::ZERO,
            pong_due: None,
            ponged: None,
            silence: Silence::default(),
            polls: None,
            round_trip: None,
            salts_asked: None,
            salt_corrected: None,
            state: None,
            witness: None,
            skew: None,
            events: VecDeque::new(),
        }
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What the session believes the server's time to be.
    pub fn clock(&self) -> ServerClock {
        self.clock
    }

    /// Time from a ping until its pong, once for each pong.
    pub fn take_round_trip(&mut self) -> Option<Duration> {
        self.round_trip.take()
    }

    /// Calls without an answer.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// What the session holds at present.
    pub fn load(&self) -> Load {
        Load { calls: self.calls.len(), remembered: self.sent.len(), heard: self.inbox.len() }
    }

    /// Sends a call, a boxed function, that must not run twice. Its answer comes as
    /// [`ClientEvent::Answer`].
    pub fn call(&mut self, body: Bytes) -> CallId {
        self.call_with(body, CallOptions::default())
    }

    /// Sends a call: a boxed function. Its answer comes as [`ClientEvent::Answer`].
    pub fn call_with(&mut self, body: Bytes, options: CallOptions) -> CallId {
        let body = self.compressed(body);
        let call = self.next_call();
        let len = body.len() + rpc::after_len(options.after.len());
        if len > CALL_MAX {
            let error = CallError::TooLarge(len);
            self.events.push_back(ClientEvent::Answer(call, Err(error)));
            return call;
        }
        self.enqueue(call, Content::Fixed(body), options);
        call
    }

    /// Binds the key of this session, and sends no other call before that is done (PFS-09): the
    /// answer comes as that of a call, and only `boolTrue` lets others follow.
    pub fn bind(&mut self, bind: Bind) -> CallId {
        let call = self.next_call();
        // The same pair bound twice is bound once (PFS-11).
        self.enqueue(call, Content::Bind(bind), CallOptions::default().repeatable());
        self.binding = Some(call);
        call
    }

    /// Gives up a call: no answer will be reported. What was sent already is dropped at the
    /// server, too, as far as it can be.
    pub fn drop_call(&mut self, call: CallId) {
        let Some(Call { flight, .. }) = self.close(call) else { return };
        if let Flight::Sent { msg_id, .. } = flight {
            self.remember(msg_id, Sent::Dropped);
            self.drop_answer(msg_id);
        }
    }

    /// Whether a call has never left, so that nobody can have executed it.
    pub fn is_unsent(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|call| !call.was_sent)
    }

    /// Lets the acknowledgements owed wait no longer: the link is about to be closed (SVC-02).
    pub fn flush(&mut self) {
        self.acks.hasten();
    }

    /// A link is open: the fate of what was sent is asked for, and what waited goes out.
    ///
    /// On the first link of a session at once; on later ones when the server has spoken there:
    /// one that has lost the key or the session meanwhile must not swallow calls whose fate
    /// nobody could tell afterwards.
    ///
    /// Several links may be open: answers come on any of them (SES-03), and the owner chooses
    /// the one that each message leaves on. Pings prove then that one of the links works.
    pub fn handle_link_opened(&mut self, now: Now) {
        if self.links == 0 {
            self.polls = None;
        }
        self.count_link(now);
    }

    fn count_link(&mut self, now: Now) {
        self.links += 1;
        if self.links > 1 {
            return;
        }
        self.is_heard = self.ids.last() == 0;
        self.ping_due = now.mono + self.config.ping_interval;
        self.pong_due = None;
        self.ponged = None;
        self.silence = Silence::default();
        self.ask_state(now, MsgId(i64::MIN));
        self.drop_answers_again();
        // The server sends what it owes on a link once it hears this session there.
        if !self.is_heard {
            self.ping(now);
        }
    }

    /// A link is gone. Calls stay.
    pub fn handle_link_closed(&mut self) {
        self.links = self.links.saturating_sub(1);
        self.state = None;
        self.ask_due = self.links > 0;
        if self.links == 0 {
            self.services.clear();
            // What was to go again under its old id is asked about on the next link first.
            self.queue.retain(|outgoing| matches!(outgoing, Outgoing::Call(_)));
            self.end_limbo(|_| true);
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.links == 0 {
            return None;
        }
        let state = self.state.as_ref().map(|question| question.due);
        let silence = self.silence_due();
        let acks = self.acks.due();
        let poll = self.polls.as_ref().and_then(|polls| polls.due);
        [Some(self.ping_due), self.pong_due, silence, acks, state, self.limbo_due(), poll]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due: pings, late acknowledgements, questions without an answer.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.links == 0 {
            return;
        }
        self.notice_sleep(now);
        self.end_limbo(|due| due <= now.mono);
        if self.pong_due.is_some_and(|due| due <= now.mono) {
            self.pong_due = None;
            return self.events.push_back(ClientEvent::LinkIsDead(DeadLink::Silent));
        }
        if self.silence_due().is_some_and(|due| due <= now.mono) {
            self.doubt_silence(now);
        }
        if self.ping_due <= now.mono {
            self.ping(now);
        }
        if self.state.as_ref().is_some_and(|question| question.due <= now.mono) {
            self.ask_state_again(now);
        }
    }
}

/// A random session id, which is never 0 (MSG-R07).
fn new_id(rng: &mut Rng) -> SessionId {
    loop {
        let id = rng.u64() as i64;
        if id != 0 {
            return SessionId(id);
        }
    }
}
