//! Whole encrypted packets: `auth_key_id ‖ msg_key ‖ encrypted part`.
//!
//! The batch is the interface, since several packets at once leave room for work in parallel; one
//! packet is a batch of one. Everything happens in place.
//!
//! What a packet says inside (salt, session, identifiers, lengths) is for the reader of the
//! envelope. The one exception is the length field of 1.0, on which the message key depends.

use zeroize::Zeroize;

use crate::hash::{equal, part};
use crate::msg_key::{AesKeys, MsgKey};
use crate::{AuthKey, AuthKeyId, Direction, ige};

/// Bytes in front of the encrypted part: `auth_key_id` and `msg_key`.
pub const HEADER_LEN: usize = 24;

/// Bytes of the inner header: salt, session_id, msg_id, seq_no and length.
const INNER_HEADER_LEN: usize = 32;

/// Why a packet could not be opened. Whatever the reason, the sender gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The encrypted part is not one or more whole blocks.
    #[error("a packet of {0} bytes is not a header and whole blocks of 16")]
    Length(usize),
    /// The packet is for another key than the one given.
    #[error("the packet is for auth key {0}")]
    OtherKey(AuthKeyId),
    /// The message key does not belong to the plaintext: a damaged or forged packet.
    #[error("message key does not match")]
    MsgKeyMismatch,
}

/// A packet to be encrypted.
#[derive(Debug)]
pub struct SealJob<'a> {
    /// The key to encrypt with.
    pub key: &'a AuthKey,
    /// Which way the packet will travel.
    pub direction: Direction,
    /// [`HEADER_LEN`] bytes of room, then the plaintext with its padding, in whole blocks.
    pub packet: &'a mut [u8],
    /// Result: the token a quick acknowledgement of this packet will carry.
    pub quick_ack: u32,
}

impl<'a> SealJob<'a> {
    /// A job not yet done.
    pub fn new(key: &'a AuthKey, direction: Direction, packet: &'a mut [u8]) -> Self {
        Self { key, direction, packet, quick_ack: 0 }
    }
}

/// A packet to be decrypted and checked.
#[derive(Debug)]
pub struct OpenJob<'a> {
    /// The key named by the packet's first 8 bytes.
    pub key: &'a AuthKey,
    /// Which way the packet has travelled.
    pub direction: Direction,
    /// The packet as it came. After success the plaintext with its padding stands behind
    /// [`HEADER_LEN`] bytes; after failure nothing of it does.
    pub packet: &'a mut [u8],
    /// Result: the token with which a quick acknowledgement would answer, or the refusal.
    pub outcome: Result<u32, PacketError>,
}

impl<'a> OpenJob<'a> {
    /// A job not yet done, and so refused.
    pub fn new(key: &'a AuthKey, direction: Direction, packet: &'a mut [u8]) -> Self {
        Self { key, direction, packet, outcome: Err(PacketError::MsgKeyMismatch) }
    }
}

