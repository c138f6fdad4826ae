//! Calls of a client's session: in order, in doubt, over links that have to prove themselves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId};
use chappe_proto::MsgId;
use chappe_proto::handshake::bind::{self, CameWith};
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::client::{
    Bind, CallError, CallId, CallOptions, ClientEvent, DeadLink, Doubt, SessionConfig,
};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::server;
use chappe_tl::Raw;

use crate::pair::Pair;
use crate::raw::{
    RawClient, ack, answer_to, boxed, calling, calling_repeatable, encoded, flatten, is_query,
    query, read, reopen, result_of, state_info,
};

fn after<const N: usize>(first: [CallId; N]) -> CallOptions {
    CallOptions::default().after(first)
}

/// What a call leaves as when it comes after others.
fn wrapped(ids: &[MsgId], query: Bytes) -> Bytes {
    match ids {
        [id] => encoded(&functions::InvokeAfterMsg { msg_id: id.0, query: Raw(query) }),
        _ => {
            let msg_ids = ids.iter().map(|id| id.0).collect();
            encoded(&functions::InvokeAfterMsgs { msg_ids, query: Raw(query) })
        }
    }
}

fn bodies(raw: &mut RawClient) -> Vec<Inner> {
    let mut sent = raw.sent();
    sent.retain(|inner| inner.seq_no % 2 == 1);
    sent
}

/// Rule:   a call names those it comes after by the ids they left under, in the same packet or an
///         earlier one; those that are finished are not named.
/// Source: SVC-44, SVC-45, 05-service-messages §9.
#[test]
fn call_names_those_before_it() {
    let mut raw = RawClient::settled();
    let done = raw.session.call(query(1));
    let first = raw.sent_calls().remove(0);
    raw.result(first.msg_id, &query(9));
    let a = raw.session.call(query(2));
    let b = raw.session.call_with(query(3), after([a, done]));
    raw.session.call_with(query(4), after([a, b]));
    raw.session.call_with(query(5), after([done]));
    let sent = bodies(&mut raw);
    assert_eq!(sent[0].body, query(2));
    assert_eq!(sent[1].body, wrapped(&[sent[0].msg_id], query(3)));
    assert_eq!(sent[2].body, wrapped(&[sent[0].msg_id, sent[1].msg_id], query(4)));
    assert_eq!(sent[3].body, query(5));
}

/// Rule:   told to wait, a call is sent again and names the same calls; if one of them has failed
///         it waits until all are finished. A text like that is the caller's if it came after none.
/// Source: SVC-45.
#[test]
fn call_told_to_wait_goes_again() {
    let told = |text: &str| RpcError::bad_request(text).to_tl();
    let mut raw = RawClient::settled();
    let a = raw.session.call(query(1));
    let b = raw.session.call(query(2));
    let c = raw.session.call_with(query(3), after([a, b]));
    let sent = bodies(&mut raw);
    raw.result(sent[2].msg_id, &told("MSG_WAIT_TIMEOUT"));
    let again = bodies(&mut raw).remove(0);
    assert_eq!(again.body, wrapped(&[sent[0].msg_id, sent[1].msg_id], query(3)));
    assert_ne!(again.msg_id, sent[2].msg_id);
    raw.result(sent[0].msg_id, &told("SOMETHING_FAILED"));
    raw.result(again.msg_id, &told("MSG_WAIT_FAILED"));
    assert_eq!(raw.answers().len(), 1);
    assert_eq!(bodies(&mut raw), []);
    raw.result(sent[1].msg_id, &query(9));
    let last = bodies(&mut raw).remove(0);
    assert_eq!(last.body, query(3));
    raw.result(last.msg_id, &query(8));
    assert_eq!(raw.answers()[1], (c, Ok(Raw(query(8)))));
    let (mut raw, call, sent) = calling();
    raw.result(sent.msg_id, &told("MSG_WAIT_FAILED"));
    let error = CallError::Rpc(RpcError::bad_request("MSG_WAIT_FAILED"));
    assert_eq!(raw.answers(), [(call, Err(error))]);
}

