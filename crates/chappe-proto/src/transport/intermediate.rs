//! Intermediate framing: the length in bytes, in four bytes; plain or counting random padding.

use super::{End, Frame, FrameError, Head, WORD};

/// Reads the length; with its top bit a client asks for a quick acknowledgement, and a server
/// marks one that stands alone.
pub(super) fn head(input: &[u8], end: End, limit: usize, padded: bool) -> Result<Head, FrameError> {
    let Some(word) = input.first_chunk().map(|word| u32::from_le_bytes(*word)) else {
        return Ok(Head::Short);
    };
    let flagged = word & FLAG != 0;
    if flagged && end == End::Client {
        return Ok(Head::Word(Frame::QuickAck(word)));
    }
    let body = (word & !FLAG) as usize;
    if body < WORD {
        return Err(FrameError::TooShort { min: WORD, got: body });
    }
    if body > limit {
        return Err(FrameError::TooLong { limit, got: body });
    }
    if !padded && !body.is_multiple_of(WORD) {
        return Err(FrameError::Misaligned { got: body });
    }
    Ok(Head::Frame { header: WORD, body, trailer: 0, quick_ack_wanted: flagged })
}

/// The length field of a packet with its padding.
pub(super) fn encode(len: u32, quick_ack: bool) -> [u8; 4] {
    (len | if quick_ack { FLAG } else { 0 }).to_le_bytes()
}

const FLAG: u32 = 1 << 31;
