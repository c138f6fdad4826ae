//! The ClientHello, as a client makes it: what a browser of today sends, but for the digest.

use chappe_crypto::{Rng, hmac_sha256};

use super::{KEY_SHARE, RANDOM, SERVER_NAME, SUPPORTED_VERSIONS, X25519, X25519_MLKEM768};
use crate::transport::Secret;

/// Suites behind the one of no meaning.
const SUITES: [u16; 15] = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
    0x009d, 0x002f, 0x0035,
];
/// Extensions that say the same in every hello.
const FIXED: [(u16, &[u8]); 13] = [
    (0x0005, &[1, 0, 0, 0, 0]),
    (0x000b, &[1, 0]),
    (0x000d, &[0, 16, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1]),
    (0x0010, b"\0\x0c\x02h2\x08http/1.1"),
    (0x0012, &[]),
    (0x0017, &[]),
    (0x001b, &[2, 0, 2]),
    (0x0023, &[]),
    (0x002d, &[1, 1]),
    (0x44cd, b"\0\x03\x02h2"),
    (0xff01, &[0]),
    // Drawn anew below.
    (ENCRYPTED_HELLO, &[]),
    (KEY_SHARE, &[]),
];
const ENCRYPTED_HELLO: u16 = 0xfe0d;
const GROUPS: u16 = 0x000a;
const PADDING: u16 = 0x0015;
/// Numbers below the modulus of ML-KEM, of which a key of 768 has as many pairs.
const MLKEM_MODULUS: u32 = 3329;
const MLKEM_PAIRS: usize = 384;
/// A hello that would be shorter is padded to this.
const RECORD_MIN: usize = 517;

/// A hello to `domain` by who holds `secret`, as one record, and its random bytes, which
/// [`read_flight`](super::read_flight) asks for.
///
/// Shape:  about 1.8 kB. `time` is in seconds since 1970, of the server's clock as far as that is
///         known. `keys` are two public keys of X25519.
/// Source: 15-proxy §5.1; FTL-01.
pub fn greeting(
    domain: &str,
    secret: &Secret,
    time: u32,
    keys: &[[u8; 32]; 2],
    rng: &mut Rng,
) -> (Vec<u8>, [u8; 32]) {
    let grease = Grease::draw(rng);
    let mut body = vec![0x03, 0x03];
    body.extend_from_slice(&[0; 32]);
    body.push(32);
    body.extend_from_slice(&rng.bytes::<32>());
    let suites: Vec<u8> =
        [grease.of(0)].into_iter().chain(SUITES).flat_map(u16::to_be_bytes).collect();
    put_block(&mut body, &suites);
    body.extend_from_slice(&[1, 0]);

    let mut kinds: Vec<u16> = FIXED.iter().map(|(kind, _)| *kind).collect();
    kinds.extend([SERVER_NAME, GROUPS, SUPPORTED_VERSIONS]);
    shuffle(&mut kinds, rng);
    let mut extensions = Vec::new();
    put_extension(&mut extensions, grease.of(2), &[]);
    for kind in kinds {
        let content = match kind {
            SERVER_NAME => server_name(domain),
            GROUPS => groups(&grease),
            SUPPORTED_VERSIONS => versions(&grease),
            KEY_SHARE => key_shares(&grease, keys, rng),
            ENCRYPTED_HELLO => encrypted_hello(rng),
            other => FIXED
                .iter()
                .find(|(kind, _)| *kind == other)
                .map_or(vec![], |(_, fixed)| fixed.to_vec()),
        };
        put_extension(&mut extensions, kind, &content);
    }
    put_extension(&mut extensions, grease.of(3), &[0]);
    // Before the extensions stand the headers of record and message and their own length.
    let len = 9 + body.len() + 2 + extensions.len();
    if len < RECORD_MIN {
        put_extension(&mut extensions, PADDING, &vec![0; (RECORD_MIN - len).saturating_sub(4)]);
    }
    put_block(&mut body, &extensions);

    let mut record = vec![0x16, 0x03, 0x01];
    let message_len = (body.len() as u32).to_be_bytes();
    put_block(&mut record, &[&[1], &message_len[1..], &body].concat());
    let mut random = hmac_sha256(secret.as_bytes(), &[&record]);
    for (byte, of_time) in random[28..].iter_mut().zip(time.to_le_bytes()) {
        *byte ^= of_time;
    }
    record[RANDOM].copy_from_slice(&random);
    (record, random)
}

/// Values without a meaning, which servers have to pass over (RFC 8701).
struct Grease([u8; 7]);

impl Grease {
    fn draw(rng: &mut Rng) -> Self {
        let mut bytes = rng.bytes().map(|byte: u8| byte & 0xf0 | 0x0a);
        for at in [1, 3, 5] {
            if bytes[at] == bytes[at - 1] {
                bytes[at] ^= 0x10;
            }
        }
        Self(bytes)
    }

    fn of(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at]; 2])
    }
}

fn server_name(domain: &str) -> Vec<u8> {
    let mut entry = vec![0];
    put_block(&mut entry, domain.as_bytes());
    block(&entry)
}

fn groups(grease: &Grease) -> Vec<u8> {
    let groups = [grease.of(4), X25519_MLKEM768, X25519, 0x0017, 0x0018];
    block(&groups.map(u16::to_be_bytes).concat())
}

fn versions(grease: &Grease) -> Vec<u8> {
    let versions = [grease.of(6), 0x0304, 0x0303].map(u16::to_be_bytes).concat();
    [&[versions.len() as u8][..], &versions].concat()
}

fn key_shares(grease: &Grease, keys: &[[u8; 32]; 2], rng: &mut Rng) -> Vec<u8> {
    let mut shares = Vec::new();
    put_extension(&mut shares, grease.of(4), &[0]);
    let mut hybrid = Vec::new();
    for _ in 0..MLKEM_PAIRS {
        let (low, high) = (rng.below(MLKEM_MODULUS), rng.below(MLKEM_MODULUS));
        hybrid.extend_from_slice(&(low | high << 12).to_le_bytes()[..3]);
    }
    hybrid.extend_from_slice(&rng.bytes::<32>());
    hybrid.extend_from_slice(&keys[0]);
    put_extension(&mut shares, X25519_MLKEM768, &hybrid);
    put_extension(&mut shares, X25519, &keys[1]);
    block(&shares)
}

/// Looks like one: nobody can tell.
fn encrypted_hello(rng: &mut Rng) -> Vec<u8> {
    let mut content = vec![0, 0, 1, 0, 1];
    content.extend_from_slice(&rng.bytes::<1>());
    put_block(&mut content, &rng.bytes::<32>());
    let mut payload = vec![0; 144 + 32 * rng.below(4) as usize];
    rng.fill(&mut payload);
    put_block(&mut content, &payload);
    content
}

fn shuffle(kinds: &mut [u16], rng: &mut Rng) {
    for at in (1..kinds.len()).rev() {
        kinds.swap(at, rng.below(at as u32 + 1) as usize);
    }
}

fn put_extension(out: &mut Vec<u8>, kind: u16, content: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    put_block(out, content);
}

/// Bytes behind their length, which fits: the longest are the extensions of one hello.
fn put_block(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(&(content.len() as u16).to_be_bytes());
    out.extend_from_slice(content);
}

fn block(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + content.len());
    put_block(&mut out, content);
    out
}