/// Rule:   what a session that was given up did not begin goes out in the next; what it says so of
///         an earlier message of a call that is on its way again means nothing.
/// Source: SVC-45, SES-17.
#[test]
fn call_not_begun_in_a_former_session_goes_out_in_the_next() {
    let told = RpcError::bad_request("MSG_WAIT_FAILED").to_tl();
    let mut raw = RawClient::settled();
    let a = raw.session.call(query(1));
    let b = raw.session.call_with(query(2), after([a]));
    let sent = bodies(&mut raw);
    let old = raw.session.id();
    raw.refuse(sent[0].msg_id, 33);
    let first = bodies(&mut raw).remove(0);
    for number in [0, 2] {
        let id = raw.id(1);
        let result = result_of(sent[1].msg_id, &told);
        assert_eq!(raw.hand_for(old, id, 9 + number, result), Ok(()));
        let again: Vec<Bytes> = bodies(&mut raw).into_iter().map(|inner| inner.body).collect();
        let wanted = [wrapped(&[first.msg_id], query(2))];
        assert_eq!(again, if number == 0 { &wanted[..] } else { &[] });
    }
    assert_eq!(raw.answers(), []);
    raw.session.drop_call(b);
}

/// Rule:   a call sent again in a new session names the others by their new ids; one that comes
///         after a call which is not sent waits for it.
/// Source: SVC-45, SES-17, SVC-10.
#[test]
fn order_is_kept_in_a_new_session() {
    let mut raw = RawClient::settled();
    let repeatable = CallOptions::default().repeatable();
    let a = raw.session.call_with(query(1), repeatable.clone());
    let b = raw.session.call_with(query(2), repeatable.after([a]));
    let sent = bodies(&mut raw);
    raw.refuse(sent[1].msg_id, 33);
    let again = bodies(&mut raw);
    assert_eq!(again[0].body, query(1));
    assert_eq!(again[1].body, wrapped(&[again[0].msg_id], query(2)));
    // Refused alone, the first falls behind the second, which waits for its end then.
    raw.refuse(again[0].msg_id, 16);
    raw.refuse(again[1].msg_id, 16);
    let first = bodies(&mut raw);
    assert_eq!(first[0].body, query(1));
    let named = first.get(1).map(|inner| inner.body.clone());
    assert!(named.is_none_or(|body| body == wrapped(&[first[0].msg_id], query(2))));
    raw.result(first[0].msg_id, &query(9));
    for inner in first[1..].iter().cloned().chain(bodies(&mut raw)) {
        raw.result(inner.msg_id, &query(8));
    }
    assert_eq!(raw.answers().iter().map(|(call, _)| *call).collect::<Vec<_>>(), [a, b]);
}

/// Rule:   calls in order run in order on our own server, over a link that is cut, and once each.
/// Source: SVC-44, SVC-45, SES-10, MSG-39.
#[test]
fn calls_in_order_run_in_order() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let mut calls = vec![pair.client.call(query(1))];
    for number in 2..=4 {
        let last = *calls.last().unwrap();
        calls.push(pair.client.call_with(query(number), after([last])));
    }
    pair.collect();
    pair.cut();
    pair.reconnect();
    for number in 1..=4 {
        pair.run_for(Duration::from_millis(100));
        let running: Vec<Bytes> = pair.running.iter().map(|call| call.call.query.clone()).collect();
        assert_eq!(running, [query(number)]);
        pair.answer_all();
        pair.run_to_idle();
    }
    assert!(calls.iter().all(|call| pair.answers[call].len() == 1));
    assert!((1..=4).all(|number| pair.runs_of(&query(number)) == 1));
}

/// Rule:   after a reconnect calls wait for the server to speak: one that lost key or session has
///         not swallowed them then.
/// Source: SES-10, SES-12, SES-18.
#[test]
fn calls_wait_for_a_link_to_prove_itself() {
    let mut raw = RawClient::settled();
    raw.session.handle_link_closed();
    let call = raw.session.call(query(1));
    raw.session.handle_link_opened(raw.now);
    let sent = raw.sent();
    assert!(sent.iter().any(|i| read::<functions::PingDelayDisconnect>(&i.body).is_some()));
    assert!(!sent.iter().any(is_query));
    assert!(raw.session.is_unsent(call));
    raw.reply(ack(&[]));
    assert_eq!(raw.sent_calls().len(), 1);
    assert!(!raw.session.is_unsent(call));
}

