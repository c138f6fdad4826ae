//! RSA keys of servers: 2048 bits, used only to open a key exchange.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | the keys and the bare operations |
//! | `pad.rs` | the two ways in which the protocol wraps a message for encryption |
//! | `pem.rs` | the keys as text |

mod pad;
mod pem;

use std::fmt;
use std::sync::Arc;

use crypto_bigint::{Odd, U64, U1024, U2048};
use zeroize::Zeroizing;

pub use pad::{DATA_MAX, DATA_MAX_OLDER, DecryptError, Decrypted, Scheme, TooLong};
pub use pem::PemError;

use crate::Rng;
use crate::dh::{from_bytes, to_bytes};
use crate::hash::{part, sha1};
use crate::modexp::Modulus;
use crate::prime::random_prime;

type Modulus2048 = Modulus<{ U2048::LIMBS }>;
type Modulus1024 = Modulus<{ U1024::LIMBS }>;

/// Why numbers are refused as an RSA key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The modulus is even or does not have exactly 2048 bits.
    #[error("the modulus is not an odd number of 2048 bits")]
    Modulus,
    /// The public exponent is even, below 3, or longer than 64 bits.
    #[error("the public exponent is not an odd number from 3 to 2^64")]
    Exponent,
    /// The private numbers do not belong to the public ones.
    #[error("the private part of the key does not fit its public part")]
    Private,
}

/// The public half: what a client is given to know a server by. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey {
    modulus: Arc<Modulus2048>,
    exponent: u64,
    fingerprint: i64,
}

impl PublicKey {
    /// The key with modulus `n` and exponent `e`, both big-endian.
    ///
    /// Errors: [`KeyError`] unless `n` is odd and has exactly 2048 bits and `e` is odd and at
    /// least 3.
    pub fn new(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        if n.len() != 256 || n[0] < 0x80 {
            return Err(KeyError::Modulus);
        }
        let modulus = from_bytes(n).and_then(|n| n.to_odd().into_option());
        let modulus = Arc::new(Modulus::new(modulus.ok_or(KeyError::Modulus)?));
        let exponent = from_bytes(e).filter(|_| e.len() <= 8).ok_or(KeyError::Exponent)?;
        let exponent = u64::from(exponent.resize::<{ U64::LIMBS }>());
        if exponent < 3 || exponent % 2 == 0 {
            return Err(KeyError::Exponent);
        }
        Ok(Self { modulus, exponent, fingerprint: fingerprint(n, e) })
    }

    /// The number by which a server offers this key, as the `long` on the wire.
    ///
    /// The last 8 bytes of the SHA-1 of the bare `rsa_public_key n:string e:string`.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    /// The modulus, big-endian.
    #[must_use]
    pub fn modulus(&self) -> [u8; 256] {
        to_bytes(self.modulus.value())
    }

    /// The exponent.
    #[must_use]
    pub fn exponent(&self) -> u64 {
        self.exponent
    }

    /// `number` to the power of the exponent; `number` is below the modulus.
    fn apply(&self, number: &U2048) -> U2048 {
        self.modulus.power_public(number, self.exponent)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.modulus.value() == other.modulus.value() && self.exponent == other.exponent
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:016x})", self.fingerprint)
    }
}

/// The key a client uses: of the fingerprints a server offers, the first that is known.
///
/// `None`: the server is not one we know, and nothing secret may be sent to it.
#[must_use]
pub fn first_known<'a>(offered: &[i64], known: &'a [PublicKey]) -> Option<&'a PublicKey> {
    offered.iter().find_map(|offer| known.iter().find(|key| key.fingerprint == *offer))
}

/// The private half: a server's identity. Wiped on drop; `Debug` shows the fingerprint only.
pub struct PrivateKey {
    public: PublicKey,
    p: Modulus1024,
    q: Modulus1024,
    /// Inverse of the public exponent modulo p − 1 and q − 1.
    exponent_p: Zeroizing<U1024>,
    exponent_q: Zeroizing<U1024>,
    /// Inverse of q modulo p.
    q_inverse: Zeroizing<U1024>,
}

impl PrivateKey {
    /// A new key with the exponent 65537.
    ///
    /// Takes some tenths of a second. Its fingerprint has no leading zero in hexadecimal: some
    /// clients would not find such a key (QRK-33).
    #[must_use]
    pub fn generate(rng: &mut Rng) -> Self {
        const EXPONENT: u32 = 65537;
        loop {
            let p = Zeroizing::new(random_prime(EXPONENT, rng));
            let q = Zeroizing::new(random_prime(EXPONENT, rng));
            let modulus: U2048 = p.concatenating_mul(&*q);
            // It fails if p equals q, which no working generator brings about.
            match Self::new(&to_bytes(&modulus), &EXPONENT.to_be_bytes(), &p, &q) {
                Ok(key) if key.public.fingerprint.leading_zeros() < 4 => return key,
                _ => {}
            }
        }
    }

