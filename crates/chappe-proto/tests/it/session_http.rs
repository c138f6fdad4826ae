//! Requests of HTTP: when each gets its response, and what that carries (12-http §3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;
use chappe_proto::envelope::encrypted::{Header, Message};
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::server::{ServerEvent, SessionConfig};
use chappe_proto::{LinkId, MsgId};

use crate::raw::{
    LINK, RawServer, SESSION, ack, boxed, flatten, ping, query, read, results_in, words,
};

/// Rule:   without `http_wait` a request is answered as soon as there is something to say, and
///         after 25 s with an empty container if there is not.
/// Source: HTP-15, HTP-17, SVC-41.
#[test]
fn plain_request_is_held_for_25_seconds() {
    let mut raw = quiet();
    raw.request(2, &[]);
    assert_eq!(due_in(&mut raw), Some(25_000));
    raw.wait(millis(24_999));
    assert_eq!(responses(&mut raw), []);
    raw.wait(millis(1));
    let messages = raw.packets();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].0, LinkId(2));
    assert_eq!(messages[0].1.body, container::pack(&[]));
    assert_eq!(messages[0].1.header.session_id, SESSION);
    // The link takes no more until its next request.
    raw.session.push(raw.now, words(&[1]));
    raw.wait(secs(100));
    assert_eq!(responses(&mut raw), []);
    raw.request(3, &[]);
    assert_eq!(responses(&mut raw), [(3, vec![words(&[1])])]);
}

/// Rule:   a response leaves when nothing more came for `wait_after`, or `max_delay` after the
///         first that came, and in any case at `max_wait`.
/// Source: 12-http §3, the timers; HTP-18.
#[test]
fn three_timers_say_when_a_response_leaves() {
    // Waits, milliseconds at which something is pushed, and when the response leaves with how many.
    check((500, 150, 25_000), &[], 25_000, 0);
    check((500, 150, 25_000), &[0], 150, 1);
    check((500, 150, 25_000), &[1000], 1150, 1);
    check((500, 150, 25_000), &[1000, 1149], 1299, 2);
    check((500, 150, 25_000), &[1000, 1151], 1150, 1);
    // Something comes again and again: the first has waited long enough.
    check((500, 150, 25_000), &[1000, 1100, 1200, 1300, 1400, 1499], 1500, 6);
    check((500, 150, 25_000), &[24_900, 24_950], 25_000, 2);
    check((0, 150, 25_000), &[10], 10, 1);
    check((500, 0, 25_000), &[10], 10, 1);
    check((0, 0, 30_000), &[7], 7, 1);
    check((30, 10, 0), &[], 0, 0);
    check((30, 10, 0), &[0], 0, 1);
    // More than max_wait is no more than that, and nothing more than a minute.
    check((5000, 5000, 1000), &[900], 1000, 1);
    check((100_000, 100_000, 100_000), &[1], 60_000, 1);
    check((-1, -1, -1), &[], 0, 0);
    check((i32::MIN, i32::MIN, 1000), &[3], 3, 1);
    check((i32::MAX, i32::MAX, i32::MAX), &[], 60_000, 0);
}

/// Something queued before the request counts as if it came with it.
#[test]
fn what_waited_before_the_request_waits_for_more_as_well() {
    let mut raw = quiet();
    raw.session.push(raw.now, words(&[1]));
    raw.wait(secs(9));
    let wait = http_wait(&mut raw, (500, 150, 25_000));
    raw.request(2, &[wait]);
    raw.wait(millis(149));
    assert_eq!(responses(&mut raw), []);
    raw.session.push(raw.now, words(&[2]));
    raw.wait(millis(150));
    assert_eq!(responses(&mut raw), [(2, vec![words(&[1]), words(&[2])])]);
}

/// Rule:   of several `http_wait` in one request the last counts.
/// Source: HTP-16, SVC-41.
#[test]
fn last_wait_of_a_request_counts() {
    let mut raw = quiet();
    let waits = [(0, 0, 9000), (0, 0, 100), (0, 0, 3000)].map(|wait| http_wait(&mut raw, wait));
    raw.request(2, &waits);
    assert_eq!(due_in(&mut raw), Some(3000));
    // One may come alone, too, without a container around it.
    let mut raw = quiet();
    let Inner { msg_id, seq_no, body } = http_wait(&mut raw, (0, 0, 700));
    let header = Header { salt: raw.salt, session_id: SESSION, msg_id, seq_no };
    raw.session.handle_request(raw.now, LINK, Message { header, body });
    assert_eq!(due_in(&mut raw), Some(700));
}