/// Rule:   a server that does not know what it acknowledged before has forgotten the session,
///         also where its word of that was lost: what it took is in doubt.
/// Source: SVC-40, SVC-13, SES-12.
#[test]
fn server_without_memory_is_found_out_by_its_states() {
    for (witness, is_forgotten) in [(4, false), (1, false), (2, true), (3, true)] {
        let (mut raw, call, sent) = calling();
        reopen(&mut raw);
        let asked = raw.sent().remove(0);
        let request: types::MsgsStateReq = read(&asked.body).unwrap();
        assert_eq!(request.msg_ids.len(), 2);
        raw.reply(state_info(asked.msg_id, &[witness, 2]));
        if is_forgotten {
            let unknown = CallError::Unknown(Doubt::SessionForgotten);
            assert_eq!(raw.answers(), [(call, Err(unknown))]);
        } else {
            assert_eq!(raw.sent_calls(), [sent]);
        }
    }
}

/// Rule:   of calls in a session that was given up the old session may still tell: an answer
///         counts, a refusal has them sent in the new one; after 10 s nobody knows.
/// Source: SES-17, SES-12, SES-30; code 17.
#[test]
fn session_given_up_is_listened_to() {
    let mut raw = RawClient::settled();
    let old = raw.session.id();
    let calls = [1, 2, 3, 4].map(|number| {
        let call = raw.session.call(query(number));
        (call, raw.sent_calls().remove(0))
    });
    raw.refuse(calls[0].1.msg_id, 17);
    assert_ne!(raw.session.id(), old);
    // The refused one goes at once; of the others nobody has spoken yet.
    let again = raw.sent_calls();
    assert_eq!(again.iter().map(|inner| &inner.body).collect::<Vec<_>>(), [&query(1)]);
    let id = raw.id(1);
    raw.hand_for(old, id, 9, result_of(calls[1].1.msg_id, &query(9))).unwrap();
    assert_eq!(raw.answers(), [(calls[1].0, Ok(Raw(query(9))))]);
    let refusal = boxed(&ctors::BadMsgNotification {
        bad_msg_id: calls[2].1.msg_id.0,
        bad_msg_seqno: 1,
        error_code: 17,
    });
    let id = raw.id(1);
    raw.hand_for(old, id, 9, refusal.clone()).unwrap();
    raw.hand_for(old, MsgId(id.0 + 4), 9, refusal).unwrap();
    assert_eq!(raw.sent_calls().iter().map(|i| &i.body).collect::<Vec<_>>(), [&query(3)]);
    raw.wait(Duration::from_millis(9_999));
    assert_eq!(raw.answers(), []);
    raw.wait(Duration::from_millis(1));
    assert_eq!(raw.answers(), [(calls[3].0, Err(CallError::Unknown(Doubt::SessionGivenUp)))]);
}

/// Rule:   what waits for a session that was given up does not wait for another link.
/// Source: SES-17, SES-12.
#[test]
fn doubt_ends_with_the_link() {
    let (mut raw, call, _) = calling();
    let other = raw.session.call(query(2));
    let sent = raw.sent_calls().remove(0);
    raw.refuse(sent.msg_id, 33);
    raw.session.handle_link_closed();
    assert_eq!(raw.answers(), [(call, Err(CallError::Unknown(Doubt::SessionGivenUp)))]);
    assert_eq!(raw.session.calls(), 1);
    raw.session.drop_call(other);
}

/// Rule:   what the server refuses under an id that it has acknowledged is a copy, which somebody
///         may have made: the call goes on.
/// Source: MSG-31, SES-12, SVC-08.
#[test]
fn refused_copy_of_a_taken_call_changes_nothing() {
    let (mut raw, call, sent) = calling();
    let session = raw.session.id();
    raw.reply(ack(&[sent.msg_id]));
    for code in [16, 17, 20, 33] {
        raw.refuse(sent.msg_id, code);
    }
    raw.correct_salt(sent.msg_id, 77);
    assert_eq!(raw.sent_calls(), []);
    assert_eq!(raw.session.id(), session);
    raw.result(sent.msg_id, &query(5));
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
}

/// Rule:   a call that two packets carried under one id keeps that id when one of them is refused:
///         the other may have been taken.
/// Source: SES-11, SES-12, SVC-10.
#[test]
fn refused_container_of_a_call_sent_twice_goes_again_under_the_same_id() {
    let (mut raw, _, sent) = calling();
    reopen(&mut raw);
    let asked = raw.sent().remove(0);
    raw.reply(state_info(asked.msg_id, &[4, 3]));
    let packet = raw.packets().remove(0);
    raw.correct_salt(packet.header.msg_id, 77);
    let again = raw.packets().remove(0);
    assert_ne!(again.header.msg_id, packet.header.msg_id);
    assert_eq!(again.body, container::pack(std::slice::from_ref(&sent)));
    assert_eq!(again.header.salt, 77);
}

