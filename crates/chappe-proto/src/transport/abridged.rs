//! Abridged framing: the length in words, in one byte up to 126 and in four from 127 on.

use super::{End, Frame, FrameError, Head, WORD};

/// Reads the length; with its top bit a client asks for a quick acknowledgement, and a server
/// opens one.
pub(super) fn head(input: &[u8], end: End, limit: usize) -> Result<Head, FrameError> {
    let Some(&first) = input.first() else { return Ok(Head::Short) };
    let flagged = first & FLAG != 0;
    if flagged && end == End::Client {
        let token = input.first_chunk().map(|token| u32::from_be_bytes(*token));
        return Ok(token.map_or(Head::Short, |token| Head::Word(Frame::QuickAck(token))));
    }
    let (header, words) = match first & !FLAG {
        LONG => {
            let Some(&[_, a, b, c]) = input.first_chunk() else { return Ok(Head::Short) };
            let words = u32::from_le_bytes([a, b, c, 0]) as usize;
            if words < LONG as usize {
                return Err(FrameError::Overlong { words });
            }
            (WORD, words)
        }
        words => (1, words as usize),
    };
    let body = words * WORD;
    if body == 0 {
        return Err(FrameError::TooShort { min: WORD, got: 0 });
    }
    if body > limit {
        return Err(FrameError::TooLong { limit, got: body });
    }
    Ok(Head::Frame { header, body, trailer: 0, quick_ack_wanted: flagged })
}

/// The length field of a packet of `len` bytes: its four bytes, and how many of them count.
pub(super) fn encode(len: usize, quick_ack: bool) -> ([u8; 4], usize) {
    let words = len / WORD;
    let flag = if quick_ack { FLAG } else { 0 };
    let [a, b, c, ..] = words.to_le_bytes();
    if words < LONG as usize { ([a | flag, 0, 0, 0], 1) } else { ([LONG | flag, a, b, c], WORD) }
}

/// Announces the long form, and is the first length that needs it.
const LONG: u8 = 0x7f;
const FLAG: u8 = 0x80;
