//! Datagrams under way: what may be one, when a message goes again, and how many may be out.

use std::time::Duration;

use chappe_crypto::{AuthKey, Rng};
use chappe_proto::datagram::{BODY_MAX, DATAGRAM_MAX, Flight, Kind, Late, kind_of};
use chappe_proto::envelope::encrypted::{self, Header, Message};
use chappe_proto::{MsgId, SessionId, Side};

/// Rules: UDP-02, UDP-03: only what has the size of its kind is a datagram; nothing else, and nothing
///        larger than 1200 bytes, is looked at.
#[test]
fn only_what_has_the_size_of_its_kind_is_a_datagram() {
    let sealed = |len: usize| vec![7; len];
    let plain = |len: usize| vec![0; len];
    for side in [Side::Client, Side::Server] {
        for len in 0..1300 {
            let is_sealed = (72..=1200).contains(&len) && (len - 24) % 16 == 0;
            let kind = kind_of(&sealed(len), side).is_some();
            assert_eq!(kind, is_sealed, "{len} bytes from {side:?}");
            let is_plain = match side {
                Side::Client => len == 1200,
                Side::Server => (40..=1200).contains(&len),
            };
            let kind = kind_of(&plain(len), side).is_some();
            assert_eq!(kind, is_plain, "{len} zero bytes from {side:?}");
        }
    }
    assert_eq!(kind_of(&plain(1200), Side::Client), Some(Kind::Plain));
    let control = |code: i32, from| kind_of(&code.to_le_bytes(), from);
    assert_eq!(control(-404, Side::Server), Some(Kind::Control(404)));
    assert_eq!(control(i32::MIN, Side::Server), Some(Kind::Control(i32::MAX)));
    assert_eq!([control(0, Side::Server), control(404, Side::Server)], [None; 2]);
    assert_eq!(control(-404, Side::Client), None);
}

/// Rule: UDP-02: the largest body there may be fits 1200 bytes, whatever padding chance adds to one,
///       and the next larger fits none.
#[test]
fn sealed_messages_keep_within_a_datagram() {
    let key = AuthKey::new([3; 256]);
    let mut rng = Rng::from_seed([1; 32]);
    let mut seal = |len: usize, room: usize| {
        let header = Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(4), seq_no: 1 };
        let message = Message { header, body: vec![1; len].into() };
        encrypted::seal_within(&key, &message, room, Side::Client, &mut rng)
    };
    for _ in 0..50 {
        for len in [4, 1000, BODY_MAX - 4, BODY_MAX] {
            let packet = seal(len, DATAGRAM_MAX).unwrap().packet;
            assert!(packet.len() <= DATAGRAM_MAX);
            assert!(kind_of(&packet, Side::Client).is_some());
        }
        assert_eq!(seal(4, 88).unwrap().packet.len() % 16, 88 % 16);
    }
    assert_eq!(seal(BODY_MAX + 4, DATAGRAM_MAX), None);
    assert_eq!(seal(4, 71), None);
}

/// Rule: UDP-08: an unacknowledged message goes again after a second, then after twice as long each
///       time up to 30 s, ten times in all.
#[test]
fn message_is_sent_again_ten_times() {
    let mut flight = Flight::default();
    let mut now = millis(5000);
    flight.sent(now, MsgId(4));
    for wait in [1, 2, 4, 8, 16, 30, 30, 30, 30, 30] {
        let due = now + Duration::from_secs(wait);
        assert_eq!(flight.due(), Some(due));
        assert_eq!(flight.take_late(due - millis(1)), None);
        assert_eq!(flight.take_late(due), Some(Late::Again(MsgId(4))));
        flight.sent(due, MsgId(4));
        now = due;
    }
    let due = flight.due().unwrap();
    assert_eq!(due, now + Duration::from_secs(30));
    assert_eq!(flight.take_late(due), Some(Late::GivenUp(MsgId(4))));
    assert_eq!((flight.take_late(due), flight.due()), (None, None));
}

/// Rule: UDP-08: the wait is twice the round trip where that is more than a second; what was sent twice
///       tells nothing of it.
#[test]
fn wait_follows_the_round_trip() {
    let mut flight = Flight::default();
    flight.sent(millis(0), MsgId(4));
    flight.settle(millis(1500), |_| false);
    flight.sent(millis(2000), MsgId(8));
    assert_eq!(flight.due(), Some(millis(5000)));
    flight.settle(millis(2400), |_| false);
    // (7 · 1500 + 400) / 8 = 1362.5.
    flight.sent(millis(3000), MsgId(12));
    assert_eq!(flight.due(), Some(millis(3000) + Duration::from_micros(2_725_000)));
    flight.sent(millis(4000), MsgId(12));
    flight.settle(millis(60_000), |_| false);
    flight.sent(millis(70_000), MsgId(16));
    assert_eq!(flight.due(), Some(millis(70_000) + Duration::from_micros(2_725_000)));
}

/// Rule: UDP-09: ten datagrams until a round trip is known, then one more for each; a loss halves
///       their number, once for all that is lost within a round trip.
#[test]
fn window_grows_by_one_and_is_halved_by_a_loss() {
    let mut flight = Flight::default();
    let mut next = 0;
    assert_eq!(fill(&mut flight, millis(0), &mut next), 10);
    // A loss before anything is known changes nothing.
    while let Some(Late::Again(id)) = flight.take_late(millis(1000)) {
        flight.sent(millis(1000), id);
    }
    flight.settle(millis(1100), |_| false);
    assert_eq!(fill(&mut flight, millis(2000), &mut next), 10);
    flight.settle(millis(2100), |_| false);
    assert_eq!(fill(&mut flight, millis(2100), &mut next), 11);
    // Within one round trip it grows once.
    flight.settle(millis(2150), |id| id.0 % 8 == 0);
    flight.settle(millis(2160), |_| false);
    assert_eq!(fill(&mut flight, millis(2300), &mut next), 11);
    flight.settle(millis(2400), |_| false);
    assert_eq!(fill(&mut flight, millis(2500), &mut next), 12);
    for now in [millis(3500), millis(3501)] {
        while let Some(Late::Again(id)) = flight.take_late(now) {
            flight.sent(now, id);
        }
    }
    flight.settle(millis(3510), |_| false);
    assert_eq!(fill(&mut flight, millis(4000), &mut next), 6);
    for again in 1..12 {
        let now = flight.due().unwrap();
        while let Some(late) = flight.take_late(now) {
            if let Late::Again(id) = late {
                flight.sent(now, id);
            }
        }
        assert!(again < 11 || flight.due().is_none());
    }
    // However much is lost, one may go.
    assert_eq!(fill(&mut flight, millis(400_000), &mut next), 1);
}

/// How many more may go.
fn fill(flight: &mut Flight, now: Duration, next: &mut i64) -> usize {
    let mut sent = 0;
    while flight.has_room() {
        *next += 4;
        flight.sent(now, MsgId(*next));
        sent += 1;
    }
    sent
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