/// Rule:   a message that overtook another makes the server speak twice of one session: the other
///         goes again under its old id, and nothing is in doubt.
/// Source: SVC-39, SVC-40, SES-11.
#[test]
fn message_overtaken_is_not_in_doubt() {
    let (mut raw, _, sent) = calling();
    raw.push(boxed(&types::NewSession {
        first_msg_id: sent.msg_id.0 + 4,
        unique_id: 1,
        server_salt: 1,
    }));
    let packet = raw.packets().remove(0);
    assert!(packet.header.msg_id > sent.msg_id && flatten(packet).contains(&sent));
    assert_eq!(raw.answers(), []);
}

/// Rule:   a message long on its way may begin the new session: calls above it that the server
///         acknowledged before are asked for, and in doubt if it does not know them.
/// Source: SVC-40, SES-12.
#[test]
fn forgotten_call_above_the_first_id_is_found_out() {
    for (state, is_lost) in [(4, false), (2, true), (3, true), (1, true)] {
        let (mut raw, call, sent) = calling();
        raw.reply(ack(&[sent.msg_id]));
        raw.push(boxed(&types::NewSession {
            first_msg_id: sent.msg_id.0 - 400,
            unique_id: 2,
            server_salt: 1,
        }));
        let all = raw.sent();
        let asked = all.iter().find(|i| read::<types::MsgsStateReq>(&i.body).is_some()).unwrap();
        let request: types::MsgsStateReq = read(&asked.body).unwrap();
        assert_eq!(request.msg_ids, [sent.msg_id.0]);
        raw.reply(state_info(asked.msg_id, &[state]));
        assert_eq!(raw.sent_calls(), []);
        let unknown = Err(CallError::Unknown(Doubt::SessionForgotten));
        let expected = if is_lost { vec![(call, unknown)] } else { vec![] };
        assert_eq!(raw.answers(), expected);
    }
}

/// Rule:   a wall clock that gains on the monotonic one is that of a machine that slept: a ping
///         tells within 10 s whether the link still works. It moves no clock and no session.
/// Source: SES-28, SES-14.
#[test]
fn machine_that_slept_looks_after_its_link() {
    let pings = |raw: &mut RawClient| raw.sent_as::<functions::PingDelayDisconnect>().len();
    let mut raw = RawClient::settled();
    raw.sent();
    let (session, clock) = (raw.session.id(), raw.session.clock());
    raw.now.unix += Duration::from_secs(29);
    assert_eq!(pings(&mut raw), 0);
    raw.now.unix += Duration::from_secs(3600);
    assert_eq!(pings(&mut raw), 1);
    raw.wait(Duration::from_millis(9_999));
    assert_eq!(raw.dead_link(), None);
    raw.wait(Duration::from_millis(1));
    assert_eq!(raw.dead_link(), Some(DeadLink::Silent));
    assert_eq!((raw.session.id(), raw.session.clock()), (session, clock));
    // Set back, it is only a clock that was set.
    reopen(&mut raw);
    raw.reply(ack(&[]));
    raw.sent();
    raw.now.unix -= Duration::from_secs(7200);
    assert_eq!(pings(&mut raw), 0);
}

/// Rule:   a machine that slept for an hour finds its link gone, its messages too old and its salt
///         out of date, and every call runs once all the same.
/// Source: SES-28, SES-30, SES-10, SVC-10; codes 16 and 48.
#[test]
fn machine_that_slept_an_hour_goes_on() {
    for slept in [3600, 86_400] {
        let mut pair = Pair::connected();
        pair.answers_itself = false;
        let before = pair.client.call(query(1));
        pair.run_for(Duration::from_secs(1));
        pair.client_late += slept;
        pair.mono += Duration::from_secs(slept);
        pair.notice_dead_links();
        pair.answers_itself = true;
        pair.answer_all();
        let after = pair.client.call(query(2));
        pair.cut_for_client();
        pair.notice_dead_links();
        pair.reconnect();
        for _ in 0..4 {
            pair.run_for(Duration::from_secs(10));
            let is_dead = |event: &ClientEvent| matches!(event, ClientEvent::LinkIsDead(_));
            if pair.client_events.iter().any(is_dead) {
                pair.client_events.clear();
                pair.cut();
                pair.reconnect();
            }
        }
        for (call, number) in [(before, 1), (after, 2)] {
            let answer = Ok(Raw(answer_to(&query(number))));
            assert_eq!(pair.answers[&call], [answer], "slept {slept} s");
            assert_eq!(pair.runs_of(&query(number)), 1, "slept {slept} s");
        }
    }
}

