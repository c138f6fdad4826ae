//! Diffie-Hellman: the checks on primes, generators and public values.

use chappe_crypto::Rng;
use chappe_crypto::dh::{DhError, Exponent, Group};

use crate::vectors::{array, bytes, list, load, text};

/// CRY-15, SEC-01: the published prime passes, composites, short and unsafe primes do not.
#[test]
fn only_safe_primes_of_2048_bits_pass() {
    let vectors = load("dh");
    let mut rng = Rng::from_seed([41; 32]);
    assert_eq!(Group::known().prime(), array(&vectors, "p"));
    assert!(Group::check(&bytes(&vectors, "p"), 3, &mut rng).is_ok());
    for case in list(&vectors, "bad_primes") {
        // Generator 4 suits every prime, so that the prime alone decides.
        let outcome = Group::check(&bytes(case, "p"), 4, &mut rng);
        let expected = match text(case, "name") {
            "2047_bits" => DhError::PrimeLength,
            _ => DhError::NotSafePrime,
        };
        assert_eq!(outcome.unwrap_err(), expected, "{}", text(case, "name"));
    }
    for len in [0, 1, 255, 257] {
        let outcome = Group::check(&vec![0xff; len], 4, &mut rng);
        assert_eq!(outcome.unwrap_err(), DhError::PrimeLength);
    }
    // Both sides of 2^2047.
    let mut number = [0xff; 256];
    number[0] = 0x7f;
    assert_eq!(Group::check(&number, 4, &mut rng).unwrap_err(), DhError::PrimeLength);
    number = [0; 256];
    (number[0], number[255]) = (0x80, 1);
    assert_eq!(Group::check(&number, 4, &mut rng).unwrap_err(), DhError::NotSafePrime);
}

/// CRY-15: a good prime that no table holds passes by the test itself (RFC 3526, group 14).
#[test]
fn unknown_safe_prime_passes() {
    let mut rng = Rng::from_seed([42; 32]);
    let group = Group::check(&modp_2048(), 2, &mut rng).unwrap();
    assert_eq!((group.prime().to_vec(), group.generator()), (modp_2048(), 2));
    // A neighbour that passes no test, though its first and last bits are as they should be.
    let mut other = modp_2048();
    other[128] ^= 0x10;
    assert_eq!(Group::check(&other, 4, &mut rng).unwrap_err(), DhError::NotSafePrime);
}

/// CRY-15, SEC-01: a prime half does not make up for a composite number, nor does a prime number
/// for its half.
#[test]
fn number_and_its_half_must_both_be_prime() {
    let mut rng = Rng::from_seed([49; 32]);
    // Twice the prime 2^2046 + 4147, and one: composite. Then two primes, 2^2047 and so much, of
    // which half is an odd composite number, and an even one.
    for ending in [2 * 4147 + 1, 1919, 5061_u16] {
        let mut number = [0; 256];
        number[0] = 0x80;
        number[254..].copy_from_slice(&ending.to_be_bytes());
        let outcome = Group::check(&number, 4, &mut rng);
        assert_eq!(outcome.unwrap_err(), DhError::NotSafePrime, "2^2047 + {ending}");
    }
}

/// CRY-16, SEC-02: the generator is one of 2 to 7 and generates the large subgroup.
#[test]
fn only_good_generators_pass() {
    let vectors = load("dh");
    let mut rng = Rng::from_seed([43; 32]);
    for g in 0..=9 {
        let allowed = vectors["generator_allowed"][g.to_string()].as_bool().unwrap_or(false);
        let outcome = Group::check(&bytes(&vectors, "p"), g, &mut rng);
        assert_eq!(outcome.err(), (!allowed).then_some(DhError::Generator(g)), "g = {g}");
    }
    assert!(Group::check(&bytes(&vectors, "p"), u32::MAX, &mut rng).is_err());
    // p mod 8 = 7, mod 3 = 2, mod 5 = 4, mod 24 = 23, mod 7 = 6: for this prime all six are good.
    for g in 2..=7 {
        assert!(Group::check(&modp_2048(), g, &mut rng).is_ok(), "g = {g}");
    }
}

