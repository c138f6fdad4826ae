//! AES-256 in counter mode, with state that is carried from call to call.

use std::fmt;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};
use zeroize::Zeroize;

/// Blocks made at once: enough for the processor to work on several in parallel.
const BATCH: usize = 16;

/// A running stream cipher: the n-th byte that goes through it is xored with the n-th byte of the
/// key stream, whatever the calls that bring the bytes.
///
/// Shape:  the counter is the 16 bytes of `iv` as one big-endian number, which wraps around.
/// Source: MTProto, "Transport obfuscation".
///
/// Wiped on drop. `Debug` shows nothing of the key or the position.
pub struct Ctr {
    aes: Aes256Enc,
    counter: u128,
    /// Key stream of the block begun last; the first `used` bytes are spent.
    block: [u8; 16],
    used: usize,
}

impl Ctr {
    /// A stream at its first byte.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        let aes = Aes256Enc::new(key.into());
        Self { aes, counter: u128::from_be_bytes(*iv), block: [0; 16], used: 16 }
    }

    /// Encrypts or decrypts the next `buf.len()` bytes of the stream.
    pub fn apply(&mut self, buf: &mut [u8]) {
        let begun = buf.len().min(16 - self.used);
        let (head, rest) = buf.split_at_mut(begun);
        xor(head, &self.block[self.used..]);
        self.used += begun;

        let (batches, rest) = rest.as_chunks_mut::<{ 16 * BATCH }>();
        for batch in batches {
            let mut stream: [Block; BATCH] = std::array::from_fn(|_| self.next_counter());
            self.aes.encrypt_blocks(&mut stream);
            xor(batch, Array::slice_as_flattened(&stream));
        }
        let blocks = rest.len().div_ceil(16);
        let mut stream: [Block; BATCH] = std::array::from_fn(|_| Block::default());
        for block in &mut stream[..blocks] {
            *block = self.next_counter();
        }
        self.aes.encrypt_blocks(&mut stream[..blocks]);
        xor(rest, Array::slice_as_flattened(&stream));
        if rest.len() % 16 != 0 {
            self.block = stream[blocks - 1].into();
            self.used = rest.len() % 16;
        }
    }

    fn next_counter(&mut self) -> Block {
        let block = self.counter.to_be_bytes().into();
        self.counter = self.counter.wrapping_add(1);
        block
    }
}

impl Drop for Ctr {
    fn drop(&mut self) {
        self.counter.zeroize();
        self.block.zeroize();
    }
}

impl fmt::Debug for Ctr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ctr")
    }
}

fn xor(buf: &mut [u8], stream: &[u8]) {
    for (byte, key) in buf.iter_mut().zip(stream) {
        *byte ^= key;
    }
}
