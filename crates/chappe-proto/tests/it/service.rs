//! Service messages that a client sends: what the server answers to each.

use std::time::Duration;

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::inbox::InboxLimits;
use chappe_proto::session::server::{KeyDestroyed, ServerEvent, SessionConfig};
use chappe_proto::{LinkId, MsgId, SessionId};

use crate::raw::{LINK, RawServer, SESSION, ack, boxed, encoded, id_at, ping, query, read, words};

fn vectors() -> Vec<(String, Bytes)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/service_bodies.json");
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = json["cases"].as_array().unwrap();
    let body = |case: &serde_json::Value| hex::decode(case["hex"].as_str().unwrap()).unwrap();
    cases
        .iter()
        .map(|case| (case["name"].as_str().unwrap().to_owned(), body(case).into()))
        .collect()
}

/// Rule:   every service body reads as its constructor and is written back identically.
/// Source: 05-service-messages §1; service_bodies.json.
#[test]
fn service_bodies_round_trip() {
    fn again<T: chappe_tl::Constructor>(body: &Bytes) -> Option<Bytes> {
        read::<T>(body).map(|object| boxed(&object))
    }
    fn whole<T: chappe_tl::Decode + chappe_tl::Encode>(body: &Bytes) -> Option<Bytes> {
        chappe_tl::from_bytes::<T>(body.clone()).ok().map(|value| encoded(&value))
    }
    let readers: &[fn(&Bytes) -> Option<Bytes>] = &[
        again::<types::MsgsAck>,
        again::<ctors::BadMsgNotification>,
        again::<ctors::BadServerSalt>,
        again::<types::MsgsStateReq>,
        again::<types::MsgsStateInfo>,
        again::<types::MsgsAllInfo>,
        again::<ctors::MsgDetailedInfo>,
        again::<ctors::MsgNewDetailedInfo>,
        again::<ctors::MsgResendReq>,
        again::<ctors::MsgResendAnsReq>,
        again::<functions::RpcDropAnswer>,
        whole::<types::RpcDropAnswer>,
        again::<functions::GetFutureSalts>,
        again::<functions::Ping>,
        again::<types::Pong>,
        again::<functions::PingDelayDisconnect>,
        again::<functions::DestroySession>,
        again::<ctors::DestroySessionOk>,
        again::<ctors::DestroySessionNone>,
        again::<functions::DestroyAuthKey>,
        whole::<types::DestroyAuthKeyRes>,
        again::<types::NewSession>,
        again::<types::HttpWait>,
        |body| {
            let inners = chappe_proto::session::container::unpack(MsgId(i64::MAX), body).ok()?;
            let packed = chappe_proto::session::container::pack(&inners);
            (packed.starts_with(&body[..4])).then_some(packed)
        },
        |body| {
            let read = chappe_proto::rpc::CallResult::read(body, 1 << 20).ok()?;
            let result = read.result.map_or_else(|error| error.to_tl(), |raw| raw.0);
            let packed = chappe_proto::rpc::result_body(read.call, &result);
            (packed.starts_with(&body[..4])).then_some(packed)
        },
        |body| {
            let inner =
                chappe_proto::session::container::unpack_copy(MsgId(i64::MAX), body).ok()?;
            let copied = [&body[..8], &inner.msg_id.0.to_le_bytes(), &inner.seq_no.to_le_bytes()];
            let len = (inner.body.len() as u32).to_le_bytes();
            Some([&copied.concat()[..], &len[..], &inner.body[..]].concat().into())
        },
    ];
    for (name, body) in vectors() {
        let found = readers.iter().find_map(|again| again(&body));
        assert_eq!(found, Some(body), "{name}");
    }
}

/// Rule:   a service message is handled outside of calls: none of those that a client may send
///         reaches the owner as a call.
/// Source: SVC-42, SVC-43, SVC-41, SVC-17.
#[test]
fn service_messages_are_no_calls() {
    let from_servers = [
        "bad_",
        "rpc_result",
        "rpc_answer",
        "pong",
        "destroy_session_",
        "destroy_auth_key_",
        "new_",
    ];
    for (name, body) in vectors() {
        if from_servers.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let mut raw = RawServer::greeted();
        // The ids inside the vectors are later than the client's: rejected whole, or handled.
        raw.service(body);
        assert_eq!(raw.ran(), [], "{name}");
        assert_eq!(raw.errors(), Vec::<String>::new(), "{name}");
    }
}

