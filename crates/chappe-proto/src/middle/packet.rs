//! Which packets of clients a proxy passes on.
//!
//! A proxy cannot open packets, but a middle server that gets what no client would send bans it
//! (MPX-10).

use crate::transport::{Framing, SERVER_LIMIT};

/// What a packet is, as far as it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A step of a key exchange.
    Plain,
    /// Under a key.
    Encrypted,
}

/// A packet that no client of ours sends, and that goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet of {0} bytes that no client would send")]
pub struct Implausible(pub usize);

/// The part of a client's frame, in its framing, that may be passed on; and what it is.
///
/// # Errors
///
/// Nothing of it may.
pub fn judge(frame: &[u8], framing: Framing) -> Result<(&[u8], Kind), Implausible> {
    let refused = Err(Implausible(frame.len()));
    let whole = match framing {
        // How much more of it is padding is for whoever opens it to find out.
        Framing::Padded => &frame[..frame.len() & !3],
        _ => frame,
    };
    if whole.len() > SERVER_LIMIT || !whole.len().is_multiple_of(4) {
        return refused;
    }
    let Some((key, rest)) = whole.split_first_chunk::<8>() else { return refused };
    if *key != [0; 8] {
        return if whole.len() < ENCRYPTED_MIN { refused } else { Ok((whole, Kind::Encrypted)) };
    }
    let (Some(len), Some(function)) = (word(rest, 8), word(rest, 12)) else { return refused };
    let fits = (INNER_MIN..=whole.len().saturating_sub(PLAIN_HEADER)).contains(&(len as usize));
    match fits && FUNCTIONS.contains(&function) {
        true => Ok((whole, Kind::Plain)),
        false => refused,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Least length of an encrypted packet that is passed on.
const ENCRYPTED_MIN: usize = 56;
/// Key id 0, message id, length.
const PLAIN_HEADER: usize = 20;
/// Least length inside: the id of a function, and a nonce.
const INNER_MIN: usize = 20;
/// `req_pq`, `req_pq_multi`, `req_DH_params`, `set_client_DH_params`.
const FUNCTIONS: [u32; 4] = [0x6046_9778, 0xbe7e_8ef1, 0xd712_e4be, 0xf504_5f1f];
