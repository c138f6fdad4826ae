//! The client's session: what it obeys, what it ignores, how it recovers.

use std::time::Duration;

use chappe_proto::envelope::encrypted::{self, Message};
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::client::{
    CallError, CallOptions, ClientEvent, DeadLink, Doubt, MessageError, SessionConfig,
};
use chappe_proto::session::container::{self, Inner};
use chappe_proto::{MsgId, SessionId};
use chappe_tl::Raw;
use proptest::prelude::*;

use crate::pair::EPOCH;
use crate::raw::{
    RawClient, ack, answer_to, boxed, calling, calling_repeatable, encoded, flatten, id_at,
    is_query, query, read, reopen, result_of, state_info, words,
};

/// Rule:   each code is obeyed: 16 and 20 send again in the same session, all others in a new
///         one; unknown codes too. After 19 and 20 the call may have been taken before, so only one
///         that may run twice goes again.
/// Source: SVC-07, SVC-09, SVC-10, SES-17, MSG-41, 05-service-messages §3; codes 16 to 64.
#[test]
fn refused_call_is_sent_again() {
    for (code, restarts) in [
        (16, false),
        (17, true),
        (18, true),
        (19, true),
        (20, false),
        (32, true),
        (33, true),
        (34, true),
        (35, true),
        (64, true),
        (23, true),
        (99, true),
    ] {
        let (mut raw, call, sent) =
            if matches!(code, 19 | 20) { calling_repeatable() } else { calling() };
        let session = raw.session.id();
        raw.refuse(sent.msg_id, code);
        assert_eq!(raw.session.id() != session, restarts, "code {code}");
        let again = raw.sent_calls();
        assert_eq!(again.len(), 1, "code {code}");
        assert_ne!(again[0].msg_id, sent.msg_id, "code {code}");
        assert_eq!(again[0].seq_no, if restarts { 1 } else { sent.seq_no + 2 }, "code {code}");
        raw.result(again[0].msg_id, &query(5));
        assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))], "code {code}");
    }
}

/// Rule:   every session has another random id, and counts its messages from 0.
/// Source: SES-01.
#[test]
fn new_session_begins_at_zero() {
    let mut raw = RawClient::new();
    let mut ids = std::collections::BTreeSet::from([raw.session.id()]);
    for _ in 0..5 {
        raw.session.call(query(1));
        let sent = raw.sent();
        let content = sent.iter().map(|inner| inner.seq_no).filter(|seq_no| seq_no % 2 == 1);
        assert_eq!(content.min(), Some(1));
        let call = sent.iter().find(|inner| is_query(inner)).unwrap().msg_id;
        raw.refuse(call, 33);
        ids.insert(raw.session.id());
    }
    assert_eq!(ids.len(), 6);
    assert!(!ids.contains(&SessionId(0)));
}

/// Rule:   notices about messages that this session did not send, or that are answered, change
///         nothing.
/// Source: MSG-31, SVC-08, SEC-29.
#[test]
fn notice_about_a_foreign_message_is_ignored() {
    let (mut raw, _, sent) = calling();
    let session = raw.session.id();
    for code in [16, 17, 18, 19, 20, 32, 33, 34, 35, 64] {
        raw.refuse(MsgId(sent.msg_id.0 + 4), code);
    }
    raw.correct_salt(MsgId(sent.msg_id.0 + 4), 9);
    raw.result(sent.msg_id, &query(5));
    raw.refuse(sent.msg_id, 33);
    raw.correct_salt(sent.msg_id, 9);
    assert_eq!(raw.session.id(), session);
    assert_eq!(raw.sent_calls(), []);
    assert!(!raw.events().contains(&ClientEvent::Salt(9)));
}

/// Rule:   a call is sent again at most 5 times for refusals, then it fails with the last code.
/// Source: SVC-08, SES-27.
#[test]
fn call_refused_too_often_fails() {
    for code in [16, 33] {
        let (mut raw, call, mut sent) = calling();
        for _ in 0..5 {
            raw.refuse(sent.msg_id, code);
            sent = raw.sent_calls().remove(0);
        }
        assert_eq!(raw.answers(), []);
        raw.refuse(sent.msg_id, code);
        assert_eq!(raw.sent_calls(), []);
        assert_eq!(raw.answers(), [(call, Err(CallError::Refused { code, attempts: 6 }))]);
    }
}

/// Rule:   the salt of every correction is taken, however soon it comes after the last.
/// Source: SES-23, SVC-08.
#[test]
fn second_correction_of_the_salt_counts_at_once() {
    let (mut raw, call, sent) = calling();
    raw.correct_salt(sent.msg_id, 7);
    let packet = raw.packets().remove(0);
    assert_eq!(packet.header.salt, 7);
    let again = flatten(packet).into_iter().find(is_query).unwrap();
    raw.correct_salt(again.msg_id, 8);
    let packet = raw.packets().remove(0);
    assert_eq!(packet.header.salt, 8);
    let events = raw.events();
    assert!(events.ends_with(&[ClientEvent::Salt(7), ClientEvent::Salt(8)]), "{events:?}");
    let again = flatten(packet).into_iter().find(is_query).unwrap();
    raw.result(again.msg_id, &query(5));
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
}

