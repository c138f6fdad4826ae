//! The server's judgement: each check of 04-messages §5 and the notice it draws.

use std::time::Duration;

use bytes::Bytes;
use chappe_proto::rpc::{self, RpcError};
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::server::{ServerEvent, SessionConfig};
use chappe_proto::{LinkId, MsgId};
use proptest::prelude::*;

use crate::raw::{LINK, RawServer, ack, answer_to, flatten, id_at, ping, query, read, words};

/// Rule:   a client's id is a multiple of 4; code 18.
/// Source: MSG-07, MSG-R08, SEC-26, SVC-07.
#[test]
fn id_that_no_client_writes_is_refused() {
    for low in 1..4 {
        let mut raw = RawServer::greeted();
        let id = chappe_proto::MsgId(raw.id().0 | low);
        raw.send(id, 1, query(1));
        assert_eq!(raw.refusals(), [(id, 1, 18)]);
        assert_eq!(raw.ran(), []);
    }
}

/// Rule:   a message is refused more than 300 s after or 30 s before its creation.
/// Source: MSG-11, MSG-R09, SEC-28; codes 16 and 17.
#[test]
fn message_outside_its_time_window_is_refused() {
    check_age(-301, Some(16));
    check_age(-300, None);
    check_age(30, None);
    check_age(31, Some(17));
}

fn check_age(seconds: i64, code: Option<i32>) {
    let mut raw = RawServer::new();
    let id = id_at(seconds, 1);
    raw.send(id, 1, query(1));
    let refusals: Vec<_> = code.iter().map(|code| (id, 1, *code)).collect();
    assert_eq!(raw.refusals(), refusals, "{seconds} s");
    assert_eq!(raw.ran().len(), usize::from(code.is_none()), "{seconds} s");
}

/// Rule:   a client fills the low half of an id; one that numbers by whole seconds is served, once.
/// Source: MSG-10, QRK-39.
#[test]
fn id_without_a_fraction_is_as_good_as_any() {
    let mut raw = RawServer::new();
    for _ in 0..2 {
        raw.send(id_at(0, 0), 1, query(1));
    }
    raw.send(id_at(0, 1), 3, query(2));
    assert_eq!(raw.refusals(), []);
    assert_eq!(raw.ran(), [id_at(0, 0), id_at(0, 1)]);
}

/// Rule:   the salt is judged before the time, and the parity before both.
/// Source: MSG-R08, MSG-R09, MSG-30.
#[test]
fn checks_stand_in_their_order() {
    let mut raw = RawServer::new();
    raw.salt ^= 1;
    raw.send(chappe_proto::MsgId(id_at(-9999, 1).0 | 1), 1, query(1));
    assert_eq!(raw.refusals()[0].2, 18);
    raw.send(id_at(-9999, 1), 1, query(1));
    assert_eq!(raw.replied::<ctors::BadServerSalt>().len(), 1);
    raw.salt ^= 1;
    raw.send(id_at(-9999, 1), 1, query(1));
    assert_eq!(raw.refusals()[0].2, 16);
    // A duplicate is recognised before its sequence number is judged.
    let id = raw.call(query(1));
    raw.acknowledge_all();
    raw.send(id, 2, query(1));
    assert_eq!(raw.refusals(), []);
    // The parity of the sequence number before its order.
    let id = raw.id();
    raw.send(id, 0, query(2));
    assert_eq!(raw.refusals(), [(id, 0, 35)]);
}

/// Rule:   a notice about a salt carries the message, code 48 and the current salt.
/// Source: MSG-R09, SVC-07, SES-21.
#[test]
fn wrong_salt_is_corrected() {
    let mut raw = RawServer::new();
    let salt = std::mem::replace(&mut raw.salt, 5);
    let id = raw.call(query(1));
    let notices: Vec<ctors::BadServerSalt> = raw.replied();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].bad_msg_id, id.0);
    assert_eq!((notices[0].bad_msg_seqno, notices[0].error_code), (1, 48));
    assert_eq!(notices[0].new_server_salt, salt);
    assert_eq!(raw.ran(), []);
}

