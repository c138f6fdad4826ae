//! A client's session over HTTP: what its requests ask for, and what rides in them.

use std::time::Duration;

use chappe_proto::envelope::encrypted::Message;
use chappe_proto::schema::{functions, types};
use chappe_proto::session::client::{DeadLink, SessionConfig};
use chappe_proto::session::container::Inner;

use crate::raw::{RawClient, ack, boxed, flatten, is_query, query, read, reopen, state_info};

const SECOND: Duration = Duration::from_secs(1);

/// Rule: HTP-23, SVC-41: a call asks for its answer at once, whatever is there; so does everything
/// else that is sent. On a stream nothing of the kind is said.
#[test]
fn calls_ask_for_an_answer_at_once() {
    let mut raw = over_http();
    for body in [query(1), boxed(&functions::GetFutureSalts { num: 1 })] {
        raw.session.call(body);
        let [packet] = &raw.packets()[..] else { panic!("one request for all") };
        assert_eq!(waits(packet), [(0, 0, 0)]);
        let last = flatten(packet.clone()).pop().unwrap();
        assert!(read::<types::HttpWait>(&last.body).is_some());
        // Not content-related, so never acknowledged and never answered.
        assert_eq!(last.seq_no % 2, 0);
    }
    reopen(&mut raw);
    raw.reply(ack(&[]));
    raw.session.call(query(2));
    assert!(raw.packets().iter().all(|packet| waits(packet).is_empty()));
    assert!(raw.session.poll_http_wait(raw.now).is_none());
}

/// Rule: HTP-23: one request waits at the server at all times, for as long as the settings say.
#[test]
fn one_request_waits_for_the_server_to_speak() {
    let mut raw = over_http();
    assert_eq!(waits(&polled(&mut raw)), [(0, 0, 25_000)]);
    raw.wait(25 * SECOND);
    assert_eq!(waits(&polled(&mut raw)), [(0, 0, 25_000)]);
    let mut config = SessionConfig::default();
    config.http_wait_max = Duration::from_millis(1500);
    let mut raw = RawClient::with(config);
    raw.session.handle_link_closed();
    assert!(raw.session.poll_http_wait(raw.now).is_none());
    raw.session.handle_http_opened(raw.now);
    assert_eq!(waits(&polled(&mut raw)), [(0, 0, 1500)]);
}

/// A server that answers at once and with nothing, or refuses the request for its salt, is asked
/// once a second after some attempts; whatever is new ends that.
#[test]
fn a_server_that_does_not_wait_is_not_asked_without_end() {
    let mut raw = over_http();
    for _ in 0..3 {
        let asked = polled(&mut raw);
        raw.correct_salt(asked.header.msg_id, 1);
    }
    polled(&mut raw);
    assert!(raw.session.poll_http_wait(raw.now).is_none());
    let due = raw.session.poll_timeout().unwrap();
    assert_eq!(due, raw.now.mono + SECOND);
    raw.wait(SECOND);
    polled(&mut raw);
    // What comes fast has an end only when nothing comes.
    for number in 0..20 {
        polled(&mut raw);
        raw.push(query(number));
    }
}

/// Rule: HTP-24: acknowledgements ride in the next request, whichever it is; without one they wait
/// for 30 s, or until there are 100.
#[test]
fn acknowledgements_ride_in_the_next_request() {
    let mut raw = over_http();
    let pushed = raw.push(query(1));
    assert_eq!(raw.packets(), []);
    assert_eq!(acked(&polled(&mut raw)), [pushed.0]);

    let pushed = raw.push(query(2));
    raw.session.call(query(1));
    let packet = raw.packets().remove(0);
    assert_eq!(acked(&packet), [pushed.0]);
    let call = flatten(packet).into_iter().find(is_query).unwrap();
    let result = raw.result(call.msg_id, b"done");
    assert_eq!(acked(&polled(&mut raw)), [result.0]);

    raw.push(query(3));
    raw.wait(Duration::from_millis(29_999));
    assert!(raw.packets().iter().all(|packet| acked(packet).is_empty()));
    raw.wait(Duration::from_millis(1));
    assert_eq!(raw.sent_as::<types::MsgsAck>().len(), 1);

    let mut owed = Vec::new();
    for number in 0..100 {
        assert_eq!(raw.sent_as::<types::MsgsAck>(), [], "{number}");
        owed.push(raw.push(query(number)).0);
    }
    let acks = raw.sent_as::<types::MsgsAck>();
    assert_eq!(acks, [types::MsgsAck { msg_ids: owed }]);
}