/// Rule:   after 5 corrections of the salt in vain the link is given up, and the call goes again
///         on the next; after 5 more there it fails.
/// Source: SES-27, SVC-08.
#[test]
fn call_refused_for_its_salt_opens_another_link() {
    let (mut raw, call, mut sent) = calling();
    for salt in 0..5 {
        raw.correct_salt(sent.msg_id, salt);
        sent = raw.sent_calls().remove(0);
    }
    assert_eq!(raw.dead_link(), None);
    raw.correct_salt(sent.msg_id, 5);
    assert_eq!(raw.sent_calls(), []);
    assert_eq!(raw.dead_link(), Some(DeadLink::Saltless));
    raw.session.handle_link_closed();
    raw.session.handle_link_opened(raw.now);
    raw.reply(boxed(&types::MsgsAck { msg_ids: vec![] }));
    sent = raw.sent_calls().remove(0);
    for salt in 6..11 {
        raw.correct_salt(sent.msg_id, salt);
        sent = raw.sent_calls().remove(0);
    }
    assert_eq!(raw.answers(), []);
    raw.correct_salt(sent.msg_id, 11);
    assert_eq!(raw.sent_calls(), []);
    let error = CallError::Refused { code: 48, attempts: 12 };
    assert_eq!(raw.answers(), [(call, Err(error))]);
}

/// Rule:   a refused container of code 64 goes again message by message.
/// Source: 05-service-messages §3, MSG-22; code 64.
#[test]
fn contents_of_a_refused_container_go_singly() {
    let mut raw = RawClient::settled();
    raw.session.call(query(1));
    raw.session.call(query(2));
    let container = raw.packets().remove(0).header.msg_id;
    raw.refuse(container, 64);
    let packets = raw.packets();
    assert_eq!(packets.len(), 2);
    assert!(packets.iter().all(|message| message.body.starts_with(&query(1)[..4])));
    // Later ones may share a packet again.
    raw.session.call(query(3));
    raw.session.call(query(4));
    assert_eq!(raw.packets().len(), 1);
}

/// Rule:   a container of ours that came twice was doubled on its way: its calls are asked for and
///         go out no second time, however often that happens.
/// Source: 05-service-messages §3, SVC-08, MSG-36; code 19.
#[test]
fn doubled_container_is_asked_for() {
    let mut raw = RawClient::settled();
    let session = raw.session.id();
    let calls = [raw.session.call(query(1)), raw.session.call(query(2))];
    let packet = raw.packets().remove(0);
    let container = packet.header.msg_id;
    let sent: Vec<Inner> = flatten(packet).into_iter().filter(is_query).collect();
    for _ in 0..10 {
        raw.refuse(container, 19);
    }
    let mut packets = raw.packets();
    let packet = packets.remove(0);
    assert_eq!((packets, raw.session.id()), (vec![], session));
    let asked = flatten(packet).remove(0);
    let ids = read::<types::MsgsStateReq>(&asked.body).unwrap().msg_ids;
    assert!(sent.iter().all(|call| ids.contains(&call.msg_id.0)), "{ids:?}");
    raw.reply(state_info(asked.msg_id, &vec![4; ids.len()]));
    assert_eq!(raw.sent_calls(), []);
    raw.result(sent[0].msg_id, &query(3));
    raw.result(sent[1].msg_id, &query(4));
    let answers = [(calls[0], Ok(Raw(query(3)))), (calls[1], Ok(Raw(query(4))))];
    assert_eq!(raw.answers(), answers);
}

