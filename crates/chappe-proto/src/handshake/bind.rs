//! Binding a temporary key to a permanent one: `auth.bindTempAuthKey`, made and verified.
//!
//! The request travels under the temporary key and holds one message of MTProto 1.0 under the
//! permanent key, which proves that its sender holds both:
//!
//! ```text
//! encrypted_message, 104 bytes
//! ├ perm_auth_key_id:8 ‖ msg_key:16
//! └ encrypted: random:16 ‖ msg_id:8 ‖ seqno:4 = 0 ‖ length:4 = 40 ‖ bind_auth_key_inner:40 ‖ random:8
//! ```
//!
//! Pure functions of their arguments, for both ends. Source: 07-pfs §2 and §3.

use bytes::Bytes;
use chappe_crypto::packet::{self, HEADER_LEN};
use chappe_crypto::{AuthKey, AuthKeyId, Direction, equal};

use super::boxed;
use crate::envelope::plain::field;
use crate::ids::{MsgId, SessionId};
use crate::rpc::RpcError;
use crate::schema::functions::auth::BindTempAuthKey;
use crate::schema::types;

/// Random bytes that one `encrypted_message` takes: 16 in front of the message, 8 behind it.
pub const RANDOM_LEN: usize = 24;
/// Longest `encrypted_message` that is looked at (07-pfs §3, check 2).
pub const ENCRYPTED_MESSAGE_MAX: usize = 1024;
/// Seconds by which `expires_at` may exceed the life of the key (07-pfs §3, check 8).
pub const EXPIRY_TOLERANCE: i64 = 60;

/// What one request binds, and the message that it is.
///
/// A client makes a new one for each attempt: resent under another `msg_id`, the same
/// `encrypted_message` is invalid (PFS-07).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// A random number of the client's.
    pub nonce: i64,
    /// The key to be bound, under which the request is sent.
    pub temporary: AuthKeyId,
    /// The session in which the request is sent.
    pub session_id: SessionId,
    /// The id of the request's own message, also where that stands in a container (PFS-06).
    pub msg_id: MsgId,
    /// Unix second, by the server's clock, at which the binding ends (PFS-08).
    pub expires_at: i32,
}

/// Why a server does not bind (07-pfs §3); the numbers are those of its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// 1: the request came under a key that is not temporary.
    #[error("the key of the request is not temporary")]
    NotTemporary,
    /// 2: the request is too long, or no whole TL object.
    #[error("the request is too long or cut off")]
    Size,
    /// 3 to 7: the message does not prove that its sender holds the permanent key. Which check
    /// failed is for nobody to know.
    #[error("the message under the permanent key is not valid")]
    Message,
    /// 8: the binding would have ended already.
    #[error("expires_at is past")]
    Expired,
    /// 8: the binding would outlive the key.
    #[error("expires_at is after the end of the key")]
    Outlives,
    /// 9: the key is bound to another permanent key.
    #[error("the temporary key is bound to another permanent key")]
    AlreadyBound,
}

impl BindError {
    /// What the client is told.
    pub fn to_rpc(self) -> RpcError {
        RpcError::bad_request(match self {
            Self::NotTemporary => "TEMP_AUTH_KEY_EMPTY",
            Self::Size => "INPUT_REQUEST_TOO_LONG",
            Self::Message => "ENCRYPTED_MESSAGE_INVALID",
            Self::Expired | Self::Outlives => "EXPIRES_AT_INVALID",
            Self::AlreadyBound => "TEMP_AUTH_KEY_ALREADY_BOUND",
        })
    }
}

impl Binding {
    /// The client's request. `random` comes from the caller's generator, fresh for each request.
    pub fn request(&self, permanent: &AuthKey, random: [u8; RANDOM_LEN]) -> BindTempAuthKey {
        BindTempAuthKey {
            perm_auth_key_id: permanent.id().0.cast_signed(),
            nonce: self.nonce,
            expires_at: self.expires_at,
            encrypted_message: self.encrypted_message(permanent, random).to_vec().into(),
        }
    }

    /// The message under the permanent key.
    pub fn encrypted_message(
        &self,
        permanent: &AuthKey,
        random: [u8; RANDOM_LEN],
    ) -> [u8; ENCRYPTED_MESSAGE_LEN] {
        let mut packet = [0; ENCRYPTED_MESSAGE_LEN];
        packet[HEADER_LEN..MESSAGE_AT].copy_from_slice(&random[..16]);
        packet[MESSAGE_AT..MESSAGE_END].copy_from_slice(&self.message(permanent.id()));
        packet[MESSAGE_END..].copy_from_slice(&random[16..]);
        packet::seal_v1(permanent, Direction::ClientToServer, &mut packet);
        packet
    }

