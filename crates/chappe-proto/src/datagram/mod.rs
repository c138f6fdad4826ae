//! "MTU1": MTProto over UDP, as this project defines it and nobody else does (14-udp).
//!
//! No client, server or proxy of others speaks it. It is experimental and off unless both sides
//! are told to use it; a session that does keeps its streams for all that fits no datagram.
//!
//! A datagram is one packet of MTProto 2.0 without any framing, tag or obfuscation:
//!
//! | kind | begins with | size |
//! | --- | --- | --- |
//! | encrypted | `auth_key_id` ≠ 0 | 72 to 1200, whole blocks after the header of 24 |
//! | unencrypted | 8 zero bytes | exactly 1200 from a client, at most 1200 from a server |
//! | control | a negative number | 4, from a server only |
//!
//! [`ServerEndpoint`] and [`ClientEndpoint`] are the two ends of a socket, [`Flight`] is what each
//! of them, or its session, has under way.

mod client;
mod flight;
pub mod hello;
mod server;

use chappe_crypto::AuthKeyId;

use crate::envelope::encrypted::{
    self, ENCRYPTED_MIN, EXTERNAL_HEADER, INTERNAL_HEADER, PADDING_MIN,
};
use crate::envelope::plain;
use crate::ids::Side;

pub use client::{ClientConfig, ClientEndpoint, ClientEvent};
pub use flight::{Flight, Late};
pub use server::{Heard, ServerConfig, ServerEndpoint, ServerEvent};

/// Largest datagram, in bytes, which passes nearly every network whole (UDP-02).
pub const DATAGRAM_MAX: usize = 1200;
/// Largest body of a message that fits a datagram.
pub const BODY_MAX: usize =
    (DATAGRAM_MAX - EXTERNAL_HEADER) / 16 * 16 - INTERNAL_HEADER - PADDING_MIN;
/// Smallest encrypted datagram.
const SEALED_MIN: usize = EXTERNAL_HEADER + ENCRYPTED_MIN;

/// What a datagram can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A packet under this key.
    Encrypted(AuthKeyId),
    /// A message of the key exchange.
    Plain,
    /// From a server: a transport error, as a positive code.
    Control(i32),
}

/// Tells what came from the other `side`; `None` if that is no datagram of MTU1.
pub fn kind_of(datagram: &[u8], from: Side) -> Option<Kind> {
    if let (Side::Server, Ok(word)) = (from, <[u8; 4]>::try_from(datagram)) {
        let code = i32::from_le_bytes(word);
        return (code < 0).then(|| Kind::Control(code.saturating_neg()));
    }
    let id = encrypted::key_id(datagram).filter(|_| datagram.len() <= DATAGRAM_MAX)?;
    if id.0 != 0 {
        let is_whole =
            datagram.len() >= SEALED_MIN && (datagram.len() - EXTERNAL_HEADER).is_multiple_of(16);
        return is_whole.then_some(Kind::Encrypted(id));
    }
    // A request is as long as any reply, so that nobody is sent more than was asked with.
    let fits = match from {
        Side::Client => datagram.len() == DATAGRAM_MAX,
        Side::Server => datagram.len() >= plain::HEADER + plain::BODY_MIN,
    };
    fits.then_some(Kind::Plain)
}
