//! Encrypted messages of MTProto 2.0: sealing and opening, several at once.
//!
//! Everything here takes a batch, since the cipher works on several messages at the price of
//! one; a single message is a batch of one.

use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};
use chappe_crypto::packet::{self, OpenJob, SealJob};
use chappe_crypto::{AuthKey, AuthKeyId, Direction, Rng};

use crate::envelope::plain::field;
use crate::ids::{MsgId, SessionId, Side};
use crate::transport::SERVER_LIMIT;

/// What the envelope says about a message besides its body.
///
/// Shape:  `salt:long session_id:long msg_id:long seq_no:int length:int`, encrypted.
/// Source: 04-messages §1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Server salt that the sender believes in.
    pub salt: i64,
    /// Session of the message.
    pub session_id: SessionId,
    /// Id of the message.
    pub msg_id: MsgId,
    /// Sequence number of the message.
    pub seq_no: i32,
}

/// One message as it leaves a session or reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Salt, session, ids.
    pub header: Header,
    /// A boxed TL object.
    pub body: Bytes,
}

/// A packet opened: the message, and the token that would acknowledge its receipt quickly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The message.
    pub message: Message,
    /// Token of a quick acknowledgement (10-transports §4).
    pub token: u32,
}

/// A packet as it travels, and the token that would acknowledge its receipt quickly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The packet.
    pub packet: BytesMut,
    /// Token of a quick acknowledgement (10-transports §4).
    pub token: u32,
}

/// Why an encrypted packet ends its link. All are one to the peer: silence, then the end (SEC-48).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The packet cannot hold a message, or its encrypted part is no whole number of blocks.
    #[error("packet of {0} bytes cannot hold an encrypted message")]
    Size(usize),
    /// `msg_key` does not match the plaintext: a damaged or forged packet.
    #[error("message key does not match")]
    MsgKeyMismatch,
    /// The length inside does not agree with the size of the packet (MSG-R06).
    #[error("message states {stated} bytes in {room} bytes of plaintext")]
    Length {
        /// The length field.
        stated: i32,
        /// Bytes after the internal header, padding included.
        room: usize,
    },
}

/// `auth_key_id` and `msg_key`, before the encrypted part.
pub const EXTERNAL_HEADER: usize = 24;
/// Salt, session id, message id, sequence number, length: the encrypted part before the body.
pub const INTERNAL_HEADER: usize = 32;
/// Smallest padding (MSG-01).
pub const PADDING_MIN: usize = 12;
/// Greatest padding (MSG-01).
pub const PADDING_MAX: usize = 1024;
/// Smallest encrypted part: internal header, one word of body, least padding (MSG-R03).
pub const ENCRYPTED_MIN: usize = 48;
/// Largest body that a client may send: what a packet of 255 · 4096 bytes has room for beside its
/// headers and the least padding, in whole blocks (MSG-03).
pub const BODY_MAX: usize =
    (SERVER_LIMIT - EXTERNAL_HEADER) / 16 * 16 - INTERNAL_HEADER - PADDING_MIN;
/// Padding of MTProto 1.0: what fills the last block (V1-05).
pub(super) const PADDING_V1: RangeInclusive<usize> = 0..=15;
/// Most blocks that chance adds to the least padding, so that sizes say less (MSG-01).
const EXTRA_BLOCKS_MAX: u32 = 15;

/// The key named by a packet; `None` when the packet has no room for one.
pub fn key_id(packet: &[u8]) -> Option<AuthKeyId> {
    packet.first_chunk().map(|id| AuthKeyId::from_le_bytes(*id))
}

/// The direction of what `side` sends.
pub fn direction_from(side: Side) -> Direction {
    match side {
        Side::Client => Direction::ClientToServer,
        Side::Server => Direction::ServerToClient,
    }
}

/// Seals `messages` of one link, each into a packet of its own, in their order.
pub fn seal(messages: &[(&AuthKey, &Message)], from: Side, rng: &mut Rng) -> Vec<Sealed> {
    let mut packets: Vec<BytesMut> = messages
        .iter()
        .map(|(_, message)| lay_out(message, PADDING_MIN, EXTRA_BLOCKS_MAX, SERVER_LIMIT, rng))
        .collect();
    let mut jobs: Vec<SealJob<'_>> = packets
        .iter_mut()
        .zip(messages)
        .map(|(packet, (key, _))| SealJob::new(key, direction_from(from), packet))
        .collect();
    packet::seal_batch(&mut jobs);
    let tokens: Vec<u32> = jobs.iter().map(|job| job.quick_ack).collect();
    packets.into_iter().zip(tokens).map(|(packet, token)| Sealed { packet, token }).collect()
}

