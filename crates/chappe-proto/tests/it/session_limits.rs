//! What a client can make a server's session hold is bounded: each bound, and one past it.

use std::time::Duration;

use bytes::Bytes;
use chappe_proto::LinkId;
use chappe_proto::MsgId;
use chappe_proto::schema::functions;
use chappe_proto::session::inbox::InboxLimits;
use chappe_proto::session::outbox::{Outbox, OutboxLimits, Owed, Place};
use chappe_proto::session::server::SessionConfig;

use crate::raw::{RawServer, ack, boxed, ping, query};

const FLOOD: &str = "420 FLOOD_WAIT_1";

/// Rule:   calls that run at once are bounded in bytes; one byte more is refused, a lone call never.
/// Source: SEC-47.
#[test]
fn running_calls_are_bounded_in_bytes() {
    let mut config = SessionConfig::default();
    config.calls_max_bytes = 100;
    let mut raw = RawServer::with(config);
    raw.greet();
    let first = raw.call(sized(40));
    raw.call(sized(60));
    assert_eq!(raw.ran().len(), 2);
    raw.call(sized(8));
    assert_eq!(raw.errors(), [FLOOD]);
    raw.answer(first, query(1));
    raw.call(sized(44));
    raw.call(sized(40));
    assert_eq!(raw.ran().len(), 1, "of 44 and 40 bytes only the second fits");
    assert_eq!(raw.session.take_tally().unwrap().flooded, 2);

    let mut config = SessionConfig::default();
    config.calls_max_bytes = 100;
    let mut raw = RawServer::with(config);
    let large = raw.call(sized(4000));
    assert_eq!(raw.ran(), [large]);
    raw.call(sized(8));
    assert!(raw.ran().is_empty());
}

/// Rule:   the ids that a call names count among its bytes, and those that still run are bounded.
/// Source: SEC-47, SVC-44.
#[test]
fn calls_waited_for_are_bounded() {
    let mut config = SessionConfig::default();
    config.after_max = 2;
    config.calls_max_bytes = 8 * 10;
    let mut raw = RawServer::with(config);
    raw.greet();
    let running = [raw.call(query(1)), raw.call(query(2)), raw.call(query(3))];
    raw.call(after(&running[..2]));
    assert!(raw.errors().is_empty());
    raw.call(after(&running));
    assert_eq!(raw.errors(), [FLOOD]);
    // Ids that are answered are not waited for, but held.
    let answered = running[0];
    raw.answer(answered, query(4));
    raw.replies();
    raw.call(after(&[answered; 8]));
    assert_eq!(raw.errors(), [FLOOD]);
}

/// Rule:   calls go on counting after their session was forgotten, until they are answered: to
///         forget it does not make room for more.
/// Source: SEC-47, SES-06.
#[test]
fn calls_of_a_forgotten_session_count() {
    let mut config = SessionConfig::default();
    config.calls_max = 2;
    let mut raw = RawServer::with(config);
    let calls = [raw.call(query(1)), raw.call(query(2))];
    assert_eq!(raw.ran(), calls);
    raw.session.forget(raw.now);
    raw.call(query(3));
    assert_eq!(raw.errors(), [FLOOD]);
    raw.answer(calls[0], query(4));
    assert!(raw.results().is_empty(), "the answer is nobody's any more");
    let third = raw.call(query(3));
    assert_eq!(raw.ran(), [third]);
    raw.call(query(3));
    assert_eq!(raw.errors(), [FLOOD]);
}

/// Rule:   the ids kept after a session was forgotten are bounded as those of a session are; below
///         them nobody can say any more, and nothing runs.
/// Source: MSG-38, MSG-39, SEC-47, SEC-55.
#[test]
fn ids_of_forgotten_sessions_are_bounded() {
    let mut config = SessionConfig::default();
    config.inbox = InboxLimits::SERVER.with_ids(4, 6);
    let mut raw = RawServer::with(config);
    let calls: Vec<MsgId> = (0..5).map(|number| raw.call(query(number))).collect();
    for call in &calls {
        raw.answer(*call, query(9));
    }
    raw.session.forget(raw.now);
    let later: Vec<MsgId> = (0..5).map(|number| raw.call(query(number))).collect();
    for call in &later {
        raw.answer(*call, query(9));
    }
    raw.session.forget(raw.now);
    assert_eq!(raw.session.load().retired, 6);
    raw.events();
    raw.replies();
    // Six of ten are remembered; the four below are too old. Neither can be answered any more.
    for (rank, id) in calls.iter().chain(&later).enumerate() {
        raw.send(*id, 1, query(1));
        assert!(raw.calls().is_empty(), "message {rank} ran again");
        assert_eq!(raw.refusals(), [(*id, 1, 20)]);
    }
    assert_eq!(raw.session.take_tally().unwrap().refused[&20].count, 10);
    raw.call(query(1));
    assert_eq!(raw.calls().len(), 1);
}