/// Rule:   what came twice in a container that came twice is acknowledged again, and not delivered
///         again; what is new in such a container is not used at all.
/// Source: SES-15, SVC-01, MSG-36.
#[test]
fn container_that_comes_twice_is_acknowledged_twice() {
    let (mut raw, call, sent) = calling();
    let answer = Inner { msg_id: raw.id(1), seq_no: 1, body: result_of(sent.msg_id, &query(5)) };
    let update = Inner { msg_id: raw.id(3), seq_no: 3, body: query(6) };
    let fresh = Inner { msg_id: raw.id(3), seq_no: 5, body: query(7) };
    let container = raw.id(3);
    let (session, two) = (raw.session.id(), [answer.clone(), update.clone()]);
    raw.hand_for(session, container, 4, container::pack(&two)).unwrap();
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
    let acknowledged = |raw: &mut RawClient| -> Vec<i64> {
        raw.session.flush();
        let acks = raw.sent().into_iter().filter_map(|inner| read::<types::MsgsAck>(&inner.body));
        let mut ids: Vec<i64> = acks.flat_map(|acks| acks.msg_ids).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(acknowledged(&mut raw), [answer.msg_id.0, update.msg_id.0]);
    assert!(acknowledged(&mut raw).is_empty());

    raw.events();
    let three = [answer.clone(), update.clone(), fresh];
    raw.hand_for(session, container, 4, container::pack(&three)).unwrap();
    assert_eq!(raw.events(), []);
    assert_eq!(acknowledged(&mut raw), [answer.msg_id.0, update.msg_id.0]);
}

/// Rule:   answers in the container that ends a session still count; late messages of that
///         session are dropped without ending the link.
/// Source: SES-17, MSG-R07.
#[test]
fn answer_beside_a_refusal_counts() {
    let mut raw = RawClient::settled();
    let old = raw.session.id();
    let calls = [raw.session.call(query(1)), raw.session.call(query(2))];
    let sent = raw.sent_calls();
    let notice = boxed(&ctors::BadMsgNotification {
        bad_msg_id: sent[0].msg_id.0,
        bad_msg_seqno: 1,
        error_code: 33,
    });
    let inners = [
        Inner { msg_id: raw.id(1), seq_no: 2, body: notice },
        Inner { msg_id: raw.id(1), seq_no: 3, body: result_of(sent[1].msg_id, &query(7)) },
    ];
    raw.reply(container::pack(&inners));
    assert_eq!(raw.answers(), [(calls[1], Ok(Raw(query(7))))]);
    assert_eq!(raw.sent_calls().len(), 1);
    let late = raw.id(1);
    assert_eq!(raw.hand_for(old, late, 9, result_of(sent[0].msg_id, &query(8))), Ok(()));
    assert_eq!(raw.answers(), []);
}

/// Rule:   a message for a session that is not ours, of a wrong parity, answering message 0, or
///         a container that contradicts itself ends the link and nothing of it is used.
/// Source: MSG-R07, MSG-R08, MSG-23, MSG-24, SVC-25, SEC-25, SEC-26, SEC-30, SEC-35, SEC-57.
#[test]
fn forged_message_ends_the_link_unused() {
    let (mut raw, _, sent) = calling();
    let good = result_of(sent.msg_id, &query(5));
    let before = format!("{:?}", raw.session);
    let id = raw.id(1);
    let foreign = SessionId(raw.session.id().0 ^ 1);
    let error = raw.hand_for(foreign, id, 1, good.clone());
    assert_eq!(error, Err(MessageError::ForeignSession(foreign)));
    for low in [0, 2] {
        let id = MsgId(id.0 & !3 | low);
        assert_eq!(raw.hand(id, 1, good.clone()), Err(MessageError::Parity(id)));
    }
    let nothing = result_of(MsgId(0), &query(5));
    assert_eq!(raw.hand(id, 1, nothing.clone()), Err(MessageError::AnswersNothing));
    let inner = |low: i64, body| Inner { msg_id: MsgId(raw_id(id) - 8 + low), seq_no: 1, body };
    for spoilt in [
        container::pack(&[inner(1, good.clone()), inner(2, good.clone())]),
        container::pack(&[inner(1, good.clone()), inner(5, nothing)]),
        container::pack(&[inner(1, good.clone()), inner(5, container::pack(&[]))]),
        container::pack(&[inner(1, good.clone()), inner(13, good.clone())]),
        words(&[container::ID, 1]),
    ] {
        assert!(raw.hand(id, 2, spoilt).is_err());
    }
    assert_eq!(format!("{:?}", raw.session), before);
}

fn raw_id(id: MsgId) -> i64 {
    id.0 & !3
}

/// Rule:   with a certain clock, messages older than 300 s or 30 s ahead are ignored.
/// Source: MSG-R09, SEC-28.
#[test]
fn message_outside_its_time_window_is_ignored() {
    for (age, is_taken) in [(-301, false), (-299, true), (29, true), (31, false)] {
        let mut raw = RawClient::settled();
        raw.wait(Duration::from_secs(400));
        let elapsed = raw.now.unix_seconds() - EPOCH;
        let id = MsgId(id_at(elapsed + age, 1).0 | 3);
        assert_eq!(raw.hand(id, 99, query(70)), Ok(()));
        let pushed = raw.events().contains(&ClientEvent::Pushed(query(70)));
        assert_eq!(pushed, is_taken, "{age} s");
    }
}

/// Rule:   notices about time and salt are obeyed whatever their age, in a container too.
/// Source: MSG-R09, SEC-29.
#[test]
fn notices_are_obeyed_whatever_their_age() {
    for in_container in [false, true] {
        let (mut raw, _, sent) = calling();
        let id = MsgId(id_at(90_000, 5).0 | 1);
        let notice = boxed(&ctors::BadServerSalt {
            bad_msg_id: sent.msg_id.0,
            bad_msg_seqno: 1,
            error_code: 48,
            new_server_salt: 55,
        });
        let inner = Inner { msg_id: MsgId(id.0 - 4), seq_no: 2, body: notice.clone() };
        let push = Inner { msg_id: MsgId(id.0 - 8), seq_no: 1, body: query(9) };
        let body = if in_container { container::pack(&[push, inner]) } else { notice };
        assert_eq!(raw.hand(id, 4, body), Ok(()));
        let events = raw.events();
        assert!(events.contains(&ClientEvent::Salt(55)));
        assert!(!events.contains(&ClientEvent::Pushed(query(9))));
    }
}

/// Rule:   duplicates are acknowledged again and not delivered again.
/// Source: SES-15, MSG-36, SVC-01.
#[test]
fn duplicate_is_acknowledged_and_dropped() {
    let mut raw = RawClient::settled();
    let id = raw.push(query(70));
    raw.wait(Duration::from_secs(30));
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids, [id.0]);
    assert_eq!(raw.hand(id, 3, query(70)), Ok(()));
    raw.wait(Duration::from_secs(30));
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids, [id.0]);
    let pushed = raw.events().iter().filter(|e| matches!(e, ClientEvent::Pushed(_))).count();
    assert_eq!(pushed, 1);
}

