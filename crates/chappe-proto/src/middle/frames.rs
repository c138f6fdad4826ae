//! Frames of a link: length, number, payload and checksum, once keys are agreed inside a chain of
//! cipher blocks.
//!
//! Two frames come before anything else in either direction, the nonces in clear and the handshakes
//! encrypted; hence the first numbers.

use bytes::{Buf, BufMut, BytesMut};
use chappe_crypto::cbc::{Decrypt, Encrypt};

use crate::transport::FrameError;

/// What guards frames against damage (MPX-04).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The CRC-32 of everybody.
    #[default]
    Crc32,
    /// CRC-32C, where both ends have offered it.
    Crc32c,
}

/// The frames that come over a link.
#[derive(Debug)]
pub struct Inbound {
    number: i32,
    limit: usize,
    checksum: Checksum,
    cipher: Option<Decrypt>,
    /// Bytes at the start of the inbound buffer that are decrypted already.
    clear: usize,
    /// Nothing encrypted has come yet.
    is_first: bool,
}

/// The frames that leave over a link.
#[derive(Debug)]
pub struct Outbound {
    number: i32,
    checksum: Checksum,
    cipher: Option<Encrypt>,
    bytes: BytesMut,
    /// Where in `bytes` that begins which has yet to be encrypted.
    clear_from: usize,
}

/// A payload that no frame can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload of {0} bytes, expected a multiple of 4 from 4 to {PAYLOAD_MAX}")]
pub struct PayloadSize(pub usize);

/// Longest frame, in bytes (MPX-05).
pub const FRAME_MAX: usize = 1 << 24;
/// Longest payload, in bytes.
pub const PAYLOAD_MAX: usize = FRAME_MAX - HEADER - TRAILER;
/// Longest frame from a peer that has not shown that it knows the secret.
const GREETING_MAX: usize = 1024;
/// Number of the first frame in either direction.
const FIRST: i32 = -2;
/// Length and number.
const HEADER: usize = 8;
const TRAILER: usize = 4;
const WORD: usize = 4;
/// Header, one word, trailer.
const LEAST: usize = HEADER + WORD + TRAILER;
/// A word that says nothing, between frames.
const NO_OP: u32 = 4;
const BLOCK: usize = 16;

impl Default for Inbound {
    fn default() -> Self {
        let checksum = Checksum::default();
        let limit = GREETING_MAX;
        Self { number: FIRST, limit, checksum, cipher: None, clear: 0, is_first: true }
    }
}

impl Inbound {
    /// What has not been taken off the buffer is encrypted, and so is all that comes later.
    pub fn begin_cipher(&mut self, cipher: Decrypt) {
        self.cipher = Some(cipher);
        self.clear = 0;
    }

    /// The peer is known: its frames may be long, and are guarded as agreed.
    pub fn agree(&mut self, checksum: Checksum, limit: usize) {
        self.checksum = checksum;
        self.limit = limit.min(FRAME_MAX);
    }

    /// Takes the payload of the next frame off `input`; `None` when the rest has yet to come.
    ///
    /// `input` is the inbound buffer of the link: between calls it only grows at its end. Whole
    /// blocks of it are decrypted where they are, and a frame may end within one (MPX-06).
    ///
    /// # Errors
    ///
    /// The link has lost its place and has to be closed (MPX-05).
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, FrameError> {
        self.decrypt(input);
        while word_at(&input[..self.clear], 0) == Some(NO_OP) {
            self.take(input, WORD);
        }
        let open = &input[..self.clear];
        let Some(len) = word_at(open, 0) else { return Ok(None) };
        let len = len as usize;
        if len < LEAST {
            return Err(FrameError::TooShort { min: LEAST, got: len });
        }
        if len > self.limit {
            return Err(FrameError::TooLong { limit: self.limit, got: len });
        }
        if !len.is_multiple_of(WORD) {
            return Err(FrameError::Misaligned { got: len });
        }
        let Some(got) = word_at(open, WORD) else { return Ok(None) };
        let expected = self.number as u32;
        if got != expected {
            return Err(FrameError::Sequence { expected, got });
        }
        let Some(frame) = open.get(..len) else { return Ok(None) };
        let (content, trailer) = frame.split_at(len - TRAILER);
        let expected = self.checksum.of(content);
        if let Some(got) = word_at(trailer, 0).filter(|got| *got != expected) {
            return Err(FrameError::Crc { expected, got });
        }
        let mut payload = self.take(input, len);
        payload.advance(HEADER);
        payload.truncate(len - HEADER - TRAILER);
        self.number = self.number.wrapping_add(1);
        Ok(Some(payload))
    }