/// Rule:   on a stream `http_wait` says nothing, and nothing answers it.
/// Source: SVC-41.
#[test]
fn wait_on_a_stream_is_ignored() {
    let mut raw = RawServer::greeted();
    raw.service(boxed(&types::HttpWait { max_delay: 500, wait_after: 500, max_wait: 500 }));
    assert_eq!(raw.replies(), []);
    raw.session.push(raw.now, words(&[1]));
    assert_eq!(responses(&mut raw), [(LINK.0, vec![words(&[1])])]);
}

/// Rule:   all that is queued leaves together: the session's announcement, results, pushes,
///         acknowledgements, notices.
/// Source: HTP-18, QRK-17.
#[test]
fn everything_leaves_in_one_response() {
    let mut raw = RawServer::new();
    let inners = [
        raw.inner(true, query(1)),
        raw.inner(true, query(2)),
        raw.inner(false, ping(5)),
        Inner { msg_id: MsgId(raw.id().0), seq_no: 0, body: query(3) },
        http_wait(&mut raw, (5000, 150, 25_000)),
    ];
    raw.request(2, &inners);
    let calls = raw.calls();
    raw.answer(calls[0].msg_id, words(&[1]));
    raw.wait(millis(100));
    raw.answer(calls[1].msg_id, words(&[2]));
    raw.wait(millis(100));
    raw.session.push(raw.now, words(&[7]));
    raw.wait(millis(149));
    assert_eq!(responses(&mut raw), []);
    raw.wait(millis(1));
    let packets = raw.packets();
    assert_eq!(packets.len(), 1);
    let inners = flatten(packets[0].1.clone());
    assert_eq!(results_in(&inners).len(), 2);
    assert!(inners.iter().any(|inner| read::<types::NewSession>(&inner.body).is_some()));
    assert!(inners.iter().any(|inner| read::<types::Pong>(&inner.body).is_some()));
    assert!(inners.iter().any(|inner| read::<ctors::BadMsgNotification>(&inner.body).is_some()));
    assert!(inners.iter().any(|inner| inner.body == words(&[7])));
    assert!(inners.is_sorted_by_key(|inner| inner.msg_id));
}

/// Rule:   a response carries at most 1020 messages and about 1 MiB; the rest waits for the next.
/// Source: HTP-18.
#[test]
fn response_is_bounded_and_the_rest_waits() {
    let mut raw = quiet();
    for number in 0..1021 {
        raw.session.push(raw.now, words(&[number]));
    }
    raw.request(2, &[]);
    let sent = responses(&mut raw);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1.len(), 1020);
    raw.request(3, &[]);
    assert_eq!(responses(&mut raw), [(3, vec![words(&[1020])])]);

    // By size: each of these takes a little more than half of it.
    let mut raw = quiet();
    for byte in 0..3u8 {
        raw.session.push(raw.now, Bytes::from(vec![byte; (512 << 10) + 4]));
    }
    for link in 2..5u64 {
        raw.request(link, &[]);
        let sent = responses(&mut raw);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].1, [vec![link as u8 - 2; (512 << 10) + 4]]);
    }
    // Two requests that wait share what one cannot carry.
    let waits = [(); 2].map(|()| http_wait(&mut raw, (50, 50, 25_000)));
    for (link, wait) in [7, 8].into_iter().zip(waits) {
        raw.request(link, &[wait]);
    }
    raw.session.push(raw.now, Bytes::from(vec![1; 1 << 20]));
    raw.session.push(raw.now, words(&[2]));
    raw.wait(millis(50));
    let sent = responses(&mut raw);
    assert_eq!(
        sent.iter().map(|(link, bodies)| (*link, bodies.len())).collect::<Vec<_>>(),
        [(7, 1), (8, 1)]
    );
}

/// Rule:   a result that no response can share leaves alone, whatever its size.
/// Source: HTP-18.
#[test]
fn message_larger_than_a_response_leaves_alone() {
    let mut raw = quiet();
    let large = Bytes::from(vec![1; (1 << 20) + 8]);
    raw.session.push(raw.now, large.clone());
    raw.session.push(raw.now, words(&[1]));
    raw.request(2, &[]);
    assert_eq!(responses(&mut raw), [(2, vec![large])]);
    raw.request(3, &[]);
    assert_eq!(responses(&mut raw), [(3, vec![words(&[1])])]);
}