/// Rule:   a refused message leaves no trace: not in the window, not in the session's creation.
/// Source: MSG-29, MSG-37.
#[test]
fn refused_message_has_no_other_effect() {
    let mut raw = RawServer::new();
    let id = raw.id();
    raw.send(id, 0, query(1));
    assert_eq!(raw.refusals().len(), 1);
    assert_eq!(raw.session.links(), []);
    raw.send(id, 1, query(1));
    let replies = raw.replies();
    assert!(read::<types::NewSession>(&replies[0].body).is_some());
    assert_eq!(raw.ran(), [id]);
}

/// Rule:   calls are odd, containers even; other service messages as the client likes, since some
///         send acknowledgements odd.
/// Source: MSG-14, MSG-15, MSG-16, MSG-17, MSG-R11, SEC-56, QRK-19; codes 34 and 35.
#[test]
fn parity_of_sequence_numbers_is_judged() {
    let check = |body: bytes::Bytes, seq_no: i32, code: Option<i32>| {
        let mut raw = RawServer::new();
        let id = raw.id();
        raw.send(id, seq_no, body);
        let codes: Vec<i32> = raw.refusals().iter().map(|refusal| refusal.2).collect();
        assert_eq!(codes, code.into_iter().collect::<Vec<_>>(), "seq_no {seq_no}");
    };
    check(query(1), 0, Some(35));
    check(query(1), 1, None);
    check(words(&[0x3072_cfa1, 0]), 0, Some(35));
    check(ack(&[]), 1, None);
    check(ack(&[]), 0, None);
    check(container::pack(&[]), 1, Some(34));
    check(container::pack(&[]), 0, None);
    check(ping(1), 0, None);
    check(ping(1), 1, None);
}

/// Rule:   an acknowledgement is not acknowledged, even if it is numbered as if it had to be.
/// Source: SVC-06, QRK-19.
#[test]
fn odd_acknowledgement_is_not_acknowledged() {
    let mut raw = RawServer::greeted();
    let id = raw.id();
    raw.send(id, 101, ack(&[]));
    raw.wait(Duration::from_secs(1));
    raw.timeout();
    let acknowledged = raw.replied::<types::MsgsAck>();
    assert!(acknowledged.iter().all(|ack| !ack.msg_ids.contains(&id.0)));
}

/// Rule:   an error stands last in its container, for some clients read no further.
/// Source: QRK-20, MSG-28.
#[test]
fn errors_stand_last_in_their_containers() {
    let mut raw = RawServer::greeted();
    let calls: Vec<MsgId> = (0..6).map(|_| raw.call(query(1))).collect();
    raw.events();
    for (at, call) in calls.iter().enumerate() {
        let result = if at % 2 == 0 { Err(RpcError::internal()) } else { Ok(query(9)) };
        raw.session.answer(raw.now, *call, result);
    }
    let packets = raw.packets();
    assert_eq!(packets.len(), 4, "three that end with an error, and the rest");
    let mut answers = 0;
    for (_, message) in packets {
        let inners = flatten(message);
        let (_, before_last) = inners.split_last().unwrap();
        assert!(!before_last.iter().any(|inner| rpc::is_error_result(&inner.body)));
        answers += inners.len();
    }
    assert_eq!(answers, 6);
}

