//! A session as the server sees it: messages in, calls out; answers in, messages out.
//!
//! | file | holds |
//! | --- | --- |
//! | `receive` | the checks on what comes |
//! | `service` | what the client's service messages mean |
//! | `calls`, `held` | calls on their way; those that wait for others |
//! | `send` | what leaves, kept until it is acknowledged |
//! | `withheld` | pushes that wait while their client asks what it missed |
//! | `poll`, `queue`, `respond` | requests of HTTP that wait; what waits for them; what leaves in their responses |
//! | `datagrams` | the link that carries datagrams |
//! | `retired` | ids heard before the session was forgotten |
//! | `tally` | what the owner may want to count or to log |
//! | `work` | what is under way: nothing, while the session waits for its client |

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;

use crate::ids::{LinkId, MsgId, SessionId};
use crate::now::Now;
use crate::rpc::Unwrapped;
use crate::session::inbox::{Inbox, InboxLimits};
use crate::session::msg_id::{MsgIds, Origin};
use crate::session::outbox::OutboxLimits;
use crate::session::salts::ServerSalts;
use crate::session::seq_no::SeqNo;
use crate::spare::OnDemand;

mod calls;
mod datagrams;
mod held;
mod poll;
mod queue;
mod receive;
mod respond;
mod retired;
mod send;
mod service;
mod tally;
mod withheld;
mod work;

use datagrams::Datagrams;
pub use poll::PollConfig;
use poll::Polls;
use retired::Retired;
pub use tally::{Refused, Tally};
pub use withheld::Told;
use withheld::Withheld;
use work::Work;

/// Limits and timers of a server's sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// When this server began (Unix): what was said before, an earlier life of it may have taken,
    /// so it is refused (MSG-39). Default: 0, nothing is.
    pub not_before: Duration,
    /// Window of received ids.
    pub inbox: InboxLimits,
    /// Unacknowledged messages kept. A client that never acknowledges makes us hold these.
    pub outbox: OutboxLimits,
    /// Wait before a slow call is acknowledged by itself. Default: 0.5 s (SVC-03).
    pub ack_delay_max: Duration,
    /// Calls running at once; more are refused with `FLOOD_WAIT_1`. Default: 1000. Each costs
    /// its handler and some 300 bytes.
    pub calls_max: usize,
    /// Bytes of the calls running at once, a lone one apart; more are refused with
    /// `FLOOD_WAIT_1`. Default: 16 MiB.
    pub calls_max_bytes: usize,
    /// Running calls that one may name in `invokeAfterMsgs`; one that names more is refused with
    /// `FLOOD_WAIT_1`. Default: 100. Each costs some 50 bytes.
    pub after_max: usize,
    /// Wait of a call for those it names in `invokeAfterMsg`. Default: 0.5 s (SVC-44).
    pub after_wait_max: Duration,
    /// Largest answer sent again whole; larger ones are announced first. Default: 1 KiB (SVC-19).
    pub resend_max_bytes: usize,
    /// Smallest answer worth compressing. Default: 4 KiB; at least 256 bytes pay (TL-31).
    pub gzip_min_bytes: usize,
    /// Most that a compressed call may unpack to. Default: 1 MiB (TL-30).
    pub inflated_max_bytes: usize,
    /// Requests and responses of HTTP.
    pub poll: PollConfig,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            not_before: Duration::ZERO,
            inbox: InboxLimits::SERVER,
            outbox: OutboxLimits::default(),
            ack_delay_max: Duration::from_millis(500),
            calls_max: 1000,
            calls_max_bytes: 16 << 20,
            after_max: 100,
            after_wait_max: Duration::from_millis(500),
            resend_max_bytes: 1024,
            gzip_min_bytes: 4096,
            inflated_max_bytes: 1 << 20,
            poll: PollConfig::default(),
        }
    }
}

/// What an id of the window, one kept after that, a message owed and a call running take beside
/// their bodies.
const HEARD_BYTES: usize = 48;
const RETIRED_BYTES: usize = 16;
const OWED_BYTES: usize = 256;
const RUNNING_BYTES: usize = 256;

/// What a session asks of its owner.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is the largest one, a call")]
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

/// What a session holds, for those who watch over memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Ids in the window of received messages.
    pub heard: usize,
    /// Ids remembered from before the session was forgotten.
    pub retired: usize,
    /// Messages that the client has not acknowledged.
    pub owed: usize,
    /// Calls without an answer.
    pub running: usize,
}

/// One MTProto session on a server.
///
/// Holds no socket, clock or task. The caller
///
/// 1. feeds what happened: [`handle_message`](Self::handle_message), for a request of HTTP
///    [`handle_request`](Self::handle_request), [`handle_link_closed`](Self::handle_link_closed),
///    [`handle_timeout`](Self::handle_timeout), or a command such as [`answer`](Self::answer);
/// 2. drains [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event)
///    until both give `None`;
/// 3. waits for input, at most until [`poll_timeout`](Self::poll_timeout), and begins again.
///
/// The same inputs and seed give the same outputs, byte for byte.
#[derive(Debug)]
pub struct ServerSession {
    id: SessionId,
    config: Arc<SessionConfig>,
    rng: Rng,
    salts: ServerSalts,
    created: Option<Created>,
    inbox: Inbox,
    ids: MsgIds,
    seq_no: SeqNo,
    /// Open streams of this session, the one heard from last at the end.
    links: Vec<LinkId>,
    /// The link that carries datagrams, if one of `links` does.
    datagrams: Option<Box<Datagrams>>,
    /// Requests of HTTP without a response.
    polls: OnDemand<Polls>,
    /// Ids heard before the session was forgotten.
    retired: OnDemand<Retired>,
    /// Server time since which ids are remembered: of the first message, or of the forgetting.
    began: Option<Duration>,
    /// What is under way.
    work: OnDemand<Work>,
    /// Nothing of the packet that is being handled was refused, turned away or known.
    is_taken: bool,
    /// Something owed may be on no open link; looked for when a link can take it.
    has_orphans: bool,
    dropped: u64,
    /// Absent while there is nothing to tell.
    tally: Option<Box<Tally>>,
    /// Absent until the client asks what it missed.
    withheld: Option<Box<Withheld>>,
}