/// Rule:   one message leaves as it is, several in a container as long as they fit, to the byte.
/// Source: HTP-18, MSG-28.
#[test]
fn messages_share_a_response_as_long_as_they_fit() {
    let mut raw = quiet();
    raw.session.push(raw.now, words(&[1]));
    raw.request(2, &[]);
    let packets = raw.packets();
    assert_eq!((packets.len(), &packets[0].1.body), (1, &words(&[1])));
    for (more, are_shared) in [(0, true), (4, false)] {
        // Each takes 16 bytes beside its body.
        let half = Bytes::from(vec![1; (1 << 19) - 16]);
        let other = Bytes::from(vec![2; half.len() + more]);
        let mut raw = quiet();
        raw.session.push(raw.now, half.clone());
        raw.session.push(raw.now, other.clone());
        raw.request(2, &[]);
        let expected = if are_shared { vec![half, other] } else { vec![half] };
        assert_eq!(responses(&mut raw), [(2, expected)], "{more} bytes more");
    }
}

/// Rule:   what left in a response and is not acknowledged leaves again in a later one, after the
///         resend interval and not before, in a container and under its old numbers; a response is
///         no acknowledgement.
/// Source: HTP-19, MSG-19.
#[test]
fn unacknowledged_messages_leave_again_after_a_while() {
    let mut raw = quiet();
    raw.session.push(raw.now, words(&[1]));
    raw.request(2, &[]);
    let first = raw.replies();
    raw.session.handle_link_closed(LinkId(2));
    // At once, in parallel, and on other links: not again.
    raw.request(3, &[]);
    raw.wait(secs(20));
    assert_eq!(raw.packets(), []);
    raw.wait(secs(5));
    assert_eq!(responses(&mut raw), [(3, vec![])]);
    raw.request(4, &[]);
    assert_eq!(due_in(&mut raw), Some(15_000));
    raw.wait(millis(14_999));
    assert_eq!(raw.packets(), []);
    raw.wait(millis(1));
    let again = raw.packets();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].1.body, container::pack(&first));
    // Acknowledged at last.
    let acks = raw.inner(false, ack(&[again[0].1.header.msg_id]));
    let wait = http_wait(&mut raw, (0, 0, 60_000));
    raw.request(5, &[acks, wait]);
    assert_eq!(raw.session.load().owed, 0);
    raw.wait(secs(59));
    assert_eq!(raw.packets(), []);
}

/// Rule:   a large one is announced instead of sent whole again.
/// Source: HTP-19, SVC-19, SVC-20.
#[test]
fn large_unacknowledged_message_is_announced() {
    let mut raw = quiet();
    raw.session.push(raw.now, Bytes::from(vec![1; 2000]));
    raw.request(2, &[]);
    let id = raw.replies()[0].msg_id;
    for link in 3..6 {
        raw.wait(secs(40));
        raw.request(link, &[]);
        let told: Vec<ctors::MsgNewDetailedInfo> = raw.replied();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].answer_msg_id, told[0].bytes), (id.0, 2000));
    }
    // Asked for, it leaves in the response to that very request.
    let ask = raw.inner(false, boxed(&ctors::MsgResendReq { msg_ids: vec![id.0] }));
    raw.request(7, &[ask]);
    assert_eq!(responses(&mut raw), [(7, vec![Bytes::from(vec![1; 2000])])]);
}

/// Rule:   what is not acknowledged for 10 minutes is given up, whether it left or not.
/// Source: HTP-19.
#[test]
fn messages_are_given_up_after_ten_minutes() {
    let mut raw = quiet();
    raw.session.push(raw.now, words(&[1]));
    raw.request(2, &[]);
    assert_eq!(responses(&mut raw).len(), 1);
    raw.session.push(raw.now, words(&[2]));
    raw.wait(millis(599_999));
    assert_eq!(raw.session.load().owed, 2);
    raw.request(3, &[]);
    assert_eq!(responses(&mut raw).len(), 1);
    raw.session.push(raw.now, words(&[3]));
    raw.wait(secs(40));
    raw.request(4, &[]);
    assert_eq!(responses(&mut raw), [(4, vec![words(&[3])])]);
    assert_eq!(raw.session.load().owed, 1);
    assert_eq!(raw.session.take_tally().unwrap().dropped_pushes, 2);
    assert_eq!(raw.session.dropped(), 2);
}

/// Rule:   messages that overflow the queue are dropped, and nothing is left of them.
/// Source: HTP-19, SES-07.
#[test]
fn queue_without_requests_is_bounded() {
    let mut config = SessionConfig::default();
    config.outbox = chappe_proto::session::outbox::OutboxLimits::new(100, 1 << 20);
    let mut raw = RawServer::with(config);
    let ping = raw.inner(false, ping(1));
    raw.request(2, &[ping]);
    assert_eq!(raw.replies().len(), 2);
    for number in 0..50_000 {
        raw.session.push(raw.now, words(&[number]));
    }
    raw.request(3, &[]);
    let sent = responses(&mut raw);
    let expected: Vec<Bytes> = (49_900..50_000).map(|number| words(&[number])).collect();
    assert_eq!(sent, [(3, expected)]);
}

