//! What is pushed, to whom not, and when a teller begins and ends.

use chappe_updates::{Step, Stretch, Telling};

const ACCOUNT: i64 = 7;

fn step(pts: i32, count: i32) -> Step {
    Step { pts, count }
}

/// Rules: UPD-01, UPD-02: one teller takes an account from its first change to its last, those that
///        come meanwhile included; then another may begin.
#[test]
fn account_has_one_teller_at_a_time() {
    let mut telling = Telling::<u8>::default();
    assert!(telling.note(ACCOUNT, step(12, 2), None, 100));
    assert!(!telling.note(ACCOUNT, step(13, 1), None, 101));
    assert_eq!(telling.next(ACCOUNT), Some(Stretch { after: 10, up_to: 13, now: 101 }));
    assert!(!telling.note(ACCOUNT, step(14, 1), None, 102));
    telling.reach(ACCOUNT, 13);
    assert_eq!(telling.next(ACCOUNT), Some(Stretch { after: 13, up_to: 14, now: 102 }));
    telling.reach(ACCOUNT, 14);
    assert_eq!(telling.next(ACCOUNT), None);
    assert!(telling.note(ACCOUNT, step(15, 1), None, 103));
    assert_eq!(telling.next(ACCOUNT), Some(Stretch { after: 14, up_to: 15, now: 103 }));
}

/// Rule: UPD-03: who had an event as its answer is known when it is pushed, for this event alone.
#[test]
fn caller_is_left_out_once() {
    let mut telling = Telling::default();
    telling.note(ACCOUNT, step(1, 1), Some('a'), 0);
    telling.note(ACCOUNT, step(2, 1), None, 0);
    telling.note(ACCOUNT + 1, step(1, 1), Some('b'), 0);
    assert_eq!(telling.has(ACCOUNT, 1), Some('a'));
    assert_eq!(telling.has(ACCOUNT, 1), None);
    assert_eq!(telling.has(ACCOUNT, 2), None);
    assert_eq!(telling.has(ACCOUNT + 1, 1), Some('b'));
}

/// Rule: UPD-14: what could not be pushed is passed over, and with it who has it; a push is a hint.
#[test]
fn failed_stretch_is_passed_over() {
    let mut telling = Telling::default();
    telling.note(ACCOUNT, step(3, 3), Some('a'), 0);
    let stretch = telling.next(ACCOUNT).unwrap();
    telling.note(ACCOUNT, step(4, 1), Some('b'), 0);
    telling.reach(ACCOUNT, stretch.up_to);
    assert_eq!(telling.has(ACCOUNT, 3), None);
    assert_eq!(telling.next(ACCOUNT), Some(Stretch { after: 3, up_to: 4, now: 0 }));
    assert_eq!(telling.has(ACCOUNT, 4), Some('b'));
}
