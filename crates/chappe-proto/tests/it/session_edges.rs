//! The client's session at the edges of its rules: one second sooner, one message more, one that
//! comes twice.

use std::time::Duration;

use bytes::Bytes;
use chappe_proto::MsgId;
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::types::RpcDropAnswer;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::client::{
    CallError, CallOptions, ClientEvent, Doubt, MessageError, SessionConfig,
};
use chappe_proto::session::container::{self, Inner};

use crate::pair::EPOCH;
use crate::raw::{
    RawClient, ack, boxed, calling, calling_repeatable, encoded, id_at, query, read, reopen,
    result_of, state_info, words,
};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);

fn refusal(bad: MsgId, error_code: i32) -> Bytes {
    boxed(&ctors::BadMsgNotification { bad_msg_id: bad.0, bad_msg_seqno: 1, error_code })
}

fn wrong_salt(bad: MsgId) -> Bytes {
    boxed(&ctors::BadServerSalt {
        bad_msg_id: bad.0,
        bad_msg_seqno: 1,
        error_code: 48,
        new_server_salt: 7,
    })
}

fn new_session(first: MsgId, unique_id: i64) -> Bytes {
    boxed(&types::NewSession { first_msg_id: first.0, unique_id, server_salt: 1 })
}

fn detailed(call: MsgId, answer: MsgId) -> Bytes {
    boxed(&ctors::MsgDetailedInfo {
        msg_id: call.0,
        answer_msg_id: answer.0,
        bytes: 5000,
        status: 0,
    })
}

fn copy_of(id: MsgId, body: &Bytes) -> Bytes {
    let mut copy = words(&[0xe060_46b2, 0x5bb8_e511]).to_vec();
    copy.extend_from_slice(&id.0.to_le_bytes());
    copy.extend_from_slice(&words(&[9, body.len() as u32]));
    copy.extend_from_slice(body);
    copy.into()
}

/// The first id of a server at exactly that time.
fn server_id_at(time: Duration) -> MsgId {
    let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
    let about = (time.as_secs() << 32 | fraction) as i64 & !3;
    let ids = (0..4).map(|step| MsgId(about + 4 * step + 1));
    ids.into_iter().find(|id| id.time() == time).expect("each nanosecond has four ids")
}

/// Calls of ours on their way, each in a packet of its own.
fn on_their_way<const N: usize>(raw: &mut RawClient, numbers: [u32; N]) -> [Inner; N] {
    numbers.map(|number| {
        raw.session.call(query(number));
        raw.sent_calls().remove(0)
    })
}

fn bodies(inners: &[Inner]) -> Vec<Bytes> {
    inners.iter().map(|inner| inner.body.clone()).collect()
}

/// Rule:   what is too old to be heeded is not looked into: a container that contradicts itself
///         ends the link only if it is of our time.
/// Source: MSG-R09, MSG-23.
#[test]
fn container_of_another_time_is_not_looked_into() {
    let mut raw = RawClient::settled();
    raw.wait(400 * SECOND);
    let elapsed = raw.now.unix_seconds() - EPOCH;
    for (age, refused) in [(-301, false), (31, false), (0, true)] {
        let id = MsgId(id_at(elapsed + age, 1).0 | 1);
        assert_eq!(raw.hand(id, 2, words(&[container::ID, 1])).is_err(), refused, "{age} s");
    }
}

/// Rule:   a container is a message, too: the server is told that it came, and one that comes a
///         second time is of no use, though what is in it is acknowledged again.
/// Source: MSG-36, SVC-01, SVC-11, SVC-16.
#[test]
fn container_counts_as_heard() {
    let mut raw = RawClient::settled();
    let inner = Inner { msg_id: raw.id(3), seq_no: 1, body: query(70) };
    let body = container::pack(std::slice::from_ref(&inner));
    let outer = raw.reply(body.clone());
    raw.wait(30 * SECOND);
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids, [inner.msg_id.0]);
    raw.reply(boxed(&types::MsgsStateReq { msg_ids: vec![outer.0] }));
    assert_eq!(raw.sent_as::<types::MsgsStateInfo>()[0].info[..], [4 | 16]);
    assert_eq!(raw.hand(outer, 2, body), Ok(()));
    raw.wait(30 * SECOND);
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids, [inner.msg_id.0]);
}