/// Rule:   an envelope below the window ends the link and the session.
/// Source: MSG-36, 06-sessions-salts-time §4, SES-17.
#[test]
fn message_below_the_window_begins_a_new_session() {
    let mut config = SessionConfig::default();
    config.inbox = config.inbox.with_ids(2, 2);
    let mut raw = RawClient::with(config);
    let old = raw.id(3);
    for _ in 0..3 {
        raw.push(query(70));
    }
    let session = raw.session.id();
    assert_eq!(raw.hand(old, 1, query(70)), Err(MessageError::TooOld(old)));
    assert_ne!(raw.session.id(), session);
}

/// Rule:   an acknowledgement rides on the next packet; 16 of them, or the first after 30 s,
///         leave alone.
/// Source: SVC-02, SVC-06, MSG-R10.
#[test]
fn acknowledgements_gather() {
    let mut raw = RawClient::settled();
    let push = raw.push(query(70));
    raw.session.call(query(1));
    let sent = raw.sent();
    assert_eq!(read::<types::MsgsAck>(&sent[0].body).unwrap().msg_ids, [push.0]);
    assert_eq!(sent[0].seq_no % 2, 0);
    raw.reply(ack(&[sent[1].msg_id]));
    for _ in 0..15 {
        raw.push(query(70));
    }
    assert_eq!(raw.sent(), []);
    raw.push(query(70));
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids.len(), 16);
    reopen(&mut raw);
    raw.sent();
    raw.push(query(70));
    raw.now.mono += Duration::from_millis(29_999);
    assert_eq!(raw.sent(), []);
    raw.reply(ack(&[]));
    raw.now.mono += Duration::from_millis(1);
    assert_eq!(raw.session.poll_timeout(), Some(raw.now.mono));
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids.len(), 1);
    // What is not content-related is never acknowledged.
    raw.reply(ack(&[]));
    raw.now.mono += Duration::from_secs(31);
    assert_eq!(raw.sent(), []);
}

/// Rule:   one msgs_ack holds at most 8192 ids; the rest goes in the next packet.
/// Source: MSG-21, SVC-04.
#[test]
fn acknowledgements_are_split() {
    let mut raw = RawClient::settled();
    for _ in 0..8193 {
        raw.push(query(70));
    }
    let lens: Vec<usize> =
        raw.sent_as::<types::MsgsAck>().iter().map(|ack| ack.msg_ids.len()).collect();
    assert_eq!(lens[0], 8192);
    raw.session.call(query(1));
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids.len(), 1);
}

/// Rule:   calls share a container up to 32 KiB and 1000 messages; what is sent alone goes bare.
/// Source: MSG-20, MSG-18, MSG-13.
#[test]
fn calls_share_containers() {
    let mut raw = RawClient::settled();
    for number in 0..2500 {
        raw.session.call(query(number));
    }
    let packets = raw.packets();
    let mut count = 0;
    for packet in &packets {
        let inners = container::unpack(packet.header.msg_id, &packet.body).unwrap();
        assert!(inners.len() <= 1000 && packet.header.seq_no % 2 == 0);
        assert!(inners.iter().all(|inner| inner.seq_no <= packet.header.seq_no));
        count += inners.iter().filter(|inner| is_query(inner)).count();
    }
    assert_eq!((count, packets.len()), (2500, 3));
    let mut rng = chappe_crypto::Rng::from_seed([3; 32]);
    let mut large = query(1).to_vec();
    large.extend_from_slice(&rng.bytes::<20_000>());
    raw.session.call(large.clone().into());
    raw.session.call(large.into());
    assert_eq!(raw.packets().len(), 2);
    raw.session.call(query(1));
    assert!(raw.packets()[0].body == query(1));
}