/// Rule:   of several requests that wait the one that has waited longest takes what there is.
/// Source: HTP-20.
#[test]
fn longest_waiting_request_is_answered_first() {
    let mut raw = quiet();
    for link in [9, 4, 7] {
        let wait = http_wait(&mut raw, (100, 50, 25_000));
        raw.request(link, &[wait]);
        raw.wait(secs(1));
    }
    for link in [9, 4, 7] {
        raw.session.push(raw.now, words(&[1]));
        raw.wait(millis(50));
        assert_eq!(responses(&mut raw), [(link, vec![words(&[1])])]);
    }
}

/// Rule:   the result of a call leaves in the response to its own request, where that is a plain
///         one and waits still; otherwise it leaves with whatever leaves.
/// Source: HTP-20, SVC-24.
#[test]
fn plain_request_gets_its_own_result() {
    let mut raw = quiet();
    let wait = http_wait(&mut raw, (0, 0, 25_000));
    raw.request(2, &[wait]);
    raw.wait(secs(1));
    let calls = [query(1), query(2)].map(|body| raw.inner(true, body));
    raw.request(3, &calls[..1]);
    raw.request(4, &calls[1..]);
    assert_eq!(raw.calls().len(), 2);
    raw.answer(calls[1].msg_id, words(&[22]));
    raw.answer(calls[0].msg_id, words(&[11]));
    let mut sent = results(&mut raw);
    sent.sort();
    assert_eq!(sent, [(3, vec![(calls[0].msg_id, 11)]), (4, vec![(calls[1].msg_id, 22)])]);
    // One whose response has left already: by the long poll.
    let late = raw.inner(true, query(3));
    let wait = http_wait(&mut raw, (30, 10, 0));
    raw.request(5, &[late.clone(), wait]);
    assert_eq!(responses(&mut raw), [(5, vec![])]);
    raw.answer(late.msg_id, words(&[33]));
    assert_eq!(results(&mut raw), [(2, vec![(late.msg_id, 33)])]);
}

/// Rule:   a message that came by a request is answered on that request, not on another one.
/// Source: SVC-33, SVC-22, HTP-20.
#[test]
fn service_is_answered_where_it_was_asked() {
    let mut raw = quiet();
    let wait = http_wait(&mut raw, (100, 50, 25_000));
    raw.request(2, &[wait]);
    let inners = [raw.inner(false, ping(9)), http_wait(&mut raw, (100, 50, 25_000))];
    raw.request(3, &inners);
    raw.wait(millis(50));
    let packets = raw.packets();
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].0, LinkId(3));
    let pong: types::Pong = read(&flatten(packets[0].1.clone())[0].body).unwrap();
    assert_eq!((pong.msg_id, pong.ping_id), (inners[0].msg_id.0, 9));
}

/// Rule:   a link that closes while its request waits leaves what it had to the next request, and
///         its calls run on.
/// Source: HTP-21, SES-16.
#[test]
fn closed_connection_loses_nothing() {
    let mut raw = quiet();
    let inners = [
        raw.inner(false, ping(1)),
        raw.inner(true, query(1)),
        http_wait(&mut raw, (5000, 5000, 25_000)),
    ];
    raw.request(2, &inners);
    assert_eq!(raw.calls().len(), 1);
    raw.session.push(raw.now, words(&[7]));
    raw.session.handle_link_closed(LinkId(2));
    assert!(!raw.session.is_idle());
    raw.answer(inners[1].msg_id, words(&[11]));
    assert_eq!(raw.packets(), []);
    assert_eq!(raw.session.poll_timeout(), None);
    raw.request(3, &[]);
    let inners = raw.replies();
    assert_eq!(inners.len(), 3);
    assert!(inners.iter().any(|inner| read::<types::Pong>(&inner.body).is_some()));
    assert_eq!(results_in(&inners).len(), 1);

    // The result of a plain request that closes just before it leaves.
    let call = raw.inner(true, query(2));
    raw.request(4, std::slice::from_ref(&call));
    raw.answer(call.msg_id, Bytes::from(vec![1; 2000]));
    raw.session.handle_link_closed(LinkId(4));
    raw.request(5, &[]);
    let sent = responses(&mut raw);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1[0].len(), 2012, "it is not announced, it never left");
}

