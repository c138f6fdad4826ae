//! The envelope of MTProto 2.0 a second time, from its definition: what `chappe-proto` seals, this
//! opens, and the other way round. A fault that both ends of one implementation share shows here.

use bytes::Bytes;
use chappe_crypto::{AuthKeyId, ige, sha1, sha256};
use chappe_proto::Side;

/// A secret of 256 bytes.
pub type Secret = [u8; 256];

/// What is inside an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Server salt.
    pub salt: i64,
    /// Session.
    pub session: i64,
    /// Message id.
    pub id: i64,
    /// Sequence number.
    pub seq_no: i32,
    /// Body.
    pub body: Bytes,
}

/// Offset into the key, by who sends.
fn offset(from: Side) -> usize {
    match from {
        Side::Client => 0,
        Side::Server => 8,
    }
}

/// The id of a key: the last 8 bytes of its SHA-1.
pub fn key_id(secret: &Secret) -> AuthKeyId {
    let hash = sha1(&[secret]);
    let mut id = [0; 8];
    id.copy_from_slice(&hash[12..]);
    AuthKeyId::from_le_bytes(id)
}

/// A packet of one end, padded with `padding`.
pub fn seal(secret: &Secret, from: Side, letter: &Letter, padding: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    plain.extend_from_slice(&letter.salt.to_le_bytes());
    plain.extend_from_slice(&letter.session.to_le_bytes());
    plain.extend_from_slice(&letter.id.to_le_bytes());
    plain.extend_from_slice(&letter.seq_no.to_le_bytes());
    plain.extend_from_slice(&(letter.body.len() as u32).to_le_bytes());
    plain.extend_from_slice(&letter.body);
    plain.extend_from_slice(padding);
    let msg_key = msg_key(secret, offset(from), &plain);
    let (key, iv) = keys(secret, offset(from), &msg_key);
    ige::encrypt(&mut plain, &key, &iv).expect("padded to whole blocks");
    let mut packet = key_id(secret).to_le_bytes().to_vec();
    packet.extend_from_slice(&msg_key);
    packet.extend_from_slice(&plain);
    packet
}

/// The letter in a packet of one end; `None` if it is none of this key, or damaged.
pub fn open(secret: &Secret, from: Side, packet: &[u8]) -> Option<Letter> {
    let (id, rest) = packet.split_first_chunk::<8>()?;
    let (msg_key, encrypted) = rest.split_first_chunk::<16>()?;
    if *id != key_id(secret).to_le_bytes() {
        return None;
    }
    let mut plain = encrypted.to_vec();
    let (key, iv) = keys(secret, offset(from), msg_key);
    ige::decrypt(&mut plain, &key, &iv).ok()?;
    if self::msg_key(secret, offset(from), &plain) != *msg_key {
        return None;
    }
    let long = |at: usize| Some(i64::from_le_bytes(*plain.get(at..)?.first_chunk()?));
    let int = |at: usize| Some(i32::from_le_bytes(*plain.get(at..)?.first_chunk()?));
    let len = usize::try_from(int(28)?).ok()?;
    let padding = plain.len().checked_sub(32 + len)?;
    if !(12..=1024).contains(&padding) {
        return None;
    }
    let body = Bytes::copy_from_slice(&plain[32..32 + len]);
    Some(Letter { salt: long(0)?, session: long(8)?, id: long(16)?, seq_no: int(24)?, body })
}

fn msg_key(secret: &Secret, x: usize, plain: &[u8]) -> [u8; 16] {
    let hash = sha256(&[&secret[88 + x..120 + x], plain]);
    let mut key = [0; 16];
    key.copy_from_slice(&hash[8..24]);
    key
}

fn keys(secret: &Secret, x: usize, msg_key: &[u8; 16]) -> ([u8; 32], [u8; 32]) {
    let a = sha256(&[msg_key, &secret[x..x + 36]]);
    let b = sha256(&[&secret[40 + x..76 + x], msg_key]);
    let (mut key, mut iv) = ([0; 32], [0; 32]);
    key[..8].copy_from_slice(&a[..8]);
    key[8..24].copy_from_slice(&b[8..24]);
    key[24..].copy_from_slice(&a[24..]);
    iv[..8].copy_from_slice(&b[..8]);
    iv[8..24].copy_from_slice(&a[8..24]);
    iv[24..].copy_from_slice(&b[24..]);
    (key, iv)
}
