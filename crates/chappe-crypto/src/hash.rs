//! Hashes over several pieces, and the one comparison for secrets.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of the pieces, one after the other.
#[must_use]
pub fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}

/// HMAC-SHA256 of the pieces, one after the other, under a key of 16 bytes.
#[must_use]
pub fn hmac_sha256(key: &[u8; 16], pieces: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

/// SHA-1 of the pieces, one after the other.
#[must_use]
pub fn sha1(pieces: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}

/// MD5 of the pieces, one after the other. Links to middle proxies derive keys with it; nothing else
/// should.
#[must_use]
pub fn md5(pieces: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}

/// Whether `a` and `b` hold the same bytes, in a time that depends on their lengths only.
///
/// Every comparison of hashes, keys and message keys goes through here.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Bytes `start..start + N` of a longer array whose length the caller knows.
pub(crate) fn part<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[start..start + N]);
    out
}