/// Rule:   an answer can be fetched by sending its call again under its old id in a new container.
/// Source: HTP-25 seen from the server, MSG-39, SVC-19.
#[test]
fn call_sent_again_on_another_connection_runs_once() {
    let mut raw = quiet();
    let call = raw.inner(true, query(1));
    raw.request(2, std::slice::from_ref(&call));
    assert_eq!(raw.ran(), [call.msg_id]);
    raw.answer(call.msg_id, words(&[11]));
    assert_eq!(results(&mut raw).len(), 1);
    // It never arrived.
    raw.request(3, std::slice::from_ref(&call));
    assert_eq!(raw.ran(), []);
    assert_eq!(results(&mut raw), [(3, vec![(call.msg_id, 11)])]);
}

/// Rule:   a slow call is acknowledged after half a second, by whatever request waits; without one
///         the acknowledgement waits.
/// Source: SVC-03, HTP-18.
#[test]
fn slow_call_is_acknowledged_in_a_response() {
    let mut raw = quiet();
    let call = raw.inner(true, query(1));
    raw.request(2, std::slice::from_ref(&call));
    assert_eq!(due_in(&mut raw), Some(500));
    raw.wait(millis(500));
    raw.timeout();
    assert_eq!(responses(&mut raw), [(2, vec![ack(&[call.msg_id])])]);
    let call = raw.inner(true, query(1));
    let wait = http_wait(&mut raw, (0, 0, 0));
    raw.request(3, &[call.clone(), wait]);
    assert_eq!(responses(&mut raw), [(3, vec![])]);
    assert_eq!(raw.session.poll_timeout(), None);
    raw.wait(secs(1));
    raw.request(4, &[]);
    raw.timeout();
    assert_eq!(responses(&mut raw), [(4, vec![ack(&[call.msg_id])])]);
}

/// Rule:   a recording draws its refusal and nothing that waits for others; so does a request that
///         brings nothing that is believed.
/// Source: HTP-15, MSG-29, SES-04.
#[test]
fn recording_takes_nothing_that_waits() {
    let mut raw = quiet();
    let wait = http_wait(&mut raw, (0, 0, 25_000));
    let Inner { msg_id, seq_no, body } = raw.inner(false, container::pack(&[wait]));
    let header = Header { salt: raw.salt, session_id: SESSION, msg_id, seq_no };
    let recorded = Message { header, body };
    raw.session.handle_request(raw.now, LinkId(2), recorded.clone());
    raw.wait(secs(25));
    assert_eq!(responses(&mut raw), [(2, vec![])]);
    raw.session.push(raw.now, words(&[1]));
    raw.session.handle_request(raw.now, LinkId(3), recorded);
    assert_eq!(raw.refusals(), [(msg_id, seq_no, 19)]);
    raw.session.push(raw.now, words(&[2]));
    raw.request(4, &[]);
    assert_eq!(responses(&mut raw), [(4, vec![words(&[1]), words(&[2])])]);
}

/// Rule:   a client that goes on with a wrong salt for ever is slowed down to one request a second;
///         one that has to correct it in several requests at once is not.
/// Source: QRK-17.
#[test]
fn storm_of_wrong_salts_is_slowed_down() {
    let mut raw = quiet();
    let salt = raw.salt;
    raw.salt ^= 1;
    let mut sent = 0;
    let begun = raw.now.mono;
    while raw.now.mono < begun + secs(60) {
        raw.request(2, &[]);
        let due = raw.session.poll_timeout().unwrap();
        let wait = due - raw.now.mono;
        assert!(wait <= secs(1));
        assert!(sent >= 10 || wait.is_zero(), "request {sent} waits {wait:?}");
        raw.wait(wait + millis(1));
        let refused: Vec<ctors::BadServerSalt> = raw.replied();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].new_server_salt, salt);
        sent += 1;
    }
    assert!((65..75).contains(&sent), "{sent} requests in a minute");
    // Who makes the session forget is not faster for it.
    raw.session.forget(raw.now);
    raw.request(2, &[]);
    assert!(raw.session.poll_timeout().unwrap() > raw.now.mono);
    raw.session.handle_link_closed(LinkId(2));
    // Whoever learned the salt is served at once.
    raw.salt = salt;
    let call = raw.inner(true, query(1));
    raw.request(3, std::slice::from_ref(&call));
    raw.answer(call.msg_id, words(&[11]));
    assert_eq!(results(&mut raw).len(), 1);
}

/// Rule:   an error that ends the link leaves no response, and what answered the request waits.
/// Source: MSG-22, HTP-10, HTP-21.
#[test]
fn error_takes_the_place_of_the_response() {
    let mut raw = quiet();
    raw.session.push(raw.now, words(&[1]));
    let list = boxed(&types::MsgsAck { msg_ids: vec![1; 8193] });
    let inners = [raw.inner(false, ping(1)), raw.inner(false, list)];
    raw.request(2, &inners);
    assert!(matches!(raw.events()[..], [ServerEvent::CloseLink(LinkId(2), -429)]));
    assert_eq!(raw.packets(), []);
    raw.session.handle_link_closed(LinkId(2));
    raw.request(3, &[]);
    let sent = raw.replies();
    assert_eq!(sent.len(), 2);
}

