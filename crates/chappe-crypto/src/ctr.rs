//! AES-256 in counter mode, with state that is carried from call to call.

use std::fmt;

use ::ctr::Ctr128BE;
use aes::Aes256Enc;
use aes::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A running stream cipher: the n-th byte that goes through it is xored with the n-th byte of the
/// key stream, whatever the calls that bring the bytes.
///
/// Shape:  the counter is the 16 bytes of `iv` as one big-endian number, which wraps around.
/// Source: MTProto, "Transport obfuscation".
///
/// One that is not in use is little larger than its key. Wiped on drop; `Debug` shows nothing of the
/// key or the position.
pub struct Ctr {
    key: Zeroizing<[u8; 32]>,
    iv: [u8; 16],
    /// Bytes that went through so far.
    position: u64,
    /// The key's schedule and the block in use, 300 bytes: too much for each of many that wait.
    running: Option<Box<Ctr128BE<Aes256Enc>>>,
}

impl Ctr {
    /// A stream at its first byte.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self { key: Zeroizing::new(*key), iv: *iv, position: 0, running: None }
    }

    /// Encrypts or decrypts the next `buf.len()` bytes of the stream.
    pub fn apply(&mut self, buf: &mut [u8]) {
        let running = self.running.get_or_insert_with(|| {
            let mut stream = Box::new(Ctr128BE::new((&*self.key).into(), (&self.iv).into()));
            stream.seek(self.position);
            stream
        });
        running.apply_keystream(buf);
        self.position += buf.len() as u64;
    }

    /// Gives back the memory that is needed to go on, which then costs the schedule of the key.
    pub fn rest(&mut self) {
        self.running = None;
    }
}

/// The key and the running stream wipe themselves.
impl ZeroizeOnDrop for Ctr {}

impl fmt::Debug for Ctr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ctr")
    }
}