    /// The key with public exponent `e` and primes `p` and `q`, all big-endian.
    ///
    /// Errors: [`KeyError`] if the numbers do not form a key of 2048 bits.
    pub fn from_primes(e: &[u8], p: &[u8], q: &[u8]) -> Result<Self, KeyError> {
        let (p, q) = (prime_from_bytes(p)?, prime_from_bytes(q)?);
        let modulus: U2048 = p.concatenating_mul(&*q);
        Self::new(&to_bytes(&modulus), e, &p, &q)
    }

    /// The key with these primes. Everything else is computed anew and then tried out, so that
    /// a damaged file cannot make us answer with values that give the key away.
    fn new(n: &[u8], e: &[u8], p: &U1024, q: &U1024) -> Result<Self, KeyError> {
        let public = PublicKey::new(n, e)?;
        let product: U2048 = p.concatenating_mul(q);
        if product != *public.modulus.value() || p == q {
            return Err(KeyError::Private);
        }
        let exponent_p = inverse_below(public.exponent, p).ok_or(KeyError::Private)?;
        let exponent_q = inverse_below(public.exponent, q).ok_or(KeyError::Private)?;
        let p = prime_modulus(p).ok_or(KeyError::Private)?;
        let q = prime_modulus(q).ok_or(KeyError::Private)?;
        let q_inverse = p.invert(&p.reduce(q.value())).ok_or(KeyError::Private)?;
        let q_inverse = Zeroizing::new(q_inverse);
        let key = Self { public, p, q, exponent_p, exponent_q, q_inverse };
        let sample = U2048::from(0x4368_6170_7065_u64);
        if key.power(&key.public.apply(&sample)) != sample {
            return Err(KeyError::Private);
        }
        Ok(key)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// `number` to the power of the private exponent, by way of a random multiple of it, so that
    /// what the work depends on is unknown to whoever chose `number`.
    fn apply(&self, number: &U2048, rng: &mut Rng) -> U2048 {
        let modulus = &self.public.modulus;
        let (factor, inverse) = self.blinding(rng);
        let blinded = modulus.multiply(number, &self.public.apply(&factor));
        let result = modulus.multiply(&self.power(&blinded), &inverse);
        // A fault in one of the halves would give a result from which p or q can be computed.
        if self.public.apply(&result) == *number { result } else { U2048::ZERO }
    }

    /// A random number and its inverse modulo n.
    fn blinding(&self, rng: &mut Rng) -> (Zeroizing<U2048>, Zeroizing<U2048>) {
        loop {
            let bytes = Zeroizing::new(rng.bytes::<256>());
            let factor = self.public.modulus.reduce(&U2048::from_be_slice(&*bytes));
            if let Some(inverse) = self.public.modulus.invert(&factor) {
                return (Zeroizing::new(factor), Zeroizing::new(inverse));
            }
        }
    }

    /// The bare private operation, modulo each prime and put together by Garner's formula.
    fn power(&self, number: &U2048) -> U2048 {
        let by_p = Zeroizing::new(self.p.power(&self.p.reduce(number), &self.exponent_p));
        let by_q = Zeroizing::new(self.q.power(&self.q.reduce(number), &self.exponent_q));
        let difference = self.p.subtract(&by_p, &self.p.reduce(&*by_q));
        let steps = Zeroizing::new(self.p.multiply(&difference, &self.q_inverse));
        let whole_steps: U2048 = steps.concatenating_mul(self.q.value());
        whole_steps.wrapping_add(&by_q.resize())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:016x})", self.public.fingerprint)
    }
}

fn prime_modulus(prime: &U1024) -> Option<Modulus1024> {
    let odd: Option<Odd<U1024>> = prime.to_odd().into_option();
    odd.map(Modulus::new)
}

fn prime_from_bytes(bytes: &[u8]) -> Result<Zeroizing<U1024>, KeyError> {
    let mut padded = Zeroizing::new([0; 128]);
    let start = padded.len().checked_sub(bytes.len()).ok_or(KeyError::Private)?;
    padded[start..].copy_from_slice(bytes);
    Ok(Zeroizing::new(U1024::from_be_slice(&*padded)))
}

/// Inverse of `exponent` modulo `prime` − 1.
fn inverse_below(exponent: u64, prime: &U1024) -> Option<Zeroizing<U1024>> {
    let order = prime.wrapping_sub(&U1024::ONE).to_nz().into_option()?;
    U1024::from(exponent).invert_mod(&order).into_option().map(Zeroizing::new)
}

fn fingerprint(n: &[u8], e: &[u8]) -> i64 {
    // `n` has 256 bytes, so its TL string has the long header and no padding; `e` is short.
    let n_header = [0xfe, 0x00, 0x01, 0x00];
    let e_header = [e.len() as u8];
    let e_padding = &[0; 3][..(4 - (1 + e.len()) % 4) % 4];
    let hash = sha1(&[&n_header, n, &e_header, e, e_padding]);
    i64::from_le_bytes(part(&hash, 12))
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
