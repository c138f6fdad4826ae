//! The two ways in which the protocol wraps a message for RSA.
//!
//! Both are peculiar to MTProto. RSA_PAD is the current one:
//!
//! ```text
//! padded    = data ‖ random                          192 bytes
//! with_hash = reversed(padded) ‖ SHA256(temp_key ‖ padded)
//! encrypted = AES-256-IGE(with_hash, temp_key, iv 0)  224 bytes
//! wrapped   = (temp_key ⊕ SHA256(encrypted)) ‖ encrypted
//! ```
//!
//! with a new `temp_key` until `wrapped` is below the modulus. The older one is
//! `0 ‖ SHA1(data) ‖ data ‖ random`.
//!
//! Source: MTProto, "Creating an Authorization Key", step 4.1.

use crypto_bigint::U2048;
use zeroize::{Zeroize, Zeroizing};

use super::{PrivateKey, PublicKey};
use crate::dh::{from_bytes, to_bytes};
use crate::hash::{equal, sha1, sha256};
use crate::{Rng, ige};

/// Longest message for RSA_PAD, in bytes.
pub const DATA_MAX: usize = 144;

/// Longest message for the older scheme, in bytes.
pub const DATA_MAX_OLDER: usize = 235;

/// The message does not fit the scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {got} bytes is longer than the {max} the scheme can carry")]
pub struct TooLong {
    /// Longest message of the scheme.
    pub max: usize,
    /// Length of the message.
    pub got: usize,
}

/// The bytes are not a message encrypted for this key. It is one error for every reason, for an
/// answer that told them apart would help to decrypt the messages of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not encrypted for this key")]
pub struct DecryptError;

/// Which wrapping a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSA_PAD, which current clients use.
    Padded,
    /// The SHA-1 form of the first clients, which many libraries still use.
    Older,
}

/// A decrypted message. Wiped on drop.
pub struct Decrypted {
    /// The wrapping, which decides what `data` holds.
    pub scheme: Scheme,
    /// With [`Scheme::Padded`] 192 bytes: the object at the front, then its padding. With
    /// [`Scheme::Older`] the object alone.
    pub data: Zeroizing<Vec<u8>>,
}

impl PublicKey {
    /// Encrypts `data` by RSA_PAD.
    pub fn encrypt_padded(&self, data: &[u8], rng: &mut Rng) -> Result<[u8; 256], TooLong> {
        self.encrypt_padded_with(data, |bytes| rng.fill(bytes))
    }

