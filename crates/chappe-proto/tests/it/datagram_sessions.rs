//! Sessions that have a link of datagrams beside their streams.

use std::time::Duration;

use bytes::Bytes;
use chappe_proto::datagram::BODY_MAX;
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::client::ClientEvent;
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::server::SessionConfig;
use chappe_proto::{LinkId, MsgId};

use crate::pair::Pair;
use crate::raw::{RawServer, ack, boxed, flatten, ping, query, read};

const STREAM: LinkId = crate::raw::LINK;
const DATAGRAMS: LinkId = LinkId(9);

/// Rule: UDP-10: an answer that fits a datagram leaves in one; a larger one is announced there, with
///       the call that it answers, and comes by the stream when it is asked for, never in pieces.
#[test]
fn large_answer_is_announced_and_fetched_by_a_stream() {
    for (len, fits) in [(BODY_MAX - 12, true), (BODY_MAX - 8, false), (3000, false)] {
        let mut raw = with_datagrams();
        let call = raw.call(query(1));
        raw.answer(call, Bytes::from(vec![0xcc; len]));
        let sent = raw.packets();
        assert!(sent.iter().all(|(link, _)| *link == DATAGRAMS));
        assert!(sent.iter().all(|(_, message)| message.body.len() <= BODY_MAX));
        let inners: Vec<Inner> = sent.into_iter().flat_map(|(_, it)| flatten(it)).collect();
        let told = inners.iter().find_map(|inner| read::<ctors::MsgDetailedInfo>(&inner.body));
        assert_eq!(told.is_none(), fits, "{len} bytes");
        let Some(told) = told else { continue };
        assert_eq!((told.msg_id, told.bytes as usize), (call.0, len + 12));
        // It is asked for by datagram.
        raw.service(boxed(&ctors::MsgResendReq { msg_ids: vec![told.answer_msg_id] }));
        let sent = raw.packets();
        assert!(sent.iter().any(|(link, it)| *link == STREAM && it.body.len() >= len));
        assert!(sent.iter().all(|(link, it)| *link == STREAM || it.body.len() <= BODY_MAX));
    }
}

/// Rules: UDP-10, UDP-08: a push that fits none is announced, and announced again until it was fetched.
#[test]
fn large_push_is_announced_until_it_is_fetched() {
    let mut raw = with_datagrams();
    raw.session.push(raw.now, vec![0xdd; 2000].into());
    let announced = |raw: &mut RawServer| raw.replied::<ctors::MsgNewDetailedInfo>();
    let [first] = &announced(&mut raw)[..] else { panic!("not announced") };
    raw.wait(Duration::from_secs(1));
    raw.timeout();
    let again: Vec<i64> = announced(&mut raw).iter().map(|told| told.answer_msg_id).collect();
    assert_eq!(again, [first.answer_msg_id]);
    let id = MsgId(first.answer_msg_id);
    raw.service(boxed(&ctors::MsgResendReq { msg_ids: vec![id.0] }));
    assert!(raw.packets().iter().any(|(link, _)| *link == STREAM));
    raw.wait(Duration::from_secs(60));
    raw.timeout();
    assert_eq!(announced(&mut raw), []);
}

/// Rules: UDP-08, UDP-09: an answer is sent again, alone and under its old id, until it is acknowledged;
///        when that was too often, by the stream. Of several, ten leave at once.
#[test]
fn answers_are_sent_again_until_they_are_acknowledged() {
    let mut raw = with_datagrams();
    let calls: Vec<MsgId> = (0..15).map(|number| raw.call(query(number))).collect();
    for call in &calls {
        raw.answer(*call, query(9));
    }
    let sent = raw.packets();
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|(link, it)| *link == DATAGRAMS && !is_container(&it.body)));
    let ids: Vec<MsgId> = sent.iter().map(|(_, it)| it.header.msg_id).collect();
    assert!(raw.packets().is_empty());
    raw.service(ack(&ids[1..]));
    let later = raw.packets();
    assert_eq!(later.len(), 5);
    raw.service(ack(&later.iter().map(|(_, it)| it.header.msg_id).collect::<Vec<_>>()));
    raw.packets();
    for wait in [1, 2, 4, 8, 16, 30, 30, 30, 30, 30] {
        raw.wait(Duration::from_secs(wait));
        raw.timeout();
        let again = raw.packets();
        let again: Vec<_> = again.iter().map(|(link, it)| (*link, it.header.msg_id)).collect();
        assert_eq!(again, [(DATAGRAMS, ids[0])], "after {wait} s");
    }
    raw.wait(Duration::from_secs(30));
    raw.timeout();
    let given_up = raw.packets();
    assert!(given_up.len() == 1 && given_up[0].0 == STREAM);
    assert_eq!(flatten(given_up[0].1.clone())[0].msg_id, ids[0]);
}

/// Rules: UDP-08, UDP-09: what is under way and asked for again leaves again, even when as much is under
///        way as may be; otherwise a lost window would never be made good.
#[test]
fn full_window_may_be_sent_again() {
    let mut raw = with_datagrams();
    let calls: Vec<MsgId> = (0..12).map(|number| raw.call(query(number))).collect();
    for call in &calls {
        raw.answer(*call, query(9));
    }
    assert_eq!(raw.packets().len(), 10);
    // All were lost, and the client repeats its calls.
    for (at, call) in calls.iter().enumerate() {
        raw.send(*call, 2 * at as i32 + 1, query(at as u32));
    }
    let again = raw.packets();
    assert_eq!(again.len(), 10);
    assert!(again.iter().all(|(link, _)| *link == DATAGRAMS));
    let ids: Vec<MsgId> =
        again.into_iter().flat_map(|(_, it)| flatten(it)).map(|it| it.msg_id).collect();
    raw.service(ack(&ids));
    assert_eq!(raw.packets().len(), 2);
}