/// Rule:   a clock years ahead, and many calls at once: the server refuses them all, and each runs
///         once in the session that follows, whichever packets they left in.
/// Source: SES-28, SES-30, SES-17, SES-12; code 17.
#[test]
fn many_calls_survive_a_clock_years_ahead() {
    let mut pair =
        Pair::with(10 * 365 * 86_400, SessionConfig::default(), server::SessionConfig::default());
    pair.reconnect();
    let calls: Vec<CallId> = (0..20)
        .map(|number| {
            let call = pair.client.call(query(number));
            pair.collect();
            call
        })
        .collect();
    pair.run_for(Duration::from_secs(60));
    for (number, call) in calls.iter().enumerate() {
        let number = number as u32;
        assert_eq!(pair.answers[call], [Ok(Raw(answer_to(&query(number))))], "call {number}");
        assert_eq!(pair.runs_of(&query(number)), 1, "call {number}");
    }
}

/// Rule:   a call given up tells the server, again on the next link until it has answered; each of
///         the three answers ends that, and none reaches anybody.
/// Source: SVC-29, SVC-30, SVC-21.
#[test]
fn server_is_told_of_a_dropped_call_until_it_answers() {
    let answers = [
        encoded(&types::RpcDropAnswer::RpcAnswerUnknown),
        encoded(&types::RpcDropAnswer::RpcAnswerDroppedRunning),
        encoded(&types::RpcDropAnswer::RpcAnswerDropped(ctors::RpcAnswerDropped {
            msg_id: 5,
            seq_no: 1,
            bytes: 9,
        })),
    ];
    for answer in answers {
        let (mut raw, call, sent) = calling();
        raw.session.drop_call(call);
        let drops = |raw: &mut RawClient| -> Vec<Inner> {
            let mut sent = raw.sent();
            sent.retain(|inner| read::<functions::RpcDropAnswer>(&inner.body).is_some());
            sent
        };
        assert_eq!(drops(&mut raw).len(), 1);
        reopen(&mut raw);
        let again = drops(&mut raw).remove(0);
        let request: functions::RpcDropAnswer = read(&again.body).unwrap();
        assert_eq!(request.req_msg_id, sent.msg_id.0);
        let of_drop = raw.result(again.msg_id, &answer);
        let of_call = raw.result(sent.msg_id, &answer);
        assert_eq!(raw.answers(), []);
        reopen(&mut raw);
        let sent = raw.sent();
        assert!(!sent.iter().any(|i| read::<functions::RpcDropAnswer>(&i.body).is_some()));
        let acked: types::MsgsAck = sent.iter().find_map(|inner| read(&inner.body)).unwrap();
        assert!([of_drop, of_call].iter().all(|id| acked.msg_ids.contains(&id.0)));
    }
}

/// Rule:   a session may have several links: answers are taken from any, and what a lost one
///         carried is asked for on those that are left.
/// Source: SES-03, SES-10.
#[test]
fn session_lives_on_several_links() {
    let (mut raw, call, sent) = calling();
    raw.session.handle_link_opened(raw.now);
    assert_eq!(raw.sent(), []);
    raw.session.handle_link_closed();
    let asked: Vec<types::MsgsStateReq> = raw.sent_as();
    assert_eq!(asked[0].msg_ids.last(), Some(&sent.msg_id.0));
    raw.session.call(query(2));
    assert_eq!(raw.sent_calls().len(), 1);
    raw.result(sent.msg_id, &query(5));
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
    raw.session.handle_link_closed();
    raw.session.call(query(3));
    assert_eq!(raw.sent(), []);
}

