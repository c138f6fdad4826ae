//! One slot of the keys: its exchange, its session, its link.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{AuthKey, AuthKeyId, Rng};
use chappe_proto::backoff::Backoff;
use chappe_proto::session::client::{CallId, ClientSession};
use chappe_proto::{LinkId, Now, SessionId};
use tracing::{Span, info_span};

use super::udp::Datagrams;
use crate::exchange::Exchange;

/// All that one key needs to carry messages, or to come into being.
///
/// A link carries first the exchange, then the session under the key that came out of it.
#[derive(Debug)]
pub(super) struct Channel {
    /// A key is being made here.
    pub(super) exchange: Option<Exchange>,
    pub(super) traffic: Option<Traffic>,
    pub(super) link: LinkState,
    /// Beside the link.
    pub(super) datagrams: Option<Datagrams>,
    pub(super) backoff: Backoff,
    /// The server has used the key.
    pub(super) is_confirmed: bool,
    /// Another key is in use; what was called here is still answered here.
    pub(super) is_retired: bool,
    /// Only a ping is sent, to see whether the server knows the key.
    pub(super) is_probe: bool,
    /// The call that binds the key.
    pub(super) binding: Option<CallId>,
    /// What the link in hand was good for.
    worth: Worth,
}

/// What a link was good for, which decides how soon there is another.
#[derive(Clone, Copy, Debug, Default)]
struct Worth {
    opened_at: Duration,
    /// A message was decrypted: the server is there, and we are who we say.
    is_heard: bool,
    /// It brought an answer to a call, or a push.
    has_served: bool,
}

/// A link that lasts so long, and on which the server speaks, is no sign of trouble when it ends.
const STEADY_MIN: Duration = Duration::from_secs(10);

/// A key and the session under it.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) key: Arc<AuthKey>,
    pub(super) session: ClientSession,
    /// Ids of key and session, for what is logged while they are at work.
    pub(super) span: Span,
}

impl Traffic {
    pub(super) fn new(key: Arc<AuthKey>, session: ClientSession) -> Self {
        let span = session_span(key.id(), session.id());
        Self { key, session, span }
    }

    /// The session goes by another id now.
    pub(super) fn note_restart(&mut self, session: SessionId) {
        self.span = session_span(self.key.id(), session);
    }
}

fn session_span(auth_key_id: AuthKeyId, session_id: SessionId) -> Span {
    info_span!("session", %auth_key_id, %session_id)
}

/// The one link of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// To be dialled at this moment.
    None {
        dial_at: Duration,
    },
    Dialling(LinkId),
    Open(LinkId),
}

impl Channel {
    pub(super) fn new(now: Now) -> Self {
        Self {
            exchange: None,
            traffic: None,
            link: LinkState::None { dial_at: now.mono },
            datagrams: None,
            backoff: Backoff::default(),
            is_confirmed: false,
            is_retired: false,
            is_probe: false,
            binding: None,
            worth: Worth::default(),
        }
    }

    /// A link is open.
    pub(super) fn open(&mut self, now: Now, link: LinkId) {
        self.link = LinkState::Open(link);
        self.worth = Worth { opened_at: now.mono, ..Worth::default() };
    }

    /// A message was decrypted.
    pub(super) fn note_heard(&mut self) {
        self.is_confirmed = true;
        self.worth.is_heard = true;
    }

    /// An answer to a call came, or a push.
    pub(super) fn note_served(&mut self) {
        self.worth.has_served = true;
    }

    /// The link is gone, or there was none: another is dialled after a pause (SES-13).
    ///
    /// Messages alone do not end the pauses, for a server that answers the first ping, or refuses
    /// every salt (SES-27), and then closes would be dialled as fast as it can do that. What ends
    /// them is a link that was of use, or that lasted.
    pub(super) fn lose_link(&mut self, now: Now, rng: &mut Rng) {
        let Worth { opened_at, is_heard, has_served } = std::mem::take(&mut self.worth);
        if has_served || is_heard && now.mono >= opened_at + STEADY_MIN {
            self.backoff.reset();
        }
        self.link = LinkState::None { dial_at: now.mono + self.backoff.next(rng) };
    }

    pub(super) fn session(&mut self) -> Option<&mut ClientSession> {
        self.traffic.as_mut().map(|traffic| &mut traffic.session)
    }

    /// The open link.
    pub(super) fn open_link(&self) -> Option<LinkId> {
        match self.link {
            LinkState::Open(link) => Some(link),
            _ => None,
        }
    }

    /// Whether there is anything to be had from a link.
    fn wants_link(&self) -> bool {
        let waits = |traffic: &Traffic| !self.is_retired || traffic.session.calls() > 0;
        self.exchange.is_some() || self.traffic.as_ref().is_some_and(waits)
    }

    /// When a link is to be dialled.
    pub(super) fn dial_at(&self) -> Option<Duration> {
        match self.link {
            LinkState::None { dial_at } if self.wants_link() => Some(dial_at),
            _ => None,
        }
    }

    /// When something is due, but for [`dial_at`](Self::dial_at).
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let exchange = self.exchange.as_ref().and_then(Exchange::poll_timeout);
        let session = self.traffic.as_ref().and_then(|traffic| traffic.session.poll_timeout());
        let datagrams = self.datagrams.as_ref().map(Datagrams::poll_timeout);
        [exchange, session, datagrams].into_iter().flatten().min()
    }
}