/// Rule: HTP-26: pings ask for no disconnection; without a pong the link is dead all the same.
#[test]
fn pings_are_plain_ones() {
    let mut raw = over_http();
    raw.wait(60 * SECOND);
    let sent = raw.sent();
    assert!(sent.iter().all(|inner| read::<functions::PingDelayDisconnect>(&inner.body).is_none()));
    let is_ping = |inner: &&Inner| read::<functions::Ping>(&inner.body).is_some();
    let ping = sent.iter().find(is_ping).unwrap();
    let ping_id = read::<functions::Ping>(&ping.body).unwrap().ping_id;
    raw.reply(boxed(&types::Pong { msg_id: ping.msg_id.0, ping_id }));
    assert!(raw.session.take_round_trip().is_some());
    assert_eq!(raw.dead_link(), None);
    raw.wait(60 * SECOND);
    raw.sent();
    raw.wait(75 * SECOND);
    assert_eq!(raw.dead_link(), Some(DeadLink::Silent));
}

/// Rule: HTP-25, SES-11: after a request failed, the server is asked which calls it has; those that
/// it has not go again under their ids, in a new container.
#[test]
fn calls_of_a_failed_request_go_again_under_their_ids() {
    let mut raw = over_http();
    raw.session.call(query(1));
    raw.session.call(query(2));
    let sent: Vec<Inner> = raw.sent_calls();
    raw.session.handle_link_closed();
    raw.session.handle_http_opened(raw.now);
    let asked = raw.sent();
    assert!(!asked.iter().any(is_query));
    let request = asked.iter().find(|inner| read::<types::MsgsStateReq>(&inner.body).is_some());
    let request = request.unwrap();
    let asked_for = read::<types::MsgsStateReq>(&request.body).unwrap().msg_ids;
    // It has the first and not the second; what it knows of the witness is that it came.
    let state = |id: &i64| if *id == sent[1].msg_id.0 { 2 } else { 4 };
    let info: Vec<u8> = asked_for.iter().map(state).collect();
    raw.reply(state_info(request.msg_id, &info));
    let packets = raw.packets();
    let [packet] = &packets[..] else { panic!("{packets:?}") };
    assert!(packet.header.msg_id > sent[1].msg_id);
    let again: Vec<Inner> = flatten(packet.clone()).into_iter().filter(is_query).collect();
    assert_eq!(again, [sent[1].clone()]);
}

/// A client whose link is made of requests, and which the server has spoken to.
fn over_http() -> RawClient {
    let mut raw = RawClient::settled();
    raw.session.handle_link_closed();
    raw.session.handle_http_opened(raw.now);
    raw.reply(ack(&[]));
    raw.sent();
    raw
}

fn polled(raw: &mut RawClient) -> Message {
    raw.session.poll_http_wait(raw.now).expect("one is to be under way")
}

/// What a request says about waiting.
fn waits(packet: &Message) -> Vec<(i32, i32, i32)> {
    let waits = flatten(packet.clone()).into_iter().filter_map(|inner| read(&inner.body));
    waits.map(|wait: types::HttpWait| (wait.max_delay, wait.wait_after, wait.max_wait)).collect()
}

fn acked(packet: &Message) -> Vec<i64> {
    let acks = flatten(packet.clone()).into_iter().filter_map(|inner| read(&inner.body));
    acks.flat_map(|ack: types::MsgsAck| ack.msg_ids).collect()
}
