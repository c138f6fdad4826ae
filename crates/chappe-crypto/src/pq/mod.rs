//! The factoring puzzle that opens a key exchange: the server picks two primes, the client finds
//! them again.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | making a puzzle, judging one, the order of attack |
//! | `montgomery.rs` | arithmetic modulo a number of 64 bits, and its primality test |
//! | `ecm.rs` | the elliptic-curve method, which finds the factors |

mod ecm;
mod montgomery;

use montgomery::Montgomery;

use crate::Rng;

/// Why a number cannot be the product the protocol asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PqError {
    /// The bytes are none, or more than 8.
    #[error("pq has {0} bytes; it has 1 to 8")]
    Length(usize),
    /// The number is not the product of two different odd primes.
    #[error("pq is not the product of two different odd primes")]
    NotTwoPrimes,
}

/// Two fresh random primes p < q of 31 bits, whose product is below 2^62.
///
/// For the server, anew in each exchange.
#[must_use]
pub fn generate(rng: &mut Rng) -> (u32, u32) {
    let mut prime = || loop {
        // From 2^30 to 2^31 − 1, and odd.
        let candidate = ((rng.u32() >> 2) << 1) | 0x4000_0001;
        if montgomery::is_prime(u64::from(candidate)) {
            return candidate;
        }
    };
    loop {
        let (a, b) = (prime(), prime());
        if a != b {
            return (a.min(b), a.max(b));
        }
    }
}

/// Reads pq from its bytes on the wire: 1 to 8 of them, big-endian.
///
/// Errors: [`PqError::Length`].
pub fn parse(bytes: &[u8]) -> Result<u64, PqError> {
    let mut padded = [0; 8];
    let start = 8_usize.checked_sub(bytes.len()).filter(|start| *start < 8);
    let start = start.ok_or(PqError::Length(bytes.len()))?;
    padded[start..].copy_from_slice(bytes);
    Ok(u64::from_be_bytes(padded))
}

/// The two primes p < q whose product is `pq`.
///
/// Takes a tenth of a millisecond for products near 2^63, and a bounded time for any number: the
/// work is given up after a thousand curves.
///
/// Errors: [`PqError::NotTwoPrimes`] for 0, 1, even numbers, primes, squares and products of more
/// primes than two.
pub fn factor(pq: u64, rng: &mut Rng) -> Result<(u64, u64), PqError> {
    // One fork, so that the luck of the search does not show in what the caller draws next.
    let mut rng = rng.fork();
    if pq < 15 || pq.is_multiple_of(2) || pq.isqrt().pow(2) == pq || montgomery::is_prime(pq) {
        return Err(PqError::NotTwoPrimes);
    }
    let factor = small_factor(pq).or_else(|| {
        let modulus = Montgomery::new(pq);
        (0..CURVES_MAX).find_map(|_| ecm::try_curve(&modulus, &mut rng))
    });
    let factor = factor.ok_or(PqError::NotTwoPrimes)?;
    let (p, q) = (factor.min(pq / factor), factor.max(pq / factor));
    let two_primes = p != q && montgomery::is_prime(p) && montgomery::is_prime(q);
    if two_primes { Ok((p, q)) } else { Err(PqError::NotTwoPrimes) }
}

/// The smallest factor below 1000. Curves over small primes have orders so smooth that they would
/// show both factors at once.
fn small_factor(n: u64) -> Option<u64> {
    (3..1000).step_by(2).find(|d| n.is_multiple_of(*d) && *d < n)
}

/// Curves tried before a number is given up. The chance that a product of two primes needs more is
/// below 2^-40.
const CURVES_MAX: u32 = 1000;