/// Rule:   a pong names the ping's message and echoes its id, on the same link.
/// Source: SVC-33.
#[test]
fn ping_is_answered_on_its_link() {
    let mut raw = RawServer::greeted();
    raw.link = LinkId(2);
    let id = raw.service(ping(-7));
    let packets = raw.packets();
    assert_eq!(packets[0].0, LinkId(2));
    assert_eq!(packets[0].1.header.seq_no % 2, 0);
    let pong: types::Pong = read(&packets[0].1.body).unwrap();
    assert_eq!((pong.msg_id, pong.ping_id), (id.0, -7));
    let odd = raw.call(ping(8));
    assert_eq!(raw.replied::<types::Pong>()[0].msg_id, odd.0);
}

/// Rule:   ping_delay_disconnect is answered and sets its link's timer, 0 to 3600 s; a plain ping
///         sets nothing.
/// Source: SVC-34.
#[test]
fn ping_delay_disconnect_sets_the_timer() {
    for (asked, set) in [(-1, 0), (0, 0), (75, 75), (3600, 3600), (3601, 3600), (i32::MIN, 0)] {
        let mut raw = RawServer::greeted();
        raw.service(boxed(&functions::PingDelayDisconnect { ping_id: 3, disconnect_delay: asked }));
        assert_eq!(raw.replied::<types::Pong>()[0].ping_id, 3);
        let delay = Duration::from_secs(set);
        let events = raw.events();
        assert!(
            matches!(events[..], [ServerEvent::DisconnectAfter(LINK, d)] if d == delay),
            "{asked}: {events:?}"
        );
        raw.service(ping(1));
        assert!(raw.events().is_empty());
    }
}

/// Rule:   future_salts gives 1 to 64 salts, rising, the current one first.
/// Source: SVC-31, SES-20, QRK-10.
#[test]
fn future_salts_are_clamped() {
    for (num, count) in [(i32::MIN, 1), (0, 1), (1, 1), (64, 64), (65, 64)] {
        let mut raw = RawServer::greeted();
        let id = raw.service(boxed(&functions::GetFutureSalts { num }));
        let answers: Vec<types::FutureSalts> = raw.replied();
        assert_eq!(answers[0].req_msg_id, id.0);
        assert_eq!(i64::from(answers[0].now), raw.now.unix_seconds());
        assert_eq!(answers[0].salts.len(), count, "{num}");
        assert_eq!(answers[0].salts[0].salt, raw.salt);
        assert!(answers[0].salts.windows(2).all(|w| w[0].valid_until == w[1].valid_since));
    }
}

/// Rule:   each state byte tells what is known of one id, in the order asked.
/// Source: SVC-11, SVC-16, SVC-18.
#[test]
fn states_are_told() {
    let mut raw = RawServer::greeted();
    let running = raw.call(query(1));
    let acknowledged = raw.call(query(2));
    raw.wait(Duration::from_secs(1));
    raw.timeout();
    let fresh = raw.call(query(3));
    let answered = raw.call(query(4));
    raw.answer(answered, query(9));
    let even = raw.service(ping(1));
    raw.session.push(raw.now, query(8));
    let push = raw.replies().into_iter().find(|inner| inner.body == query(8)).unwrap().msg_id;
    let missing = MsgId(raw.id().0);
    let asked = raw.service(boxed(&types::MsgsStateReq {
        msg_ids: [running, acknowledged, fresh, answered, even, missing, id_at(99, 0), push]
            .iter()
            .map(|id| id.0)
            .chain([push.0 + 4])
            .collect(),
    }));
    let info: Vec<types::MsgsStateInfo> = raw.replied();
    assert_eq!(info[0].req_msg_id, asked.0);
    let acked_call = 4 | 8 | 32;
    assert_eq!(
        info[0].info[..],
        [acked_call, acked_call, 4 | 32, acked_call | 64, 4 | 8 | 16, 2, 3, 4 | 16, 1]
    );
}

