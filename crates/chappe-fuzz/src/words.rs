//! Bodies of messages, right and wrong, for both kinds of session.

use bytes::Bytes;
use chappe_proto::MsgId;
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::kind;
use chappe_tl::{Constructor, Encode, Reader, Writer};

use crate::script::Script;

/// A query of an unknown function, so plainly a call.
pub(crate) fn query(number: u32, words: usize) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(QUERY);
    writer.u32(number);
    for word in 0..words {
        // Not all equal, so that compressing it does not always pay.
        writer.u32((word as u32).wrapping_mul(0x9e37_79b9) ^ number);
    }
    writer.finish().unwrap()
}

pub(crate) const QUERY: u32 = 0xaaaa_0001;

/// A constructor with its id.
pub(crate) fn boxed<T: Constructor>(object: &T) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(T::ID);
    object.encode_bare(&mut writer);
    writer.finish().unwrap()
}

pub(crate) fn encoded<T: Encode>(value: &T) -> Bytes {
    chappe_tl::to_bytes(value).unwrap()
}

/// A body as one constructor, if it is that one.
pub(crate) fn read<T: Constructor>(body: &Bytes) -> Option<T> {
    let mut reader = Reader::new(body.clone());
    (reader.u32() == Ok(T::ID)).then_some(())?;
    let object = T::decode_bare(&mut reader).ok()?;
    reader.finish().ok()?;
    Some(object)
}

/// `msg_copy` of a message.
pub(crate) fn copy(inner: &Inner) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(kind::MSG_COPY);
    writer.u32(kind::MESSAGE);
    writer.i64(inner.msg_id.0);
    writer.i32(inner.seq_no);
    writer.i32(inner.body.len() as i32);
    writer.raw(&inner.body);
    writer.finish().unwrap()
}

/// The body, or now and then something that only begins like it.
pub(crate) fn perhaps_damaged(script: &mut Script<'_>, body: Bytes) -> Bytes {
    if !script.one_in(16) {
        return body;
    }
    let mut damaged = body.to_vec();
    match script.below(4) {
        0 => damaged.truncate(script.below(damaged.len().min(255) + 1) / 4 * 4),
        1 => damaged.extend([0; 4]),
        2 => {
            let at = usize::from(script.byte()) * 4;
            let word = script.i32().to_le_bytes();
            if let Some(place) = damaged.get_mut(at..at + 4) {
                place.copy_from_slice(&word);
            }
        }
        _ => damaged = script.bytes(64).to_vec(),
    }
    damaged.into()
}

/// What a message holds: the contents of a container, or itself.
pub(crate) fn flatten(msg_id: MsgId, seq_no: i32, body: &Bytes) -> Vec<Inner> {
    if kind::id_of(body) == container::ID {
        return container::unpack(msg_id, body).expect("our own containers are sound");
    }
    vec![Inner { msg_id, seq_no, body: body.clone() }]
}
