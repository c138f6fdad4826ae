//! Which constructors a session handles itself, and how their sequence numbers must be.

use bytes::Bytes;
use chappe_tl::Constructor;

use crate::rpc;
use crate::schema::{ctors, functions, types};
use crate::session::container;

/// What a sequence number must be (04-messages §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Content-related: a call (code 35 otherwise).
    Odd,
    /// Not content-related: containers and copies (code 34 otherwise).
    Even,
    /// As the sender likes: everything else that a session handles itself.
    Either,
}

/// `destroy_auth_key_ok#f660e1d4`.
pub const DESTROY_AUTH_KEY_OK: u32 = 0xf660_e1d4;
/// `destroy_auth_key_none#0a9f2259`.
pub const DESTROY_AUTH_KEY_NONE: u32 = 0x0a9f_2259;
/// `destroy_auth_key_fail#ea109b13`.
pub const DESTROY_AUTH_KEY_FAIL: u32 = 0xea10_9b13;
/// `msg_copy#e06046b2`, with one boxed `message#5bb8e511` in it.
pub const MSG_COPY: u32 = 0xe060_46b2;
/// `message#5bb8e511` as it stands, boxed, in a `msg_copy`.
pub const MESSAGE: u32 = 0x5bb8_e511;

/// The constructor id of a body; 0, which no constructor has, when there is none.
pub fn id_of(body: &Bytes) -> u32 {
    body.first_chunk().map_or(0, |id| u32::from_le_bytes(*id))
}

/// What the sequence number of a client's message must be.
pub fn parity_wanted(body: &Bytes) -> Parity {
    match id_of(body) {
        container::ID | MSG_COPY => Parity::Even,
        // Acknowledgements and notices should be even, and some clients send them odd (QRK-19).
        id if is_service(id) => Parity::Either,
        _ => Parity::Odd,
    }
}

/// Whether a session handles this constructor itself, so that it is never a call (SVC-42).
pub fn is_service(id: u32) -> bool {
    matches!(
        id,
        types::MsgsAck::ID
            | types::MsgsStateReq::ID
            | types::MsgsStateInfo::ID
            | types::MsgsAllInfo::ID
            | ctors::MsgDetailedInfo::ID
            | ctors::MsgNewDetailedInfo::ID
            | ctors::MsgResendReq::ID
            | ctors::MsgResendAnsReq::ID
            | container::ID
            | MSG_COPY
            | functions::Ping::ID
            | functions::PingDelayDisconnect::ID
            | functions::GetFutureSalts::ID
            | functions::RpcDropAnswer::ID
            | functions::DestroySession::ID
            | functions::DestroyAuthKey::ID
            | types::HttpWait::ID
            | functions::ReqPq::ID
            | functions::ReqPqMulti::ID
            | functions::ReqDhParams::ID
            | functions::SetClientDhParams::ID
    )
}

/// Whether a server never packs this constructor: its service messages and packed ones (TL-29).
pub fn is_never_packed(id: u32) -> bool {
    is_service(id)
        || matches!(
            id,
            rpc::RESULT
                | rpc::GZIP_PACKED
                | ctors::BadMsgNotification::ID
                | ctors::BadServerSalt::ID
                | types::NewSession::ID
                | types::Pong::ID
                | types::FutureSalts::ID
                | ctors::DestroySessionOk::ID
                | ctors::DestroySessionNone::ID
                | DESTROY_AUTH_KEY_OK
                | DESTROY_AUTH_KEY_NONE
                | DESTROY_AUTH_KEY_FAIL
        )
}
