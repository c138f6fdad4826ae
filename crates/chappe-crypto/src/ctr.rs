//! AES-256 in counter mode, with state that is carried from call to call.

use std::fmt;

use ::ctr::Ctr128BE;
use aes::Aes256Enc;
use aes::cipher::{KeyIvInit, StreamCipher};
use zeroize::ZeroizeOnDrop;

/// A running stream cipher: the n-th byte that goes through it is xored with the n-th byte of the
/// key stream, whatever the calls that bring the bytes.
///
/// Shape:  the counter is the 16 bytes of `iv` as one big-endian number, which wraps around.
/// Source: MTProto, "Transport obfuscation".
///
/// Wiped on drop. `Debug` shows nothing of the key or the position.
#[derive(ZeroizeOnDrop)]
pub struct Ctr(Ctr128BE<Aes256Enc>);

impl Ctr {
    /// A stream at its first byte.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self(Ctr128BE::new(key.into(), iv.into()))
    }

    /// Encrypts or decrypts the next `buf.len()` bytes of the stream.
    pub fn apply(&mut self, buf: &mut [u8]) {
        self.0.apply_keystream(buf);
    }
}

impl fmt::Debug for Ctr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ctr")
    }
}