/// Rule:   an acknowledgement ends the resending; of a container, for all that was in it. Foreign
///         and repeated ids change nothing.
/// Source: SVC-04, SVC-05, SVC-12.
#[test]
fn acknowledged_messages_are_not_resent() {
    let check = |acknowledge: &dyn Fn(MsgId, &[MsgId]) -> Bytes, left: usize| {
        let mut raw = RawServer::greeted();
        raw.session.push(raw.now, query(1));
        raw.session.push(raw.now, query(2));
        let (_, packet) = raw.packets().remove(0);
        let container = packet.header.msg_id;
        let ids: Vec<MsgId> =
            crate::raw::flatten(packet).iter().map(|inner| inner.msg_id).collect();
        let body = acknowledge(container, &ids);
        raw.service(body.clone());
        raw.service(body);
        raw.session.handle_link_closed(LINK);
        raw.link = LinkId(2);
        raw.service(ack(&[]));
        assert_eq!(raw.replies().len(), left);
    };
    check(&|_, ids| ack(ids), 0);
    check(&|container, _| ack(&[container]), 0);
    check(&|_, ids| ack(&ids[1..]), 1);
    check(&|_, ids| ack(&[MsgId(ids[0].0 ^ 3), MsgId(4), MsgId(0)]), 2);
    check(&|_, ids| all_info(ids, &[4, 4 | 8]), 0);
    check(&|_, ids| all_info(ids, &[4 | 128, 2]), 1);
}

fn all_info(ids: &[MsgId], info: &'static [u8]) -> Bytes {
    let msg_ids = ids.iter().map(|id| id.0).collect();
    boxed(&types::MsgsAllInfo { msg_ids, info: Bytes::from_static(info) })
}

/// Rule:   msg_resend_req brings all messages again, under their numbers, on the asking link; if
///         one is unknown, the state of all.
/// Source: SVC-22, MSG-19.
#[test]
fn messages_are_resent_on_request() {
    let mut raw = RawServer::greeted();
    raw.session.push(raw.now, query(1));
    raw.session.push(raw.now, query(2));
    let pushes = raw.replies();
    let ids: Vec<i64> = pushes.iter().map(|inner| inner.msg_id.0).collect();
    raw.link = LinkId(2);
    raw.service(boxed(&ctors::MsgResendReq { msg_ids: ids.clone() }));
    let packets = raw.packets();
    assert!(packets.iter().all(|(link, _)| *link == LinkId(2)));
    let again: Vec<_> = packets.into_iter().flat_map(|(_, m)| crate::raw::flatten(m)).collect();
    assert_eq!(again, pushes);
    // A hundred times in one request is once; in a container, whose id is fresh.
    raw.service(boxed(&ctors::MsgResendReq { msg_ids: [ids[0]; 100].to_vec() }));
    let (_, packet) = raw.packets().remove(0);
    assert_eq!(packet.body, chappe_proto::session::container::pack(&pushes[..1]));
    let asked = raw.service(boxed(&ctors::MsgResendReq { msg_ids: vec![ids[0], 99] }));
    let replies = raw.replies();
    let info: types::MsgsStateInfo = read(&replies[0].body).unwrap();
    assert_eq!((info.req_msg_id, &info.info[..], replies.len()), (asked.0, &[4 | 16, 1][..], 1));
}

/// Rule:   on a new link, what is larger than 1 KiB is announced: a push by itself, an answer
///         with its call; what is smaller comes whole.
/// Source: SVC-20, SES-09.
#[test]
fn large_messages_are_announced_on_a_new_link() {
    let mut raw = RawServer::greeted();
    raw.session.push(raw.now, vec![1; 1024].into());
    raw.session.push(raw.now, vec![1; 1028].into());
    let call = raw.call(query(1));
    raw.answer(call, vec![1; 1028].into());
    let sent = raw.replies();
    raw.session.handle_link_closed(LINK);
    raw.link = LinkId(2);
    raw.service(ack(&[]));
    let again = raw.replies();
    assert!(again.contains(&sent[0]) && !again.contains(&sent[1]) && !again.contains(&sent[2]));
    let push: Vec<ctors::MsgNewDetailedInfo> =
        again.iter().filter_map(|inner| read(&inner.body)).collect();
    assert_eq!((push.len(), push[0].answer_msg_id), (1, sent[1].msg_id.0));
    assert_eq!((push[0].bytes, push[0].status), (1028, 0));
    let answer: Vec<ctors::MsgDetailedInfo> =
        again.iter().filter_map(|inner| read(&inner.body)).collect();
    assert_eq!((answer[0].msg_id, answer[0].answer_msg_id), (call.0, sent[2].msg_id.0));
}