/// Rule:   a sequence number lies between those of its neighbours; equal ones only if even.
/// Source: MSG-40, SEC-56; codes 32 and 33.
#[test]
fn order_of_sequence_numbers_is_judged() {
    let check = |rank: i64, seq_no: i32, code: Option<i32>| {
        let mut raw = RawServer::new();
        raw.send(id_at(0, 10), 5, query(1));
        raw.send(id_at(0, 20), 6, ping(1));
        raw.send(id_at(0, 30), 9, query(2));
        raw.replies();
        let body = if seq_no % 2 == 1 { query(3) } else { ping(2) };
        raw.send(id_at(0, rank), seq_no, body);
        let codes: Vec<i32> = raw.refusals().iter().map(|refusal| refusal.2).collect();
        assert_eq!(codes, code.into_iter().collect::<Vec<_>>(), "rank {rank}, seq_no {seq_no}");
    };
    check(15, 4, Some(32));
    check(15, 5, Some(32));
    check(15, 6, None);
    check(15, 7, Some(33));
    check(25, 6, None);
    check(25, 8, None);
    check(25, 9, Some(33));
    check(25, 10, Some(33));
    check(5, 5, Some(33));
    check(5, 4, None);
    check(35, 9, Some(32));
    check(35, 10, None);
}

/// Rule:   the first message founds the session, which is announced before anything else; again
///         for an earlier id, with the same unique_id, and never for a later one.
/// Source: SES-02, SVC-39.
#[test]
fn new_session_is_announced() {
    let mut raw = RawServer::new();
    raw.send(id_at(0, 50), 6, ping(1));
    let replies = raw.replies();
    let first: types::NewSession = read(&replies[0].body).unwrap();
    assert_eq!(first.first_msg_id, id_at(0, 50).0);
    assert_eq!(first.server_salt, raw.salt);
    assert_eq!(replies[0].seq_no, 1);
    assert_eq!(replies[0].msg_id.0 & 3, 1);
    raw.send(id_at(0, 60), 6, ping(2));
    assert_eq!(raw.replied::<types::NewSession>(), []);
    raw.send(id_at(0, 40), 6, ping(3));
    let again: Vec<types::NewSession> = raw.replied();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].first_msg_id, id_at(0, 40).0);
    assert_eq!(again[0].unique_id, first.unique_id);
}

/// Rule:   for a container, the announced id is that of its first content-related message.
/// Source: SVC-39.
#[test]
fn new_session_names_the_first_content_of_a_container() {
    let mut raw = RawServer::new();
    let inners = [raw.inner(false, ack(&[])), raw.inner(true, query(1)), raw.inner(true, query(2))];
    raw.container(&inners);
    let new: Vec<types::NewSession> = raw.replied();
    assert_eq!(new.len(), 1);
    assert_eq!(new[0].first_msg_id, inners[1].msg_id.0);
}

/// Rule:   ids say why a message exists: 1 for answers and notices, 3 for pushes.
/// Source: MSG-08, MSG-09.
#[test]
fn ids_of_the_server_tell_their_origin_and_rise() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.answer(call, query(2));
    raw.session.push(raw.now, query(3));
    raw.service(ping(1));
    // Even if the clock steps back by an hour.
    raw.now.unix -= Duration::from_secs(100);
    raw.session.push(raw.now, query(4));
    let mut ids: Vec<i64> = Vec::new();
    for (_, message) in raw.packets() {
        ids.push(message.header.msg_id.0);
        for inner in crate::raw::flatten(message.clone()) {
            let is_push = inner.body == query(3) || inner.body == query(4);
            assert_eq!(inner.msg_id.0 & 3, if is_push { 3 } else { 1 });
            assert!(inner.msg_id <= message.header.msg_id);
        }
    }
    assert!(ids.is_sorted_by(|a, b| a < b));
}

/// Rule:   ids never run backwards; when the clock steps back they rise by the least step.
/// Source: SES-31, MSG-09.
#[test]
fn ids_rise_while_the_clock_steps_back() {
    let mut raw = RawServer::greeted();
    let mut last = None;
    for _ in 0..10 {
        raw.session.push(raw.now, query(3));
        let id = raw.replies()[0].msg_id;
        assert!(last < Some(id));
        last = Some(id);
        raw.now.unix -= Duration::from_secs(10);
    }
}