/// Rule:   code 16 sets a clock back that is ahead by more than the 15 s which a notice may take,
///         and begins a new session: its ids would go on running ahead.
/// Source: SVC-10, SES-28, 05-service-messages §3; code 16.
#[test]
fn clock_far_ahead_of_its_refusal_is_set_back() {
    let slack = Duration::from_secs(15);
    for (more, is_set) in [(Duration::ZERO, false), (Duration::from_nanos(1), true), (SECOND, true)]
    {
        let (mut raw, _, sent) = calling();
        let session = raw.session.id();
        raw.now.mono += 16 * SECOND;
        let told = raw.session.clock().at(raw.now) - slack - more;
        raw.hand(server_id_at(told), 2, refusal(sent.msg_id, 16)).unwrap();
        assert_eq!(raw.session.id() != session, is_set, "{more:?}");
        assert_eq!(raw.session.clock().at(raw.now) == told, is_set, "{more:?}");
        assert_eq!(bodies(&raw.sent_calls()), [query(1)]);
    }
}

/// Rule:   an answer made 15 s before its question, by the two clocks, is one that was long on its
///         way; more than that proves that our clock runs ahead.
/// Source: SES-28, 06-sessions-salts-time §6.
#[test]
fn answer_must_be_made_far_before_its_question() {
    for (more, is_set) in [(Duration::ZERO, false), (Duration::from_nanos(1), true)] {
        let mut raw = RawClient::settled();
        raw.now.mono += 16 * SECOND;
        let [sent] = on_their_way(&mut raw, [1]);
        let made = sent.msg_id.time() - Duration::from_secs(15) - more;
        raw.hand(server_id_at(made), 1, result_of(sent.msg_id, &query(5))).unwrap();
        assert_eq!(raw.session.clock().at(raw.now) == made, is_set, "{more:?}");
    }
}

/// Rule:   what a session that was given up says out of its time is not heeded.
/// Source: MSG-R09, SES-17, SEC-28.
#[test]
fn old_answer_in_a_former_session_is_not_heeded() {
    for (age, is_taken) in [(301, false), (299, true)] {
        let mut raw = RawClient::settled();
        let old = raw.session.id();
        let [sent, refused] = on_their_way(&mut raw, [1, 2]);
        raw.refuse(refused.msg_id, 33);
        let id = MsgId(raw.id(1).0 - (age << 32));
        raw.hand_for(old, id, 1, result_of(sent.msg_id, &query(5))).unwrap();
        assert_eq!(!raw.answers().is_empty(), is_taken, "{age} s");
    }
}

/// Rule:   a call that a former session refuses goes out in this one, for whatever reason, unless
///         something says that it may have been taken: it was acknowledged, or a second packet
///         carried it.
/// Source: SES-17, SES-12, MSG-31, SVC-08.
#[test]
fn former_session_may_refuse_what_it_did_not_take() {
    for notice in [|bad| refusal(bad, 17), wrong_salt] {
        let mut raw = RawClient::settled();
        let old = raw.session.id();
        let [twice] = on_their_way(&mut raw, [1]);
        reopen(&mut raw);
        let asked = raw.sent().remove(0).msg_id;
        raw.reply(state_info(asked, &[4, 1]));
        assert_eq!(raw.sent_calls(), std::slice::from_ref(&twice));
        let [taken, open, refused] = on_their_way(&mut raw, [2, 3, 4]);
        raw.reply(ack(&[taken.msg_id]));
        raw.refuse(refused.msg_id, 33);
        assert_eq!(bodies(&raw.sent_calls()), [query(4)]);
        for bad in [twice.msg_id, taken.msg_id, open.msg_id] {
            let id = raw.id(1);
            raw.hand_for(old, id, 2, notice(bad)).unwrap();
        }
        assert_eq!(bodies(&raw.sent_calls()), [query(3)]);
        raw.wait(10 * SECOND);
        let unknown = CallError::Unknown(Doubt::SessionGivenUp);
        let lost = raw.answers().into_iter().map(|(_, result)| result);
        assert_eq!(lost.collect::<Vec<_>>(), [Err(unknown.clone()), Err(unknown)]);
    }
}

