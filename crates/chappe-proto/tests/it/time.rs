//! The client's idea of the server's clock, and the ids both ends make from theirs.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::session::msg_id::{MsgIds, Origin};
use chappe_proto::session::seq_no::SeqNo;
use chappe_proto::session::time::ServerClock;
use chappe_proto::{MsgId, Now};

use crate::raw::id_at;

fn now(mono: u64, unix: u64) -> Now {
    Now { mono: Duration::from_secs(mono), unix: Duration::from_secs(unix) }
}

/// Rule:   the clock runs on the monotonic clock; steps of the wall clock do not move it.
/// Source: SES-28.
#[test]
fn wall_clock_does_not_move_the_server_clock() {
    let clock = ServerClock::guess(now(10, 1000), 5);
    assert_eq!(clock.at(now(10, 1000)).as_secs(), 1005);
    assert_eq!(clock.at(now(20, 9999)).as_secs(), 1015);
    assert_eq!(clock.server_minus_unix(now(20, 1010)), 5);
}

/// Rule:   a guess is not certain until the server has confirmed it; a message that the guess
///         finds too old confirms nothing.
/// Source: SES-29, MSG-R09.
#[test]
fn guess_becomes_certain_by_a_timely_message() {
    let at = now(10, crate::pair::EPOCH as u64);
    let mut clock = ServerClock::guess(at, 0);
    assert!(!clock.is_certain());
    clock.raise(at, id_at(-301, 1));
    assert!(!clock.is_certain());
    clock.raise(at, id_at(-299, 1));
    assert!(clock.is_certain());
    let mut clock = ServerClock::guess(at, 0);
    clock.set(at, Duration::from_secs(5));
    assert!(clock.is_certain());
}

/// Rule:   a message raises the clock and never lowers it; other proofs set it both ways.
/// Source: 06-sessions-salts-time §6, SES-28.
#[test]
fn message_only_raises_the_clock() {
    let at = now(10, crate::pair::EPOCH as u64);
    let mut clock = ServerClock::guess(at, 0);
    clock.raise(at, id_at(100, 1));
    assert_eq!(clock.at(at).as_secs() as i64, crate::pair::EPOCH + 100);
    clock.raise(at, id_at(50, 1));
    assert_eq!(clock.at(at).as_secs() as i64, crate::pair::EPOCH + 100);
    clock.set(at, Duration::from_secs(7));
    assert_eq!(clock.at(now(12, 0)).as_secs(), 9);
}

/// Rule:   ids rise strictly, by 4 at least, and say who made them and why.
/// Source: MSG-07, MSG-08, MSG-09, SES-31.
#[test]
fn ids_rise_and_tell_their_origin() {
    let mut ids = MsgIds::default();
    let mut rng = Rng::from_seed([1; 32]);
    let mut last = MsgId(0);
    let origins = [(Origin::Client, 0), (Origin::Answer, 1), (Origin::Push, 3)];
    for (step, (origin, low)) in origins.iter().cycle().take(300).enumerate() {
        // Forwards, standing still, back by a second, back by minutes.
        let time = [1000, 1000, 999, 500][step % 4];
        let id = ids.next(Duration::from_secs(time), *origin, &mut rng);
        assert!(id > last && id.0 & 3 == *low && id.0 & !3 > last.0 & !3);
        last = id;
    }
    assert_eq!(ids.last(), last.0);
}

/// Rule:   the low 32 bits of an id are never all zero.
/// Source: MSG-10, SEC-31.
#[test]
fn ids_have_a_fraction() {
    let mut rng = Rng::from_seed([1; 32]);
    for second in 0..10_000 {
        let mut ids = MsgIds::default();
        let id = ids.next(Duration::from_secs(second), Origin::Client, &mut rng);
        assert!(id.has_fraction());
        assert_eq!(id.time().as_secs(), second);
    }
    assert!(!MsgId(7 << 32).has_fraction());
}

/// Rule:   numbers count the content-related messages so far, twice, plus one for such a one.
/// Source: 04-messages §3, MSG-17.
#[test]
fn sequence_numbers_count_content() {
    let mut seq_no = SeqNo::default();
    let given: Vec<i32> =
        [false, true, false, true, true, false].map(|content| seq_no.next(content)).to_vec();
    assert_eq!(given, [0, 1, 2, 3, 5, 6]);
}

/// Rule:   ids are made for odd and even low bits as their maker and reason want, whatever the
///         clock's fraction of a second is.
/// Source: MSG-07, MSG-08.
#[test]
fn low_bits_say_origin_at_any_fraction() {
    let mut rng = Rng::from_seed([3; 32]);
    for (origin, low) in [(Origin::Client, 0), (Origin::Answer, 1), (Origin::Push, 3)] {
        for nanos in 0..64 {
            let mut ids = MsgIds::default();
            let unix = Duration::new(crate::pair::EPOCH as u64, nanos);
            assert_eq!(ids.next(unix, origin, &mut rng).0 & 3, low);
        }
    }
}
