//! A call of a client's session: what it asks for, and where it stands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId, Rng};

use super::send::Outgoing;
use super::{CallError, ClientEvent, ClientSession};
use crate::handshake::bind::{Binding, ENCRYPTED_MESSAGE_LEN};
use crate::ids::{MsgId, SessionId};
use crate::rpc;

/// Names a call from [`ClientSession::call`] to its answer; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// What may be done with a call. The default suits any function: it runs once or not at all, and
/// in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// The call may run twice, as reads may and calls that carry a `random_id` (SES-12). It is sent
    /// again where the fate of the first message cannot be known, and where any other call ends
    /// with [`CallError::Unknown`].
    pub repeatable: bool,
    /// The server begins the call when these are finished, well or not (SVC-44, SVC-45). Calls
    /// that are finished already, or were dropped, count for nothing.
    pub after: Vec<CallId>,
    /// Have the server say at once that it has the call, where the transport has room for that:
    /// [`ClientEvent::QuickAck`].
    pub quick_ack: bool,
}

impl CallOptions {
    /// The same, and the call may run twice.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// The same, and the call runs after these.
    #[must_use]
    pub fn after(self, after: impl IntoIterator<Item = CallId>) -> Self {
        Self { after: after.into_iter().collect(), ..self }
    }

    /// The same, and the server says at once that it has the call.
    #[must_use]
    pub fn quick_ack(self) -> Self {
        Self { quick_ack: true, ..self }
    }
}

/// Why nobody can say whether a call has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// The server began the session anew, without what it knew of the call (SVC-40).
    #[error("the server has forgotten the session in which it was sent")]
    SessionForgotten,
    /// We had to begin a new session, and the old one said nothing more of the call (SES-17).
    #[error("the session in which it was sent had to be given up")]
    SessionGivenUp,
    /// The server left all questions about the call unanswered (SES-10).
    #[error("the server does not say whether it received it")]
    Unanswered,
    /// The server keeps no state of messages so old (code 20).
    #[error("the server does not remember messages that old")]
    TooOld,
    /// The key under which the call was sent is no more.
    #[error("the key under which it was sent is gone")]
    KeyGone,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) content: Content,
    pub(super) repeatable: bool,
    /// Calls of lower ids that have to be finished first.
    pub(super) after: Vec<CallId>,
    /// There were such when it was made, so some message of it may name them.
    pub(super) was_ordered: bool,
    pub(super) corrections: u32,
    /// It has left at least once.
    pub(super) was_sent: bool,
    pub(super) flight: Flight,
}

/// What a call says.
#[derive(Debug)]
pub(super) enum Content {
    /// The same under every id.
    Fixed(Bytes),
    /// The request to bind a key, made anew for every id (PFS-07).
    Bind(Bind),
}

/// What a session needs for `auth.bindTempAuthKey` (07-pfs §2).
#[derive(Clone)]
pub struct Bind {
    permanent: Arc<AuthKey>,
    temporary: AuthKeyId,
    expires_at: i32,
}

impl Bind {
    /// Binds `temporary`, under which the session runs, to `permanent` until the Unix second
    /// `expires_at` of the server's clock.
    pub fn new(permanent: Arc<AuthKey>, temporary: AuthKeyId, expires_at: i32) -> Self {
        Self { permanent, temporary, expires_at }
    }