/// Seals one message into a packet of at most `packet_max` bytes; `None` if it does not fit.
pub fn seal_within(
    key: &AuthKey,
    message: &Message,
    packet_max: usize,
    from: Side,
    rng: &mut Rng,
) -> Option<Sealed> {
    let least = (INTERNAL_HEADER + message.body.len() + PADDING_MIN).next_multiple_of(16);
    if EXTERNAL_HEADER + least > packet_max {
        return None;
    }
    let mut packet = lay_out(message, PADDING_MIN, EXTRA_BLOCKS_MAX, packet_max, rng);
    let token = packet::seal(key, direction_from(from), &mut packet);
    Some(Sealed { packet, token })
}

/// Opens packets that all name `key`, each in place, and judges each one by itself.
///
/// A length that cannot be is reported only when `msg_key` held, and by the same error path, so
/// that nothing tells the two apart from outside (SEC-22).
pub fn open(key: &AuthKey, packets: Vec<BytesMut>, from: Side) -> Vec<Result<Opened, PacketError>> {
    let mut packets = packets;
    let mut jobs: Vec<OpenJob<'_>> = packets
        .iter_mut()
        .filter(|packet| has_valid_size(packet.len()))
        .map(|packet| OpenJob::new(key, direction_from(from), packet))
        .collect();
    packet::open_batch(&mut jobs);
    let mut verdicts = jobs.iter().map(|job| job.outcome.ok()).collect::<Vec<_>>().into_iter();
    packets
        .into_iter()
        .map(|packet| {
            if !has_valid_size(packet.len()) {
                return Err(PacketError::Size(packet.len()));
            }
            let token = verdicts.next().flatten().ok_or(PacketError::MsgKeyMismatch)?;
            Ok(Opened { message: read(packet.freeze(), &(PADDING_MIN..=PADDING_MAX))?, token })
        })
        .collect()
}

pub(super) fn has_valid_size(len: usize) -> bool {
    len >= EXTERNAL_HEADER + ENCRYPTED_MIN && (len - EXTERNAL_HEADER).is_multiple_of(16)
}

/// Writes the plaintext of a packet: room for the external header, internal header, body, and
/// random padding of at least `padding_min` bytes, up to whole blocks and at most `extra_max` more
/// as far as `packet_max` bytes allow.
pub(super) fn lay_out(
    message: &Message,
    padding_min: usize,
    extra_max: u32,
    packet_max: usize,
    rng: &mut Rng,
) -> BytesMut {
    let Header { salt, session_id, msg_id, seq_no } = message.header;
    let least = (INTERNAL_HEADER + message.body.len() + padding_min).next_multiple_of(16);
    let encrypted = least + 16 * extra_blocks(EXTERNAL_HEADER + least, extra_max, packet_max, rng);
    let mut packet = BytesMut::with_capacity(EXTERNAL_HEADER + encrypted);
    packet.put_bytes(0, EXTERNAL_HEADER);
    packet.put_i64_le(salt);
    packet.put_i64_le(session_id.0);
    packet.put_i64_le(msg_id.0);
    packet.put_i32_le(seq_no);
    packet.put_u32_le(message.body.len() as u32);
    packet.put_slice(&message.body);
    let padding_at = packet.len();
    packet.resize(EXTERNAL_HEADER + encrypted, 0);
    rng.fill(&mut packet[padding_at..]);
    packet
}

/// How many blocks are added to a packet that has `len` bytes with the least padding: any number
/// up to `most` that leaves it within `packet_max`, such as what a server accepts (MSG-03).
fn extra_blocks(len: usize, most: u32, packet_max: usize, rng: &mut Rng) -> usize {
    let room = packet_max.saturating_sub(len) / 16;
    rng.below(most.min(room as u32) + 1) as usize
}

/// Reads the message out of a decrypted packet whose `msg_key` held.
pub(super) fn read(packet: Bytes, padding: &RangeInclusive<usize>) -> Result<Message, PacketError> {
    let plain = packet.slice(EXTERNAL_HEADER..);
    let header = Header {
        salt: i64::from_le_bytes(field(&plain, 0)),
        session_id: SessionId(i64::from_le_bytes(field(&plain, 8))),
        msg_id: MsgId(i64::from_le_bytes(field(&plain, 16))),
        seq_no: i32::from_le_bytes(field(&plain, 24)),
    };
    let stated = i32::from_le_bytes(field(&plain, 28));
    let room = plain.len() - INTERNAL_HEADER;
    let length = usize::try_from(stated)
        .ok()
        .filter(|length| {
            length % 4 == 0 && *length >= 4 && *length <= room && padding.contains(&(room - length))
        })
        .ok_or(PacketError::Length { stated, room })?;
    Ok(Message { header, body: plain.slice(INTERNAL_HEADER..INTERNAL_HEADER + length) })
}