/// Rule:   msg_resend_ans_req brings the answers that exist, and the state of all calls.
/// Source: SVC-23.
#[test]
fn answers_are_resent_on_request() {
    let mut raw = RawServer::greeted();
    let answered = raw.call(query(1));
    let running = raw.call(query(2));
    raw.answer(answered, query(9));
    raw.replies();
    raw.service(boxed(&ctors::MsgResendAnsReq { msg_ids: vec![answered.0, running.0] }));
    let replies = raw.replies();
    assert_eq!(crate::raw::results_in(&replies), [(answered, query(9))]);
    let info: Vec<types::MsgsStateInfo> =
        replies.iter().filter_map(|inner| read(&inner.body)).collect();
    assert_eq!(info[0].info[..], [4 | 8 | 32 | 64, 4 | 32]);
}

/// Rule:   a dropped answer is removed and described, a dropped running call runs to its end, an
///         unknown one is unknown.
/// Source: SVC-29.
#[test]
fn rpc_drop_answer_has_three_answers() {
    let mut raw = RawServer::greeted();
    let drop = |raw: &mut RawServer, call: MsgId| {
        let id = raw.service(boxed(&functions::RpcDropAnswer { req_msg_id: call.0 }));
        let results = raw.results();
        results.into_iter().find(|(call, _)| *call == id).unwrap().1
    };
    // Waiting in the queue.
    let call = raw.call(query(1));
    raw.answer(call, query(9));
    let answer = raw.replies().remove(0);
    let dropped: ctors::RpcAnswerDropped = read(&drop(&mut raw, call)).unwrap();
    assert_eq!((dropped.msg_id, dropped.seq_no), (answer.msg_id.0, answer.seq_no));
    assert_eq!(dropped.bytes, answer.body.len() as i32);
    // Gone now.
    assert!(is_answer(&types::RpcDropAnswer::RpcAnswerUnknown, &drop(&mut raw, call)));
    assert!(is_answer(&types::RpcDropAnswer::RpcAnswerUnknown, &drop(&mut raw, id_at(0, 9999))));
    // Answered and acknowledged.
    let call = raw.call(query(1));
    raw.answer(call, query(9));
    raw.acknowledge_all();
    assert!(is_answer(&types::RpcDropAnswer::RpcAnswerUnknown, &drop(&mut raw, call)));
    // Running.
    let call = raw.call(query(1));
    raw.events();
    assert!(is_answer(&types::RpcDropAnswer::RpcAnswerDroppedRunning, &drop(&mut raw, call)));
    assert!(matches!(raw.events()[..], [ServerEvent::CallDropped(id)] if id == call));
    raw.wait(Duration::from_secs(1));
    raw.timeout();
    assert_eq!(raw.replied::<types::MsgsAck>(), [], "the drop acknowledged the call");
    raw.answer(call, query(9));
    let results = raw.results();
    assert_eq!(results[0].0, call);
    assert!(is_answer(&types::RpcDropAnswer::RpcAnswerDroppedRunning, &results[0].1));
}

fn is_answer(expected: &types::RpcDropAnswer, body: &Bytes) -> bool {
    *body == encoded(expected)
}

/// Rule:   an answer dropped before it left does not leave.
/// Source: SVC-29.
#[test]
fn dropped_answer_does_not_leave() {
    let mut raw = RawServer::greeted();
    let call = raw.call(query(1));
    raw.answer(call, query(9));
    let request = raw.service(boxed(&functions::RpcDropAnswer { req_msg_id: call.0 }));
    let calls: Vec<MsgId> = raw.results().iter().map(|(call, _)| *call).collect();
    assert_eq!(calls, [request]);
}

