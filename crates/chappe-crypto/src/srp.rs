//! Two-step verification: a client shows that it knows a password, and a server that stores only
//! a verifier checks it. Neither learns more.
//!
//! Source: Telegram API, "Two-factor authentication", algorithm
//! `passwordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow`. In the formulas H is
//! SHA-256, p and g are the group, and every number is hashed as 256 big-endian bytes.

use std::fmt;

use crypto_bigint::{U256, U512, U2048};
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

use crate::Rng;
use crate::dh::{Exponent, Group, from_bytes, to_bytes};
use crate::hash::{equal, sha256};

/// Why a password check ends without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrpError {
    /// The server's value B is 0, not below p, or not 248 to 256 bytes long.
    #[error("the server's value B is out of range")]
    B,
    /// The client's value A is not from 2 to p − 2. On the wire: `SRP_A_INVALID`.
    #[error("the client's value A is out of range")]
    A,
    /// The client does not know the password. On the wire: `PASSWORD_HASH_INVALID`.
    #[error("wrong password")]
    Password,
}

/// A password algorithm with its parameters, as the server announces it.
#[derive(Clone, Debug)]
pub struct Algorithm {
    group: Group,
    salt1: Vec<u8>,
    salt2: Vec<u8>,
}

/// What a client sends: nothing in it reveals the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The client's public value A.
    pub a: [u8; 256],
    /// The proof M1.
    pub m1: [u8; 32],
}

impl Algorithm {
    /// The algorithm over a group that was checked, with the salts the server sent.
    #[must_use]
    pub fn new(group: Group, salt1: Vec<u8>, salt2: Vec<u8>) -> Self {
        Self { group, salt1, salt2 }
    }

    /// The same algorithm for a new password: the server's first salt and 32 bytes of our own, so
    /// that no server can make two users' verifiers comparable.
    #[must_use]
    pub fn for_new_password(&self, rng: &mut Rng) -> Self {
        let mut own = self.clone();
        own.salt1.extend_from_slice(&rng.bytes::<32>());
        own
    }

    /// The first salt; with a new password it is sent along.
    #[must_use]
    pub fn salt1(&self) -> &[u8] {
        &self.salt1
    }

    /// The verifier v = g^x of a password: what a server stores.
    ///
    /// Takes tens of milliseconds: the password goes through 100000 rounds of a hash.
    #[must_use]
    pub fn verifier(&self, password: &str) -> [u8; 256] {
        let x = self.password_hash(password);
        to_bytes(&self.group.modulus().power(&self.generator(), &x))
    }

    /// Answers a server's value B with a proof of the password.
    ///
    /// Takes tens of milliseconds. Errors: [`SrpError::B`].
    pub fn prove(&self, password: &str, b: &[u8], rng: &mut Rng) -> Result<Proof, SrpError> {
        loop {
            let (exponent, _) = self.group.key_pair(rng);
            // The one other failure, a hash u of zero, is cured by another exponent.
            if let Some(proof) = self.prove_with(password, b, &exponent)? {
                return Ok(proof);
            }
        }
    }

    /// [`prove`](Self::prove) with a given exponent, as in a published example. `None` if u is 0.
    pub fn prove_with(
        &self,
        password: &str,
        b: &[u8],
        exponent: &Exponent,
    ) -> Result<Option<Proof>, SrpError> {
        let modulus = self.group.modulus();
        let b = from_bytes(b).filter(|_| b.len() >= 248).ok_or(SrpError::B)?;
        if b == U2048::ZERO || b >= *modulus.value() {
            return Err(SrpError::B);
        }
        let a = self.group.power(exponent);
        let u = hash_of_publics(&a, &to_bytes(&b));
        if u == U256::ZERO {
            return Ok(None);
        }
        let x = self.password_hash(password);
        let verifier = Zeroizing::new(modulus.power(&self.generator(), &x));
        let base = Zeroizing::new(modulus.subtract(&b, &self.masked(&verifier)));
        // (B − k·v)^(a + u·x), in two powers because the sum of the exponents has 2049 bits.
        let ux: Zeroizing<U512> = Zeroizing::new(u.concatenating_mul(&*x));
        let by_a = Zeroizing::new(modulus.power(&base, &exponent.number()));
        let by_ux = Zeroizing::new(modulus.power(&base, &ux));
        let secret = Zeroizing::new(modulus.multiply(&by_a, &by_ux));
        Ok(Some(Proof { a, m1: self.m1(&a, &to_bytes(&b), &secret) }))
    }

