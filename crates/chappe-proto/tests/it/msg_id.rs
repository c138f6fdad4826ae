//! Message ids and sequence numbers, as one side makes them.

use std::time::Duration;

use chappe_proto::session::msg_id::{MsgIds, Origin};
use chappe_proto::session::seq_no::{SeqNo, is_content_related};
use chappe_proto::{MsgId, Side};
use proptest::prelude::*;

use crate::transport_ends::rng;

const START: Duration = Duration::from_secs(1_700_000_000);

/// Rules: MSG-07, MSG-08, SEC-26: the two low bits say who wrote a message and why; each side knows
///        what the other may write.
#[test]
fn low_bits_tell_the_origin() {
    let (mut ids, mut rng) = (MsgIds::default(), rng(1));
    for (origin, bits, from) in [
        (Origin::Client, 0, Side::Client),
        (Origin::Answer, 1, Side::Server),
        (Origin::Push, 3, Side::Server),
        (Origin::Answer, 1, Side::Server),
        (Origin::Client, 0, Side::Client),
    ] {
        let id = ids.next(START, origin, &mut rng);
        assert_eq!(id.0 & 3, bits);
        for side in [Side::Client, Side::Server] {
            assert_eq!(id.may_come_from(side), side == from);
        }
    }
    assert!(!MsgId(2).may_come_from(Side::Client) && !MsgId(2).may_come_from(Side::Server));
}

/// Rules: MSG-10, SEC-31: of 10 000 ids none has a zero fraction, on a fine clock, on one that
///        knows whole seconds only, and on one that stands at a whole second.
#[test]
fn fraction_is_never_zero() {
    for step in [Duration::from_micros(137), Duration::from_secs(1), Duration::ZERO] {
        let (mut ids, mut rng) = (MsgIds::default(), rng(2));
        let mut last = MsgId(0);
        for count in 0..10_000 {
            let id = ids.next(START + step * count, Origin::Client, &mut rng);
            assert!(id.has_fraction() && id.0 & 0xffff_ffff != 0, "{id}");
            assert!(id > last);
            last = id;
        }
    }
    assert!(!MsgId(7 << 32).has_fraction());
}

/// Rules: MSG-10, MSG-09: an id that rises into a new second through repetition has a fraction, too.
#[test]
fn fraction_is_not_zero_after_an_overflow() {
    let (mut ids, mut rng) = (MsgIds::default(), rng(2));
    // The last instant of a second that ids can express, over and over.
    let end = START + Duration::from_nanos(999_999_999);
    for _ in 0..5000 {
        assert!(ids.next(end, Origin::Client, &mut rng).has_fraction());
    }
    assert_eq!(ids.last() >> 32, 1_700_000_001);
}

/// Rules: MSG-09, MSG-11, SES-31: ids rise strictly and follow the clock; while it stands or steps
///        back they go on from the last, by 4 and with their own low bits.
#[test]
fn ids_rise_whatever_the_clock_does() {
    let (mut ids, mut rng) = (MsgIds::default(), rng(3));
    let first = ids.next(START, Origin::Client, &mut rng);
    let mut last = first;
    for clock in [START, START - Duration::from_secs(1), START - Duration::from_secs(86_400)] {
        for _ in 0..1000 {
            let id = ids.next(clock, Origin::Client, &mut rng);
            assert!(id > last && id.0 - last.0 <= 0x1000 + 4, "{id} after {last}");
            last = id;
        }
    }
    let id = ids.next(START - Duration::from_secs(9), Origin::Push, &mut rng);
    assert_eq!(id.0, last.0 + 4 + 3);
    let id = ids.next(START - Duration::from_secs(9), Origin::Answer, &mut rng);
    assert_eq!(id.0, last.0 + 8 + 1);
    assert_eq!(ids.last(), id.0);
    let later = START + Duration::from_millis(2500);
    let time = ids.next(later, Origin::Client, &mut rng).time();
    assert!(time.abs_diff(later) < Duration::from_micros(2), "{time:?}");
}

/// Rule: MSG-11: the time of an id is that of its high bits and fraction, for any number a peer may
///       send.
#[test]
fn time_of_an_id_is_its_number() {
    let time = |raw: i64| MsgId(raw).time();
    assert_eq!(time(0), Duration::ZERO);
    assert_eq!(time(5 << 32 | 1 << 31), Duration::from_millis(5500));
    assert_eq!(time((5 << 32) - 1).as_secs(), 4);
    assert_eq!(time(i64::MAX).as_secs(), (1 << 31) - 1);
    assert_eq!(time(-1).as_secs(), u64::from(u32::MAX));
    assert!(time(-1).subsec_nanos() < 1_000_000_000);
}

/// Rules: MSG-16, MSG-17, MSG-19: the number is twice the count of content-related messages before,
///        odd for such a one; a receiver looks at that bit alone.
#[test]
fn sequence_number_counts_content() {
    let mut numbers = SeqNo::default();
    let kinds = [false, true, false, false, true, true, false];
    let expected = [0, 1, 2, 2, 3, 5, 6];
    for (content, expected) in kinds.into_iter().zip(expected) {
        let number = numbers.next(content);
        assert_eq!(number, expected);
        assert_eq!(is_content_related(number), content);
    }
    assert_eq!(SeqNo::default().next(true), 1, "a new session starts over");
    assert!(is_content_related(-1) && !is_content_related(i32::MIN));
}

proptest! {
    /// Rules: MSG-09, MSG-10, SES-31, SEC-31: ids rise strictly, with a fraction and their low bits,
    ///        on any clock.
    #[test]
    fn ids_rise_on_any_clock(
        clocks in prop::collection::vec((0..i32::MAX as u64, 0..1_000_000_000_u32, 0..3_u8), 1..50),
        seed in any::<u8>(),
    ) {
        let (mut ids, mut rng) = (MsgIds::default(), rng(seed));
        let mut last = 0;
        for (seconds, nanos, origin) in clocks {
            let (origin, bits) = match origin {
                0 => (Origin::Client, 0),
                1 => (Origin::Answer, 1),
                _ => (Origin::Push, 3),
            };
            let id = ids.next(Duration::new(seconds, nanos), origin, &mut rng).0;
            prop_assert!(id > last && id & 3 == bits && id & 0xffff_fffc != 0);
            last = id;
        }
    }
}
