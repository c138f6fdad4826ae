//! Unencrypted messages, which carry the key exchange and nothing else (KEY-01).

use bytes::{BufMut, Bytes, BytesMut};

use crate::ids::{MsgId, Side};

/// One message of the key exchange.
///
/// Shape:  `auth_key_id:long = 0, msg_id:long, length:int, body`.
/// Errors: see [`PlainError`]; the server drops such a connection.
/// Source: MSG "Layouts", KEY-01 to KEY-05.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainMessage {
    /// Id that the sender gave; of a client it may be anything (KEY-03, QRK-21).
    pub msg_id: MsgId,
    /// A TL object, perhaps with random bytes after it (KEY-05).
    pub body: Bytes,
}

/// Why an unencrypted packet was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlainError {
    /// The fixed header does not fit.
    #[error("unencrypted packet of {got} bytes is shorter than its {HEADER}-byte header")]
    Truncated {
        /// Bytes present.
        got: usize,
    },
    /// The stated length is below [`BODY_MIN`], no multiple of 4, or more than is there (KEY-04).
    #[error("unencrypted message states {stated} bytes, {present} are present")]
    Length {
        /// The length field.
        stated: i32,
        /// Bytes after the header.
        present: usize,
    },
    /// The id cannot come from a server (KEY-03).
    #[error("message id {0} cannot come from a server")]
    MsgId(MsgId),
}

/// Bytes before the body: `auth_key_id`, `msg_id`, `length`.
pub const HEADER: usize = 20;

/// Smallest body: a constructor's id and a nonce (KEY-04).
pub const BODY_MIN: usize = 20;

/// Takes an unencrypted packet, whose first 8 bytes are 0, apart.
pub fn open(packet: Bytes, from: Side) -> Result<PlainMessage, PlainError> {
    let Some((header, rest)) = packet.split_first_chunk::<HEADER>() else {
        return Err(PlainError::Truncated { got: packet.len() });
    };
    let raw = i64::from_le_bytes(field(header, 8));
    let stated = i32::from_le_bytes(field(header, 16));
    let length = usize::try_from(stated)
        .ok()
        .filter(|length| (BODY_MIN..=rest.len()).contains(length) && length % 4 == 0)
        .ok_or(PlainError::Length { stated, present: rest.len() })?;
    let msg_id = MsgId(raw);
    if from == Side::Server && !msg_id.may_come_from(from) {
        return Err(PlainError::MsgId(msg_id));
    }
    Ok(PlainMessage { msg_id, body: packet.slice(HEADER..HEADER + length) })
}

/// Appends the packet of one unencrypted message to `out`.
pub fn seal(msg_id: MsgId, body: &[u8], out: &mut BytesMut) {
    out.reserve(HEADER + body.len());
    out.put_i64_le(0);
    out.put_i64_le(msg_id.0);
    out.put_u32_le(body.len() as u32);
    out.put_slice(body);
}

pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