/// Rule:   a call that fits into no packet fails at once, and nothing of it is sent.
/// Source: MSG-03.
#[test]
fn call_that_fits_into_no_packet_fails() {
    let mut config = SessionConfig::default();
    config.gzip_min_bytes = usize::MAX;
    let mut raw = RawClient::with(config);
    // A packet has 1 044 480 bytes; 56 go to the headers, 12 at least to the padding, and 8 more
    // would fill no block. A call sent again stands in a container.
    let most = 1_044_404 - 24;
    let fits = raw.session.call(vec![1; most].into());
    let too_large = raw.session.call(vec![1; most + 4].into());
    assert_eq!(raw.answers(), [(too_large, Err(CallError::TooLarge(most + 4)))]);
    assert_eq!(raw.session.calls(), 1);
    assert_ne!(fits, too_large);
    assert!(raw.packets().iter().any(|packet| packet.body.len() == most));
    // Sent again in a container it fills the packet, whatever padding chance adds.
    let ping = raw.reply(ack(&[]));
    reopen(&mut raw);
    let asked = raw.sent().remove(0);
    assert!(ping < raw.reply(state_info(asked.msg_id, &[2])));
    let again = raw.packets().remove(0);
    assert_eq!(again.body.len(), 1_044_404);
    let key = chappe_crypto::AuthKey::new([3; 256]);
    let mut rng = chappe_crypto::Rng::from_seed([3; 32]);
    for _ in 0..50 {
        let side = chappe_proto::Side::Client;
        let sealed = encrypted::seal(&[(&key, &again)], side, &mut rng).remove(0).packet;
        assert_eq!(sealed.len(), 1_044_472);
    }
    let longer = Message { body: vec![1; 1_044_408].into(), ..again };
    let sealed = encrypted::seal(&[(&key, &longer)], chappe_proto::Side::Client, &mut rng);
    assert!(sealed[0].packet.len() > 1_044_480);
}

/// Rule:   large calls are packed where that is smaller.
/// Source: TL-31.
#[test]
fn large_call_is_packed() {
    let mut raw = RawClient::settled();
    raw.session.call(vec![1; 1020].into());
    assert_eq!(raw.sent()[0].body.len(), 1020);
    raw.session.call(vec![1; 1024].into());
    assert!(raw.sent()[0].body.len() < 200);
}

/// Rule:   an answer is taken once; one of nobody's call is acknowledged and forgotten.
/// Source: SVC-25, SEC-58.
#[test]
fn answer_of_an_unknown_call_is_ignored() {
    let (mut raw, call, sent) = calling();
    let unknown = raw.result(MsgId(sent.msg_id.0 + 400), &query(5));
    assert_eq!(raw.answers(), []);
    let known = raw.result(sent.msg_id, &query(5));
    let second = raw.result(sent.msg_id, &query(6));
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
    raw.wait(Duration::from_secs(30));
    let acked = raw.sent_as::<types::MsgsAck>().remove(0).msg_ids;
    assert!([unknown, known, second].iter().all(|id| acked.contains(&id.0)));
}

/// Rule:   a result that cannot be read fails its call and nothing else.
/// Source: TL-38, TL-30, SVC-27.
#[test]
fn unreadable_result_fails_its_call_only() {
    let broken = [query(1).slice(..0), words(&[0x3072_cfa1, 7]), words(&[0x2144_ca19])];
    for result in broken {
        let (mut raw, call, sent) = calling();
        let other = raw.session.call(query(2));
        let other_sent = raw.sent_calls().remove(0);
        raw.result(sent.msg_id, &result);
        let answers = raw.answers();
        assert!(matches!(answers[..], [(id, Err(CallError::Unreadable(_)))] if id == call));
        raw.result(other_sent.msg_id, &RpcError::internal().to_tl());
        assert_eq!(raw.answers(), [(other, Err(CallError::Rpc(RpcError::internal())))]);
    }
}

/// Rule:   service answers that come bare answer the call that asked for them.
/// Source: 05-service-messages §1, SVC-33, SVC-36, SVC-37.
#[test]
fn bare_answers_reach_their_call() {
    let mut raw = RawClient::settled();
    let ping = raw.session.call(crate::raw::ping(5));
    let id = raw.sent()[0].msg_id;
    let pong = boxed(&types::Pong { msg_id: id.0, ping_id: 5 });
    raw.reply(pong.clone());
    assert_eq!(raw.answers(), [(ping, Ok(Raw(pong)))]);
    let sessions =
        [3, 4].map(|session_id| raw.session.call(boxed(&functions::DestroySession { session_id })));
    raw.sent();
    let none = boxed(&ctors::DestroySessionNone { session_id: 4 });
    raw.reply(none.clone());
    assert_eq!(raw.answers(), [(sessions[1], Ok(Raw(none)))]);
    let key = raw.session.call(boxed(&functions::DestroyAuthKey {}));
    raw.sent();
    let ok = encoded(&types::DestroyAuthKeyRes::DestroyAuthKeyOk);
    raw.reply(ok.clone());
    assert_eq!(raw.answers(), [(key, Ok(Raw(ok)))]);
}