/// Rule:   of two packets that carried a call one is refused, which ends the session: the other may
///         still be refused there, and then the call was never taken.
/// Source: SES-17, SES-12; code 17.
#[test]
fn call_that_both_its_packets_are_refused_for_goes_again() {
    let (mut raw, _, sent) = calling();
    let old = raw.session.id();
    reopen(&mut raw);
    let asked = raw.sent().remove(0).msg_id;
    raw.reply(state_info(asked, &[4, 1]));
    let again = raw.packets().remove(0);
    raw.refuse(again.header.msg_id, 17);
    assert_ne!(raw.session.id(), old);
    assert_eq!(raw.sent_calls(), []);
    let id = raw.id(1);
    raw.hand_for(old, id, 2, refusal(sent.msg_id, 17)).unwrap();
    assert_eq!(bodies(&raw.sent_calls()), [query(1)]);
}

/// Rule:   an error that speaks of waiting is the caller's if the call came after none that was
///         open, in a session that was given up as well.
/// Source: SVC-45, SES-17.
#[test]
fn call_after_finished_ones_waits_for_none() {
    let mut raw = RawClient::settled();
    let old = raw.session.id();
    let done = raw.session.call(query(1));
    let sent = raw.sent_calls().remove(0);
    raw.result(sent.msg_id, &query(9));
    assert_eq!(raw.answers().len(), 1);
    let call = raw.session.call_with(query(2), CallOptions::default().after([done]));
    let sent = raw.sent_calls().remove(0);
    let [refused] = on_their_way(&mut raw, [3]);
    raw.refuse(refused.msg_id, 33);
    raw.sent();
    let error = RpcError::bad_request("MSG_WAIT_FAILED");
    let id = raw.id(1);
    raw.hand_for(old, id, 1, result_of(sent.msg_id, &error.to_tl())).unwrap();
    assert_eq!(raw.answers(), [(call, Err(CallError::Rpc(error)))]);
    assert_eq!(raw.sent_calls(), []);
}

/// Rule:   late messages of the last eight sessions are no reason to end a link, those of older
///         ones are.
/// Source: SES-17, MSG-R07, SEC-25.
#[test]
fn eight_former_sessions_are_known() {
    let mut raw = RawClient::settled();
    let first = raw.session.id();
    for number in 1..=9 {
        let [sent] = on_their_way(&mut raw, [number]);
        raw.refuse(sent.msg_id, 33);
        let again = raw.sent_calls().remove(0);
        raw.result(again.msg_id, &query(5));
        let id = raw.id(1);
        let heard = raw.hand_for(first, id, 2, ack(&[]));
        let expected = if number <= 8 { Ok(()) } else { Err(MessageError::ForeignSession(first)) };
        assert_eq!(heard, expected, "after {number}");
    }
}

