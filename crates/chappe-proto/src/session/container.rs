//! `msg_container`: several messages in one.

use bytes::{BufMut, Bytes, BytesMut};

use crate::envelope::plain::field;
use crate::ids::MsgId;
use crate::session::kind;

/// A message inside a container: `msg_id:long seqno:int bytes:int body:Object`, bare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Its id, lower than the container's (MSG-13).
    pub msg_id: MsgId,
    /// Its sequence number, at most the container's (MSG-18).
    pub seq_no: i32,
    /// A boxed TL object; never another container (MSG-23).
    pub body: Bytes,
}

/// Why a container is refused as a whole (MSG-24): nothing in it is processed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// More messages than anyone sends; the link is ended with -429 (MSG-22).
    #[error("container of {0} messages, at most {MESSAGES_MAX} are allowed")]
    TooMany(usize),
    /// Lengths, counts or ids that contradict each other: code 64.
    #[error("container is malformed: {0}")]
    Malformed(&'static str),
}

/// `msg_container#73f1f8dc`.
pub const ID: u32 = 0x73f1_f8dc;
/// Most messages in one container (MSG-20).
pub const MESSAGES_MAX: usize = 1024;
/// Bytes before each body in a container.
pub const INNER_HEADER: usize = 16;
/// Bytes before the first message.
pub const HEADER: usize = 8;

/// Takes the body of a container apart, all or nothing.
pub fn unpack(outer: MsgId, body: &Bytes) -> Result<Vec<Inner>, ContainerError> {
    let bad = ContainerError::Malformed;
    if body.len() < HEADER {
        return Err(bad("no count"));
    }
    let count = i32::from_le_bytes(field(body, 4));
    let count = usize::try_from(count).map_err(|_| bad("negative count"))?;
    if count > MESSAGES_MAX {
        return Err(ContainerError::TooMany(count));
    }
    let mut at = HEADER;
    let mut inners = Vec::with_capacity(count.min(body.len() / INNER_HEADER));
    for _ in 0..count {
        if body.len() - at < INNER_HEADER {
            return Err(bad("cut off in a header"));
        }
        let msg_id = MsgId(i64::from_le_bytes(field(body, at)));
        let seq_no = i32::from_le_bytes(field(body, at + 8));
        let length = i32::from_le_bytes(field(body, at + 12));
        at += INNER_HEADER;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length >= 4 && length % 4 == 0)
            .ok_or(bad("impossible length"))?;
        if length > body.len() - at {
            return Err(bad("cut off in a body"));
        }
        if msg_id >= outer {
            return Err(bad("holds an id that is not below its own"));
        }
        let inner = body.slice(at..at + length);
        if inner.starts_with(&ID.to_le_bytes()) {
            return Err(bad("holds a container"));
        }
        at += length;
        inners.push(Inner { msg_id, seq_no, body: inner });
    }
    if at != body.len() {
        return Err(bad("bytes left over"));
    }
    Ok(inners)
}

/// Takes a `msg_copy` apart: the one message in it, as if it had come alone (MSG-27).
///
/// Shape: `msg_copy#e06046b2 orig_message:Message`, boxed:
/// `message#5bb8e511 msg_id:long seqno:int bytes:int body:Object`.
pub fn unpack_copy(outer: MsgId, body: &Bytes) -> Result<Inner, ContainerError> {
    const COPY_HEADER: usize = 24;
    let bad = ContainerError::Malformed;
    if body.len() < COPY_HEADER || field(body, 4) != kind::MESSAGE.to_le_bytes() {
        return Err(bad("copies no message"));
    }
    let msg_id = MsgId(i64::from_le_bytes(field(body, 8)));
    let seq_no = i32::from_le_bytes(field(body, 16));
    let length = i32::from_le_bytes(field(body, 20));
    let inner = body.slice(COPY_HEADER..);
    if usize::try_from(length) != Ok(inner.len())
        || inner.len() < 4
        || !inner.len().is_multiple_of(4)
    {
        return Err(bad("impossible length"));
    }
    if msg_id >= outer {
        return Err(bad("copies an id that is not below its own"));
    }
    if matches!(kind::id_of(&inner), ID | kind::MSG_COPY) {
        return Err(bad("copies a container"));
    }
    Ok(Inner { msg_id, seq_no, body: inner })
}

/// Bytes that a message of `body_len` takes in a container.
pub fn room(body_len: usize) -> usize {
    INNER_HEADER + body_len
}

/// Writes the body of a container.
pub fn pack(inners: &[Inner]) -> Bytes {
    let size = HEADER + inners.iter().map(|inner| room(inner.body.len())).sum::<usize>();
    let mut out = BytesMut::with_capacity(size);
    out.put_u32_le(ID);
    out.put_u32_le(inners.len() as u32);
    for inner in inners {
        out.put_i64_le(inner.msg_id.0);
        out.put_i32_le(inner.seq_no);
        out.put_u32_le(inner.body.len() as u32);
        out.put_slice(&inner.body);
    }
    out.freeze()
}