    fn decrypt(&mut self, input: &mut BytesMut) {
        let Some(cipher) = &mut self.cipher else {
            self.clear = input.len();
            return;
        };
        // Some proxies fill up even the frame that is sent in clear (QRK-61).
        while self.is_first
            && let Some(word) = word_at(input, 0)
        {
            self.is_first = word == NO_OP;
            input.advance(if self.is_first { WORD } else { 0 });
        }
        if self.is_first {
            return;
        }
        let blocks = (input.len() - self.clear) / BLOCK * BLOCK;
        if blocks > 0 {
            let end = self.clear + blocks;
            cipher.apply(&mut input[self.clear..end]).expect("these are whole blocks");
            self.clear = end;
        }
    }

    fn take(&mut self, input: &mut BytesMut, len: usize) -> BytesMut {
        self.clear -= len;
        input.split_to(len)
    }
}

impl Default for Outbound {
    fn default() -> Self {
        let (checksum, bytes) = (Checksum::default(), BytesMut::new());
        Self { number: FIRST, checksum, cipher: None, bytes, clear_from: 0 }
    }
}

impl Outbound {
    /// What is put from here on leaves encrypted.
    pub fn begin_cipher(&mut self, cipher: Encrypt) {
        self.cipher = Some(cipher);
        self.clear_from = self.bytes.len();
    }

    /// What is put from here on is guarded as agreed.
    pub fn agree(&mut self, checksum: Checksum) {
        self.checksum = checksum;
    }

    /// Appends a frame with this payload, given in parts.
    ///
    /// # Errors
    ///
    /// Nothing is appended if no frame can carry that much, or such a length.
    pub fn put(&mut self, parts: &[&[u8]]) -> Result<(), PayloadSize> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len == 0 || len > PAYLOAD_MAX || !len.is_multiple_of(WORD) {
            return Err(PayloadSize(len));
        }
        let start = self.bytes.len();
        self.bytes.reserve(HEADER + len + TRAILER + BLOCK);
        self.bytes.put_u32_le((HEADER + len + TRAILER) as u32);
        self.bytes.put_i32_le(self.number);
        for part in parts {
            self.bytes.put_slice(part);
        }
        self.bytes.put_u32_le(self.checksum.of(&self.bytes[start..]));
        self.number = self.number.wrapping_add(1);
        Ok(())
    }

    /// Bytes that wait to be written, but for what fills up their last block.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends to `out` all that is to be written: whole blocks, the last one filled up with words
    /// that say nothing.
    pub fn poll_transmit(&mut self, out: &mut BytesMut) {
        if let Some(cipher) = &mut self.cipher {
            while !(self.bytes.len() - self.clear_from).is_multiple_of(BLOCK) {
                self.bytes.put_u32_le(NO_OP);
            }
            let blocks = &mut self.bytes[self.clear_from..];
            if !blocks.is_empty() {
                cipher.apply(blocks).expect("these are whole blocks");
            }
            self.clear_from = 0;
        }
        out.unsplit(std::mem::take(&mut self.bytes));
    }
}

impl Checksum {
    fn of(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Crc32 => crc32fast::hash(bytes),
            Self::Crc32c => crc32c(bytes),
        }
    }
}

/// CRC-32 with the polynomial of Castagnoli. By table: nobody is known to offer it.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| CASTAGNOLI[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

const CASTAGNOLI: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
