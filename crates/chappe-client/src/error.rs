//! What can go wrong, one enum for each decision of the caller.

use std::sync::Arc;
use std::time::Duration;

use chappe_net::entropy::EntropyError;
use chappe_net::{End, connect};
use chappe_proto::handshake::client::HandshakeError;
use chappe_proto::rpc::RpcError;
use chappe_proto::session::client::{CallError, DeadLink, Doubt, MessageError};
use chappe_tl::EncodeError;

use crate::client::CALL_MAX_BYTES;
use crate::storage::StorageError;
use crate::target::TargetError;

/// Why a call has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The server answered with an error. What to do follows from its code; see
    /// [`retry_after`](Self::retry_after) for the one that names a time.
    #[error("the server answered {0}")]
    Rpc(RpcError),
    /// The call cannot be written; nothing was sent.
    #[error("the call cannot be encoded: {0}")]
    Encode(EncodeError),
    /// The call is too long for one packet; nothing was sent.
    #[error(
        "a call of {len} bytes does not fit a packet, which holds {CALL_MAX_BYTES}; send it in parts"
    )]
    TooLong {
        /// Bytes of the call.
        len: usize,
    },
    /// The answer is not what the schema says. The call was executed.
    #[error("the answer cannot be read ({0}); the server may speak another version of the schema")]
    Decode(String),
    /// The server refused the message, not the call, again and again. The call was not executed.
    #[error("the server refused the message {attempts} times, last with code {code}")]
    Refused {
        /// Code of `bad_msg_notification`.
        code: i32,
        /// How often it was sent.
        attempts: u32,
    },
    /// Nobody can say whether the server has executed the call, and it may not run twice. Look
    /// whether it had its effect, or call again; a call that may run twice is better marked so
    /// ([`CallOptions::repeatable`](crate::CallOptions::repeatable)) and never ends like this.
    #[error("the call may or may not have run: {0}")]
    Unknown(Doubt),
    /// The server was out of reach for longer than the limit set. Whether the call was executed
    /// is unknown; it may be tried later.
    #[error("the server is out of reach: {0}")]
    Unreachable(LinkError),
    /// The server was reached, and there is no use in trying again as things are.
    #[error("{0}")]
    Misconfigured(LinkError),
    /// The server does not know our key any more. Another would make us a stranger to it, so that
    /// is for the owner to decide ([`KeyLoss`](crate::KeyLoss)).
    #[error(
        "the server has lost or revoked our auth key; connect with a new one and sign in again"
    )]
    KeyLost,
    /// The client was closed before the answer came.
    #[error("the client is closed")]
    Closed,
}

impl From<CallError> for InvokeError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Rpc(error) => Self::Rpc(error),
            CallError::Refused { code, attempts } => Self::Refused { code, attempts },
            CallError::Unknown(doubt) => Self::Unknown(doubt),
            CallError::TooLarge(len) => Self::TooLong { len },
            error => Self::Decode(error.to_string()),
        }
    }
}

impl InvokeError {
    /// The wait that the server demands before the same call (420 with a number at its end).
    ///
    /// The client does not sleep through it: how long is too long, the caller knows.
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Rpc(RpcError { code: 420, message }) = self else { return None };
        let (_, seconds) = message.rsplit_once('_')?;
        seconds.parse().ok().map(Duration::from_secs)
    }
}

/// Why a client could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It took too long; `last` says what hindered it.
    #[error("no connection within {waited:?}{}", because(.last))]
    Timeout {
        /// The limit set.
        waited: Duration,
        /// Why the last attempt failed, if one did.
        last: Option<LinkError>,
    },
    /// There is no use in trying again as things are.
    #[error("{0}")]
    Misconfigured(LinkError),
    /// What was given is no address.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// An MTProto proxy has to be told where to connect to (OBF-12).
    #[error("{dc} names no data centre, and a proxy has to be told one")]
    DcUnnamed {
        /// As it was given.
        dc: i32,
    },
    /// No address takes any of the ways given.
    #[error("none of the addresses can be reached in any of the ways given")]
    NoWay,
    /// The server does not know the stored key. Another would make us a stranger to it, so that is
    /// for the owner to decide ([`KeyLoss`](crate::KeyLoss)).
    #[error(
        "the server has lost or revoked our auth key; remove it from the storage and sign in again"
    )]
    KeyLost,
    /// The stored key cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The system gives no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// No server key was given, so no server could be believed.
    #[error("no server key is given; without one no server can be trusted")]
    NoServerKey,
}

