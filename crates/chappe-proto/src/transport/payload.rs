//! Where the packet ends inside a frame that may carry padding.

use super::control::MESSAGE_MIN;

/// A frame that holds no complete packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The frame ends before its packet does.
    #[error("packet needs {need} bytes, its frame has {got}")]
    Truncated {
        /// Length of the packet, or of its header where not even that fits.
        need: u64,
        /// Length of the frame.
        got: usize,
    },
    /// A header with nothing behind it.
    #[error("packet has no content")]
    Empty,
}

impl PayloadError {
    /// Transport error a server answers; a client drops the connection.
    pub fn transport_code(&self) -> i32 {
        404
    }
}

/// Length of the packet at the start of `frame`; what follows is padding.
///
/// An unencrypted packet says how long it is; an encrypted one is cut to whole cipher blocks.
/// This holds on every transport, for other software relays padding it should have removed.
/// A client never asks about control frames: [`Codec`](super::Codec) has taken them out.
pub fn payload_len(frame: &[u8]) -> Result<usize, PayloadError> {
    let got = frame.len();
    let truncated = |need| PayloadError::Truncated { need, got };
    let header = frame.first_chunk::<MESSAGE_MIN>().ok_or(truncated(MESSAGE_MIN as u64))?;
    let content = if header[..8] == [0; 8] {
        let [.., a, b, c, d] = *header;
        let content = u32::from_le_bytes([a, b, c, d]);
        let need = MESSAGE_MIN as u64 + u64::from(content);
        if need > got as u64 {
            return Err(truncated(need));
        }
        MESSAGE_MIN..need as usize
    } else {
        let sealed = got.checked_sub(SEALED).ok_or(truncated(SEALED as u64))?;
        SEALED..got - sealed % BLOCK
    };
    if content.is_empty() { Err(PayloadError::Empty) } else { Ok(content.end) }
}

/// `auth_key_id` and `msg_key` of an encrypted packet.
const SEALED: usize = 24;
/// One block of AES.
const BLOCK: usize = 16;