/// Rule:   of calls below first_msg_id those that may run twice go again under new ids and the
///         others are in doubt, calls above wait; a new unique_id that is not the first tells of
///         lost pushes, over restarts too.
/// Source: SVC-40, SES-19, SES-12.
#[test]
fn calls_before_a_new_session_are_sent_again() {
    let mut raw = RawClient::settled();
    let once = raw.session.call(query(9));
    raw.session.call_with(query(1), CallOptions::default().repeatable());
    let first = raw.sent_calls().remove(0);
    raw.session.call(query(2));
    let second = raw.sent_calls().remove(0);
    let new = |first: MsgId, unique_id| {
        boxed(&types::NewSession { first_msg_id: first.0, unique_id, server_salt: 5 })
    };
    raw.push(new(second.msg_id, 2));
    let again = raw.sent_calls();
    assert_eq!(again.iter().map(|inner| &inner.body).collect::<Vec<_>>(), [&query(1)]);
    assert!(again[0].msg_id > second.msg_id);
    let unknown = CallError::Unknown(Doubt::SessionForgotten);
    assert_eq!(raw.answers(), [(once, Err(unknown))]);
    let lost = |raw: &mut RawClient| raw.events().contains(&ClientEvent::PushesMayBeLost);
    assert!(lost(&mut raw));
    raw.push(new(first.msg_id, 2));
    assert!(!lost(&mut raw));
    raw.refuse(second.msg_id, 33);
    raw.push(new(first.msg_id, 3));
    assert!(lost(&mut raw));
}

/// Rule:   first_msg_id may be the container's: calls in that container are not lost.
/// Source: SVC-39, SVC-40.
#[test]
fn new_session_may_name_a_container() {
    let mut raw = RawClient::settled();
    raw.session.call(query(1));
    raw.session.call(query(2));
    let packet = raw.packets().remove(0);
    let first_msg_id = packet.header.msg_id.0;
    assert_eq!(flatten(packet).len(), 2);
    raw.push(boxed(&types::NewSession { first_msg_id, unique_id: 2, server_salt: 5 }));
    assert_eq!((raw.sent_calls(), raw.answers()), (vec![], vec![]));
}

/// Rule:   an announced message that is known is acknowledged, an unknown one is asked for; one
///         that belongs to no call of ours is ignored, an unwanted one dropped.
/// Source: SVC-21.
#[test]
fn announced_messages_are_fetched() {
    let (mut raw, call, sent) = calling();
    let info = |msg_id: MsgId, answer: i64| {
        boxed(&ctors::MsgDetailedInfo {
            msg_id: msg_id.0,
            answer_msg_id: answer,
            bytes: 5000,
            status: 0,
        })
    };
    let answer = raw.id(1).0 + 4000;
    raw.reply(info(sent.msg_id, answer));
    assert_eq!(raw.sent_as::<ctors::MsgResendReq>()[0].msg_ids, [answer]);
    raw.reply(info(MsgId(sent.msg_id.0 + 4), answer));
    assert_eq!(raw.sent(), []);
    let push = raw.push(query(70));
    raw.wait(Duration::from_secs(30));
    raw.sent();
    let new = ctors::MsgNewDetailedInfo { answer_msg_id: push.0, bytes: 5000, status: 0 };
    raw.reply(boxed(&new));
    raw.wait(Duration::from_secs(30));
    assert_eq!(raw.sent_as::<types::MsgsAck>()[0].msg_ids, [push.0]);
    raw.session.drop_call(call);
    assert_eq!(raw.sent_as::<functions::RpcDropAnswer>()[0].req_msg_id, sent.msg_id.0);
    raw.reply(info(sent.msg_id, answer));
    let drop = raw.sent().remove(0);
    // The request overtook the call.
    raw.result(drop.msg_id, &encoded(&types::RpcDropAnswer::RpcAnswerUnknown));
    raw.reply(info(sent.msg_id, answer));
    assert_eq!(raw.sent_as::<functions::RpcDropAnswer>()[0].req_msg_id, sent.msg_id.0);
}

/// Rule:   a dropped call reports nothing; its late answer is acknowledged and ignored.
/// Source: SVC-30.
#[test]
fn dropped_call_reports_nothing() {
    let (mut raw, call, sent) = calling();
    raw.session.drop_call(call);
    raw.session.drop_call(call);
    let drops = raw.sent();
    assert_eq!(drops.len(), 1);
    raw.result(drops[0].msg_id, &encoded(&types::RpcDropAnswer::RpcAnswerDroppedRunning));
    raw.result(sent.msg_id, &query(5));
    assert_eq!(raw.answers(), []);
    let never_sent = raw.session.call(query(2));
    raw.session.drop_call(never_sent);
    assert_eq!(raw.sent_as::<functions::RpcDropAnswer>(), []);
}

/// Rule:   the server may ask for states and for messages as well.
/// Source: SVC-11, SVC-16, SVC-22, MSG-19.
#[test]
fn server_may_ask_too() {
    let (mut raw, _, sent) = calling();
    let push = raw.push(query(70));
    raw.reply(boxed(&types::MsgsStateReq {
        msg_ids: vec![push.0, sent.msg_id.0, 8, push.0 + 400],
    }));
    let info: types::MsgsStateInfo = raw.sent_as().remove(0);
    assert_eq!(info.info[..], [4, 4 | 16, 1, 3]);
    raw.reply(boxed(&ctors::MsgResendReq { msg_ids: vec![sent.msg_id.0; 3] }));
    assert_eq!(raw.packets()[0].body, container::pack(std::slice::from_ref(&sent)));
    raw.reply(boxed(&ctors::MsgResendReq { msg_ids: vec![sent.msg_id.0, 8] }));
    let info: types::MsgsStateInfo = raw.sent_as().remove(0);
    assert_eq!(info.info[..], [4 | 16, 1]);
}