    /// [`encrypt_padded`](Self::encrypt_padded) with randomness from anywhere, as a published
    /// example needs: `random` fills first the padding, then each temporary key.
    pub fn encrypt_padded_with(
        &self,
        data: &[u8],
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<[u8; 256], TooLong> {
        check_length(data, DATA_MAX)?;
        let mut padded = Zeroizing::new([0; PADDED_LEN]);
        padded[..data.len()].copy_from_slice(data);
        random(&mut padded[data.len()..]);
        loop {
            let mut temp_key = Zeroizing::new([0; 32]);
            random(&mut *temp_key);
            let wrapped = U2048::from_be_slice(&wrap(&padded, &temp_key));
            if wrapped < *self.modulus.value() {
                return Ok(to_bytes(&self.apply(&wrapped)));
            }
        }
    }

    /// Encrypts `data` in the older scheme. For servers with historical keys only.
    pub fn encrypt_older(&self, data: &[u8], rng: &mut Rng) -> Result<[u8; 256], TooLong> {
        self.encrypt_older_with(data, |bytes| rng.fill(bytes))
    }

    /// [`encrypt_older`](Self::encrypt_older) with randomness from anywhere: `random` fills the
    /// padding.
    pub fn encrypt_older_with(
        &self,
        data: &[u8],
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<[u8; 256], TooLong> {
        check_length(data, DATA_MAX_OLDER)?;
        let mut wrapped = Zeroizing::new([0; 256]);
        let (hash, rest) = wrapped[1..].split_at_mut(20);
        hash.copy_from_slice(&sha1(&[data]));
        rest[..data.len()].copy_from_slice(data);
        random(&mut rest[data.len()..]);
        Ok(to_bytes(&self.apply(&U2048::from_be_slice(&*wrapped))))
    }
}

impl PrivateKey {
    /// Decrypts a message wrapped in either way.
    ///
    /// RSA_PAD is tried first, and the older scheme only if it does not fit: the first byte of
    /// an RSA_PAD message may be zero too. The same work is done whatever is wrong.
    ///
    /// `encrypted` is a number of up to 256 bytes: some clients leave out its leading zeros (QRK-37).
    pub fn decrypt(&self, encrypted: &[u8], rng: &mut Rng) -> Result<Decrypted, DecryptError> {
        let number = from_bytes(encrypted).filter(|number| number < self.public.modulus.value());
        // An impossible number costs what a possible one does.
        let wrapped = self.apply(&number.unwrap_or(U2048::ONE), rng);
        let wrapped = Zeroizing::new(to_bytes(&wrapped));
        let (padded, older) = (unwrap(&wrapped), unwrap_older(&wrapped));
        match (number, padded, older) {
            (Some(_), Some(data), _) => Ok(Decrypted { scheme: Scheme::Padded, data }),
            (Some(_), None, Some(data)) => Ok(Decrypted { scheme: Scheme::Older, data }),
            _ => Err(DecryptError),
        }
    }
}

fn check_length(data: &[u8], max: usize) -> Result<(), TooLong> {
    if data.len() <= max { Ok(()) } else { Err(TooLong { max, got: data.len() }) }
}

fn wrap(padded: &[u8; PADDED_LEN], temp_key: &[u8; 32]) -> [u8; 256] {
    let mut wrapped = [0; 256];
    let (key, encrypted) = wrapped.split_at_mut(32);
    let (reversed, hash) = encrypted.split_at_mut(PADDED_LEN);
    reversed.copy_from_slice(padded);
    reversed.reverse();
    hash.copy_from_slice(&sha256(&[temp_key, padded]));
    ige::encrypt(encrypted, temp_key, &[0; 32]).expect("224 bytes are 14 blocks");
    key.copy_from_slice(temp_key);
    xor(key, &sha256(&[encrypted]));
    wrapped
}

/// The 192 bytes that [`wrap`] was given, if the hash is right.
fn unwrap(wrapped: &[u8; 256]) -> Option<Zeroizing<Vec<u8>>> {
    let mut temp_key = Zeroizing::new([0; 32]);
    let (key, encrypted) = wrapped.split_at(32);
    temp_key.copy_from_slice(key);
    xor(&mut *temp_key, &sha256(&[encrypted]));
    let mut with_hash = Zeroizing::new(encrypted.to_vec());
    ige::decrypt(&mut with_hash, &temp_key, &[0; 32]).expect("224 bytes are 14 blocks");
    let mut hash = with_hash.split_off(PADDED_LEN);
    with_hash.reverse();
    let good = equal(&sha256(&[&*temp_key, &with_hash]), &hash);
    hash.zeroize();
    good.then_some(with_hash)
}

/// The object behind the hash of the older scheme.
///
/// Nothing says how long it is. TL objects are whole words, so there are 59 lengths it can have,
/// and the hash tells which one it has.
fn unwrap_older(wrapped: &[u8; 256]) -> Option<Zeroizing<Vec<u8>>> {
    let (hash, rest) = wrapped[1..].split_at(20);
    let mut found = None;
    for len in (0..=DATA_MAX_OLDER).step_by(4) {
        if equal(&sha1(&[&rest[..len]]), hash) {
            found = Some(len);
        }
    }
    let len = found.filter(|_| wrapped[0] == 0)?;
    Some(Zeroizing::new(rest[..len].to_vec()))
}

fn xor(bytes: &mut [u8], with: &[u8; 32]) {
    for (byte, other) in bytes.iter_mut().zip(with) {
        *byte ^= other;
    }
}

const PADDED_LEN: usize = 192;