    /// Everything in the message that is not random: both ends know all of it.
    fn message(&self, permanent: AuthKeyId) -> [u8; MESSAGE_LEN] {
        let inner = boxed(&types::BindAuthKeyInner {
            nonce: self.nonce,
            temp_auth_key_id: self.temporary.0.cast_signed(),
            perm_auth_key_id: permanent.0.cast_signed(),
            temp_session_id: self.session_id.0,
            expires_at: self.expires_at,
        });
        let mut message = [0; MESSAGE_LEN];
        message[..8].copy_from_slice(&self.msg_id.0.to_le_bytes());
        // 8..12 is the sequence number, 0.
        message[12..16].copy_from_slice(&(INNER_LEN as u32).to_le_bytes());
        message[16..].copy_from_slice(&inner);
        message
    }
}

/// Reads the request of a client (check 2).
///
/// # Errors
///
/// [`BindError::Size`].
pub fn read_request(body: &Bytes) -> Result<BindTempAuthKey, BindError> {
    let request: BindTempAuthKey =
        chappe_tl::from_bytes(body.clone()).map_err(|_| BindError::Size)?;
    if request.encrypted_message.len() > ENCRYPTED_MESSAGE_MAX {
        return Err(BindError::Size);
    }
    Ok(request)
}

/// The permanent key that a request names; whoever verifies it looks that key up.
pub fn permanent_id(request: &BindTempAuthKey) -> AuthKeyId {
    AuthKeyId(request.perm_auth_key_id.cast_unsigned())
}

/// Judges a request on the server (checks 3 to 7): whether its sender holds the permanent key and
/// means the key, session and message that it came with.
///
/// `permanent` is the key that the request names, if there is such a permanent key. Without one
/// the same work is done on a key of zeros, so that time tells no more than the error does. All of
/// the message is compared at once and in constant time (PFS-10, SEC-39).
///
/// # Errors
///
/// [`BindError::Message`], whatever was wrong.
pub fn verify(
    request: &BindTempAuthKey,
    came_with: CameWith,
    permanent: Option<&AuthKey>,
) -> Result<(), BindError> {
    let named = permanent_id(request);
    let decoy = AuthKey::from_stored(named, [0; 8], &[0; 192]);
    let known = permanent.filter(|key| key.id() == named);
    let mut packet: [u8; ENCRYPTED_MESSAGE_LEN] =
        request.encrypted_message.as_ref().try_into().map_err(|_| BindError::Message)?;
    let opened =
        packet::open_v1(known.unwrap_or(&decoy), Direction::ClientToServer, &mut packet).is_ok();
    let CameWith { temporary, session_id, msg_id } = came_with;
    let (nonce, expires_at) = (request.nonce, request.expires_at);
    let expected = Binding { nonce, temporary, session_id, msg_id, expires_at }.message(named);
    let is_expected = equal(&field::<MESSAGE_LEN>(&packet, MESSAGE_AT), &expected);
    if opened & is_expected & known.is_some() { Ok(()) } else { Err(BindError::Message) }
}

/// The envelope in which a server received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameWith {
    /// The key of the packet.
    pub temporary: AuthKeyId,
    /// The session of the message.
    pub session_id: SessionId,
    /// The id of the request's own message.
    pub msg_id: MsgId,
}

/// When a binding ends that a client wants to end at `expires_at` (check 8), for a key that dies
/// at `key_expires`: whichever is first. All are Unix seconds by the server's clock.
///
/// # Errors
///
/// [`BindError::Expired`], [`BindError::Outlives`].
pub fn expiry(expires_at: i32, now: i64, key_expires: i64) -> Result<i64, BindError> {
    let expires_at = i64::from(expires_at);
    if expires_at <= now {
        return Err(BindError::Expired);
    }
    if expires_at > key_expires.saturating_add(EXPIRY_TOLERANCE) {
        return Err(BindError::Outlives);
    }
    Ok(expires_at.min(key_expires))
}

/// Bytes of `bind_auth_key_inner`.
const INNER_LEN: usize = 40;
/// Id, sequence number and length of a message, then that.
const MESSAGE_LEN: usize = 16 + INNER_LEN;
/// Where the message begins and ends in `encrypted_message`.
const MESSAGE_AT: usize = HEADER_LEN + 16;
const MESSAGE_END: usize = MESSAGE_AT + MESSAGE_LEN;
/// Bytes of `encrypted_message` with the inner object that there is.
pub const ENCRYPTED_MESSAGE_LEN: usize = MESSAGE_END + 8;
