//! The bytes of a key file.
//!
//! ```text
//! magic 8 ‖ count 4 ‖ count × header ‖ SHA-256 of all before it ‖ count × key
//! header: dc 4 ‖ fingerprint 8 ‖ key id 8 ‖ salt 8 ‖ server_minus_unix 8 ‖ kind 4
//! key, kind 0: SHA-256 of the auth key ‖ auth key 256
//! key, kind 1: salt 16 ‖ iterations 4 ‖ ciphertext 288, as `chappe_crypto::stored_key` makes them
//! ```
//!
//! Numbers are little-endian. The first hash leaves the keys out: a damaged protected key must
//! look like one that is opened with a wrong password (CRY-29).

use std::collections::BTreeMap;

use chappe_crypto::stored_key::{CIPHERTEXT_LEN, StoredKey};
use chappe_crypto::{AuthKeyId, equal, sha256};
use zeroize::Zeroizing;

use super::ServerId;

/// What a key file holds of one server.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key_id: AuthKeyId,
    pub(super) salt: i64,
    pub(super) server_minus_unix: i64,
    pub(super) key: KeyAtRest,
}

/// An auth key as it stands in a file.
#[derive(Clone)]
pub(super) enum KeyAtRest {
    Plain(Zeroizing<[u8; 256]>),
    Protected(StoredKey),
}

pub(super) type Entries = BTreeMap<ServerId, Entry>;

/// Writes a file.
pub(super) fn encode(entries: &Entries) -> Zeroizing<Vec<u8>> {
    let count = entries.len();
    // Never grown, so that no copy of a key stays behind.
    let capacity = MAGIC.len() + 4 + count * (HEADER_LEN + KEY_LEN_MAX) + HASH_LEN;
    let mut out = Zeroizing::new(Vec::with_capacity(capacity));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(count as u32).to_le_bytes());
    for (server, entry) in entries {
        out.extend_from_slice(&server.dc.to_le_bytes());
        out.extend_from_slice(&server.fingerprint.to_le_bytes());
        out.extend_from_slice(&entry.key_id.to_le_bytes());
        out.extend_from_slice(&entry.salt.to_le_bytes());
        out.extend_from_slice(&entry.server_minus_unix.to_le_bytes());
        let kind = match entry.key {
            KeyAtRest::Plain(_) => PLAIN,
            KeyAtRest::Protected(_) => PROTECTED,
        };
        out.extend_from_slice(&kind.to_le_bytes());
    }
    let hash = sha256(&[&out]);
    out.extend_from_slice(&hash);
    for entry in entries.values() {
        match &entry.key {
            KeyAtRest::Plain(key) => {
                out.extend_from_slice(&sha256(&[&**key]));
                out.extend_from_slice(&**key);
            }
            KeyAtRest::Protected(key) => {
                out.extend_from_slice(&key.salt);
                out.extend_from_slice(&key.iterations.to_le_bytes());
                out.extend_from_slice(&key.ciphertext);
            }
        }
    }
    out
}

/// Reads a file. The error says what is wrong with it.
pub(super) fn decode(file: &[u8]) -> Result<Entries, &'static str> {
    let mut input = Input(file);
    if input.array() != Some(*MAGIC) {
        return Err("it does not begin as a key file does");
    }
    let count = u32::from_le_bytes(input.array().ok_or(CUT_OFF)?) as usize;
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push(header(&mut input).ok_or(CUT_OFF)?);
    }
    let hashed = &file[..file.len() - input.0.len()];
    let hash: [u8; HASH_LEN] = input.array().ok_or(CUT_OFF)?;
    if !equal(&sha256(&[hashed]), &hash) {
        return Err("its checksum does not match");
    }
    let mut entries = Entries::new();
    for Header { server, key_id, salt, server_minus_unix, kind } in headers {
        let key = match kind {
            PLAIN => plain(&mut input)?,
            PROTECTED => protected(&mut input).ok_or(CUT_OFF)?,
            _ => return Err("it holds a kind of key that this version does not know"),
        };
        entries.insert(server, Entry { key_id, salt, server_minus_unix, key });
    }
    if input.0.is_empty() { Ok(entries) } else { Err("something follows its end") }
}

/// What a file says of a key before the key itself.
struct Header {
    server: ServerId,
    key_id: AuthKeyId,
    salt: i64,
    server_minus_unix: i64,
    kind: u32,
}

fn header(input: &mut Input<'_>) -> Option<Header> {
    let dc = i32::from_le_bytes(input.array()?);
    let fingerprint = i64::from_le_bytes(input.array()?);
    Some(Header {
        server: ServerId { dc, fingerprint },
        key_id: AuthKeyId::from_le_bytes(input.array()?),
        salt: i64::from_le_bytes(input.array()?),
        server_minus_unix: i64::from_le_bytes(input.array()?),
        kind: u32::from_le_bytes(input.array()?),
    })
}

fn plain(input: &mut Input<'_>) -> Result<KeyAtRest, &'static str> {
    let hash: [u8; HASH_LEN] = input.array().ok_or(CUT_OFF)?;
    let key: Zeroizing<[u8; 256]> = Zeroizing::new(input.array().ok_or(CUT_OFF)?);
    if !equal(&sha256(&[&*key]), &hash) {
        return Err("the checksum of a key does not match");
    }
    Ok(KeyAtRest::Plain(key))
}

fn protected(input: &mut Input<'_>) -> Option<KeyAtRest> {
    let salt = input.array()?;
    let iterations = u32::from_le_bytes(input.array()?);
    let ciphertext = input.array()?;
    Some(KeyAtRest::Protected(StoredKey { salt, iterations, ciphertext }))
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

const MAGIC: &[u8; 8] = b"chappe\x00\x01";
const HEADER_LEN: usize = 40;
const HASH_LEN: usize = 32;
const KEY_LEN_MAX: usize = 20 + CIPHERTEXT_LEN;
const PLAIN: u32 = 0;
const PROTECTED: u32 = 1;
const CUT_OFF: &str = "it ends too early";