/// Rule:   in a body that cannot be read nothing is done, and what stands beside it counts; what
///         nobody knows is acknowledged and handed out.
/// Source: MSG-R12, SVC-43, TL-38.
#[test]
fn unreadable_message_spoils_no_other() {
    let (mut raw, call, sent) = calling();
    let broken = boxed(&types::MsgsStateInfo { req_msg_id: 4, info: Bytes::new() }).slice(..8);
    let unknown = query(0xffff);
    let bodies = [broken, unknown.clone(), result_of(sent.msg_id, &query(5))];
    let inners = bodies.map(|body| Inner { msg_id: raw.id(1), seq_no: 1, body });
    let outer = raw.id(1);
    raw.hand(outer, 2, container::pack(&inners)).unwrap();
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
    assert_eq!(raw.events(), [ClientEvent::Pushed(unknown)]);
    raw.wait(Duration::from_secs(30));
    let acked = raw.sent_as::<types::MsgsAck>().remove(0).msg_ids;
    assert!(inners.iter().all(|inner| acked.contains(&inner.msg_id.0)));
    let cut = container::pack(&inners).slice(..60);
    let outer = raw.id(1);
    assert!(raw.hand(outer, 4, cut).is_err());
}

/// Rule:   the request to bind is made anew under every id, with its own id, nonce and random
///         bytes, and is right in every byte; nothing else is called before boolTrue came.
/// Source: PFS-06, PFS-07, PFS-08, PFS-09.
#[test]
fn binding_is_made_anew_under_every_id() {
    let permanent = Arc::new(AuthKey::new([6; 256]));
    let temporary = AuthKeyId::from_le_bytes([5; 8]);
    let mut raw = RawClient::settled();
    let bound = raw.session.bind(Bind::new(Arc::clone(&permanent), temporary, 1_900_000_000));
    let held = raw.session.call(query(1));
    let mut requests = Vec::new();
    for refusal in [48, 16, 33, 0] {
        raw.wait(Duration::from_secs(1));
        let sent = bodies(&mut raw);
        assert_eq!(sent.len(), 1, "only the binding may go");
        let Inner { msg_id, ref body, .. } = sent[0];
        let request = bind::read_request(body).unwrap();
        let session_id = raw.session.id();
        let came_with = CameWith { temporary, session_id, msg_id };
        assert_eq!(bind::verify(&request, came_with, Some(&permanent)), Ok(()));
        assert_eq!(request.expires_at, 1_900_000_000);
        let elsewhere = CameWith { msg_id: MsgId(msg_id.0 + 4), ..came_with };
        assert!(bind::verify(&request, elsewhere, Some(&permanent)).is_err());
        requests.push((request.nonce, request.encrypted_message));
        match refusal {
            0 => {}
            48 => raw.correct_salt(msg_id, 88),
            code => raw.refuse(msg_id, code),
        }
        if refusal == 0 {
            raw.result(msg_id, &encoded(&true));
        }
    }
    requests.sort();
    requests.dedup_by(|a, b| a.0 == b.0 || a.1 == b.1);
    assert_eq!(requests.len(), 4);
    assert_eq!(raw.answers(), [(bound, Ok(Raw(encoded(&true))))]);
    assert_eq!(raw.sent_calls().len(), 1);
    raw.session.drop_call(held);
}

/// Rule:   a key that was not bound carries no call, whatever else the server says.
/// Source: PFS-09, PFS-17.
#[test]
fn refused_binding_frees_no_call() {
    for answer in [encoded(&false), RpcError::bad_request("EXPIRES_AT_INVALID").to_tl()] {
        let mut raw = RawClient::settled();
        let temporary = AuthKeyId::from_le_bytes([5; 8]);
        raw.session.bind(Bind::new(Arc::new(AuthKey::new([6; 256])), temporary, 1));
        raw.session.call(query(1));
        let sent = bodies(&mut raw).remove(0);
        raw.result(sent.msg_id, &answer);
        assert_eq!(raw.answers().len(), 1);
        assert_eq!(bodies(&mut raw), []);
    }
}

/// Rule:   a repeatable call goes again where another is in doubt, and its earlier message may
///         still be answered.
/// Source: SES-12.
#[test]
fn repeatable_call_takes_either_answer() {
    for earlier in [true, false] {
        let (mut raw, call, sent) = calling_repeatable();
        raw.push(boxed(&types::NewSession {
            first_msg_id: sent.msg_id.0 + 4,
            unique_id: 9,
            server_salt: 1,
        }));
        let again = raw.sent_calls().remove(0);
        let answered = if earlier { &sent } else { &again };
        raw.result(answered.msg_id, &query(7));
        assert_eq!(raw.answers(), [(call, Ok(Raw(query(7))))]);
    }
}
