//! Control frames: what a server says below the level of messages.
//!
//! A frame of fewer than 20 bytes holds no message. Its first word is 0 in a no-op, −1 before the
//! token of a quick acknowledgement, and otherwise the negated code of a transport error.

use super::{Frame, FrameError};

/// Frames shorter than this hold no message: an unencrypted one has a header of 20 bytes.
pub(super) const MESSAGE_MIN: usize = 20;

/// Understands a frame shorter than [`MESSAGE_MIN`], as a client.
pub(super) fn decode(frame: &[u8]) -> Result<Frame, FrameError> {
    let Some((first, rest)) = frame.split_first_chunk() else {
        return Err(FrameError::TooShort { min: 4, got: frame.len() });
    };
    match (i32::from_le_bytes(*first), rest.first_chunk()) {
        (0, _) => Ok(Frame::Noop),
        (QUICK_ACK, Some(token)) => Ok(Frame::QuickAck(u32::from_le_bytes(*token))),
        (code @ ..0, _) => Ok(Frame::Error(code.saturating_neg())),
        (got, _) => Err(FrameError::Control { got }),
    }
}

/// The content of a transport error frame. A positive and a negative `code` mean the same.
pub(super) fn error(code: i32) -> [u8; 4] {
    code.saturating_abs().wrapping_neg().to_le_bytes()
}

/// The content of a framed quick acknowledgement.
pub(super) fn quick_ack(token: u32) -> [u8; 8] {
    let mut content = [0; 8];
    content[..4].copy_from_slice(&QUICK_ACK.to_le_bytes());
    content[4..].copy_from_slice(&token.to_le_bytes());
    content
}

const QUICK_ACK: i32 = -1;
