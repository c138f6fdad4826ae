//! What a proxy answers to a hello: three records, written at once.

use chappe_crypto::{Rng, equal, hmac_sha256};

use super::{ClientHello, KEY_SHARE, RANDOM, SUPPORTED_VERSIONS, X25519, X25519_MLKEM768};
use crate::transport::Secret;

/// How the answer looks: as that of the site which the proxy pretends to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The suite that the site chooses among those offered; `None`, or one that is not offered, for
    /// the first of TLS 1.3 that is.
    pub suite: Option<u16>,
    /// The group that the site chooses among those that a client brings a key for.
    pub group: Group,
    /// Whether the site names the version before its key.
    pub version_first: bool,
    /// Length of the one record that stands for all that the site sends encrypted: 64 to 16384.
    pub encrypted_len: u16,
}

/// A group of a key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One key of 32 bytes.
    X25519,
    /// With ML-KEM 768: 1088 bytes more. For clients that bring no such key, X25519.
    X25519MlKem768,
}

/// No answer of a proxy that holds the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlightError {
    /// Other records: a web site, or a refusal in TLS.
    #[error("the proxy answers like a web site: it does not know the secret")]
    Records,
    /// The right records, the wrong digest.
    #[error("the proxy does not prove the secret")]
    Digest,
}

/// Length of the ciphertext of ML-KEM 768.
const MLKEM_CIPHERTEXT: usize = 1088;
/// Up to the length of the last record: change of cipher, type and version of the record.
const MIDDLE: [u8; 9] = [0x14, 0x03, 0x03, 0x00, 0x01, 0x01, 0x17, 0x03, 0x03];
/// Longest hello of a server that is waited for.
const SERVER_HELLO_MAX: usize = 1 << 12;

/// The answer to `hello`, whose sender holds `secret`. `key` is a public key of X25519.
///
/// Source: 15-proxy §5.2; FTL-10.
pub fn flight(
    hello: &ClientHello,
    secret: &Secret,
    shape: &Shape,
    key: &[u8; 32],
    rng: &mut Rng,
) -> Vec<u8> {
    let mut share = Vec::new();
    let group = if shape.group == Group::X25519MlKem768 && hello.has_mlkem() {
        // To who has no key of it, a ciphertext is random bytes.
        share.resize(MLKEM_CIPHERTEXT, 0);
        rng.fill(&mut share);
        X25519_MLKEM768
    } else {
        X25519
    };
    share.extend_from_slice(key);

    let mut key_share = Vec::new();
    block16(
        &mut key_share,
        &[&KEY_SHARE.to_be_bytes()],
        &[&group.to_be_bytes(), &(share.len() as u16).to_be_bytes(), &share],
    );
    let mut version = Vec::new();
    block16(&mut version, &[&SUPPORTED_VERSIONS.to_be_bytes()], &[&[0x03, 0x04]]);
    let (first, second) =
        if shape.version_first { (version, key_share) } else { (key_share, version) };

    let mut body = vec![0x03, 0x03];
    body.extend_from_slice(&[0; 32]);
    body.push(hello.session_id().len() as u8);
    body.extend_from_slice(hello.session_id());
    body.extend_from_slice(&hello.suite(shape.suite).to_be_bytes());
    block16(&mut body, &[&[0]], &[&first, &second]);

    let len = (body.len() as u32).to_be_bytes();
    let mut flight = Vec::with_capacity(32 + body.len() + usize::from(shape.encrypted_len));
    block16(&mut flight, &[&[0x16, 0x03, 0x03]], &[&[0x02], &len[1..], &body]);
    flight.extend_from_slice(&MIDDLE);
    flight.extend_from_slice(&shape.encrypted_len.to_be_bytes());
    let encrypted = flight.len();
    flight.resize(encrypted + usize::from(shape.encrypted_len), 0);
    rng.fill(&mut flight[encrypted..]);

    let digest = hmac_sha256(secret.as_bytes(), &[hello.random(), &flight]);
    flight[RANDOM].copy_from_slice(&digest);
    flight
}

/// Reads the answer at the start of `bytes`: its length, or `None` while it is not whole.
/// `client_random` is what stood in the hello.
///
/// # Errors
///
/// The other end does not hold the secret: the connection is to be closed, and nothing else tried
/// (FTL-11, FTL-12).
pub fn read_flight(
    bytes: &[u8],
    secret: &Secret,
    client_random: &[u8; 32],
) -> Result<Option<usize>, FlightError> {
    let known = bytes.len().min(3);
    if bytes[..known] != [0x16, 0x03, 0x03][..known] {
        return Err(FlightError::Records);
    }
    let Some([_, _, _, high, low]) = bytes.first_chunk::<5>() else { return Ok(None) };
    let hello = 5 + usize::from(u16::from_be_bytes([*high, *low]));
    if !(RANDOM.end..=SERVER_HELLO_MAX).contains(&hello) {
        return Err(FlightError::Records);
    }
    let middle = bytes.get(hello..).unwrap_or_default();
    let known = middle.len().min(MIDDLE.len());
    if middle[..known] != MIDDLE[..known] {
        return Err(FlightError::Records);
    }
    let Some([high, low]) = middle.get(MIDDLE.len()..).and_then(|bytes| bytes.first_chunk()) else {
        return Ok(None);
    };
    let len = hello + MIDDLE.len() + 2 + usize::from(u16::from_be_bytes([*high, *low]));
    let Some(flight) = bytes.get(..len) else { return Ok(None) };
    let (before, after) = (&flight[..RANDOM.start], &flight[RANDOM.end..]);
    let digest = hmac_sha256(secret.as_bytes(), &[client_random, before, &[0; 32], after]);
    if equal(&digest, &flight[RANDOM]) { Ok(Some(len)) } else { Err(FlightError::Digest) }
}

/// Appends `head`, then the length of `pieces` in two bytes and they themselves.
fn block16(out: &mut Vec<u8>, head: &[&[u8]], pieces: &[&[u8]]) {
    let len: usize = pieces.iter().map(|piece| piece.len()).sum();
    head.iter().for_each(|piece| out.extend_from_slice(piece));
    out.extend_from_slice(&(len as u16).to_be_bytes());
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}