/// Why a key was not destroyed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestroyError {
    /// The server says that it cannot, twice; somebody may still be signed in with the key.
    #[error("the server cannot destroy the key now; sign out first")]
    Failed,
    /// The request did not get through.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The server has destroyed the key, and the storage does not let go of it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn because(last: &Option<LinkError>) -> String {
    last.as_ref().map_or_else(String::new, |last| format!(": {last}"))
}

/// Why there is no link, or no longer one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nobody answers at any address.
    #[error("cannot connect: {0}")]
    Connect(#[from] Arc<DialError>),
    /// The key exchange failed: the server is not who it should be, or somebody is between us.
    #[error("key exchange: {0}")]
    Exchange(#[from] HandshakeError),
    /// The key exchange took too long (KEY-33).
    #[error("the server did not complete the key exchange within {0:?}")]
    ExchangeTimeout(Duration),
    /// The server does not serve the data centre asked for (SEC-60).
    #[error(
        "the server does not serve data centre {dc} (transport error 444); check its address and the data centre"
    )]
    WrongDc {
        /// The data centre asked for.
        dc: i32,
    },
    /// A transport error. Nothing proves who sent it.
    #[error("transport error {code} ({})", meaning(*.code))]
    Transport {
        /// As a positive number.
        code: i32,
    },
    /// The server sent what breaks the protocol.
    #[error("the server broke the protocol: {0}")]
    Message(#[from] MessageError),
    /// An unencrypted message outside a key exchange (SEC-45).
    #[error("the server sent an unencrypted message outside a key exchange")]
    Unencrypted,
    /// No pong came in time, or nothing at all while calls waited.
    #[error("the server does not answer pings")]
    Silent,
    /// The server answers pings and says nothing of calls sent long before (SES-14).
    #[error("the server answers pings and does not acknowledge calls")]
    Deaf,
    /// What came was too old or too new to be heeded; on another connection it comes again.
    #[error("the server's messages came too late, or its clock is far from ours")]
    Untimely,
    /// The server refuses every salt that it gave us (SES-27).
    #[error("the server refuses the salts that it gave us")]
    Saltless,
    /// The server says that the key is dead: 406 AUTH_KEY_DUPLICATED (SVC-28).
    #[error("the server says that the auth key is used from two places and dead")]
    KeyDead,
    /// The server does not bind temporary keys (07-pfs).
    #[error(
        "the server does not know auth.bindTempAuthKey ({0}), so there is no forward secrecy; turn it off with Builder::pfs(false) if that is acceptable"
    )]
    PfsUnsupported(RpcError),
    /// The server refused to bind a temporary key (07-pfs §4); another one is tried.
    #[error("the server refused to bind a temporary key: {0}")]
    BindRefused(RpcError),
    /// The new key cannot be kept.
    #[error("the new key cannot be stored: {0}")]
    Storage(#[from] StorageError),
    /// The connection ended.
    #[error(transparent)]
    Ended(#[from] Arc<End>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No address answered.
    #[error(transparent)]
    Connect(#[from] connect::ConnectError),
    /// One did, and is no proxy that holds the secret (PRX-09).
    #[error("{address}: {error}")]
    FakeTls {
        /// The address.
        address: String,
        /// What hindered.
        #[source]
        error: chappe_net::fake_tls::FakeTlsError,
    },
    /// One did, and there is no TLS with it.
    #[error("{address}: {error}")]
    Tls {
        /// The address.
        address: String,
        /// What hindered.
        #[source]
        error: connect::TlsError,
    },
    /// One did, and does not speak HTTP or begin a WebSocket.
    #[error("{address}: {error}")]
    Web {
        /// The address.
        address: String,
        /// What hindered.
        #[source]
        error: connect::WebError,
    },
    /// One did, and said too little.
    #[error("{address}: no answer within {after:?}")]
    TimedOut {
        /// The address.
        address: String,
        /// The time allowed.
        after: Duration,
    },
}

impl From<DeadLink> for LinkError {
    fn from(why: DeadLink) -> Self {
        match why {
            DeadLink::Silent => Self::Silent,
            DeadLink::Deaf => Self::Deaf,
            DeadLink::Untimely => Self::Untimely,
            DeadLink::Saltless => Self::Saltless,
        }
    }
}

impl LinkError {
    /// Whether another attempt with the same settings would end in the same way.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::WrongDc { .. }
                | Self::Storage(_)
                | Self::PfsUnsupported(_)
                | Self::Exchange(HandshakeError::NoTrustedKey(_))
        )
    }
}

fn meaning(code: i32) -> &'static str {
    match code {
        404 => "the server does not know the key or the exchange",
        429 => "too many connections; the next attempt waits",
        _ => "unknown to us",
    }
}
