//! What a key exchange derives from its nonces.
//!
//! Source: MTProto, "Creating an Authorization Key", steps 5 to 9.

use crate::Rng;
use crate::hash::{equal, part, sha1};
use crate::ige::{self, LengthError};
use crate::msg_key::AesKeys;

/// The key that encrypts both Diffie-Hellman messages of the exchange.
#[must_use]
pub fn tmp_aes(new_nonce: &[u8; 32], server_nonce: &[u8; 16]) -> AesKeys {
    let new_server = sha1(&[new_nonce, server_nonce]);
    let server_new = sha1(&[server_nonce, new_nonce]);
    let new_new = sha1(&[new_nonce, new_nonce]);
    let mut keys = AesKeys { key: [0; 32], iv: [0; 32] };
    keys.key[..20].copy_from_slice(&new_server);
    keys.key[20..].copy_from_slice(&server_new[..12]);
    keys.iv[..8].copy_from_slice(&server_new[12..]);
    keys.iv[8..28].copy_from_slice(&new_new);
    keys.iv[28..].copy_from_slice(&new_nonce[..4]);
    keys
}

/// Encrypts a serialized object: `SHA1(object) ‖ object ‖ 0 to 15 random bytes`.
#[must_use]
pub fn seal_inner(object: &[u8], keys: &AesKeys, rng: &mut Rng) -> Vec<u8> {
    let used = 20 + object.len();
    let mut sealed = Vec::with_capacity(used.next_multiple_of(16));
    sealed.extend_from_slice(&sha1(&[object]));
    sealed.extend_from_slice(object);
    sealed.resize(used.next_multiple_of(16), 0);
    rng.fill(&mut sealed[used..]);
    ige::encrypt(&mut sealed, &keys.key, &keys.iv).expect("resized to whole blocks");
    sealed
}

/// Decrypts what [`seal_inner`] made, in place.
///
/// The hash covers the object alone, and only its reader knows where it ends: read it from
/// [`Inner::unchecked`], then let [`Inner::check`] judge.
///
/// Errors: [`LengthError`] unless `sealed` holds two or more whole blocks: the hash alone is longer
/// than one.
pub fn open_inner<'a>(sealed: &'a mut [u8], keys: &AesKeys) -> Result<Inner<'a>, LengthError> {
    ige::decrypt(sealed, &keys.key, &keys.iv)?;
    sealed.split_first_chunk().map(|(hash, rest)| Inner { hash, rest }).ok_or(LengthError(16))
}

/// A decrypted object of the key exchange, its hash not yet checked.
pub struct Inner<'a> {
    hash: &'a [u8; 20],
    rest: &'a [u8],
}

impl<'a> Inner<'a> {
    /// The object and its padding, good for finding out how long the object is and nothing else.
    #[must_use]
    pub fn unchecked(&self) -> &'a [u8] {
        self.rest
    }

    /// The object, if it is `len` bytes long, 0 to 15 bytes follow it and its hash is right.
    #[must_use]
    pub fn check(&self, len: usize) -> Option<&'a [u8]> {
        let (object, padding) = self.rest.split_at_checked(len)?;
        (padding.len() < 16 && equal(&sha1(&[object]), self.hash)).then_some(object)
    }
}

/// Hash that proves `dh_gen_ok`.
#[must_use]
pub fn new_nonce_hash1(new_nonce: &[u8; 32], aux_hash: &[u8; 8]) -> [u8; 16] {
    numbered_hash(new_nonce, 1, aux_hash)
}

/// Hash that proves `dh_gen_retry`.
#[must_use]
pub fn new_nonce_hash2(new_nonce: &[u8; 32], aux_hash: &[u8; 8]) -> [u8; 16] {
    numbered_hash(new_nonce, 2, aux_hash)
}

/// Hash that proves `dh_gen_fail`.
#[must_use]
pub fn new_nonce_hash3(new_nonce: &[u8; 32], aux_hash: &[u8; 8]) -> [u8; 16] {
    numbered_hash(new_nonce, 3, aux_hash)
}

/// Hash that proves `server_DH_params_fail`.
#[must_use]
pub fn new_nonce_hash(new_nonce: &[u8; 32]) -> [u8; 16] {
    part(&sha1(&[new_nonce]), 4)
}

/// The first server salt, as the `long` that goes into messages.
#[must_use]
pub fn first_salt(new_nonce: &[u8; 32], server_nonce: &[u8; 16]) -> i64 {
    i64::from_le_bytes(part(new_nonce, 0)) ^ i64::from_le_bytes(part(server_nonce, 0))
}

fn numbered_hash(new_nonce: &[u8; 32], number: u8, aux_hash: &[u8; 8]) -> [u8; 16] {
    part(&sha1(&[new_nonce, &[number], aux_hash]), 4)
}