/// Rule:   msgs_all_info counts like an answer to a question.
/// Source: SVC-17, SVC-12.
#[test]
fn unasked_states_count() {
    let mut raw = RawClient::settled();
    raw.session.call(query(1));
    raw.session.call(query(2));
    let sent = raw.sent_calls();
    let msg_ids = sent.iter().map(|inner| inner.msg_id.0).collect();
    raw.reply(boxed(&types::MsgsAllInfo { msg_ids, info: vec![4, 1].into() }));
    assert_eq!(raw.packets()[0].body, container::pack(&sent[1..]));
    reopen(&mut raw);
    let asked: Vec<types::MsgsStateReq> = raw.sent_as();
    assert_eq!(asked[0].msg_ids, [sent[0].msg_id.0, sent[1].msg_id.0]);
}

/// Rule:   an acknowledgement of a container counts for its contents.
/// Source: SVC-04, SVC-05.
#[test]
fn acknowledged_container_acknowledges_its_calls() {
    let mut raw = RawClient::settled();
    raw.session.call(query(1));
    raw.session.call(query(2));
    let container = raw.packets().remove(0).header.msg_id;
    raw.reply(ack(&[container]));
    reopen(&mut raw);
    assert_eq!(raw.sent_as::<types::MsgsStateReq>(), []);
}

/// Rule:   a pushed message may be packed or copied; nothing else may be packed.
/// Source: MSG-27, TL-29, MSG-23, SVC-43.
#[test]
fn pushes_are_unpacked() {
    let (mut raw, call, sent) = calling();
    let packed =
        |body: &[u8]| chappe_proto::rpc::gzip_packed(&chappe_tl::gzip::deflate(body).unwrap());
    let large = words(&[0xbbbb_0001; 200]);
    raw.push(packed(&large));
    assert_eq!(raw.events(), [ClientEvent::Pushed(large.clone())]);
    let result = result_of(sent.msg_id, &large);
    let container = container::pack(&vec![Inner { msg_id: MsgId(1), seq_no: 0, body: large }; 2]);
    for body in [result, container, ack(&[MsgId(8); 100])] {
        raw.push(packed(&body));
    }
    raw.push(words(&[0x9299_359f, 0, 0, 0]));
    assert_eq!(raw.events(), []);
    let id = raw.id(1);
    let copied = result_of(sent.msg_id, &query(5));
    let mut copy = words(&[0xe060_46b2, 0x5bb8_e511]).to_vec();
    copy.extend_from_slice(&id.0.to_le_bytes());
    copy.extend_from_slice(&words(&[9, copied.len() as u32]));
    copy.extend_from_slice(&copied);
    let outer = raw.reply(copy.clone().into());
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
    raw.reply(copy.into());
    raw.wait(Duration::from_secs(30));
    let acked = raw.sent_as::<types::MsgsAck>().remove(0).msg_ids;
    assert!(acked.contains(&id.0) && !acked.contains(&outer.0));
    assert!(acked.contains(&(outer.0 + 4)));
}

/// Rule:   the clock is lowered by 17 for a message of ours, into a new session; by an answer
///         made 15 s before its question, in the same one.
/// Source: SES-28, SES-30, 06-sessions-salts-time §6.
#[test]
fn clock_that_ran_ahead_is_lowered() {
    let (mut raw, _, sent) = calling();
    let session = raw.session.id();
    // By the server's clock only 16 s less have passed.
    raw.now.mono += Duration::from_secs(16);
    raw.session.call(query(2));
    let ahead = raw.sent_calls().remove(0);
    raw.result(ahead.msg_id, &query(5));
    assert_eq!(raw.session.clock().at(raw.now).as_secs(), raw.now.unix.as_secs());
    assert_eq!(raw.session.id(), session);
    raw.now.mono += Duration::from_secs(100);
    raw.refuse(sent.msg_id, 17);
    assert_eq!(raw.session.clock().at(raw.now).as_secs(), raw.now.unix.as_secs());
    assert_ne!(raw.session.id(), session);
}

/// Rule:   a late answer of any kind does not lower a clock that is right.
/// Source: SES-28.
#[test]
fn late_answer_does_not_lower_the_clock() {
    let mut raw = RawClient::new();
    raw.session.call(query(1));
    let mut sent = raw.sent();
    sent.extend(raw.sent());
    let right = raw.now;
    let request = sent.iter().find(|i| read::<functions::GetFutureSalts>(&i.body).is_some());
    let since = raw.now.unix_seconds() as i32;
    let answer = boxed(&types::FutureSalts {
        req_msg_id: request.unwrap().msg_id.0,
        now: since,
        salts: vec![types::FutureSalt { valid_since: since, valid_until: since + 1800, salt: 1 }],
    });
    let (id, result_id) = (raw.id(1), raw.id(1));
    raw.now.mono += Duration::from_secs(100);
    raw.now.unix += Duration::from_secs(100);
    raw.hand(id, 0, answer).unwrap();
    let call = sent.iter().find(|inner| is_query(inner)).unwrap().msg_id;
    raw.hand(result_id, 1, result_of(call, &query(5))).unwrap();
    let elapsed = raw.session.clock().at(raw.now) - raw.session.clock().at(right);
    assert_eq!(elapsed, Duration::from_secs(100));
    assert_eq!(raw.session.clock().at(raw.now).as_secs(), raw.now.unix.as_secs());
    assert_eq!(raw.answers().len(), 1);
}