/// Rules: UDP-08, UDP-06: what a network doubles runs once and is answered again; a container that
///        comes twice is no fault of the client, and nothing that came before counts as taken.
#[test]
fn doubled_datagrams_run_once() {
    let mut raw = with_datagrams();
    let call = raw.call(query(1));
    assert!(raw.is_taken);
    raw.send(call, 1, query(1));
    assert!(!raw.is_taken);
    assert_eq!(raw.ran(), [call]);
    let inner = raw.inner(true, query(2));
    let (id, seq_no) = (raw.id(), raw.seq_no(false));
    raw.send(id, seq_no, container::pack(std::slice::from_ref(&inner)));
    raw.send(id, seq_no, container::pack(std::slice::from_ref(&inner)));
    assert!(!raw.is_taken);
    assert_eq!((raw.ran(), raw.refusals()), (vec![inner.msg_id], vec![]));
}

/// Rule: UDP-14: there is no waiting for what comes: `http_wait` in a datagram draws nothing, and
///       what is pushed leaves at once.
#[test]
fn waiting_means_nothing_in_a_datagram() {
    let mut raw = with_datagrams();
    raw.service(boxed(&types::HttpWait { max_delay: 0, wait_after: 0, max_wait: 25_000 }));
    assert!(raw.packets().is_empty());
    raw.session.push(raw.now, query(5));
    assert_eq!(raw.packets().len(), 1);
}

/// Rule: UDP-10: when the datagrams end, what they carried goes by the stream.
#[test]
fn stream_takes_over_what_datagrams_carried() {
    let mut raw = with_datagrams();
    let call = raw.call(query(1));
    raw.answer(call, query(9));
    assert_eq!(raw.packets().len(), 1);
    raw.session.handle_link_closed(DATAGRAMS);
    let results = raw.packets();
    assert!(results.len() == 1 && results[0].0 == STREAM);
    assert_eq!(raw.session.poll_timeout(), None);
}

/// Rules: UDP-11, UDP-08: a client that is told to writes each message into a packet of its own, knows
///        which of them are still owed an acknowledgement, and acknowledges before long.
#[test]
fn client_writes_packets_that_fit_datagrams() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    pair.client.split_packets(true);
    for number in 10..13 {
        pair.client.call(query(number));
    }
    pair.collect();
    let ids: Vec<MsgId> = pair.to_server.iter().map(|it| it.header.msg_id).collect();
    assert!(ids.len() >= 3 && pair.to_server.iter().all(|it| !is_container(&it.body)));
    let owed: Vec<MsgId> = ids.iter().copied().filter(|id| pair.client.is_owed(*id)).collect();
    assert_eq!(owed.len(), 3);
    pair.run_to_idle();
    pair.answer_all();
    pair.run_to_idle();
    assert!(owed.iter().all(|id| !pair.client.is_owed(*id)));
    assert!(pair.server.load().owed > 0);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.server.load().owed, 0);

    pair.client.keep_alive();
    pair.collect();
    let sent = pair.to_server.back().unwrap();
    let is_ping = |body: &Bytes| body.len() == ping(1).len() && body[..4] == ping(1)[..4];
    assert!(is_ping(&sent.body) && !pair.client.is_owed(sent.header.msg_id));
}

/// Rules: UDP-07, UDP-08: a datagram that is old, of another session or a recording means nothing to a
///        client, where it would end a stream.
#[test]
fn recordings_change_nothing_in_a_client() {
    let mut pair = Pair::connected();
    let call = pair.client.call(query(1));
    pair.collect();
    while pair.deliver_to_server() {}
    let answer = pair.to_client.pop_front().unwrap();
    let now = pair.client_now();
    let mut foreign = answer.clone();
    foreign.header.session_id.0 ^= 1;
    assert!(!pair.client.handle_datagram(now, foreign));
    let mut parity = answer.clone();
    parity.header.msg_id.0 &= !3;
    assert!(!pair.client.handle_datagram(now, parity));
    assert!(pair.client.handle_datagram(now, answer.clone()));
    pair.collect();
    assert!(pair.is_answered(call));
    assert!(pair.client.handle_datagram(now, answer.clone()));
    pair.mono += Duration::from_secs(301);
    let now = pair.client_now();
    assert!(!pair.client.handle_datagram(now, answer));
    pair.collect();
    let is_harm = |event: &ClientEvent| {
        matches!(event, ClientEvent::LinkIsDead(_) | ClientEvent::Restarted(_))
    };
    assert!(!pair.client_events.iter().any(is_harm), "{:?}", pair.client_events);
    assert_eq!(pair.answers[&call].len(), 1);
}

/// A session that has greeted its client by a stream, and is spoken to by datagrams.
fn with_datagrams() -> RawServer {
    let mut raw = RawServer::with(SessionConfig::default());
    raw.greet();
    raw.session.use_datagrams(DATAGRAMS);
    raw.link = DATAGRAMS;
    raw.service(ping(2));
    raw.packets();
    raw
}

fn is_container(body: &Bytes) -> bool {
    body.starts_with(&container::ID.to_le_bytes())
}