/// Rule:   what a window of ids had let go before its session was forgotten stays too old to run.
/// Source: MSG-36, MSG-39, SEC-55.
#[test]
fn ids_let_go_stay_too_old_in_a_forgotten_session() {
    let mut config = SessionConfig::default();
    config.inbox = InboxLimits::SERVER.with_ids(2, 3);
    let mut raw = RawServer::with(config);
    let calls: Vec<MsgId> = (0..5).map(|number| raw.call(query(number))).collect();
    raw.events();
    raw.session.forget(raw.now);
    raw.replies();
    raw.send(calls[0], 1, query(1));
    assert_eq!(raw.refusals(), [(calls[0], 1, 20)]);
    raw.send(calls[4], 1, query(1));
    assert_eq!(raw.refusals(), [(calls[4], 1, 20)]);
    assert!(raw.calls().is_empty());
}

/// Rule:   a session tells what it refused, by code, what came twice, and what it gave up: pushes
///         are a gap, answers are told apart.
/// Source: SES-07, MSG-29.
#[test]
fn tally_tells_what_became_of_messages() {
    let mut config = SessionConfig::default();
    config.outbox = OutboxLimits::new(2, 1 << 20);
    let mut raw = RawServer::with(config);
    raw.greet();
    assert_eq!(raw.session.take_tally(), None);
    let call = raw.call(query(1));
    raw.send(call, 1, query(1));
    let odd = MsgId(raw.id().0 | 1);
    raw.send(odd, 3, query(1));
    let even = raw.id();
    raw.send(even, 2, query(1));
    raw.salt ^= 1;
    raw.call(query(1));
    raw.salt ^= 1;
    raw.service(ping(1));
    let tally = raw.session.take_tally().unwrap();
    let codes: Vec<_> =
        tally.refused.iter().map(|(code, refused)| (*code, refused.count)).collect();
    assert_eq!(codes, [(18, 1), (35, 1), (48, 1)]);
    assert_eq!((tally.refused[&18].last, tally.refused[&35].last), (odd, even));
    assert_eq!(tally.repeated, 1);
    raw.answer(call, query(2));
    raw.session.push(raw.now, query(3));
    raw.session.push(raw.now, query(4));
    assert_eq!(raw.session.take_tally().unwrap().dropped_pushes, 1);
    let calls = [raw.call(query(5)), raw.call(query(6))];
    raw.answer(calls[0], query(2));
    raw.answer(calls[1], query(2));
    let tally = raw.session.take_tally().unwrap();
    assert_eq!((tally.dropped_pushes, tally.dropped_answers), (1, 1));
    for _ in 0..3 {
        raw.service(boxed(&functions::GetFutureSalts { num: 1 }));
    }
    assert_eq!(raw.session.take_tally().unwrap().future_salts, 3);
    assert_eq!(raw.session.take_tally(), None);
}

/// Rule:   a call that is refused, or answered after its session was forgotten, leaves the room that
///         it took.
/// Source: SEC-47, SVC-44, SES-06.
#[test]
fn bytes_of_calls_that_ended_are_given_back() {
    let mut config = SessionConfig::default();
    config.after_max = 1;
    let mut raw = RawServer::with(config);
    raw.greet();
    let least = raw.session.footprint();
    let running = [raw.call(sized(10_000)), raw.call(sized(10_000))];
    let both = raw.session.footprint();
    raw.call(after_with(&running, sized(10_000)));
    assert_eq!(raw.errors(), [FLOOD]);
    raw.acknowledge_all();
    assert!(raw.session.footprint() < both + 500);
    raw.session.forget(raw.now);
    assert!(raw.session.footprint() > 20_000);
    for call in running {
        raw.answer(call, query(9));
    }
    assert!(raw.session.footprint() < least + 500);
}

/// Rule:   a call is no reason to hold the packet that it came in, unless it is most of it.
/// Source: SEC-47.
#[test]
fn small_calls_hold_no_packets() {
    for (len, holds) in [((64 << 10) - 4, false), (64 << 10, true)] {
        let mut raw = RawServer::greeted();
        let packet = sized(len);
        raw.call(packet.clone());
        let calls = raw.calls();
        assert_eq!(calls[0].call.query, packet);
        assert_eq!(!packet.is_unique(), holds, "{len}");
    }
}

/// Rule:   a call that still waits for others has been seen by nobody: with its session forgotten
///         it is gone, and leaves room.
/// Source: SEC-47, SVC-44, SES-06.
#[test]
fn waiting_calls_of_a_forgotten_session_leave_room() {
    let mut config = SessionConfig::default();
    config.calls_max = 2;
    let mut raw = RawServer::with(config);
    let first = raw.call(query(1));
    raw.call(after(&[first]));
    assert_eq!(raw.ran(), [first]);
    raw.session.forget(raw.now);
    let second = raw.call(query(2));
    assert_eq!(raw.ran(), [second]);
    raw.call(query(3));
    assert_eq!(raw.errors(), [FLOOD]);
}

