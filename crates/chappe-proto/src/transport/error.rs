//! Why a stream of frames ends.

/// A frame that cannot be: the stream has lost its place, and its connection is dropped.
///
/// Nothing is owed to the peer, with the exception named at [`transport_code`](Self::transport_code).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is below what the framing can carry, zero for instance.
    #[error("frame length of {got} bytes is below the least of {min}")]
    TooShort {
        /// Least length of the framing, in bytes.
        min: usize,
        /// The length the peer announced.
        got: usize,
    },
    /// The length is above the limit of the moment.
    #[error("frame length of {got} bytes is above the limit of {limit}")]
    TooLong {
        /// The limit in force, in bytes.
        limit: usize,
        /// The length the peer announced.
        got: usize,
    },
    /// The length has to be a multiple of 4 in this framing.
    #[error("frame length of {got} bytes is not a multiple of 4")]
    Misaligned {
        /// The length the peer announced.
        got: usize,
    },
    /// The four-byte form of an abridged length that fits one byte.
    #[error("abridged length of {words} words in the long form, which begins at 127")]
    Overlong {
        /// The length the peer announced, in words of 4 bytes.
        words: usize,
    },
    /// A full frame was lost, repeated or reordered.
    #[error("full frame number {got}, expected {expected}")]
    Sequence {
        /// Number of the frame that is due.
        expected: u32,
        /// Number the peer gave.
        got: u32,
    },
    /// The CRC-32 of a full frame disagrees with its content.
    #[error("crc32 {got:08x}, expected {expected:08x}")]
    Crc {
        /// Computed over the frame.
        expected: u32,
        /// Written in the frame.
        got: u32,
    },
    /// A server sent a frame too short for a message that is no control frame either.
    #[error("control frame opens with {got}, expected a number that is not positive")]
    Control {
        /// First word of the frame.
        got: i32,
    },
}

impl FrameError {
    /// Transport error a server may send before it drops an authenticated connection; `None` means
    /// to drop without a word, as on every connection that is not authenticated.
    pub fn transport_code(&self) -> Option<i32> {
        match self {
            Self::TooLong { .. } => Some(404),
            _ => None,
        }
    }
}