/// Rule:   `ping_delay_disconnect` is answered and sets no timer.
/// Source: SVC-34, HTP-26 seen from the server.
#[test]
fn disconnect_timer_is_not_for_requests() {
    let mut raw = quiet();
    let ping = functions::PingDelayDisconnect { ping_id: 5, disconnect_delay: 1 };
    let ping = raw.inner(false, boxed(&ping));
    raw.request(2, &[ping]);
    assert_eq!(raw.replied::<types::Pong>().len(), 1);
    assert!(raw.events().is_empty());
}

/// Rule:   a session that forgets answers the requests that wait, with nothing.
/// Source: SES-06, HTP-09.
#[test]
fn request_to_a_session_that_forgets_is_answered() {
    let mut raw = quiet();
    let inners = [raw.inner(false, ping(1)), http_wait(&mut raw, (9000, 9000, 25_000))];
    raw.request(2, &inners);
    raw.session.push(raw.now, words(&[1]));
    raw.session.forget(raw.now);
    assert_eq!(responses(&mut raw), [(2, vec![])]);
    raw.request(3, &[]);
    assert_eq!(raw.packets(), [], "what was forgotten is not sent");
}

/// A session is in use while a request waits.
#[test]
fn session_with_a_request_is_not_idle() {
    let mut raw = quiet();
    assert!(raw.session.is_idle());
    let wait = http_wait(&mut raw, (9000, 9000, 25_000));
    raw.request(2, &[wait]);
    assert!(!raw.session.is_idle());
    raw.wait(secs(25));
    assert_eq!(responses(&mut raw), [(2, vec![])]);
    assert!(raw.session.is_idle());
}

/// Rule:   what answers requests is memory of the session; where those requests are gone it waits
///         for others, 256 KiB of it at most.
/// Source: SEC-47, HTP-21.
#[test]
fn answers_to_requests_that_are_gone_are_bounded() {
    const PONG_BYTES: usize = 64 + 20;
    let mut raw = quiet();
    let inners = [raw.inner(false, ping(1)), http_wait(&mut raw, (9000, 9000, 25_000))];
    raw.request(2, &inners);
    let held = raw.session.footprint();
    raw.session.handle_link_closed(LinkId(2));
    assert_eq!(raw.session.footprint(), held);
    let at_once = http_wait(&mut raw, (0, 0, 0));
    raw.request(3, &[at_once]);
    let held = raw.session.footprint();
    assert_eq!(raw.replied::<types::Pong>().len(), 1);
    assert_eq!(raw.session.footprint(), held - PONG_BYTES);

    for _ in 0..40 {
        let mut inners: Vec<Inner> = (0..100).map(|_| raw.inner(false, ping(1))).collect();
        inners.push(http_wait(&mut raw, (9000, 9000, 25_000)));
        raw.request(4, &inners);
        raw.session.handle_link_closed(LinkId(4));
    }
    let mut pongs = 0;
    for link in 5.. {
        let at_once = http_wait(&mut raw, (0, 0, 0));
        raw.request(link, &[at_once]);
        let some = raw.replied::<types::Pong>().len();
        pongs += some;
        if some == 0 {
            break;
        }
    }
    assert_eq!(pongs, (256_usize << 10).div_ceil(PONG_BYTES));
}

/// Rule:   where the server stops nothing is held any more.
/// Source: HTP-09.
#[test]
fn hurried_session_answers_at_once() {
    let mut raw = quiet();
    for link in [2, 3] {
        let wait = http_wait(&mut raw, (9000, 9000, 25_000));
        raw.request(link, &[wait]);
    }
    raw.session.push(raw.now, words(&[1]));
    raw.session.hurry_responses();
    assert_eq!(responses(&mut raw), [(2, vec![words(&[1])]), (3, vec![])]);
    let wait = http_wait(&mut raw, (9000, 9000, 25_000));
    raw.request(4, &[wait]);
    assert_eq!(responses(&mut raw), [(4, vec![])]);
}