    /// The request as the message `msg_id` of a session, under a nonce of its own (PFS-06).
    pub(super) fn request(&self, session_id: SessionId, msg_id: MsgId, rng: &mut Rng) -> Bytes {
        let Self { ref permanent, temporary, expires_at } = *self;
        let nonce = rng.u64().cast_signed();
        let binding = Binding { nonce, temporary, session_id, msg_id, expires_at };
        rpc::boxed(&binding.request(permanent, rng.bytes()))
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind")
            .field("permanent", &self.permanent.id())
            .field("temporary", &self.temporary)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// Bytes of `auth.bindTempAuthKey`: three numbers, and the message with its length before it.
const BIND_LEN: usize = 4 + 8 + 8 + 4 + 4 + ENCRYPTED_MESSAGE_LEN;

/// Where a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flight {
    /// Waits to be sent under a new id.
    Queued,
    /// Waits until the calls it comes after are finished.
    Waiting,
    /// The answer is awaited.
    Sent {
        msg_id: MsgId,
        seq_no: i32,
        at: Duration,
        acknowledged: bool,
        /// Packets that carried it under this id.
        copies: u32,
        /// The server has forgotten the session since: what it does not know may have run before.
        is_suspect: bool,
        /// As it left.
        body: Bytes,
    },
    /// Sent in a session that was given up, which may say what became of it until `due`. Only one
    /// packet carried it, and the server said nothing of it: a refusal would be the truth.
    Limbo { due: Duration, is_refusable: bool },
}

impl Call {
    /// Bytes of the body that it will leave with.
    pub(super) fn len(&self) -> usize {
        match &self.content {
            Content::Fixed(body) => body.len() + rpc::after_len(self.after.len()),
            Content::Bind(_) => BIND_LEN,
        }
    }

    /// Whether the body, where it is the same under every id, is one that `fits` knows.
    pub(super) fn says(&self, fits: impl Fn(&Bytes) -> bool) -> bool {
        matches!(&self.content, Content::Fixed(body) if fits(body))
    }
}

impl Flight {
    /// The id under which the call is on its way.
    pub(super) fn msg_id(&self) -> Option<MsgId> {
        match self {
            Self::Sent { msg_id, .. } => Some(*msg_id),
            _ => None,
        }
    }
}

impl ClientSession {
    pub(super) fn next_call(&mut self) -> CallId {
        self.last_call += 1;
        CallId(self.last_call)
    }

    pub(super) fn enqueue(&mut self, call: CallId, content: Content, options: CallOptions) {
        let CallOptions { repeatable, mut after, quick_ack } = options;
        if quick_ack {
            self.quick_acks.insert(call);
        }
        after.retain(|other| *other < call && self.calls.contains_key(other));
        let flight = Flight::Queued;
        let was_ordered = !after.is_empty();
        let entry = Call {
            content,
            repeatable,
            after,
            was_ordered,
            corrections: 0,
            was_sent: false,
            flight,
        };
        self.calls.insert(call, entry);
        self.queue.push_back(Outgoing::Call(call));
    }

    /// Removes a call; those that waited for it may go.
    pub(super) fn close(&mut self, call: CallId) -> Option<Call> {
        let closed = self.calls.remove(&call)?;
        self.quick_acks.remove(&call);
        let waiting: Vec<CallId> = self.waiting.iter().copied().collect();
        for other in waiting {
            let Some(entry) = self.calls.get_mut(&other) else {
                self.waiting.remove(&other);
                continue;
            };
            entry.after.retain(|first| *first != call);
            if entry.after.is_empty() {
                self.waiting.remove(&other);
                entry.flight = Flight::Queued;
                self.queue.push_back(Outgoing::Call(other));
            }
        }
        Some(closed)
    }

    /// Ends a call with an error of ours.
    pub(super) fn fail_call(&mut self, call: CallId, error: CallError) {
        if self.close(call).is_some() {
            self.events.push_back(ClientEvent::Answer(call, Err(error)));
        }
    }

    /// Nobody can say what became of the call as it was sent: it goes again if it may run twice,
    /// and ends if it may not (SES-12).
    pub(super) fn doubt(&mut self, call: CallId, doubt: Doubt) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        if !entry.repeatable {
            return self.fail_call(call, CallError::Unknown(doubt));
        }
        if let Some(msg_id) = entry.flight.msg_id() {
            // The earlier message may have arrived: its answer counts, whichever comes first.
            self.passing.push_back(msg_id);
        }
        entry.flight = Flight::Queued;
        self.queue.push_back(Outgoing::Call(call));
    }
}
