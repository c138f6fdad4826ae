//! A call on its way to a handler.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::rpc::ClientInfo;
use chappe_proto::session::kind;
use chappe_proto::{MsgId, Now, SessionId};

use crate::cancel::Cancellation;
use crate::push::Pusher;
use crate::question::Question;

/// Who calls, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Caller {
    /// The auth key: one installation of a client. With perfect forward secrecy the permanent
    /// one; the temporary one only while it is not bound.
    pub auth_key_id: AuthKeyId,
    /// The temporary key that the call came under, if it did. It changes every day or so.
    pub temporary_key_id: Option<AuthKeyId>,
    /// The session within that key.
    pub session_id: SessionId,
    /// Names the call within its session.
    pub msg_id: MsgId,
    /// The other end of the connection that the call came on.
    pub peer: SocketAddr,
    /// Our end of it: the address that the client reached us by.
    pub local: SocketAddr,
    /// The function that is called, by its id, once it is on its way to a handler.
    pub function: u32,
    /// When the call arrived.
    pub now: Now,
    /// The layer to answer in: of this call's `invokeWithLayer`, else the one saved with the key.
    pub layer: Option<i32>,
    /// What the client said of itself, now or when it last called `initConnection`.
    pub client: Option<Arc<ClientInfo>>,
    /// The call came in `invokeWithoutUpdates`.
    pub without_updates: bool,
}

/// A call with everything around it: what layers and extractors see.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Who calls.
    pub caller: Caller,
    /// The function: its id, then its arguments; wrappers are off.
    pub call: Bytes,
    /// Sends what nobody asked for.
    pub pusher: Pusher,
    /// Tells when nobody wants the answer any more.
    pub cancellation: Cancellation,
    /// Is told what the answer tells, if it is about what was missed.
    pub question: Question,
}

impl Request {
    pub(crate) fn new(caller: Caller, call: Bytes, pusher: Pusher) -> Self {
        Self {
            caller,
            call,
            pusher,
            cancellation: Cancellation::default(),
            question: Question::default(),
        }
    }

    /// Constructor id of the function.
    pub fn id(&self) -> u32 {
        kind::id_of(&self.call)
    }
}
