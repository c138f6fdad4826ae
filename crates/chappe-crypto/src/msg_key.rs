//! Message keys, and the AES keys derived from them.
//!
//! In the formulas K is the auth key and x the offset of the [`Direction`].
//! Source: MTProto 2.0 and 1.0, "Defining AES Key and Initialization Vector".

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hash::{part, sha1, sha256};
use crate::{AuthKey, Direction};

/// Key and iv that encrypt one message. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct AesKeys {
    /// The AES-256 key.
    pub key: [u8; 32],
    /// The iv of IGE mode: ciphertext block, then plaintext block.
    pub iv: [u8; 32],
}

impl AesKeys {
    /// Keys of MTProto 2.0: two SHA-256 of the message key and parts of the auth key.
    #[must_use]
    pub fn v2(auth_key: &AuthKey, msg_key: &[u8; 16], direction: Direction) -> Self {
        let (k, x) = (auth_key.stored(), direction.x());
        let a = sha256(&[msg_key, &k[x..x + 36]]);
        let b = sha256(&[&k[40 + x..76 + x], msg_key]);
        Self {
            key: joined(&[&a[0..8], &b[8..24], &a[24..32]]),
            iv: joined(&[&b[0..8], &a[8..24], &b[24..32]]),
        }
    }

    /// Keys of MTProto 1.0: four SHA-1.
    #[must_use]
    pub fn v1(auth_key: &AuthKey, msg_key: &[u8; 16], direction: Direction) -> Self {
        let (k, x) = (auth_key.stored(), direction.x());
        let a = sha1(&[msg_key, &k[x..x + 32]]);
        let b = sha1(&[&k[32 + x..48 + x], msg_key, &k[48 + x..64 + x]]);
        let c = sha1(&[&k[64 + x..96 + x], msg_key]);
        let d = sha1(&[msg_key, &k[96 + x..128 + x]]);
        Self {
            key: joined(&[&a[0..8], &b[8..20], &c[4..16]]),
            iv: joined(&[&a[8..20], &b[0..8], &c[16..20], &d[0..8]]),
        }
    }
}

impl fmt::Debug for AesKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKeys")
    }
}

/// What a hash of the plaintext yields: the key that names the message and the quick-ack token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsgKey {
    /// The 16 bytes on the wire.
    pub bytes: [u8; 16],
    /// What a server echoes for a client that asked for a quick acknowledgement; bit 31 is set.
    pub quick_ack: u32,
}

impl MsgKey {
    /// The message key of MTProto 2.0, over header, message and padding.
    #[must_use]
    pub fn v2(auth_key: &AuthKey, plaintext: &[u8], direction: Direction) -> Self {
        let x = direction.x();
        let large = sha256(&[&auth_key.stored()[88 + x..120 + x], plaintext]);
        Self { bytes: part(&large, 8), quick_ack: quick_ack(&large) }
    }

    /// The message key of MTProto 1.0, over header and message without the padding.
    #[must_use]
    pub fn v1(unpadded: &[u8]) -> Self {
        let hash = sha1(&[unpadded]);
        Self { bytes: part(&hash, 4), quick_ack: quick_ack(&hash) }
    }
}

fn quick_ack(hash: &[u8]) -> u32 {
    u32::from_le_bytes(part(hash, 0)) | 0x8000_0000
}

fn joined(parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut rest = &mut out[..];
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    out
}