/// Rule:   destroy_session asks the owner about another session; one's own is never destroyed.
/// Source: SVC-36.
#[test]
fn destroy_session_is_answered_bare() {
    let mut raw = RawServer::greeted();
    raw.service(boxed(&functions::DestroySession { session_id: SESSION.0 }));
    assert_eq!(raw.replied::<ctors::DestroySessionNone>()[0].session_id, SESSION.0);
    let id = raw.service(boxed(&functions::DestroySession { session_id: 5 }));
    let events = raw.events();
    assert!(matches!(
        events[..],
        [ServerEvent::DestroySession { request, session_id: SessionId(5) }] if request == id
    ));
    raw.session.session_destroyed(raw.now, id, SessionId(5), true);
    assert_eq!(raw.replied::<ctors::DestroySessionOk>()[0].session_id, 5);
    raw.session.session_destroyed(raw.now, id, SessionId(5), false);
    assert_eq!(raw.replied::<ctors::DestroySessionNone>()[0].session_id, 5);
}

/// Rule:   destroy_auth_key is the owner's to do; its outcome is told bare.
/// Source: SVC-37.
#[test]
fn destroy_auth_key_is_answered_bare() {
    let mut raw = RawServer::greeted();
    let id = raw.service(boxed(&functions::DestroyAuthKey {}));
    assert!(matches!(raw.events()[..], [ServerEvent::DestroyAuthKey { request }] if request == id));
    for (outcome, answer) in [
        (KeyDestroyed::Ok, types::DestroyAuthKeyRes::DestroyAuthKeyOk),
        (KeyDestroyed::None, types::DestroyAuthKeyRes::DestroyAuthKeyNone),
        (KeyDestroyed::Fail, types::DestroyAuthKeyRes::DestroyAuthKeyFail),
    ] {
        raw.session.auth_key_destroyed(raw.now, id, outcome);
        let replies = raw.replies();
        assert!(replies.iter().any(|reply| reply.body == encoded(&answer)), "{outcome:?}");
    }
}

/// Rule:   a service call that cannot be read gets an error as its result.
/// Source: TL-36, TL-37.
#[test]
fn unreadable_service_call_gets_an_error() {
    let mut raw = RawServer::greeted();
    raw.call(words(&[0x7abe_77ec, 1]));
    raw.call(words(&[0x7abe_77ec, 1, 2, 3]));
    raw.call(words(&[0xd143_5160, 1]));
    assert_eq!(
        raw.errors(),
        ["400 INPUT_FETCH_ERROR", "400 INPUT_REQUEST_TOO_LONG", "400 INPUT_REQUEST_TOO_LONG"]
    );
}

fn after(ids: &[MsgId], query: Bytes) -> Bytes {
    let msg_ids = ids.iter().map(|id| id.0).collect();
    boxed(&functions::InvokeAfterMsgs { msg_ids, query: chappe_tl::Raw(query) })
}

/// Rule:   a call runs only after all that it names finished well, and fails if one fails.
/// Source: SVC-44, SVC-46.
#[test]
fn call_runs_after_those_it_names() {
    let mut raw = RawServer::greeted();
    let (a, b) = (raw.call(query(1)), raw.call(query(2)));
    let waits = raw.call(after(&[a, b, a], query(3)));
    let free = raw.call(query(4));
    assert_eq!(raw.ran(), [a, b, free]);
    raw.answer(b, query(9));
    assert_eq!(raw.ran(), []);
    raw.answer(a, query(9));
    let calls = raw.calls();
    assert_eq!((calls[0].msg_id, &calls[0].call.query), (waits, &query(3)));
    // All finished: it runs at once.
    let late = raw.call(after(&[a, b], query(5)));
    assert_eq!(raw.ran(), [late]);
    raw.replies();
    raw.fail(late);
    let fails = raw.call(after(&[a, late], query(6)));
    assert_eq!(raw.ran(), []);
    assert_eq!(raw.errors(), ["400 TEST_FAILED", "400 MSG_WAIT_FAILED"]);
    // What failed for that reason has failed as well.
    raw.call(after(&[fails], query(7)));
    assert_eq!(raw.errors(), ["400 MSG_WAIT_FAILED"]);
}