/// Rule:   an acknowledgement of a slow call leaves after 0.5 s; a quick answer is one itself.
/// Source: SVC-01, SVC-03, SVC-06.
#[test]
fn slow_call_is_acknowledged() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.wait(Duration::from_millis(499));
    raw.timeout();
    assert_eq!(raw.replies(), []);
    raw.wait(Duration::from_millis(1));
    assert_eq!(raw.session.poll_timeout(), Some(raw.now.mono));
    raw.timeout();
    assert_eq!(raw.replied::<types::MsgsAck>()[0].msg_ids, [call.0]);
    let quick = raw.call(query(2));
    raw.answer(quick, query(3));
    raw.replies();
    raw.wait(Duration::from_secs(1));
    raw.timeout();
    assert_eq!(raw.replies(), []);
    assert_eq!(raw.session.poll_timeout(), None);
}

/// Rule:   acknowledgements that have no link to go on wait for one.
/// Source: SVC-01.
#[test]
fn acknowledgement_waits_for_a_link() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.session.handle_link_closed(LINK);
    assert_eq!(raw.session.poll_timeout(), None);
    raw.wait(Duration::from_secs(2));
    raw.timeout();
    raw.link = LinkId(2);
    raw.service(ping(1));
    raw.timeout();
    let acks: Vec<types::MsgsAck> = raw.replied();
    assert_eq!(acks.iter().map(|ack| ack.msg_ids.as_slice()).collect::<Vec<_>>(), [[call.0]]);
}

/// Rule:   a duplicate is acknowledged again; a small answer is sent again, a large one announced.
/// Source: SVC-01, SVC-19, MSG-36, MSG-39.
#[test]
fn duplicate_is_not_run_again() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.send(call, 1, query(1));
    assert_eq!(raw.replied::<types::MsgsAck>()[0].msg_ids, [call.0]);
    assert_eq!(raw.ran(), [call]);
    // rpc_result adds 12 bytes: the answer has exactly the limit, then 4 more.
    for (len, is_whole) in [(1024 - 12, true), (1024 - 8, false)] {
        let seq_no = raw.seq_no(true);
        let call = raw.id();
        raw.send(call, seq_no, query(2));
        raw.answer(call, vec![1; len].into());
        let first = raw.replies();
        raw.send(call, seq_no, query(2));
        let again = raw.replies();
        if is_whole {
            assert_eq!(again, first);
        } else {
            let info: ctors::MsgDetailedInfo = read(&again[0].body).unwrap();
            assert_eq!((info.msg_id, info.answer_msg_id), (call.0, first[0].msg_id.0));
            assert_eq!((info.bytes, info.status), (1028, 0));
        }
        // Once acknowledged, the answer is gone, and the call is acknowledged again.
        raw.service(ack(&[first[0].msg_id]));
        raw.send(call, seq_no, query(2));
        assert_eq!(raw.replied::<types::MsgsAck>()[0].msg_ids, [call.0]);
        assert_eq!(raw.ran(), [call]);
    }
}

/// Rule:   a replayed or refused message does not draw the session's answers to its link.
/// Source: SES-04.
#[test]
fn replayed_message_does_not_attach_its_link() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.link = LinkId(66);
    raw.send(call, 1, query(1));
    raw.send(id_at(-400, 1), 9, query(1));
    raw.replies();
    assert_eq!(raw.session.links(), [LINK]);
    raw.session.push(raw.now, query(3));
    assert!(raw.packets().iter().all(|(link, _)| *link == LINK));
}