/// Rule:   a session asks to be woken when the longest wait for other calls is over.
/// Source: SVC-44.
#[test]
fn session_is_due_when_a_waiting_call_gives_up() {
    // Long after everything is acknowledged.
    let wait = Duration::from_secs(2);
    let mut config = SessionConfig::default();
    config.after_wait_max = wait;
    let mut raw = RawServer::with(config);
    raw.greet();
    let since = raw.now.mono;
    let first = raw.call(query(1));
    raw.call(after(&[first]));
    raw.wait(wait / 2);
    raw.timeout();
    raw.acknowledge_all();
    assert_eq!(raw.session.poll_timeout(), Some(since + wait));
    raw.wait(wait / 2);
    raw.timeout();
    assert_eq!(raw.errors(), ["400 MSG_WAIT_TIMEOUT"]);
}

/// Each id heard, kept of a forgotten session, message owed and call running has its weight.
#[test]
fn footprint_counts_each_thing_held() {
    let mut raw = RawServer::greeted();
    let least = raw.session.footprint();
    for _ in 0..100 {
        raw.service(ack(&[]));
    }
    let heard = raw.session.footprint() - least;
    assert!((100 * 32..=100 * 128).contains(&heard), "{heard}");
    let calls: Vec<MsgId> = (0..100).map(|number| raw.call(query(number))).collect();
    let running = raw.session.footprint() - least - heard - 100 * 8;
    assert!((100 * 160..=100 * 600).contains(&running), "{running}");
    for call in &calls {
        raw.answer(*call, query(1));
    }
    let owed = raw.session.footprint() - least - heard;
    assert!((100 * 200..=100 * 640).contains(&owed), "{owed}");
    let mut raw = RawServer::new();
    for _ in 0..100 {
        raw.service(ack(&[]));
    }
    raw.session.forget(raw.now);
    let retired = raw.session.footprint();
    assert!((100 * 8..=100 * 32).contains(&retired), "{retired}");
}

/// What a session says it takes grows and shrinks with what it holds.
#[test]
fn footprint_follows_what_is_held() {
    let mut raw = RawServer::greeted();
    let least = raw.session.footprint();
    let call = raw.call(sized(10_000));
    assert_eq!(raw.session.load().running, 1);
    assert!((10_000..11_000).contains(&(raw.session.footprint() - least)));
    raw.answer(call, sized(1000));
    assert!((1000..2000).contains(&(raw.session.footprint() - least)));
    raw.session.push(raw.now, Bytes::from(vec![1; 5000]));
    assert!((6000..7000).contains(&(raw.session.footprint() - least)));
    raw.acknowledge_all();
    assert!(raw.session.footprint() - least < 500);
    raw.session.handle_link_closed(LinkId(1));
    raw.session.forget(raw.now);
    assert!(raw.session.footprint() < least);
}

/// A call of so many bytes.
fn sized(len: usize) -> Bytes {
    [&query(7)[..], &vec![5; len - 8]].concat().into()
}

fn after(ids: &[MsgId]) -> Bytes {
    after_with(ids, query(8))
}

fn after_with(ids: &[MsgId], query: Bytes) -> Bytes {
    let msg_ids = ids.iter().map(|id| id.0).collect();
    boxed(&functions::InvokeAfterMsgs { msg_ids, query: chappe_tl::Raw(query) })
}

/// A session that waits for its client keeps no room for what it has under way, nor for requests of
/// HTTP that its client never made; and it is small.
#[test]
fn session_that_waits_is_small() {
    let is_at_rest = |raw: &mut RawServer| {
        raw.session.rest();
        let text = format!("{:?}", raw.session);
        assert!(text.contains("polls: OnDemand(None)") && text.contains("OnDemand(None), began"));
        text.contains("work: OnDemand(None)")
    };
    let mut raw = RawServer::greeted();
    assert!(is_at_rest(&mut raw));
    let call = raw.call(query(1));
    while raw.session.poll_event().is_some() {}
    assert!(!is_at_rest(&mut raw), "a call runs");
    raw.answer(call, query(2));
    assert!(!is_at_rest(&mut raw), "its answer is owed");
    raw.acknowledge_all();
    assert!(is_at_rest(&mut raw));
    assert!(size_of_val(&raw.session) <= 320, "{}", size_of_val(&raw.session));
}

/// An outbox is empty until something is owed, and again when all of it is forgotten.
#[test]
fn outbox_tells_whether_it_is_empty() {
    let mut outbox = Outbox::new();
    assert!(outbox.is_empty());
    let owed = Owed { seq_no: 1, body: query(1), answers: None, place: Place::Nowhere, mark: None };
    outbox.keep(MsgId(5), owed, OutboxLimits::default());
    assert!(!outbox.is_empty());
    outbox.forget(MsgId(5));
    assert!(outbox.is_empty() && outbox.bytes() == 0);
}
