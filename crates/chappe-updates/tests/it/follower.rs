//! A device that hears things early, late, twice or never.

use std::time::Duration;

use chappe_updates::{Follower, Step};

const START: Duration = Duration::from_secs(50);

/// Named by its pts.
fn hear(follower: &mut Follower<i32>, at: Duration, pts: i32, count: i32) {
    follower.handle_event(at, Step { pts, count }, pts);
}

fn events(follower: &mut Follower<i32>) -> Vec<i32> {
    std::iter::from_fn(|| follower.poll_event()).collect()
}

/// A device that has asked and is up to date at pts 10.
fn follower() -> Follower<i32> {
    let mut follower = Follower::new(START, 10);
    assert_eq!(follower.poll_question(), Some(10));
    assert_eq!(follower.poll_question(), None);
    follower.handle_difference(START, 10, [], true);
    follower
}

/// Rules: UPD-01, UPD-02: events that continue the line pass; those of before do not.
#[test]
fn line_goes_on_event_by_event() {
    let mut follower = follower();
    hear(&mut follower, START, 11, 1);
    hear(&mut follower, START, 14, 3);
    hear(&mut follower, START, 11, 1);
    hear(&mut follower, START, 14, 3);
    assert_eq!(events(&mut follower), [11, 14]);
    assert_eq!(follower.pts(), 14);
    assert_eq!(follower.poll_question(), None);
}

/// Rule: UPD-02: what comes too early waits half a second for the missing one, then it asks.
#[test]
fn early_event_waits_for_the_missing_one() {
    let mut follower = follower();
    hear(&mut follower, START, 12, 1);
    let due = START + Duration::from_millis(500);
    assert_eq!(follower.poll_timeout(), Some(due));
    hear(&mut follower, START + Duration::from_millis(400), 13, 1);
    assert_eq!(follower.poll_timeout(), Some(due));
    follower.handle_timeout(due - Duration::from_millis(1));
    assert_eq!(follower.poll_question(), None);
    assert_eq!(events(&mut follower), []);
    hear(&mut follower, due, 11, 1);
    assert_eq!(events(&mut follower), [11, 12, 13]);

    hear(&mut follower, due, 15, 1);
    follower.handle_timeout(due + Duration::from_millis(500));
    assert_eq!(follower.poll_question(), Some(13));
}

/// Rule: UPD-14: while a question is open pushes wait, for the difference does not say which pts its
///       events have; what it brought is not taken a second time.
#[test]
fn pushes_wait_for_the_difference() {
    let mut follower = follower();
    follower.handle_loss();
    assert_eq!(follower.poll_question(), Some(10));
    hear(&mut follower, START, 11, 1);
    hear(&mut follower, START, 12, 1);
    hear(&mut follower, START, 13, 1);
    assert_eq!(events(&mut follower), []);
    assert_eq!(follower.poll_timeout(), None);
    follower.handle_difference(START, 12, [11, 12], true);
    assert_eq!(events(&mut follower), [11, 12, 13]);
    assert_eq!(follower.pts(), 13);
}

/// Rule: UPD-14: a difference in slices is asked for to its end; a question without an answer again.
#[test]
fn difference_is_asked_for_to_its_end() {
    let mut follower = follower();
    follower.handle_loss();
    assert_eq!(follower.poll_question(), Some(10));
    follower.handle_failure();
    assert_eq!(follower.poll_question(), Some(10));
    follower.handle_difference(START, 12, [11, 12], false);
    assert_eq!(follower.poll_question(), Some(12));
    // Lost while the question was open: what is lost may come after the answer.
    follower.handle_loss();
    follower.handle_difference(START, 13, [13], true);
    assert_eq!(follower.poll_question(), Some(13));
    follower.handle_difference(START, 13, [], true);
    assert_eq!(follower.poll_question(), None);
    assert_eq!(events(&mut follower), [11, 12, 13]);
}

/// Rule: UPD-14: who hears nothing for a quarter of an hour asks.
#[test]
fn silence_makes_it_ask() {
    let mut follower = follower();
    let quarter = Duration::from_secs(900);
    assert_eq!(follower.poll_timeout(), Some(START + quarter));
    hear(&mut follower, START + Duration::from_secs(60), 11, 1);
    follower.handle_timeout(START + quarter);
    assert_eq!(follower.poll_question(), None);
    follower.handle_timeout(START + Duration::from_secs(60) + quarter);
    assert_eq!(follower.poll_question(), Some(11));
}

/// Rule: UPD-01: an event that is not in the log moves nothing, and comes after those before it.
#[test]
fn event_without_a_count_moves_nothing() {
    let mut follower = follower();
    hear(&mut follower, START, 10, 0);
    hear(&mut follower, START, 11, 0);
    assert_eq!(events(&mut follower), [10]);
    hear(&mut follower, START, 11, 1);
    assert_eq!(events(&mut follower), [11, 11]);
    assert_eq!(follower.pts(), 11);
}

/// Rule: UPD-02: an event that overlaps what is known cannot be taken: it asks.
#[test]
fn overlapping_event_makes_it_ask() {
    let mut follower = follower();
    hear(&mut follower, START, 12, 3);
    assert_eq!(events(&mut follower), []);
    assert_eq!(follower.poll_question(), Some(10));
}

/// Rule: UPD-10: early events are bounded; beyond that it asks instead of keeping them.
#[test]
fn early_events_are_bounded() {
    let mut follower = follower();
    for pts in 0..5000 {
        hear(&mut follower, START, 12 + pts, 1);
    }
    assert_eq!(follower.poll_question(), Some(10));
    follower.handle_difference(START, 11, [11], true);
    assert!(events(&mut follower).len() < 1002);
}