#[derive(Debug)]
struct Created {
    unique_id: i64,
    first_msg_id: MsgId,
}

impl ServerSession {
    /// A session nobody has written in yet. It counts as created with its first valid message.
    pub fn new(
        id: SessionId,
        salts: ServerSalts,
        config: impl Into<Arc<SessionConfig>>,
        rng: Rng,
    ) -> Self {
        let config = config.into();
        Self {
            id,
            rng,
            salts,
            created: None,
            inbox: Inbox::new(config.inbox),
            config,
            ids: MsgIds::default(),
            seq_no: SeqNo::default(),
            links: Vec::new(),
            datagrams: None,
            polls: OnDemand::default(),
            retired: OnDemand::default(),
            began: None,
            work: OnDemand::default(),
            is_taken: false,
            has_orphans: false,
            dropped: 0,
            tally: None,
            withheld: None,
        }
    }

    /// Forgets everything but the ids that a recording of the last minutes could bring back: the
    /// next message creates the session anew, and what ran before does not run again (MSG-39).
    ///
    /// Calls that are running go on and count; their answers are nobody's any more.
    pub fn forget(&mut self, now: Now) {
        let fresh =
            Self::new(self.id, self.salts.clone(), Arc::clone(&self.config), self.rng.fork());
        let old = std::mem::replace(self, fresh);
        self.retired = old.retired.into_inner().join(&old.inbox, now.unix).into();
        self.began = Some(now.unix);
        let Work { running, held, disowned, .. } = old.work.into_inner();
        let handed_out = running.into_iter().filter(|(call, _)| !held.holds(*call));
        self.work.disowned = disowned;
        self.work.disowned.extend(handed_out.map(|(call, running)| (call, running.bytes)));
        self.work.running_bytes = self.work.disowned.values().sum();
        self.tally = old.tally;
        self.polls = old.polls.into_inner().forget().into();
        if let Some(datagrams) = old.datagrams {
            self.use_datagrams(datagrams.link);
        }
        // Time and numbers go on, so that no id of ours means two messages.
        self.ids = old.ids;
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The link is gone. Its calls run on; what it owed the client goes out on another link, on
    /// the next one if none is open (SES-09, SES-16, HTP-21).
    pub fn handle_link_closed(&mut self, link: LinkId) {
        self.close_poll(link);
        self.datagrams.take_if(|datagrams| datagrams.link == link);
        self.links.retain(|open| *open != link);
        self.work.ready.remove(&link);
        self.has_orphans = true;
    }

    /// Does what is due: acknowledgements of slow calls, calls that waited too long.
    pub fn handle_timeout(&mut self, now: Now) {
        if let Some(outlet) = self.open_outlet() {
            let due = self.work.acks.take_due(now.mono);
            if !due.is_empty() {
                self.send_acks(now, outlet, &due);
            }
        }
        self.release_late(now);
        self.stop_waiting(now);
        self.resend_datagrams(now);
    }

    /// Gives back the memory of what is done; worth its while before the caller waits.
    pub fn rest(&mut self) {
        self.rng.rest();
        self.work.rest();
        self.polls.rest();
        self.retired.rest();
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        // Without a link acknowledgements wait for one.
        let acks = self.work.acks.due().filter(|_| self.open_outlet().is_some());
        let withheld = self.withheld.as_ref().and_then(|withheld| withheld.due());
        let dues =
            [acks, self.work.held.due(), self.response_due(), self.datagrams_due(), withheld];
        dues.into_iter().flatten().min()
    }

    /// The next thing the owner has to do.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.work.events.pop_front()
    }

    /// Sends something unasked, such as an update, on the link heard from last; it is kept until
    /// the client acknowledges it.
    pub fn push(&mut self, now: Now, body: Bytes) {
        self.send_content(now, self.outlet(), Origin::Push, body, None);
    }

    /// Messages that had to be given up because the client acknowledges nothing (SES-07).
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What there is to count since this was last called; `None` if nothing.
    pub fn take_tally(&mut self) -> Option<Tally> {
        self.tally.take().map(|tally| *tally)
    }

    fn tally(&mut self) -> &mut Tally {
        self.tally.get_or_insert_default()
    }

    /// Whether no link is open and no call is running.
    pub fn is_idle(&self) -> bool {
        self.links.is_empty()
            && self.polls.is_empty()
            && self.work.running.is_empty()
            && self.work.held.is_empty()
    }

    /// What the session holds at present.
    pub fn load(&self) -> Load {
        Load {
            heard: self.inbox.len(),
            retired: self.retired.len(),
            owed: self.work.outbox.len(),
            running: self.work.running.len(),
        }
    }

    /// About how many bytes of memory all this takes, the bodies of calls and answers included.
    pub fn footprint(&self) -> usize {
        let running = self.work.running.len() + self.work.disowned.len();
        self.inbox.len() * HEARD_BYTES
            + self.retired.len() * RETIRED_BYTES
            + self.work.outbox.len() * OWED_BYTES
            + self.work.outbox.bytes()
            + running * RUNNING_BYTES
            + self.work.running_bytes
            + self.polls.bytes()
            + self.withheld.as_ref().map_or(0, |withheld| withheld.footprint())
    }

    /// Open streams of this session.
    pub fn links(&self) -> &[LinkId] {
        &self.links
    }
}