/// SEC-05: a prime accepted with a good generator is refused with a bad one afterwards.
#[test]
fn known_prime_does_not_vouch_for_a_generator() {
    let p = bytes(&load("dh"), "p");
    let mut rng = Rng::from_seed([44; 32]);
    assert!(Group::check(&p, 3, &mut rng).is_ok());
    assert_eq!(Group::check(&p, 2, &mut rng).unwrap_err(), DhError::Generator(2));
    assert!(Group::check(&modp_2048(), 3, &mut rng).is_ok());
    assert_eq!(Group::check(&modp_2048(), 8, &mut rng).unwrap_err(), DhError::Generator(8));
}

/// SEC-05: whether a prime was met before does not show in what the caller's generator gives next.
#[test]
fn cache_does_not_disturb_the_generator() {
    let after_check = || {
        let mut rng = Rng::from_seed([45; 32]);
        Group::check(&modp_2048(), 2, &mut rng).unwrap();
        rng.u64()
    };
    assert_eq!(after_check(), after_check());
}

/// CRY-17, SEC-03, SEC-04: public values keep 2^1984 away from 0 and from p.
#[test]
fn public_values_must_be_in_range() {
    let group = Group::known();
    let exponent = Exponent::from_bytes([0x77; 256]);
    for case in list(&load("dh"), "g_a_range") {
        let good = case["recommended_ok"].as_bool().unwrap();
        let value = bytes(case, "value");
        assert_eq!(group.check_public(&value).is_ok(), good, "{}", text(case, "name"));
        assert_eq!(group.shared(&exponent, &value).is_ok(), good, "{}", text(case, "name"));
    }
    assert_eq!(group.check_public(&[0xff; 256]), Err(DhError::PublicValue));
    assert_eq!(group.check_public(&[]), Err(DhError::PublicValue));
    // A value without its leading zeros is still the same number.
    assert_eq!(group.check_public(&[&[1][..], &[0; 248]].concat()), Ok(()));
    assert_eq!(group.check_public(&[0xff; 248]), Err(DhError::PublicValue));
    assert_eq!(group.check_public(&[&[0][..], &[1; 256]].concat()), Err(DhError::PublicValue));
}

/// CRY-18, SEC-10, SEC-11: exponents are 2048 bits of our own generator and nothing else.
#[test]
fn exponents_come_from_our_generator_alone() {
    let group = Group::known();
    let (_, public) = group.key_pair(&mut Rng::from_seed([46; 32]));
    let own = Exponent::from_bytes(Rng::from_seed([46; 32]).bytes());
    assert_eq!(group.power(&own), public);
    assert_ne!(group.key_pair(&mut Rng::from_seed([47; 32])).1, public);
    assert_eq!(format!("{own:?} {group:?}"), "Exponent Group { generator: 3, .. }");
}

/// CRY-04, CRY-17: both sides compute the same key, padded on the left, and own values are in range.
#[test]
fn both_sides_share_a_key() {
    let group = Group::known();
    let mut rng = Rng::from_seed([48; 32]);
    for _ in 0..3 {
        let (a, g_a) = group.key_pair(&mut rng);
        let (b, g_b) = group.key_pair(&mut rng);
        assert!(group.check_public(&g_a).is_ok() && group.check_public(&g_b).is_ok());
        let key = group.shared(&a, &g_b).unwrap();
        assert_eq!(key, group.shared(&b, &g_a).unwrap());
        assert!(key.full().is_some());
    }
}

/// The 2048-bit prime of RFC 3526: a safe prime, and not the one in our table.
fn modp_2048() -> Vec<u8> {
    hex::decode(
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
         020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
         4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
         ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
         98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
         9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
         e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
         3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff",
    )
    .unwrap()
}
