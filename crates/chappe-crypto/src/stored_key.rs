//! An auth key at rest on a client, protected by a password.
//!
//! The published scheme encrypts `SHA256(auth_key) ‖ auth_key` by AES-CBC with the password as the
//! key. A password is no AES key, so here PBKDF2 makes one of it, with a salt.

use std::fmt;

use sha2::Sha512;
use zeroize::Zeroizing;

use crate::hash::{equal, part, sha256};
use crate::{AuthKey, Rng, cbc};

/// The password is wrong or the bytes are damaged; nothing tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wrong password or damaged key")]
pub struct OpenError;

/// An encrypted auth key with what its opening needs beside the password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Random bytes that make equal passwords give unequal keys.
    pub salt: [u8; 16],
    /// Rounds of PBKDF2; kept within [`ITERATIONS_MIN`] and [`ITERATIONS_MAX`].
    pub iterations: u32,
    /// AES-256-CBC of the key's SHA-256 and the key.
    pub ciphertext: [u8; CIPHERTEXT_LEN],
}

impl StoredKey {
    /// Encrypts all bytes of an auth key, with a new salt each time.
    #[must_use]
    pub fn seal(auth_key: &[u8; 256], password: &str, iterations: u32, rng: &mut Rng) -> Self {
        Self::seal_with(auth_key, password, iterations, rng.bytes())
    }

    /// [`seal`](Self::seal) with a given salt, as a test vector needs.
    #[must_use]
    pub fn seal_with(
        auth_key: &[u8; 256],
        password: &str,
        iterations: u32,
        salt: [u8; 16],
    ) -> Self {
        let iterations = iterations.clamp(ITERATIONS_MIN, ITERATIONS_MAX);
        let mut ciphertext = [0; CIPHERTEXT_LEN];
        ciphertext[..32].copy_from_slice(&sha256(&[auth_key]));
        ciphertext[32..].copy_from_slice(auth_key);
        let derived = derive(password, &salt, iterations);
        let (key, iv) = (Zeroizing::new(part(&*derived, 0)), part(&*derived, 32));
        cbc::encrypt(&mut ciphertext, &key, &iv).expect("288 bytes are 18 blocks");
        Self { salt, iterations, ciphertext }
    }

    /// Decrypts the auth key.
    ///
    /// Errors: [`OpenError`], after the whole computation, whatever is wrong.
    pub fn open(&self, password: &str) -> Result<AuthKey, OpenError> {
        // A damaged count must neither be cheap to try nor keep us busy for a day.
        let iterations = self.iterations.clamp(ITERATIONS_MIN, ITERATIONS_MAX);
        let derived = derive(password, &self.salt, iterations);
        let (key, iv) = (Zeroizing::new(part(&*derived, 0)), part(&*derived, 32));
        let mut plaintext = Zeroizing::new(self.ciphertext);
        cbc::decrypt(&mut *plaintext, &key, &iv).expect("288 bytes are 18 blocks");
        let auth_key = Zeroizing::new(part::<256>(&*plaintext, 32));
        let good = equal(&sha256(&[&*auth_key]), &plaintext[..32]);
        good.then(|| AuthKey::new(*auth_key)).ok_or(OpenError)
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

fn derive(password: &str, salt: &[u8; 16], iterations: u32) -> Zeroizing<[u8; 48]> {
    let mut derived = Zeroizing::new([0; 48]);
    pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, iterations, &mut *derived);
    derived
}

/// Length of the encrypted hash and key.
pub const CIPHERTEXT_LEN: usize = 288;

/// Fewest rounds used: about 50 ms of guessing for each password tried.
pub const ITERATIONS_MIN: u32 = 100_000;

/// Most rounds used: some seconds.
pub const ITERATIONS_MAX: u32 = 10_000_000;