/// Rule:   a client may change over between streams and requests; what it has not acknowledged
///         follows it, and what comes leaves where it is heard.
/// Source: SES-03, SES-04, SES-09, HTP-20.
#[test]
fn client_changes_over_between_streams_and_requests() {
    // A stream, cut.
    let mut raw = RawServer::greeted();
    raw.session.push(raw.now, words(&[1]));
    assert_eq!(responses(&mut raw), [(LINK.0, vec![words(&[1])])]);
    raw.session.handle_link_closed(LINK);
    raw.session.push(raw.now, words(&[2]));
    // Requests from here on.
    raw.request(2, &[]);
    assert_eq!(responses(&mut raw), [(2, vec![words(&[1]), words(&[2])])]);
    raw.session.push(raw.now, words(&[3]));
    assert_eq!(raw.packets(), []);
    // A stream again: all that is not acknowledged comes at once.
    raw.link = LinkId(9);
    raw.service(ack(&[]));
    assert_eq!(responses(&mut raw), [(9, vec![words(&[1]), words(&[2]), words(&[3])])]);
    // Both at once: the stream takes what nobody asked for, a request its own result.
    let call = raw.inner(true, query(1));
    raw.request(3, std::slice::from_ref(&call));
    raw.session.push(raw.now, words(&[4]));
    raw.answer(call.msg_id, words(&[11]));
    let packets = raw.packets();
    assert_eq!(packets.iter().map(|(link, _)| link.0).collect::<Vec<_>>(), [9, 3]);
    assert_eq!(results_in(&flatten(packets[1].1.clone())).len(), 1);
}

/// Rule:   whatever clients do, a request gets one message, in time, and a link that has none gets
///         nothing; what is pushed arrives in the end.
/// Source: HTP-09, HTP-15, HTP-16, HTP-19, HTP-21.
#[test]
fn every_request_gets_one_response_whatever_happens() {
    for seed in 0..60 {
        play(seed);
    }
}

fn play(seed: u8) {
    let mut rng = Rng::from_seed([seed; 32]);
    let mut config = SessionConfig::default();
    config.poll.messages_max = 5;
    config.resend_max_bytes = 4000;
    config.poll.response_max_bytes = 4000;
    let mut raw = RawServer::with(config);
    let mut open: BTreeMap<u64, Duration> = BTreeMap::new();
    let mut streams = BTreeSet::new();
    let (mut next_link, mut pushed, mut heard) = (1u64, BTreeSet::new(), BTreeSet::new());
    let mut calls = Vec::new();
    let mut to_ack = Vec::new();
    for step in 0..400 {
        match rng.below(12) {
            0..=3 => {
                // On a new link, or on one that has had its answer.
                let link =
                    if next_link > 3 && rng.below(2) == 0 { next_link - 3 } else { next_link };
                next_link = next_link.max(link + 1);
                if open.contains_key(&link) || streams.contains(&link) {
                    continue;
                }
                let mut inners = Vec::new();
                if rng.below(2) == 0 {
                    let waits = [rng.below(300), rng.below(300), rng.below(70_000)];
                    inners.push(http_wait(&mut raw, waits.map(|wait| wait as i32).into()));
                }
                if rng.below(2) == 0 {
                    inners.push(raw.inner(true, query(step)));
                }
                if rng.below(2) == 0 {
                    let ids = std::mem::take(&mut to_ack);
                    inners.push(raw.inner(false, ack(&ids)));
                }
                let salt = raw.salt;
                raw.salt ^= i64::from(rng.below(8) == 0);
                raw.request(link, &inners);
                raw.salt = salt;
                open.insert(link, raw.now.mono);
            }
            4 => {
                raw.link = LinkId(next_link);
                streams.insert(next_link);
                next_link += 1;
                raw.service(ping(1));
            }
            5 if rng.below(2) == 0 => {
                let links: Vec<u64> = open.keys().chain(&streams).copied().collect();
                if let Some(link) = links.get(rng.below(links.len().max(1) as u32) as usize) {
                    open.remove(link);
                    streams.remove(link);
                    raw.session.handle_link_closed(LinkId(*link));
                }
            }
            6 | 7 => {
                let body =
                    Bytes::from(vec![1 + (step % 250) as u8; 4 * (1 + rng.below(400) as usize)]);
                let body = [&step.to_le_bytes()[..], &body].concat();
                pushed.insert(step);
                raw.session.push(raw.now, body.into());
            }
            8 => {
                if let Some(call) = calls.pop() {
                    raw.answer(call, words(&[7]));
                }
            }
            _ => raw.wait(millis(u64::from(rng.below(2000)))),
        }
        drain(&mut raw, &mut open, &streams, &mut heard, &mut to_ack);
        calls.extend(raw.ran());
    }
    // Quiet at last: the streams close, and one request after another fetches what is left.
    for link in std::mem::take(&mut streams) {
        raw.session.handle_link_closed(LinkId(link));
    }
    for link in 100_000..100_400 {
        let acks = raw.inner(false, ack(&std::mem::take(&mut to_ack)));
        raw.request(link, &[acks]);
        open.insert(link, raw.now.mono);
        raw.wait(secs(1));
        raw.timeout();
        drain(&mut raw, &mut open, &streams, &mut heard, &mut to_ack);
    }
    for _ in 0..60 {
        raw.wait(secs(1));
        drain(&mut raw, &mut open, &streams, &mut heard, &mut to_ack);
    }
    assert!(open.is_empty(), "seed {seed}: {open:?} were not answered");
    assert!(heard.is_superset(&pushed), "seed {seed}: {:?} are lost", &pushed - &heard);
}

