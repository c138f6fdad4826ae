//! The window of ids heard.

use std::time::Duration;

use chappe_proto::MsgId;
use chappe_proto::session::inbox::{Admission, Inbox, InboxLimits, SeqNoDisorder};

use crate::pair::EPOCH;
use crate::raw::id_at;

fn at(second: i64) -> Duration {
    Duration::from_secs((EPOCH + second) as u64)
}

/// A window of 400 to 500 ids.
fn small() -> Inbox {
    Inbox::new(InboxLimits::SERVER.with_ids(400, 500))
}

/// Rule:   an id is fresh once, also between others; a window that has forgotten nothing refuses
///         nothing as too old.
/// Source: MSG-36.
#[test]
fn window_that_forgot_nothing_refuses_nothing_as_old() {
    let mut inbox = small();
    inbox.remember(id_at(0, 10), 1, at(0));
    inbox.remember(id_at(0, 30), 3, at(0));
    for rank in [5, 20, 40] {
        assert_eq!(inbox.judge(id_at(0, rank)), Admission::Fresh);
    }
    assert_eq!(inbox.judge(id_at(0, 10)), Admission::Duplicate);
}

/// Rule:   one more than the limit forgets the lowest, once it is older than 330 s; below it
///         nobody can say.
/// Source: MSG-36, MSG-38, SEC-27; code 20.
#[test]
fn full_window_forgets_what_is_old() {
    let mut inbox = small();
    for rank in 1..=400 {
        inbox.remember(id_at(0, rank), 0, at(331));
    }
    assert_eq!(inbox.judge(id_at(0, 0)), Admission::Fresh);
    inbox.remember(id_at(331, 1), 0, at(331));
    assert_eq!(inbox.judge(id_at(0, 1)), Admission::TooOld);
    assert_eq!(inbox.judge(id_at(0, 2)), Admission::Duplicate);
}

/// Rule:   ids younger than 330 s are kept beyond the limit, up to the cap.
/// Source: MSG-38.
#[test]
fn window_grows_for_young_ids_up_to_its_cap() {
    let mut inbox = small();
    for rank in 1..=500 {
        inbox.remember(id_at(0, rank), 0, at(330));
    }
    assert_eq!(inbox.judge(id_at(0, 1)), Admission::Duplicate);
    inbox.remember(id_at(0, 501), 0, at(330));
    assert_eq!(inbox.judge(id_at(0, 1)), Admission::TooOld);
    assert_eq!(inbox.judge(id_at(0, 2)), Admission::Duplicate);
    // As soon as they are old, the window shrinks to its limit.
    inbox.remember(id_at(400, 1), 0, at(400));
    assert_eq!(inbox.judge(id_at(0, 102)), Admission::TooOld);
    assert_eq!(inbox.judge(id_at(0, 103)), Admission::Duplicate);
}

/// Rule:   numbers rise with ids; equal ones only where the older is even.
/// Source: MSG-40.
#[test]
fn sequence_numbers_rise_with_ids() {
    let mut inbox = small();
    inbox.remember(id_at(0, 10), 3, at(0));
    inbox.remember(id_at(0, 20), 6, at(0));
    let order = |rank, seq_no| inbox.seq_no_order(id_at(0, rank), seq_no);
    assert_eq!(order(15, 3), Err(SeqNoDisorder::TooLow));
    assert_eq!(order(15, 4), Ok(()));
    assert_eq!(order(15, 6), Ok(()));
    assert_eq!(order(15, 7), Err(SeqNoDisorder::TooHigh));
    assert_eq!(order(5, 3), Err(SeqNoDisorder::TooHigh));
    assert_eq!(order(25, 6), Ok(()));
    assert_eq!(order(25, 5), Err(SeqNoDisorder::TooLow));
}

/// Rule:   state 1 below what was forgotten, 2 inside, 3 above, 4 for what came.
/// Source: SVC-11, 05-service-messages §4.
#[test]
fn states_follow_the_window() {
    let mut inbox = small();
    assert_eq!(inbox.state(id_at(0, 1)), 3);
    for rank in 1..=401 {
        inbox.remember(id_at(0, 2 * rank), 0, at(331));
    }
    let state = |rank| inbox.state(id_at(0, rank));
    assert_eq!((state(1), state(2), state(4), state(5), state(803)), (1, 1, 4 | 16, 2, 3));
    assert_eq!(inbox.state(MsgId(i64::MAX)), 3);
}

/// A window counts its ids, and is empty before the first.
#[test]
fn window_counts_its_ids() {
    let mut inbox = small();
    assert!(inbox.is_empty());
    for rank in 1..=3 {
        inbox.remember(id_at(0, rank), 1, at(0));
        assert!(!inbox.is_empty());
        assert_eq!(inbox.len() as i64, rank);
    }
}
