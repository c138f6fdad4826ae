//! Waits between attempts.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::backoff::Backoff;

/// Rule:   0, 1, 2, 4 … 60 s with ±20 % jitter, from the beginning after a reset.
/// Source: SES-13.
#[test]
fn waits_double_up_to_a_minute_and_begin_again_after_a_reset() {
    for seed in 0..50 {
        let mut rng = Rng::from_seed([seed; 32]);
        let mut backoff = Backoff::default();
        for _ in 0..2 {
            for seconds in [0, 1, 2, 4, 8, 16, 32, 60, 60] {
                let wait = backoff.next(&mut rng).as_millis();
                assert!((seconds * 800..=seconds * 1200).contains(&wait), "{seconds}: {wait}");
            }
            backoff.reset();
        }
    }
}

/// Rule:   waits spread over the whole of the jitter, so that clients do not come all at once.
/// Source: SES-13.
#[test]
fn jitter_goes_both_ways() {
    let mut rng = Rng::from_seed([3; 32]);
    let waits = (0..200).map(|_| {
        let mut backoff = Backoff::default();
        backoff.next(&mut rng);
        backoff.next(&mut rng).as_millis()
    });
    let waits: Vec<u128> = waits.collect();
    assert!(*waits.iter().min().unwrap() < 850 && *waits.iter().max().unwrap() > 1150);
}

/// Rule:   after -429 at least 5 s, once.
/// Source: SES-13.
#[test]
fn server_that_asks_for_patience_gets_it_once() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut backoff = Backoff::default();
    backoff.hold(Duration::from_secs(5));
    assert_eq!(backoff.next(&mut rng), Duration::from_secs(5));
    assert!(backoff.next(&mut rng) < Duration::from_secs(2));
}
