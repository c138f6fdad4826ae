//! What `gzip_packed` holds: another object's bytes, compressed.

use std::fmt;
use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

/// Why packed bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GzipError {
    /// Neither a gzip member nor a zlib stream, or one that is damaged or cut.
    Malformed,
    /// More bytes come out than the caller accepts.
    TooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// Bytes follow the compressed ones.
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// What comes out is no whole number of 32-bit words, so it is no TL value.
    Unaligned {
        /// Its length in bytes.
        length: usize,
    },
}

impl fmt::Display for GzipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => write!(f, "packed data is neither gzip nor zlib, or damaged"),
            Self::TooLarge { max } => write!(f, "packed data inflates to more than {max} bytes"),
            Self::TrailingBytes { count } => write!(f, "{count} bytes after the packed data"),
            Self::Unaligned { length } => {
                write!(f, "packed data of {length} bytes is no multiple of 4")
            }
        }
    }
}

impl std::error::Error for GzipError {}

/// Unpacks one gzip member, or the zlib stream that some clients send in its place.
///
/// Never holds more than one byte above `max`.
///
/// # Errors
/// The data is damaged, goes on after its end, or inflates to more than `max` bytes or to a
/// length that is no multiple of 4.
pub fn inflate(packed: &[u8], max: usize) -> Result<Bytes, GzipError> {
    let (mut stream, body) = match packed {
        [0x78, ..] => (Decompress::new(true), packed),
        _ => (Decompress::new(false), &packed[gzip_header(packed).ok_or(GzipError::Malformed)?..]),
    };
    let is_gzip = body.len() != packed.len();
    // One byte more than is accepted shows that there is more.
    let room = max.saturating_add(1);
    let mut output = Vec::with_capacity(packed.len().saturating_mul(4).max(BLOCK).min(room));
    loop {
        if output.len() == output.capacity() {
            output.reserve_exact(output.len().max(BLOCK).min(room - output.len()));
        }
        let (read, before) = (stream.total_in() as usize, output.len());
        let status = stream
            .decompress_vec(&body[read..], &mut output, FlushDecompress::None)
            .map_err(|_| GzipError::Malformed)?;
        if output.len() > max {
            return Err(GzipError::TooLarge { max });
        }
        let stuck = stream.total_in() as usize == read && output.len() == before;
        match status {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError if stuck => return Err(GzipError::Malformed),
            Status::Ok | Status::BufError => {}
        }
    }
    let mut trailer = &body[stream.total_in() as usize..];
    if is_gzip {
        let (sums, rest) = trailer.split_at_checked(8).ok_or(GzipError::Malformed)?;
        let mut crc = flate2::Crc::new();
        crc.update(&output);
        if sums[..4] != crc.sum().to_le_bytes() || sums[4..] != crc.amount().to_le_bytes() {
            return Err(GzipError::Malformed);
        }
        trailer = rest;
    }
    if !trailer.is_empty() {
        return Err(GzipError::TrailingBytes { count: trailer.len() });
    }
    if output.len() % 4 != 0 {
        return Err(GzipError::Unaligned { length: output.len() });
    }
    Ok(output.into())
}

/// Packs `bytes` as one gzip member, or gives `None` when that is not smaller or not worth it.
pub fn deflate(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < WORTHWHILE {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::default());
    encoder.write_all(bytes).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < bytes.len()).then(|| packed.into())
}

/// Length of the header of a gzip member (RFC 1952, section 2.3).
fn gzip_header(packed: &[u8]) -> Option<usize> {
    let [0x1f, 0x8b, 8, flags, ..] = *packed else { return None };
    let mut at = 10;
    if flags & 4 != 0 {
        let extra = packed.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([extra[0], extra[1]]));
    }
    for text in [8, 16] {
        if flags & text != 0 {
            at += packed.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (flags & 0xe0 == 0 && at <= packed.len()).then_some(at)
}

/// Below this many bytes compression costs more than it saves.
const WORTHWHILE: usize = 256;
/// Least room for output.
const BLOCK: usize = 16 * 1024;
