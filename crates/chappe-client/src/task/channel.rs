//! One slot of the keys: its exchange, its session, its link.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{AuthKey, AuthKeyId};
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
}

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
        }
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

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let exchange = self.exchange.as_ref().and_then(Exchange::poll_timeout);
        let session = self.traffic.as_ref().and_then(|traffic| traffic.session.poll_timeout());
        let datagrams = self.datagrams.as_ref().map(Datagrams::poll_timeout);
        [exchange, session, datagrams, self.dial_at()].into_iter().flatten().min()
    }
}
