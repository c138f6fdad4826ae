//! Diffie-Hellman over a safe prime of 2048 bits, with every check the protocol asks for.

mod known;

use std::fmt;
use std::sync::Arc;

use crypto_bigint::{Odd, U2048};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::modexp::Modulus;
use crate::prime::{is_prime, remainder};
use crate::{AuthKey, Rng};

/// Why a peer's Diffie-Hellman numbers are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DhError {
    /// The prime is not between 2^2047 and 2^2048.
    #[error("the prime does not have 2048 bits")]
    PrimeLength,
    /// The prime, or the half of it, is not prime.
    #[error("the prime is not a safe prime")]
    NotSafePrime,
    /// The generator is not one of 2 to 7, or does not generate the large subgroup.
    #[error("{0} is not a good generator for this prime")]
    Generator(u32),
    /// A public value is within 2^1984 of 0 or of the prime, or longer than the prime.
    #[error("public value is out of range")]
    PublicValue,
}

/// A prime and a generator that passed every check. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    prime: Arc<Modulus<{ U2048::LIMBS }>>,
    generator: u32,
}

impl Group {
    /// The group that servers of this project offer: the published prime with generator 3.
    #[must_use]
    pub fn known() -> Self {
        Self { prime: known::published(), generator: 3 }
    }

    /// The published prime with a generator that nobody checked.
    ///
    /// Only to reproduce published examples, some of which use 2, which this prime forbids.
    #[doc(hidden)]
    #[must_use]
    pub fn of_example(generator: u32) -> Self {
        Self { prime: known::published(), generator }
    }

    /// Checks a prime and generator that came from a server.
    ///
    /// `prime` is big-endian and `rng` gives the bases of the primality test. A prime met before
    /// costs nothing; a new one takes some tenths of a second, so do this off the I/O thread. The
    /// generator is judged each time.
    pub fn check(prime: &[u8], generator: u32, rng: &mut Rng) -> Result<Self, DhError> {
        // Always one fork: what the caller's generator gives next must not depend on the cache.
        let mut rng = rng.fork();
        let prime = <&[u8; 256]>::try_from(prime).map_err(|_| DhError::PrimeLength)?;
        if prime[0] < 0x80 {
            return Err(DhError::PrimeLength);
        }
        let number = U2048::from_be_slice(prime);
        // Before the costly test, which a bad generator makes pointless.
        check_generator(&number, generator)?;
        if let Some(prime) = known::find(&number) {
            return Ok(Self { prime, generator });
        }
        let odd = safe_prime(&number, &mut rng).ok_or(DhError::NotSafePrime)?;
        Ok(Self { prime: known::remember(odd), generator })
    }

    /// The prime, as it goes on the wire.
    #[must_use]
    pub fn prime(&self) -> [u8; 256] {
        to_bytes(self.prime.value())
    }

    /// The generator.
    #[must_use]
    pub fn generator(&self) -> u32 {
        self.generator
    }

    /// A fresh exponent and the public value that belongs to it, which is in range.
    #[must_use]
    pub fn key_pair(&self, rng: &mut Rng) -> (Exponent, [u8; 256]) {
        loop {
            let exponent = Exponent::generate(rng);
            let public = self.power(&exponent);
            if self.check_public(&public).is_ok() {
                return (exponent, public);
            }
        }
    }

    /// The generator to the power of `exponent`.
    #[must_use]
    pub fn power(&self, exponent: &Exponent) -> [u8; 256] {
        to_bytes(&self.prime.power(&U2048::from(self.generator), &exponent.number()))
    }

    /// Whether a public value, ours or the peer's, is from 2^1984 to p − 2^1984.
    ///
    /// `public` is big-endian, of any length up to 256 bytes.
    ///
    /// Errors: [`DhError::PublicValue`].
    pub fn check_public(&self, public: &[u8]) -> Result<(), DhError> {
        self.parse_public(public).map(|_| ())
    }

    /// The auth key: the peer's public value to the power of our exponent.
    ///
    /// Errors: [`DhError::PublicValue`] as in [`check_public`](Self::check_public).
    pub fn shared(&self, exponent: &Exponent, peer: &[u8]) -> Result<AuthKey, DhError> {
        let peer = self.parse_public(peer)?;
        Ok(AuthKey::new(to_bytes(&self.prime.power(&peer, &exponent.number()))))
    }

    pub(crate) fn modulus(&self) -> &Modulus<{ U2048::LIMBS }> {
        &self.prime
    }

    fn parse_public(&self, public: &[u8]) -> Result<U2048, DhError> {
        let number = from_bytes(public).ok_or(DhError::PublicValue)?;
        let margin = U2048::ONE.shl_vartime(1984);
        let end = self.prime.value().wrapping_sub(&margin);
        if number < margin || number > end {
            return Err(DhError::PublicValue);
        }
        Ok(number)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("generator", &self.generator).finish_non_exhaustive()
    }
}

/// A secret exponent of 2048 random bits. Wiped on drop.
#[derive(Clone)]
pub struct Exponent(Zeroizing<[u8; 256]>);

impl Exponent {
    /// A fresh exponent, from our own generator alone: nothing a server sends has a part in it.
    #[must_use]
    pub fn generate(rng: &mut Rng) -> Self {
        let mut bytes = Zeroizing::new([0; 256]);
        rng.fill(&mut *bytes);
        Self(bytes)
    }

    /// A known exponent, big-endian, as in a published example.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 256]) -> Self {
        let exponent = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        exponent
    }

    pub(crate) fn number(&self) -> Zeroizing<U2048> {
        Zeroizing::new(U2048::from_be_slice(&*self.0))
    }
}

impl ZeroizeOnDrop for Exponent {}

impl fmt::Debug for Exponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exponent")
    }
}

/// A big-endian number of at most 256 bytes.
pub(crate) fn from_bytes(bytes: &[u8]) -> Option<U2048> {
    let mut padded = Zeroizing::new([0; 256]);
    let start = padded.len().checked_sub(bytes.len())?;
    padded[start..].copy_from_slice(bytes);
    Some(U2048::from_be_slice(&*padded))
}

/// The number as 256 big-endian bytes, padded with zeros on the left.
pub(crate) fn to_bytes(number: &U2048) -> [u8; 256] {
    crate::hash::part(number.to_be_bytes().as_ref(), 0)
}

/// Whether `generator` generates the subgroup of prime order, by quadratic reciprocity.
fn check_generator(prime: &U2048, generator: u32) -> Result<(), DhError> {
    let rest = |divisor| remainder(prime, divisor);
    let good = match generator {
        2 => rest(8) == 7,
        3 => rest(3) == 2,
        4 => true,
        5 => matches!(rest(5), 1 | 4),
        6 => matches!(rest(24), 19 | 23),
        7 => matches!(rest(7), 3 | 5 | 6),
        _ => false,
    };
    good.then_some(()).ok_or(DhError::Generator(generator))
}

/// `number`, if it and its half are prime.
fn safe_prime(number: &U2048, rng: &mut Rng) -> Option<Odd<U2048>> {
    let half = number.shr_vartime(1);
    // One round shows almost every composite; the other rounds are for an adversary's number.
    let prime =
        is_prime(&half, 1, rng) && is_prime(number, ROUNDS, rng) && is_prime(&half, ROUNDS, rng);
    prime.then(|| number.to_odd().into_option()).flatten()
}

/// Rounds of Miller–Rabin for each of p and (p − 1)/2: a composite passes with a chance below
/// 2^-60.
const ROUNDS: u32 = 30;