/// Rule:   after a correction of the salt nothing is acknowledged or pinged for a second, or two
///         ends that disagree talk as fast as they can. Calls do not wait for that.
/// Source: SVC-08, SES-23.
#[test]
fn refused_acknowledgements_wait_a_second() {
    let mut raw = RawClient::settled();
    let push = raw.push(query(70));
    raw.wait(30 * SECOND);
    let acks = raw.sent().remove(0);
    raw.correct_salt(acks.msg_id, 7);
    raw.now.mono += SECOND - TICK;
    assert_eq!(raw.sent(), []);
    // Sixteen are enough at any other time.
    let mut owed = vec![push.0];
    owed.extend((0..16).map(|_| raw.push(query(70)).0));
    assert_eq!(raw.sent(), []);
    raw.now.mono += TICK;
    let mut told = raw.sent_as::<types::MsgsAck>().remove(0).msg_ids;
    told.sort_unstable();
    assert_eq!(told, owed);

    let mut raw = RawClient::settled();
    raw.session.ping(raw.now);
    let ping = raw.sent().remove(0);
    raw.correct_salt(ping.msg_id, 7);
    raw.wait(SECOND - TICK);
    assert_eq!(raw.sent_as::<functions::PingDelayDisconnect>(), []);
    raw.wait(TICK);
    assert_eq!(raw.sent_as::<functions::PingDelayDisconnect>().len(), 1);

    // From then on sixteen are enough again.
    let mut raw = RawClient::settled();
    raw.session.ping(raw.now);
    let ping = raw.sent().remove(0);
    raw.correct_salt(ping.msg_id, 7);
    raw.sent();
    for _ in 0..16 {
        raw.push(query(70));
    }
    raw.now.mono += SECOND - TICK;
    assert_eq!(raw.sent_as::<types::MsgsAck>(), []);
    raw.now.mono += TICK;
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids.len(), 16);
}

/// Rule:   a service message that the server refuses is sent again as often as a call is, five
///         times, and then no more.
/// Source: SVC-08.
#[test]
fn refused_service_message_is_given_up() {
    let mut raw = RawClient::settled();
    raw.reply(boxed(&types::MsgsStateReq { msg_ids: vec![8] }));
    let mut sent = raw.sent();
    for attempt in 0..5 {
        raw.refuse(sent[0].msg_id, 16);
        sent = raw.sent();
        assert!(read::<types::MsgsStateInfo>(&sent[0].body).is_some(), "attempt {attempt}");
    }
    raw.refuse(sent[0].msg_id, 16);
    assert_eq!(raw.sent(), []);
}

/// Rule:   states told unasked mean nothing if there are more or fewer than ids, or one of them is
///         no state.
/// Source: SVC-13, SVC-17.
#[test]
fn unasked_states_without_meaning_are_ignored() {
    let mut raw = RawClient::settled();
    let [a, b] = on_their_way(&mut raw, [1, 2]).map(|inner| inner.msg_id.0);
    for (ids, info) in
        [(&[a][..], &[1, 1][..]), (&[a, b], &[1]), (&[a], &[]), (&[a], &[0]), (&[a, b], &[1, 5])]
    {
        let (msg_ids, info) = (ids.to_vec(), Bytes::copy_from_slice(info));
        raw.reply(boxed(&types::MsgsAllInfo { msg_ids, info }));
        assert_eq!(raw.sent(), []);
    }
}

/// Rule:   what is told of an earlier message of a call that is on its way under a new id changes
///         nothing, also where the server has forgotten the session since.
/// Source: SVC-14, SVC-40, SES-12.
#[test]
fn state_of_an_earlier_message_changes_nothing() {
    let (mut raw, _, first) = calling_repeatable();
    raw.push(new_session(MsgId(first.msg_id.0 + 4), 2));
    let second = raw.sent_calls().remove(0);
    assert!(second.msg_id > first.msg_id);
    raw.push(new_session(MsgId(first.msg_id.0 - 400), 3));
    raw.sent();
    let msg_ids = vec![first.msg_id.0];
    raw.reply(boxed(&types::MsgsAllInfo { msg_ids, info: vec![1].into() }));
    assert_eq!(raw.sent_calls(), []);
}

/// Rule:   a question of the server about 8192 messages is answered, one about more is none.
/// Source: MSG-21, SVC-11.
#[test]
fn questions_of_the_server_are_bounded() {
    for (count, answers) in [(8191, 1), (8192, 1), (8193, 0), (8194, 0)] {
        let mut raw = RawClient::settled();
        raw.reply(boxed(&types::MsgsStateReq { msg_ids: vec![8; count] }));
        let told = raw.sent_as::<types::MsgsStateInfo>();
        assert_eq!(told.len(), answers, "{count}");
        assert!(told.iter().all(|told| told.info.len() == count));
    }
}

