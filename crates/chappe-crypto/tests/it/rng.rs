//! The generator.

use chappe_crypto::Rng;

/// The same seed gives the same run; another seed, or a fork, gives another.
#[test]
fn output_follows_from_the_seed() {
    let mut a = Rng::from_seed([1; 32]);
    let mut b = Rng::from_seed([1; 32]);
    let first: [u8; 64] = a.bytes();
    assert_eq!(first, b.bytes());
    assert_ne!(first, Rng::from_seed([2; 32]).bytes());
    let (mut fork_a, mut fork_b) = (a.fork(), b.fork());
    assert_eq!(fork_a.u64(), fork_b.u64());
    assert_ne!(fork_a.u64(), a.u64());
}

/// The first bytes for a zero seed are those of ChaCha20 with a zero key (RFC 8439, A.1, vector 1).
#[test]
fn generator_is_chacha20() {
    let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7";
    assert_eq!(hex::encode(Rng::from_seed([0; 32]).bytes::<32>()), expected);
}

/// Every number below the bound comes about equally often, and none at or above it.
#[test]
fn below_is_even() {
    let mut rng = Rng::from_seed([3; 32]);
    let mut seen = [0u32; 7];
    for _ in 0..70_000 {
        seen[rng.below(7) as usize] += 1;
    }
    assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
    assert_eq!(rng.below(1), 0);
}

/// A bound that divides 2^32 rejects nothing: one draw makes one number, of its highest bits.
#[test]
fn below_a_power_of_two_takes_one_draw() {
    let (mut rng, mut draws) = (Rng::from_seed([5; 32]), Rng::from_seed([5; 32]));
    for bits in [1, 3, 16, 31].into_iter().cycle().take(200) {
        assert_eq!(rng.below(1 << bits), draws.u32() >> (32 - bits));
    }
}

/// Below a bound of 3/4 of 2^32 plain scaling would give every third number twice as often as
/// the others.
#[test]
fn below_a_large_bound_is_even_too() {
    let mut rng = Rng::from_seed([6; 32]);
    let mut seen = [0u32; 3];
    for _ in 0..30_000 {
        seen[(rng.below(3 << 30) % 3) as usize] += 1;
    }
    assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
}

/// SEC-10: a smoke test of the source of all nonces: set bits are half of all bits.
#[test]
fn bits_are_balanced() {
    let mut rng = Rng::from_seed([4; 32]);
    let ones: u32 = (0..16_384).map(|_| rng.u64().count_ones()).sum();
    let half = 16_384 * 64 / 2;
    assert!(ones.abs_diff(half) < 3_000, "{ones} of {}", 2 * half);
    assert_eq!(format!("{rng:?}"), "Rng");
}
