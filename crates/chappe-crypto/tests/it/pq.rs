//! The factoring puzzle.

use chappe_crypto::Rng;
use chappe_crypto::pq::{self, PqError};

use crate::vectors::{bytes, list, load, text};

/// Every vector of `pq.json`.
#[test]
fn published_products_are_factored() {
    let mut rng = Rng::from_seed([61; 32]);
    for case in list(&load("pq"), "cases") {
        let product = pq::parse(&bytes(case, "pq_be")).unwrap();
        assert_eq!(product.to_string(), text(case, "pq"));
        let (p, q) = pq::factor(product, &mut rng).unwrap();
        assert_eq!(
            (p.to_string().as_str(), q.to_string().as_str()),
            (text(case, "p"), text(case, "q"))
        );
    }
}

/// CRY-20, SEC-15: 0, 1, even numbers, primes, squares, products of three primes and wrong lengths
/// are refused.
#[test]
fn other_numbers_are_refused() {
    let mut rng = Rng::from_seed([62; 32]);
    let prime = 0x7fff_ffff;
    let refused = [
        0,
        1,
        2,
        3,
        4,
        9,
        14,
        25,
        2 * prime,
        prime,
        prime * prime,
        3 * 5 * 7,
        3 * 3 * 5,
        9 * prime,
        1_000_003 * 1_000_033 * 1_000_037,
        (1 << 61) - 1,
        u64::MAX,
        u64::MAX - 58,
    ];
    for number in refused {
        assert_eq!(pq::factor(number, &mut rng), Err(PqError::NotTwoPrimes), "{number}");
    }
    assert_eq!(pq::parse(&[]), Err(PqError::Length(0)));
    assert_eq!(pq::parse(&[1; 9]), Err(PqError::Length(9)));
    assert_eq!(pq::parse(&[1]), Ok(1));
    assert_eq!(pq::parse(&[0xff; 8]), Ok(u64::MAX));
}

/// CRY-22: p and q are different primes of 31 bits, fresh each time, their product below 2^63.
/// CRY-21: the client finds them again, with arithmetic that does not overflow.
#[test]
fn fresh_puzzles_are_solved() {
    let mut rng = Rng::from_seed([63; 32]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let (p, q) = pq::generate(&mut rng);
        assert!(1 << 30 < p && p < q && q < 1 << 31);
        let product = u64::from(p) * u64::from(q);
        assert!(product < 1 << 63 && seen.insert(product));
        assert_eq!(pq::factor(product, &mut rng), Ok((p.into(), q.into())));
    }
}

/// CRY-22: fresh primes come from the whole range of 31 bits, and differ in their lowest bits, too.
#[test]
fn fresh_primes_are_spread() {
    let mut rng = Rng::from_seed([65; 32]);
    let primes: Vec<u32> =
        (0..100).flat_map(|_| <[u32; 2]>::from(pq::generate(&mut rng))).collect();
    // In each of 16 ranges, and with each of the 8 endings that an odd number has.
    for part in 0..16 {
        assert!(primes.iter().any(|prime| prime >> 26 == 16 + part), "none in range {part}");
        let ending = 2 * part % 16 + 1;
        assert!(primes.iter().any(|prime| prime % 16 == ending), "none ends in {ending:#x}");
    }
}

/// CRY-20: products of two small primes are factored as well, down to 15, where a curve would show
/// both factors at once.
#[test]
fn smallest_products_are_factored() {
    let mut rng = Rng::from_seed([66; 32]);
    let primes = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47];
    for (i, p) in primes.into_iter().enumerate() {
        for q in primes.into_iter().skip(i + 1) {
            assert_eq!(pq::factor(p * q, &mut rng), Ok((p, q)), "{p} * {q}");
        }
    }
}

/// CRY-20: factors of any two sizes are found, up to products of 64 bits.
#[test]
fn factors_of_any_size_are_found() {
    let mut rng = Rng::from_seed([64; 32]);
    let primes = [3, 97, 101, 103, 997, 1009, 1013, 4099, 65_537, 1_000_003, 16_777_259];
    for (i, p) in primes.into_iter().enumerate() {
        for q in primes.into_iter().skip(i + 1).chain([4_294_967_291, 4_294_967_279]) {
            assert_eq!(pq::factor(p * q, &mut rng), Ok((p, q)), "{p} * {q}");
        }
    }
    let (p, q) = (4_294_967_279, 4_294_967_291);
    assert_eq!(pq::factor(p * q, &mut rng), Ok((p, q)));
}