/// Rule:   an answer goes on the link of its call, a push on the link heard from last.
/// Source: SES-03, SES-04, SVC-24, SEC-35.
#[test]
fn answer_goes_on_the_link_of_its_call() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.link = LinkId(2);
    raw.service(ping(1));
    raw.packets();
    raw.answer(call, query(9));
    let (link, message) = raw.packets().remove(0);
    assert_eq!((link, message.header.session_id), (LINK, crate::raw::SESSION));
    raw.session.push(raw.now, query(3));
    assert_eq!(raw.packets()[0].0, LinkId(2));
    // Without its own link it takes the other.
    raw.link = LINK;
    let call = raw.call(query(2));
    raw.session.handle_link_closed(LINK);
    raw.packets();
    raw.answer(call, query(9));
    assert_eq!(raw.packets()[0].0, LinkId(2));
}

/// Rule:   an answer is made once, and only to a call that is running.
/// Source: SVC-24.
#[test]
fn second_answer_is_ignored() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.answer(call, query(2));
    raw.answer(call, query(3));
    let unknown = raw.id();
    raw.answer(unknown, query(4));
    assert_eq!(raw.results(), [(call, query(2))]);
}

/// Rule:   more calls than may run at once are refused with FLOOD_WAIT_1.
/// Source: SEC-47.
#[test]
fn calls_beyond_the_limit_are_refused() {
    let mut config = SessionConfig::default();
    config.calls_max = 3;
    let mut raw = RawServer::with(config);
    for number in 0..4 {
        raw.call(query(number));
    }
    let ran = raw.ran();
    assert_eq!(ran.len(), 3);
    assert_eq!(raw.errors(), ["420 FLOOD_WAIT_1"]);
    raw.answer(ran[0], query(1));
    raw.call(query(9));
    assert_eq!(raw.ran().len(), 1);
}

/// Rule:   what is owed to a client that never acknowledges is bounded; pushes go first, and the
///         session tells how many are missing.
/// Source: SES-07, SEC-47.
#[test]
fn outbox_is_bounded() {
    let mut config = SessionConfig::default();
    config.outbox = chappe_proto::session::outbox::OutboxLimits::new(4, 1 << 20);
    let mut raw = RawServer::with(config);
    raw.greet();
    let call = raw.call(query(1));
    raw.answer(call, query(2));
    for number in 10..13 {
        raw.session.push(raw.now, query(number));
    }
    assert_eq!(raw.session.dropped(), 0);
    raw.session.push(raw.now, query(13));
    assert_eq!(raw.session.dropped(), 1);
    raw.packets();
    raw.session.handle_link_closed(LINK);
    raw.link = LinkId(2);
    raw.service(ping(1));
    let bodies: Vec<_> = raw.replies().into_iter().map(|inner| inner.body).collect();
    assert!(!bodies.contains(&query(10)));
    assert!((11..14).all(|number| bodies.contains(&query(number))));
    assert!(bodies.iter().any(|body| body.ends_with(&query(2))), "the answer is kept");
}

/// Rule:   the bytes owed are bounded as well; the newest message always leaves.
/// Source: SES-07.
#[test]
fn outbox_is_bounded_in_bytes() {
    let mut config = SessionConfig::default();
    config.outbox = chappe_proto::session::outbox::OutboxLimits::new(100, 64);
    let mut raw = RawServer::with(config);
    raw.greet();
    for byte in 1..4 {
        raw.session.push(raw.now, vec![byte; 32].into());
    }
    assert_eq!(raw.session.dropped(), 1);
    raw.session.push(raw.now, vec![9; 128].into());
    assert_eq!(raw.session.dropped(), 3);
    assert!(raw.replies().iter().any(|inner| inner.body.len() == 128));
}

/// Rule:   what is acknowledged before it could leave a second time does not leave.
/// Source: SVC-05.
#[test]
fn acknowledged_message_is_not_sent_again() {
    let mut raw = RawServer::greeted();
    raw.session.push(raw.now, query(1));
    let push = raw.replies()[0].msg_id;
    raw.session.handle_link_closed(LINK);
    raw.link = LinkId(2);
    raw.service(ack(&[push]));
    assert_eq!(raw.replies(), []);
}