    /// x: the password after all its hashes.
    fn password_hash(&self, password: &str) -> Zeroizing<U256> {
        let salted = |data: &[u8], salt: &[u8]| Zeroizing::new(sha256(&[salt, data, salt]));
        let first = salted(&*salted(password.as_bytes(), &self.salt1), &self.salt2);
        let mut slow = Zeroizing::new([0; 64]);
        pbkdf2::pbkdf2_hmac::<Sha512>(&*first, &self.salt1, ROUNDS, &mut *slow);
        Zeroizing::new(U256::from_be_slice(&*salted(&*slow, &self.salt2)))
    }

    /// k·v mod p, by which the server hides g^b in B.
    fn masked(&self, verifier: &U2048) -> U2048 {
        let k = sha256(&[&self.group.prime(), &to_bytes(&self.generator())]);
        let k = U256::from_be_slice(&k).resize();
        self.group.modulus().multiply(&k, verifier)
    }

    fn m1(&self, a: &[u8; 256], b: &[u8; 256], secret: &U2048) -> [u8; 32] {
        let mut secret = Zeroizing::new(to_bytes(secret));
        let key = Zeroizing::new(sha256(&[&*secret]));
        secret.zeroize();
        let mut group = sha256(&[&self.group.prime()]);
        for (byte, other) in group.iter_mut().zip(sha256(&[&to_bytes(&self.generator())])) {
            *byte ^= other;
        }
        sha256(&[&group, &sha256(&[&self.salt1]), &sha256(&[&self.salt2]), a, b, &*key])
    }

    fn generator(&self) -> U2048 {
        U2048::from(self.group.generator())
    }
}

/// A server's side of one check: made for one client, used up by its answer.
pub struct Challenge {
    algorithm: Algorithm,
    verifier: Zeroizing<U2048>,
    exponent: Exponent,
    b: [u8; 256],
}

impl Challenge {
    /// A fresh challenge for whoever knows the password behind `verifier`.
    #[must_use]
    pub fn new(algorithm: Algorithm, verifier: &[u8; 256], rng: &mut Rng) -> Self {
        loop {
            let challenge = Self::with(algorithm.clone(), verifier, Exponent::generate(rng));
            // A value that a client must refuse cannot be sent.
            if challenge.b != [0; 256] {
                return challenge;
            }
        }
    }

    /// A challenge with a given exponent, as in a published example.
    #[must_use]
    pub fn with(algorithm: Algorithm, verifier: &[u8; 256], exponent: Exponent) -> Self {
        let modulus = algorithm.group.modulus();
        let verifier = Zeroizing::new(modulus.reduce(&U2048::from_be_slice(verifier)));
        let public = modulus.power(&algorithm.generator(), &exponent.number());
        let b = to_bytes(&modulus.add(&algorithm.masked(&verifier), &public));
        Self { algorithm, verifier, exponent, b }
    }

    /// The value B for the client.
    #[must_use]
    pub fn b(&self) -> &[u8; 256] {
        &self.b
    }

    /// Judges the client's answer, and ends the challenge whatever it is.
    ///
    /// Errors: [`SrpError::A`], [`SrpError::Password`].
    pub fn verify(self, a: &[u8], m1: &[u8]) -> Result<(), SrpError> {
        let modulus = self.algorithm.group.modulus();
        let a = from_bytes(a).ok_or(SrpError::A)?;
        let minus_one = modulus.value().wrapping_sub(&U2048::ONE);
        if a <= U2048::ONE || a >= minus_one {
            return Err(SrpError::A);
        }
        let a_bytes = to_bytes(&a);
        let u = hash_of_publics(&a_bytes, &self.b);
        if u == U256::ZERO {
            return Err(SrpError::A);
        }
        // (A · v^u)^b
        let by_u = Zeroizing::new(modulus.power(&self.verifier, &u));
        let base = Zeroizing::new(modulus.multiply(&a, &by_u));
        let secret = Zeroizing::new(modulus.power(&base, &self.exponent.number()));
        let expected = self.algorithm.m1(&a_bytes, &self.b, &secret);
        if equal(&expected, m1) { Ok(()) } else { Err(SrpError::Password) }
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge")
    }
}

/// u = H(A ‖ B).
fn hash_of_publics(a: &[u8; 256], b: &[u8; 256]) -> U256 {
    U256::from_be_slice(&sha256(&[a, b]))
}

/// Rounds of the slow hash, fixed by the name of the algorithm.
const ROUNDS: u32 = 100_000;