/// Takes what the session sends, and checks that it may.
fn drain(
    raw: &mut RawServer,
    open: &mut BTreeMap<u64, Duration>,
    streams: &BTreeSet<u64>,
    heard: &mut BTreeSet<u32>,
    to_ack: &mut Vec<MsgId>,
) {
    raw.timeout();
    for (LinkId(link), message) in raw.packets() {
        if !streams.contains(&link) {
            let begun = open.remove(&link).expect("a message on a link without a request");
            assert!(raw.now.mono - begun <= secs(62));
        }
        for inner in flatten(message) {
            to_ack.push(inner.msg_id);
            heard.insert(u32::from_le_bytes(inner.body[..4].try_into().unwrap()));
        }
    }
}

/// A session that has been greeted and acknowledged by requests, half a minute ago.
fn quiet() -> RawServer {
    let mut raw = RawServer::new();
    let ping = raw.inner(false, ping(1));
    raw.request(1, &[ping]);
    let ids: Vec<MsgId> = raw.replies().iter().map(|inner| inner.msg_id).collect();
    let acks = raw.inner(false, ack(&ids));
    let wait = http_wait(&mut raw, (0, 0, 0));
    raw.request(1, &[acks, wait]);
    assert_eq!(responses(&mut raw), [(1, vec![])]);
    raw.wait(secs(30));
    assert_eq!(raw.session.poll_timeout(), None);
    raw
}

fn check(wait: (i32, i32, i32), pushes: &[u64], leaves: u64, count: usize) {
    let mut raw = quiet();
    let begun = raw.now.mono;
    let inner = http_wait(&mut raw, wait);
    raw.request(2, &[inner]);
    let mut left = Vec::new();
    for push in pushes {
        if *push > 0 {
            advance(&mut raw, begun + millis(*push), &mut left);
        }
        raw.session.push(raw.now, words(&[*push as u32]));
    }
    advance(&mut raw, begun + secs(100), &mut left);
    assert_eq!(left, [(begun + millis(leaves), count)], "{wait:?} {pushes:?}");
}

/// Lets time pass up to a moment, with all timers on the way.
fn advance(raw: &mut RawServer, until: Duration, left: &mut Vec<(Duration, usize)>) {
    loop {
        let sent = responses(raw);
        left.extend(sent.iter().map(|(_, bodies)| (raw.now.mono, bodies.len())));
        match raw.session.poll_timeout().filter(|due| *due <= until) {
            Some(due) => raw.wait(due.saturating_sub(raw.now.mono)),
            None => break,
        }
    }
    raw.wait(until - raw.now.mono);
}

fn http_wait(raw: &mut RawServer, (max_delay, wait_after, max_wait): (i32, i32, i32)) -> Inner {
    raw.inner(false, boxed(&types::HttpWait { max_delay, wait_after, max_wait }))
}

/// Links and the bodies in what is sent on them.
fn responses(raw: &mut RawServer) -> Vec<(u64, Vec<Bytes>)> {
    let bodies = |message| flatten(message).into_iter().map(|inner| inner.body).collect();
    raw.packets().into_iter().map(|(link, message)| (link.0, bodies(message))).collect()
}

/// Links, and the calls answered on them with a word.
fn results(raw: &mut RawServer) -> Vec<(u64, Vec<(MsgId, u32)>)> {
    let word = |result: Bytes| u32::from_le_bytes(result[..4].try_into().unwrap());
    let answers = |message| {
        results_in(&flatten(message)).into_iter().map(|(call, result)| (call, word(result)))
    };
    let packets = raw.packets();
    packets.into_iter().map(|(link, message)| (link.0, answers(message).collect())).collect()
}

/// Milliseconds until something is due, when nothing is due at once.
fn due_in(raw: &mut RawServer) -> Option<u128> {
    assert_eq!(raw.packets(), []);
    raw.session.poll_timeout().map(|due| due.saturating_sub(raw.now.mono).as_millis())
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}