/// Rule:   several messages for one link leave in one container, each with its own numbers;
///         a single new one goes without.
/// Source: MSG-28, MSG-13, MSG-18.
#[test]
fn ready_messages_share_a_container() {
    let mut raw = RawServer::greeted();
    raw.session.push(raw.now, query(1));
    let (_, single) = raw.packets().remove(0);
    assert_eq!(single.body, query(1));
    for number in 0..1500 {
        raw.session.push(raw.now, query(number));
    }
    let packets = raw.packets();
    for (_, message) in &packets {
        let inners = container::unpack(message.header.msg_id, &message.body).unwrap();
        assert!(inners.iter().all(|inner| inner.seq_no <= message.header.seq_no));
        assert_eq!(message.header.seq_no % 2, 0);
    }
    assert_eq!(packets.len(), 2);
}

/// Rule:   containers hold up to 32 KiB, headers included; what goes beyond that travels in the
///         next packet.
/// Source: MSG-20, MSG-28.
#[test]
fn containers_end_at_their_soft_bound() {
    let half = (32 << 10) / 2 - container::INNER_HEADER;
    for (more, packets) in [(0, 1), (4, 2)] {
        let mut raw = RawServer::greeted();
        for len in [half, half + more] {
            raw.session.push(raw.now, Bytes::from(vec![1; len]));
        }
        assert_eq!(raw.packets().len(), packets, "{more} bytes more");
    }
}

/// Rule:   a message that waited for one link and was asked for on another leaves once, there.
/// Source: SES-09, SVC-19, MSG-36.
#[test]
fn message_that_moved_to_another_link_leaves_once() {
    let mut raw = RawServer::greeted();
    let Inner { msg_id, seq_no, body } = raw.inner(true, query(1));
    raw.send(msg_id, seq_no, body.clone());
    raw.answer(msg_id, query(9));
    // The client has lost the link, and asks again on another before we know of it.
    raw.link = LinkId(2);
    raw.send(msg_id, seq_no, body);
    let packets = raw.packets();
    let links: Vec<LinkId> = packets
        .into_iter()
        .filter(|(_, message)| !crate::raw::results_in(&flatten(message.clone())).is_empty())
        .map(|(link, _)| link)
        .collect();
    assert_eq!(links, [LinkId(2)]);
}

/// Rule:   what was pushed before any link was there, or was left by one that closed, goes out with
///         the first message of the client, also where that comes on a second link.
/// Source: SES-09, SES-16.
#[test]
fn what_no_link_carried_goes_out_on_the_next() {
    let pushed = |raw: &mut RawServer| raw.replies().iter().any(|inner| inner.body == query(7));
    let mut raw = RawServer::new();
    raw.session.push(raw.now, query(7));
    raw.service(ping(1));
    assert!(pushed(&mut raw));
    let mut raw = RawServer::greeted();
    raw.link = LinkId(2);
    raw.service(ping(1));
    raw.session.push(raw.now, query(7));
    assert!(pushed(&mut raw));
    raw.session.handle_link_closed(LinkId(2));
    raw.link = LinkId(3);
    raw.service(ping(1));
    assert!(pushed(&mut raw));
}

/// Rule:   results from 4096 bytes on are packed where that is smaller.
/// Source: TL-31.
#[test]
fn large_results_are_packed() {
    for (len, is_packed) in [(4092, false), (4096, true)] {
        let mut raw = RawServer::greeted();
        let call = raw.call(query(1));
        raw.answer(call, Bytes::from(vec![1; len]));
        let (_, result) = raw.results().remove(0);
        assert_eq!(result.len() < 200, is_packed, "{len}");
    }
}