/// Rule:   a pong asks for calls that have waited 10 s for their acknowledgement and not for
///         younger ones, once at a time; such a link is given up after 60 s and not sooner.
/// Source: SVC-15, SES-14.
#[test]
fn pong_asks_for_calls_that_waited_long_enough() {
    let mut raw = RawClient::settled();
    reopen(&mut raw);
    raw.reply(ack(&[]));
    raw.sent();
    on_their_way(&mut raw, [1]);
    for (wait, asked) in [(TICK, 0), (10 * SECOND - 2 * TICK, 0), (TICK, 1), (TICK, 0)] {
        raw.wait(wait);
        raw.sent();
        assert_eq!(asked_after_a_pong(&mut raw), asked, "{wait:?}");
    }
    let is_end = |event: &ClientEvent| matches!(event, ClientEvent::LinkIsDead(_));
    assert!(!raw.events().iter().any(is_end));
}

/// Sends a ping that is answered at once, and counts the questions that follow.
fn asked_after_a_pong(raw: &mut RawClient) -> usize {
    raw.session.ping(raw.now);
    for inner in raw.sent() {
        if let Some(ping) = read::<functions::PingDelayDisconnect>(&inner.body) {
            raw.reply(boxed(&types::Pong { msg_id: inner.msg_id.0, ping_id: ping.ping_id }));
        }
    }
    raw.sent_as::<types::MsgsStateReq>().len()
}

/// Rule:   acknowledgements count towards the 32 KiB of a container as calls do, and what fits
///         exactly still travels along.
/// Source: MSG-20.
#[test]
fn soft_bound_of_containers_counts_all_that_is_in_them() {
    let mut raw = RawClient::settled();
    for _ in 0..8000 {
        raw.push(query(70));
    }
    raw.session.call(query(1));
    let packets = raw.packets();
    assert!(read::<types::MsgsAck>(&packets[0].body).is_some(), "64 000 bytes of ids, alone");
    assert_eq!(packets[1].body, query(1));

    for (max, packets) in [(48, 1), (47, 2)] {
        let mut config = SessionConfig::default();
        config.container_soft_max_bytes = max;
        let mut raw = RawClient::with(config);
        on_their_way(&mut raw, [1]);
        // 8 bytes each, and 16 before each of them.
        raw.session.call(query(2));
        raw.session.call(query(3));
        assert_eq!(raw.packets().len(), packets, "{max}");
    }
}

/// Rule:   a call that is given up before it left leaves nothing behind, not even an empty packet.
/// Source: SVC-30, MSG-18.
#[test]
fn call_dropped_before_it_left_sends_nothing() {
    let mut raw = RawClient::settled();
    let before = raw.session.load();
    let call = raw.session.call(query(1));
    raw.session.drop_call(call);
    assert_eq!(raw.packets(), []);
    assert_eq!(raw.session.load(), before);
}

/// Rule:   two of the three answers to the request to drop an answer say that nothing more is to
///         come: what the server announces of that call afterwards draws no further request.
/// Source: SVC-29, SVC-21.
#[test]
fn dropped_answer_is_dropped_once() {
    let dropped = ctors::RpcAnswerDropped { msg_id: 5, seq_no: 1, bytes: 8 };
    for (answer, again) in [
        (RpcDropAnswer::RpcAnswerDropped(dropped), 0),
        (RpcDropAnswer::RpcAnswerDroppedRunning, 0),
        (RpcDropAnswer::RpcAnswerUnknown, 1),
    ] {
        let (mut raw, call, sent) = calling();
        raw.session.drop_call(call);
        let request = raw.sent().remove(0);
        raw.result(request.msg_id, &encoded(&answer));
        let announced = MsgId(raw.id(1).0 + 4000);
        raw.reply(detailed(sent.msg_id, announced));
        assert_eq!(raw.sent_as::<functions::RpcDropAnswer>().len(), again, "{answer:?}");
    }
}

