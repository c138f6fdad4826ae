//! Prime numbers of hundreds of digits: the test and the search.

use crypto_bigint::{Limb, NonZero, U1024, Uint};

use crate::Rng;
use crate::modexp::Modulus;

/// Whether `n` is prime: no small factor, and `rounds` rounds of Miller–Rabin with random bases.
///
/// A composite passes one round with a chance below 1/4, whoever chose it.
pub(crate) fn is_prime<const LIMBS: usize>(n: &Uint<LIMBS>, rounds: u32, rng: &mut Rng) -> bool {
    let Some(odd) = n.to_odd().into_option() else { return *n == Uint::from(2u8) };
    if *n < Uint::from(SMALL_PRIMES_END) {
        return small_primes().any(|prime| *n == Uint::from(prime));
    }
    if small_primes().any(|prime| remainder(n, prime) == 0) {
        return false;
    }
    let modulus = Modulus::new(odd);
    let minus_one = n.wrapping_sub(&Uint::ONE);
    let twos = minus_one.trailing_zeros_vartime();
    let odd_part = minus_one.wrapping_shr_vartime(twos);
    // A base b passes if b^odd_part is 1, or one of its `twos` squarings meets −1.
    (0..rounds).all(|_| {
        let base = random_base(&modulus, rng);
        let mut power = modulus.power(&base, &odd_part);
        let mut passes = power == Uint::ONE || power == minus_one;
        for _ in 1..twos {
            power = modulus.multiply(&power, &power);
            passes |= power == minus_one;
        }
        passes
    })
}

/// A random prime of 1024 bits whose two highest bits are set, so that the product of two such
/// primes has 2048 bits; one less than it has no factor `coprime`.
pub(crate) fn random_prime(coprime: u32, rng: &mut Rng) -> U1024 {
    loop {
        let mut bytes = zeroize::Zeroizing::new(rng.bytes::<128>());
        bytes[0] |= 0xc0;
        bytes[127] |= 1;
        let start = U1024::from_be_slice(&*bytes);
        let remainders: Vec<(u32, u32)> =
            small_primes().map(|prime| (prime, remainder(&start, prime))).collect();
        // Numbers near `start` cost one division less per small prime than fresh ones.
        for step in (0..8192).step_by(2) {
            if remainders.iter().any(|(prime, rest)| (rest + step) % prime == 0) {
                continue;
            }
            let candidate = start.wrapping_add(&U1024::from(step));
            let stays_large = candidate >= start;
            if stays_large
                && remainder(&candidate, coprime) != 1
                && is_prime(&candidate, SEARCH_ROUNDS, rng)
            {
                return candidate;
            }
        }
    }
}

/// From 2 to n − 2, each about equally likely.
fn random_base<const LIMBS: usize>(modulus: &Modulus<LIMBS>, rng: &mut Rng) -> Uint<LIMBS> {
    let minus_one = modulus.value().wrapping_sub(&Uint::ONE);
    loop {
        let mut words = [0; LIMBS];
        words.fill_with(|| rng.u64() as crypto_bigint::Word);
        let base = modulus.reduce(&Uint::from_words(words));
        if base > Uint::ONE && base < minus_one {
            return base;
        }
    }
}

/// `n` modulo a small number.
pub(crate) fn remainder<const LIMBS: usize>(n: &Uint<LIMBS>, divisor: u32) -> u32 {
    let divisor = NonZero::new(Limb::from(divisor)).expect("callers divide by constants");
    n.rem_limb(divisor).0 as u32
}

/// The odd primes below [`SMALL_PRIMES_END`].
fn small_primes() -> impl Iterator<Item = u32> {
    (3..SMALL_PRIMES_END)
        .step_by(2)
        .filter(|n| (3..).step_by(2).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

const SMALL_PRIMES_END: u32 = 2000;

/// Rounds for a prime we draw ourselves: 2^-80 for an adversary's number, far less for a random
/// one.
const SEARCH_ROUNDS: u32 = 40;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crypto_bigint::{U256, U1024};

    use super::{is_prime, random_base, random_prime, remainder};
    use crate::Rng;
    use crate::modexp::Modulus;

    /// CRY-15, SEC-01: every number below 20000 is judged as trial division does: even ones, those
    /// that are small primes themselves, and those whose like is far above them all.
    #[test]
    fn numbers_are_judged_like_by_trial_division() {
        let mut rng = Rng::from_seed([81; 32]);
        let by_division =
            |n: u32| n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        for n in 0..20_000 {
            assert_eq!(is_prime(&U256::from(n), 20, &mut rng), by_division(n), "{n}");
        }
    }

    /// CRY-15: products of two primes above every small one are found out, also those that pass
    /// most easily: p(2p − 1), and those one more than a multiple of a high power of two, whose
    /// rounds have many squarings.
    #[test]
    fn products_of_large_primes_are_no_primes() {
        let mut rng = Rng::from_seed([82; 32]);
        let squarings = [(12_289_u32, 40_961), (65_537, 786_433), (12_289, 12_289)];
        let easiest = [2_011, 2_029, 2_089, 2_131].map(|p| (p, 2 * p - 1));
        for (p, q) in squarings.into_iter().chain(easiest) {
            let product = U256::from(u64::from(p) * u64::from(q));
            for factor in [p, q] {
                assert!(is_prime(&U256::from(factor), 30, &mut rng), "{factor}");
            }
            assert!(!is_prime(&product, 30, &mut rng), "{p} * {q}");
        }
    }

    /// CRY-08: the primes of a key are large enough for a product of 2048 bits, and one less than
    /// each has no factor in common with the exponent.
    #[test]
    fn primes_of_keys_are_large() {
        let mut rng = Rng::from_seed([84; 32]);
        for _ in 0..8 {
            let prime = random_prime(3, &mut rng);
            assert_eq!(prime.shr_vartime(1022), U1024::from(3_u8));
            assert_ne!(remainder(&prime, 3), 1);
        }
    }

    /// CRY-15: the bases of a round are all numbers that can tell something: neither 0 nor 1 nor
    /// the modulus less one, which pass or fail for any number.
    #[test]
    fn bases_are_those_that_can_tell() {
        let mut rng = Rng::from_seed([83; 32]);
        let modulus = Modulus::new(U256::from(11_u8).to_odd().unwrap());
        let drawn: BTreeSet<U256> = (0..500).map(|_| random_base(&modulus, &mut rng)).collect();
        assert_eq!(
            drawn.into_iter().collect::<Vec<_>>(),
            [2, 3, 4, 5, 6, 7, 8, 9].map(U256::from_u8)
        );
    }
}