/// Rule:   10 000 calls, their acknowledgements and answers take no more than linear work.
/// Source: SEC-47.
#[test]
fn many_running_calls_stay_cheap() {
    let mut config = SessionConfig::default();
    config.calls_max = 10_000;
    let mut raw = RawServer::with(config);
    raw.greet();
    let begun = std::time::Instant::now();
    let calls: Vec<_> = (0..10_000).map(|number| raw.call(query(number))).collect();
    for call in calls.iter().rev() {
        raw.answer(*call, query(1));
        raw.session.poll_timeout();
    }
    assert_eq!(raw.results().len(), 10_000);
    // Quadratic work takes minutes here.
    assert!(begun.elapsed() < Duration::from_secs(20));
}

proptest! {
    /// Rule:   whatever a client sends, the session neither panics nor stops.
    /// Source: SEC-46, TL-33.
    #[test]
    fn garbage_never_panics(bodies in prop::collection::vec(garbage(), 1..20), odd in any::<bool>()) {
        let mut raw = RawServer::greeted();
        for body in bodies {
            let inner = raw.inner(odd, body);
            let Inner { msg_id, seq_no, body } = inner.clone();
            raw.send(msg_id, seq_no, body);
            raw.container(&[inner]);
            raw.packets();
            raw.events();
        }
        // Something else than silence for a sound call.
        let call = raw.call(query(1));
        raw.answer(call, answer_to(&query(1)));
        prop_assert!(!raw.replies().is_empty() || !raw.events().is_empty());
    }
}

/// Bodies that begin with a constructor that sessions know.
pub(crate) fn garbage() -> impl Strategy<Value = bytes::Bytes> {
    const IDS: [u32; 32] = [
        0x62d6b459, 0xa7eff811, 0xedab447b, 0xda69fb52, 0x04deb57d, 0x8cc0d131, 0x276d3ec6,
        0x809db6df, 0x7d861a08, 0x8610baeb, 0xf35c6d01, 0x58e4a740, 0xb921bd04, 0xae500895,
        0x7abe77ec, 0x347773c5, 0xf3427b8c, 0xe7512126, 0xe22045fc, 0xd1435160, 0xf660e1d4,
        0x9ec20908, 0x9299359f, 0x73f1f8dc, 0xe06046b2, 0x3072cfa1, 0xcb9f372d, 0x3dc4b4f0,
        0xda9b0d0d, 0xc1cd5ea9, 0xbf9459b7, 0xaaaa0001,
    ];
    let word =
        prop_oneof![any::<u32>(), 0u32..4, Just(0x1cb5_c415u32), prop::sample::select(&IDS[..]),];
    (prop::sample::select(&IDS[..]), prop::collection::vec(word, 0..12)).prop_map(|(id, rest)| {
        let mut all = vec![id];
        all.extend(rest);
        words(&all)
    })
}

/// Rule:   a session without links and calls is idle and may be forgotten.
/// Source: SES-16.
#[test]
fn session_with_a_running_call_is_not_idle() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.session.handle_link_closed(LINK);
    assert!(!raw.session.is_idle());
    raw.answer(call, query(2));
    assert!(raw.session.is_idle());
    assert!(!raw.events().iter().any(|event| matches!(event, ServerEvent::CloseLink(..))));
}

/// Rule:   what a full window had to forget does not run again after the session is forgotten, too.
/// Source: MSG-38, MSG-39, SEC-55.
#[test]
fn call_beyond_the_window_does_not_run_in_the_next_session() {
    let mut config = SessionConfig::default();
    config.inbox = config.inbox.with_ids(8, 8);
    let mut raw = RawServer::with(config);
    let first = raw.call(query(1));
    let calls: Vec<MsgId> = (0..20).map(|number| raw.call(query(number))).collect();
    assert_eq!(raw.ran().len(), 21);
    for _ in 0..2 {
        raw.session.forget(raw.now);
        for (seq_no, call) in [first].iter().chain(&calls).enumerate() {
            raw.send(*call, 2 * seq_no as i32 + 1, query(1));
        }
        assert_eq!(raw.ran(), []);
    }
    let next = raw.call(query(2));
    assert_eq!(raw.ran(), [next]);
}