/// Rule:   of messages that no answer removes the latest 4096 are remembered, of calls all.
/// Source: MSG-31, SEC-47.
#[test]
fn messages_remembered_are_bounded() {
    let mut raw = RawClient::settled();
    let open = on_their_way(&mut raw, [1, 2, 3]);
    assert_eq!(raw.session.calls(), 3);
    for _ in 0..4200 {
        raw.session.ping(raw.now);
        assert_eq!(raw.packets().len(), 1);
    }
    assert_eq!(raw.session.load().remembered, 4096 + 3);
    for sent in open {
        raw.result(sent.msg_id, &query(5));
    }
    assert_eq!((raw.answers().len(), raw.session.calls()), (3, 0));
    assert_eq!(raw.session.load().remembered, 4096);
}

/// Rule:   what a copy holds is judged like a message of its own: an id that no server writes is
///         not taken.
/// Source: MSG-27, MSG-R08, SEC-26.
#[test]
fn copies_of_impossible_messages_are_ignored() {
    for (low, is_taken) in [(0, false), (2, false), (1, true), (3, true)] {
        let mut raw = RawClient::settled();
        let id = MsgId(raw.id(1).0 & !3 | low);
        raw.reply(copy_of(id, &query(70)));
        let pushed = raw.events().contains(&ClientEvent::Pushed(query(70)));
        assert_eq!(pushed, is_taken, "{low}");
    }
}

/// Rule:   the acknowledgement of a copy of what is known waits for company like any other.
/// Source: MSG-27, SVC-02.
#[test]
fn second_copy_is_acknowledged_in_time() {
    let mut raw = RawClient::settled();
    let push = raw.push(query(70));
    raw.wait(30 * SECOND);
    raw.sent();
    let outer = raw.reply(copy_of(push, &query(70)));
    raw.now.mono += 30 * SECOND - TICK;
    assert_eq!(raw.sent(), []);
    raw.now.mono += TICK;
    let told = raw.sent_as::<types::MsgsAck>().remove(0).msg_ids;
    assert!(told.contains(&outer.0) && told.contains(&push.0));
}

/// Rule:   an answer that is known is acknowledged when it is announced again, though its call is
///         long closed, and in company: else the server announces it for ever.
/// Source: SVC-21, SVC-02.
#[test]
fn announced_answer_of_a_closed_call_is_acknowledged() {
    let (mut raw, _, sent) = calling();
    let answer = raw.result(sent.msg_id, &query(5));
    raw.wait(30 * SECOND);
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids, [answer.0]);
    raw.reply(detailed(sent.msg_id, answer));
    raw.now.mono += 30 * SECOND - TICK;
    assert_eq!(raw.sent(), []);
    raw.now.mono += TICK;
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids, [answer.0]);
}

/// Rule:   a call fits with all that has to stand around it: its place in a container, and the
///         names of those that it comes after.
/// Source: MSG-03, SVC-44.
#[test]
fn names_of_earlier_calls_count_towards_the_bound() {
    for (first, around) in [(0, 0), (1, 12), (2, 28), (3, 36)] {
        let mut config = SessionConfig::default();
        config.gzip_min_bytes = usize::MAX;
        let mut raw = RawClient::with(config);
        let after: Vec<_> = (0..first).map(|number| raw.session.call(query(number))).collect();
        // A packet's most, less the headers of a container and of a message in it.
        let most = 1_044_404 - 24 - around;
        let options = CallOptions::default().after(after);
        let refused = raw.session.call_with(vec![1; most + 4].into(), options.clone());
        let error = CallError::TooLarge(most + 4 + around);
        assert_eq!(raw.answers(), [(refused, Err(error))], "after {first}");
        raw.session.call_with(vec![1; most].into(), options);
        assert_eq!(raw.answers(), []);
        let longest = raw.sent().iter().map(|inner| inner.body.len()).max();
        assert_eq!(longest, Some(most + around), "after {first}");
    }
}
