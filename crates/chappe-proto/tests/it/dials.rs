//! How often one destination is dialled.

use std::time::Duration;

use chappe_proto::dials::Dials;

/// Rule:   PRX-07: four attempts a second and five in five while somebody waits; one a second, two
///         in four and three in eight while nobody does.
#[test]
fn attempts_keep_to_their_windows() {
    assert_eq!(first_attempts(true), [0, 0, 0, 0, 1, 5, 5, 5, 5, 6, 10].map(Duration::from_secs));
    assert_eq!(
        first_attempts(false),
        [0, 1, 4, 8, 9, 12, 16, 17, 20, 24, 25].map(Duration::from_secs)
    );
}

/// Rule:   PRX-07: who waits may try where others may not yet.
#[test]
fn an_attempt_that_is_wanted_comes_sooner() {
    let mut dials = Dials::default();
    for second in [10, 12] {
        dials.made(Duration::from_secs(second));
    }
    assert_eq!(dials.next(true), Duration::ZERO);
    assert_eq!(dials.next(false), Duration::from_secs(14));
}

/// Rule:   PRX-07: after -429 one attempt a second, two in four, three in eight, whoever waits.
#[test]
fn a_destination_that_complains_is_left_alone() {
    let mut dials = Dials::default();
    dials.flooded(Duration::from_secs(10));
    assert_eq!(dials.next(true), Duration::from_secs(11));
    dials.flooded(Duration::from_secs(11));
    assert_eq!(dials.next(true), Duration::from_secs(14));
    dials.flooded(Duration::from_secs(14));
    assert_eq!(dials.next(true), Duration::from_secs(18));
}

/// When the first attempts are made by somebody who never waits longer than needed.
fn first_attempts(is_wanted: bool) -> [Duration; 11] {
    let mut dials = Dials::default();
    let mut now = Duration::ZERO;
    std::array::from_fn(|_| {
        now = now.max(dials.next(is_wanted));
        dials.made(now);
        now
    })
}