proptest! {
    /// Rule:   whatever a server sends, the session does not panic.
    /// Source: SEC-46, TL-33, TL-38.
    #[test]
    fn garbage_never_panics(
        bodies in prop::collection::vec(crate::session_server::garbage(), 1..20),
        odd in any::<bool>(),
    ) {
        let (mut raw, _, sent) = calling();
        for body in bodies {
            let (id, seq_no) = (raw.id(1), raw.seq_no(odd));
            let _ = raw.hand(id, seq_no, body.clone());
            let inner = Inner { msg_id: raw.id(1), seq_no, body: result_of(sent.msg_id, &body) };
            let outer = raw.id(1);
            let _ = raw.hand(outer, seq_no & !1, container::pack(&[inner]));
            raw.packets();
            raw.events();
        }
        let pushed = answer_to(&query(1));
        raw.push(pushed.clone());
        prop_assert!(raw.events().contains(&ClientEvent::Pushed(pushed)));
    }
}

/// Rule:   a list of states that names a call a thousand times brings it once more, not a thousand
///         times.
/// Source: SVC-14, SVC-17, SEC-47.
#[test]
fn call_named_many_times_is_sent_again_once() {
    let (mut raw, _, sent) = calling();
    let msg_ids = vec![sent.msg_id.0; 1000];
    raw.reply(boxed(&types::MsgsAllInfo { msg_ids, info: vec![1; 1000].into() }));
    assert_eq!(raw.sent_calls(), [sent]);
}

/// Rule:   an answer that does not say what it answers goes to a call that is out, not to an older
///         one that waits to be sent again: each gets its own.
/// Source: SVC-36, SVC-37, SES-15.
#[test]
fn bare_answer_is_for_a_call_that_is_out() {
    let mut raw = RawClient::settled();
    let destroy = boxed(&functions::DestroySession { session_id: 5 });
    let gone = boxed(&ctors::DestroySessionOk { session_id: 5 });
    let older = raw.session.call_with(destroy.clone(), CallOptions::default().repeatable());
    let lost = raw.sent().remove(0);
    let newer = raw.session.call(destroy);
    let sent = raw.sent().remove(0);
    // A session that begins with the second message never heard the first.
    let first_msg_id = sent.msg_id.0;
    assert!(lost.msg_id < sent.msg_id);
    raw.push(boxed(&types::NewSession { first_msg_id, unique_id: 2, server_salt: 1 }));
    raw.reply(gone.clone());
    assert_eq!(raw.answers(), [(newer, Ok(Raw(gone.clone())))]);
    assert_eq!(raw.sent_as::<functions::DestroySession>().len(), 1);
    raw.reply(gone.clone());
    assert_eq!(raw.answers(), [(older, Ok(Raw(gone)))]);
}

/// Rule:   an id that is negative, of a time after 2038, ends the link: the clock that followed it
///         would be one that no id of ours can show.
/// Source: MSG-R08, SEC-26.
#[test]
fn id_of_no_time_is_no_servers() {
    let mut raw = RawClient::new();
    let id = MsgId(i64::MIN | 1);
    let refused = raw.hand(id, 1, query(9));
    assert_eq!(refused, Err(MessageError::Parity(id)));
    assert!(raw.hand(MsgId(1 << 32 | 1), 1, query(9)).is_ok());
}

/// Rule:   before a link is closed what is owed is acknowledged, and waits no longer.
/// Source: SVC-02.
#[test]
fn flushed_session_acknowledges_at_once() {
    let mut raw = RawClient::settled();
    let update = raw.push(words(&[0xcccc_0001]));
    assert!(raw.sent_as::<types::MsgsAck>().is_empty(), "it may wait for company");
    raw.session.flush();
    raw.session.handle_timeout(raw.now);
    let acks = raw.sent_as::<types::MsgsAck>();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].msg_ids, [update.0]);
}

/// A session tells how long a pong took, once.
#[test]
fn round_trip_is_told_once() {
    let mut raw = RawClient::settled();
    let took = Duration::from_millis(250);
    let pings = |raw: &mut RawClient| {
        raw.sent().into_iter().find_map(|inner| {
            read::<functions::PingDelayDisconnect>(&inner.body).map(|ping| (inner.msg_id, ping))
        })
    };
    let (msg_id, ping) = (0..100)
        .find_map(|_| {
            raw.wait(Duration::from_secs(1));
            pings(&mut raw)
        })
        .unwrap();
    raw.session.take_round_trip();
    raw.wait(took);
    raw.reply(boxed(&types::Pong { msg_id: msg_id.0, ping_id: ping.ping_id }));
    assert_eq!(raw.session.take_round_trip(), Some(took));
    assert_eq!(raw.session.take_round_trip(), None);
}