/// Encrypts every packet (MTProto 2.0).
///
/// # Panics
///
/// If a plaintext is not one or more whole blocks: padding is the caller's duty.
pub fn seal_batch(jobs: &mut [SealJob<'_>]) {
    for job in jobs {
        let msg_key = MsgKey::v2(job.key, &job.packet[HEADER_LEN..], job.direction);
        let keys = AesKeys::v2(job.key, &msg_key.bytes, job.direction);
        job.quick_ack = finish_seal(job.key, &msg_key, &keys, job.packet);
    }
}

/// Decrypts and checks every packet (MTProto 2.0).
pub fn open_batch(jobs: &mut [OpenJob<'_>]) {
    for job in jobs {
        job.outcome = open_one(job.key, job.direction, job.packet);
    }
}

/// [`seal_batch`] of one packet; returns the quick-ack token.
///
/// # Panics
///
/// If the plaintext is not one or more whole blocks.
pub fn seal(key: &AuthKey, direction: Direction, packet: &mut [u8]) -> u32 {
    let mut jobs = [SealJob::new(key, direction, packet)];
    seal_batch(&mut jobs);
    jobs[0].quick_ack
}

/// [`open_batch`] of one packet; returns the quick-ack token.
pub fn open(key: &AuthKey, direction: Direction, packet: &mut [u8]) -> Result<u32, PacketError> {
    let mut jobs = [OpenJob::new(key, direction, packet)];
    open_batch(&mut jobs);
    jobs[0].outcome
}

/// Encrypts one packet of MTProto 1.0; returns the quick-ack token.
///
/// The message key covers the inner header and as many bytes as its length field says.
///
/// # Panics
///
/// If the padding is not the 0 to 15 bytes that fill the last block.
pub fn seal_v1(key: &AuthKey, direction: Direction, packet: &mut [u8]) -> u32 {
    let unpadded = unpadded_v1(&packet[HEADER_LEN..]).expect("plaintext is padded to one block");
    let msg_key = MsgKey::v1(&packet[HEADER_LEN..HEADER_LEN + unpadded]);
    let keys = AesKeys::v1(key, &msg_key.bytes, direction);
    finish_seal(key, &msg_key, &keys, packet)
}

/// Decrypts and checks one packet of MTProto 1.0; returns the quick-ack token.
///
/// Errors: a length field that cannot be true ends like a wrong message key, after the same work.
pub fn open_v1(key: &AuthKey, direction: Direction, packet: &mut [u8]) -> Result<u32, PacketError> {
    let claimed = header(key, packet)?;
    let keys = AesKeys::v1(key, &claimed, direction);
    let plaintext = &mut packet[HEADER_LEN..];
    ige::decrypt(plaintext, &keys.key, &keys.iv).expect("header() found whole blocks");
    // Words only: what is not one can be no message (V1-05).
    let unpadded = unpadded_v1(plaintext).filter(|unpadded| unpadded.is_multiple_of(4));
    let msg_key = MsgKey::v1(&plaintext[..unpadded.unwrap_or(plaintext.len())]);
    verdict(equal(&msg_key.bytes, &claimed) && unpadded.is_some(), &msg_key, plaintext)
}

fn open_one(key: &AuthKey, direction: Direction, packet: &mut [u8]) -> Result<u32, PacketError> {
    let claimed = header(key, packet)?;
    let keys = AesKeys::v2(key, &claimed, direction);
    let plaintext = &mut packet[HEADER_LEN..];
    ige::decrypt(plaintext, &keys.key, &keys.iv).expect("header() found whole blocks");
    let msg_key = MsgKey::v2(key, plaintext, direction);
    verdict(equal(&msg_key.bytes, &claimed), &msg_key, plaintext)
}

fn finish_seal(key: &AuthKey, msg_key: &MsgKey, keys: &AesKeys, packet: &mut [u8]) -> u32 {
    let (header, plaintext) = packet.split_at_mut(HEADER_LEN);
    header[..8].copy_from_slice(&key.id().to_le_bytes());
    header[8..].copy_from_slice(&msg_key.bytes);
    ige::encrypt(plaintext, &keys.key, &keys.iv).expect("plaintext is padded to whole blocks");
    msg_key.quick_ack
}

/// Checks what is visible before decryption; returns the message key the packet claims.
fn header(key: &AuthKey, packet: &[u8]) -> Result<[u8; 16], PacketError> {
    let encrypted = packet.len().checked_sub(HEADER_LEN);
    if encrypted.is_none_or(|len| len == 0 || len % 16 != 0) {
        return Err(PacketError::Length(packet.len()));
    }
    let id = AuthKeyId::from_le_bytes(part(packet, 0));
    if id != key.id() {
        return Err(PacketError::OtherKey(id));
    }
    Ok(part(packet, 8))
}

fn verdict(good: bool, msg_key: &MsgKey, plaintext: &mut [u8]) -> Result<u32, PacketError> {
    if good {
        Ok(msg_key.quick_ack)
    } else {
        // What failed the check must not be used by mistake.
        plaintext.zeroize();
        Err(PacketError::MsgKeyMismatch)
    }
}

/// Bytes of a 1.0 plaintext without its padding, if its length field fits its size.
fn unpadded_v1(plaintext: &[u8]) -> Option<usize> {
    let field = plaintext.get(INNER_HEADER_LEN - 4..INNER_HEADER_LEN)?;
    let length = usize::try_from(i32::from_le_bytes(part(field, 0))).ok()?;
    let unpadded = INNER_HEADER_LEN.checked_add(length)?;
    (unpadded.next_multiple_of(16) == plaintext.len()).then_some(unpadded)
}
