//! Full framing: length, number and CRC-32 around each packet.

use super::{End, Frame, FrameError, Head, WORD};

/// Length and number.
pub(super) const HEADER: usize = 8;
/// CRC-32.
pub(super) const TRAILER: usize = 4;

/// Reads the length, and the number as soon as it is there.
pub(super) fn head(
    input: &[u8],
    end: End,
    limit: usize,
    expected: u32,
) -> Result<Head, FrameError> {
    let Some(word) = word_at(input, 0) else { return Ok(Head::Short) };
    let len = word as usize;
    if word == NO_OP {
        return Ok(Head::Word(Frame::Noop));
    }
    if word > i32::MAX as u32 && end == End::Client {
        // Production answers a flood with the bare code, without a frame around it.
        return Ok(Head::Word(Frame::Error((word as i32).saturating_neg())));
    }
    if len < LEAST {
        return Err(FrameError::TooShort { min: LEAST, got: len });
    }
    if len > limit.min(i32::MAX as usize) {
        return Err(FrameError::TooLong { limit, got: len });
    }
    if !len.is_multiple_of(WORD) {
        return Err(FrameError::Misaligned { got: len });
    }
    let Some(got) = word_at(input, WORD) else { return Ok(Head::Short) };
    if got != expected {
        return Err(FrameError::Sequence { expected, got });
    }
    let body = len - HEADER - TRAILER;
    Ok(Head::Frame { header: HEADER, body, trailer: TRAILER, quick_ack_wanted: false })
}

/// Holds the CRC-32 of a whole frame against its content.
pub(super) fn check(frame: &[u8]) -> Result<(), FrameError> {
    let (content, crc) = frame.split_at(frame.len() - TRAILER);
    let expected = crc32fast::hash(content);
    match word_at(crc, 0) {
        Some(got) if got != expected => Err(FrameError::Crc { expected, got }),
        _ => Ok(()),
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Header, one word, trailer.
const LEAST: usize = HEADER + WORD + TRAILER;
/// A length that fills up cipher blocks on links between proxies.
const NO_OP: u32 = 4;
