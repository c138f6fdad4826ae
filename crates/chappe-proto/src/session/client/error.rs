//! Why a call has no result, and why a message ends its link.

use super::Doubt;
use crate::ids::{MsgId, SessionId};
use crate::rpc::RpcError;
use crate::session::container::ContainerError;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered with an error.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The server refused the message itself again and again; the code is of the last refusal.
    #[error("the server refused the message {attempts} times, last with code {code}")]
    Refused {
        /// Code of `bad_msg_notification`.
        code: i32,
        /// How often it was sent.
        attempts: u32,
    },
    /// Nobody can say whether the server has executed the call, which must not run twice. A call
    /// that may is sent again in the place of this
    /// ([`CallOptions::repeatable`](super::CallOptions::repeatable)).
    #[error("the call may or may not have run: {0}")]
    Unknown(Doubt),
    /// The call does not fit into a packet (MSG-03).
    #[error("a call of {0} bytes fits into no packet")]
    TooLarge(usize),
    /// The answer came and cannot be read.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

/// Why a message ends its link (the client's column of 04-messages §5).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It names a session that is not ours (SEC-25).
    #[error("message for session {0}, which is not ours")]
    ForeignSession(SessionId),
    /// Its id cannot come from a server (SEC-26).
    #[error("message id {0} cannot come from a server")]
    Parity(MsgId),
    /// It is older than everything we remember; a new session has begun (06 §4).
    #[error("message {0} is older than the window of known ids")]
    TooOld(MsgId),
    /// It is a container that contradicts itself.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// It answers message 0 (SVC-25).
    #[error("rpc_result answers message 0")]
    AnswersNothing,
}