/// Rule:   a message that is too old to be known has been finished, whatever it was: a call that
///         names it runs; one that never came is waited for by nobody.
/// Source: SVC-44, MSG-36.
#[test]
fn call_may_name_what_is_no_longer_known() {
    let mut config = SessionConfig::default();
    config.inbox = InboxLimits::SERVER.with_ids(2, 2);
    let mut raw = RawServer::with(config);
    let old = raw.call(query(1));
    raw.answer(old, query(9));
    raw.greet();
    raw.greet();
    raw.events();
    let call = raw.call(after(&[old], query(2)));
    assert_eq!(raw.ran(), [call]);
    let never = MsgId(raw.id().0 + 400);
    raw.call(after(&[never], query(3)));
    assert!(raw.ran().is_empty());
    assert_eq!(raw.errors(), ["400 MSG_WAIT_FAILED"]);
}

/// Rule:   a failure fails every call that waits for it, however long the chain.
/// Source: SVC-44, SEC-47.
#[test]
fn failure_goes_down_a_chain_of_calls() {
    let mut raw = RawServer::greeted();
    let first = raw.call(query(0));
    let mut last = first;
    for number in 1..1000 {
        last = raw.call(after(&[last], query(number)));
    }
    assert_eq!(raw.ran(), [first]);
    raw.fail(first);
    assert_eq!(raw.errors().len(), 1000);
}

/// Rule:   a wait ends after 0.5 s; an unknown call counts as failed, one below the window as
///         finished.
/// Source: SVC-44.
#[test]
fn wait_for_another_call_is_bounded() {
    let mut raw = RawServer::greeted();
    let running = raw.call(query(1));
    let waits = raw.call(after(&[running], query(2)));
    raw.acknowledge_all();
    raw.wait(Duration::from_millis(499));
    raw.timeout();
    assert_eq!(raw.errors(), Vec::<String>::new());
    raw.wait(Duration::from_millis(1));
    raw.timeout();
    assert_eq!(raw.results().iter().map(|r| r.0).collect::<Vec<_>>(), [waits]);
    raw.answer(running, query(9));
    assert_eq!(raw.ran(), [running]);
    raw.replies();
    raw.call(after(&[id_at(1, 1)], query(3)));
    assert_eq!(raw.errors(), ["400 MSG_WAIT_FAILED"]);
}

/// Rule:   a call that names itself waits in vain.
/// Source: SVC-44.
#[test]
fn call_after_itself_times_out() {
    let mut raw = RawServer::greeted();
    let (id, seq_no) = (raw.id(), raw.seq_no(true));
    raw.send(id, seq_no, after(&[id], query(1)));
    raw.wait(Duration::from_millis(500));
    raw.timeout();
    assert_eq!(raw.errors(), ["400 MSG_WAIT_TIMEOUT"]);
    assert_eq!(raw.ran(), []);
}

/// Rule:   a call dropped while it waits is not run, and those that wait for it fail; so do those
///         that wait for a dropped call that failed.
/// Source: SVC-29, SVC-44.
#[test]
fn call_dropped_while_it_waits_is_not_run() {
    let mut raw = RawServer::greeted();
    let running = raw.call(query(1));
    let held = raw.call(after(&[running], query(2)));
    raw.call(after(&[held], query(3)));
    raw.call(after(&[running], query(4)));
    raw.events();
    raw.service(boxed(&functions::RpcDropAnswer { req_msg_id: held.0 }));
    assert!(raw.events().is_empty());
    assert_eq!(raw.errors(), ["400 MSG_WAIT_FAILED"]);
    raw.service(boxed(&functions::RpcDropAnswer { req_msg_id: running.0 }));
    raw.events();
    raw.session.answer(raw.now, running, Err(RpcError::internal()));
    assert!(raw.events().is_empty());
    assert_eq!(raw.errors(), ["400 MSG_WAIT_FAILED"]);
}
