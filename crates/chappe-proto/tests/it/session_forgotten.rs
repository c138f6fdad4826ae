//! What the simulation found about sessions that a server forgets while their client lives on, and
//! about servers that say nothing.

use std::time::Duration;

use chappe_proto::schema::types;
use chappe_proto::session::client::DeadLink;
use chappe_proto::session::container::Inner;
use chappe_proto::session::server;
use chappe_tl::Raw;

use crate::pair::EPOCH;
use crate::raw::{
    RawClient, RawServer, ack, boxed, calling, calling_repeatable, id_at, query, read, reopen,
    state_info,
};

/// Rule:   an id heard before the session was forgotten does not run again, and is not
///         acknowledged either: its client would wait for an answer that nobody has. Code 20 lets
///         it ask anew.
/// Source: MSG-39, SVC-09, SEC-55.
#[test]
fn call_of_a_forgotten_session_is_refused_and_not_acknowledged() {
    let mut raw = RawServer::greeted();
    let Inner { msg_id, seq_no, body } = raw.inner(true, query(1));
    raw.send(msg_id, seq_no, body.clone());
    assert_eq!(raw.ran(), [msg_id]);
    raw.replies();
    raw.session.forget(raw.now);
    raw.container(&[Inner { msg_id, seq_no, body }]);
    assert_eq!(raw.ran(), []);
    let replies = raw.replies();
    assert!(!replies.iter().any(|reply| read::<types::MsgsAck>(&reply.body).is_some()));
    raw.send(msg_id, seq_no, query(1));
    assert_eq!(raw.refusals(), [(msg_id, seq_no, 20)]);
}

/// Rule:   what an earlier life of the server may have heard does not run: a recording is refused
///         by its id, an old message in a new container is too old to be known, and its state is
///         not known either. A clock that was set back to before the start refuses nothing.
/// Source: MSG-39, SEC-55, SVC-09, SVC-16; codes 16 and 20.
#[test]
fn message_from_before_the_start_does_not_run() {
    let mut config = server::SessionConfig::default();
    config.not_before = Duration::from_secs(EPOCH as u64 - 10);
    let mut raw = RawServer::with(config.clone());
    let old = Inner { msg_id: id_at(-11, 1), ..raw.inner(true, query(1)) };
    raw.send(old.msg_id, old.seq_no, old.body.clone());
    assert_eq!((raw.ran(), raw.refusals()), (vec![], vec![(old.msg_id, old.seq_no, 16)]));
    raw.container(std::slice::from_ref(&old));
    assert_eq!((raw.ran(), raw.refusals()), (vec![], vec![(old.msg_id, old.seq_no, 20)]));
    raw.service(boxed(&types::MsgsStateReq { msg_ids: vec![old.msg_id.0] }));
    assert_eq!(raw.replied::<types::MsgsStateInfo>()[0].info[..], [1]);

    let mut raw = RawServer::with(config.clone());
    raw.send(id_at(-10, 1), 1, query(2));
    assert_eq!(raw.ran(), [id_at(-10, 1)]);

    config.not_before = Duration::from_secs(EPOCH as u64 + 10);
    let mut raw = RawServer::with(config);
    raw.greet();
    assert_eq!(raw.refusals(), []);
}

/// Rule:   a call that may run twice goes again under its old id where a server that forgot the
///         session does not know it: if it was only late, it runs once.
/// Source: SVC-14, SVC-40, SES-10.
#[test]
fn repeatable_call_of_a_forgotten_session_keeps_its_id() {
    let (mut raw, _, sent) = calling_repeatable();
    raw.reply(ack(&[sent.msg_id]));
    let first_msg_id = sent.msg_id.0 - (5 << 32);
    raw.push(boxed(&types::NewSession { first_msg_id, unique_id: 2, server_salt: 1 }));
    let is_question = |inner: &Inner| read::<types::MsgsStateReq>(&inner.body).is_some();
    let asked = raw.sent().into_iter().find(is_question).unwrap();
    let ids = read::<types::MsgsStateReq>(&asked.body).unwrap().msg_ids;
    assert_eq!(ids, [sent.msg_id.0]);
    raw.reply(state_info(asked.msg_id, &[2]));
    assert_eq!(raw.sent_calls(), [sent]);
}

/// Rule:   what a server acknowledged before it began the session anew is asked for again, even
///         where its first id lies below: a late message may have begun the session.
/// Source: SVC-40, SES-10, SES-19.
#[test]
fn call_acknowledged_by_a_server_that_forgot_it_is_asked_for() {
    let (mut raw, _, sent) = calling();
    raw.reply(ack(&[sent.msg_id]));
    let early = sent.msg_id.0 - (5 << 32);
    raw.push(boxed(&types::NewSession { first_msg_id: early, unique_id: 2, server_salt: 1 }));
    let asked = raw.sent_as::<types::MsgsStateReq>();
    assert!(asked.len() == 1 && asked[0].msg_ids.contains(&sent.msg_id.0), "{asked:?}");
}

/// Rule:   the first announcement that arrives need not be the server's first: where it had
///         received a call before, it is asked what it still knows of it.
/// Source: SVC-40, SES-10, SES-19.
#[test]
fn call_acknowledged_before_any_announcement_is_asked_for() {
    let mut raw = RawClient::new();
    raw.session.call(query(1));
    let sent = raw.sent_calls().remove(0);
    raw.reply(ack(&[sent.msg_id]));
    let first_msg_id = sent.msg_id.0 - (5 << 32);
    raw.push(boxed(&types::NewSession { first_msg_id, unique_id: 2, server_salt: 1 }));
    let asked = raw.sent_as::<types::MsgsStateReq>();
    assert!(asked.len() == 1 && asked[0].msg_ids.contains(&sent.msg_id.0), "{asked:?}");
}

/// Rule:   a server that has forgotten the session may have taken a call since: that one is not in
///         doubt.
/// Source: SVC-14, SVC-40, SES-12.
#[test]
fn call_that_a_forgetful_server_knows_is_awaited() {
    let (mut raw, call, sent) = calling();
    reopen(&mut raw);
    let question = raw
        .sent()
        .into_iter()
        .find(|inner| read::<types::MsgsStateReq>(&inner.body).is_some())
        .unwrap()
        .msg_id;
    // Not the witness, but the call.
    raw.reply(state_info(question, &[2, 4]));
    assert_eq!(raw.answers(), []);
    assert_eq!(raw.sent_calls(), []);
    raw.result(sent.msg_id, &query(5));
    assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
}

/// Rule:   a call that goes out under a new id is not sent a second time in the same packet
///         because of a state told about its old one.
/// Source: SVC-14, SVC-40, SES-11.
#[test]
fn call_sent_anew_is_not_sent_twice() {
    let (mut raw, _, sent) = calling_repeatable();
    reopen(&mut raw);
    let question = raw
        .sent()
        .into_iter()
        .find(|inner| read::<types::MsgsStateReq>(&inner.body).is_some())
        .unwrap()
        .msg_id;
    let first_msg_id = question.0;
    raw.push(boxed(&types::NewSession { first_msg_id, unique_id: 2, server_salt: 1 }));
    raw.reply(boxed(&types::MsgsStateInfo {
        req_msg_id: question.0,
        info: bytes::Bytes::from_static(&[2]),
    }));
    let again = raw.sent_calls();
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].msg_id > sent.msg_id);
}

/// Rule:   after three questions without a reply the calls that they were about go out anew, and
///         not those that were sent meanwhile.
/// Source: SES-10, SES-12.
#[test]
fn call_younger_than_the_questions_is_not_sent_anew() {
    let (mut raw, _, _) = calling_repeatable();
    reopen(&mut raw);
    raw.sent();
    raw.wait(Duration::from_secs(10));
    raw.wait(Duration::from_secs(10));
    raw.push(query(9));
    raw.session.call(query(2));
    assert_eq!(raw.sent_calls().len(), 1);
    raw.wait(Duration::from_secs(10));
    let anew: Vec<_> = raw.sent_calls().into_iter().map(|inner| inner.body).collect();
    assert_eq!(anew, [query(1)]);
}

/// Rule:   a message from before all ids that are remembered does not run, however fresh the
///         container around it: its session may have been forgotten, and its ids as well.
/// Source: MSG-39, SVC-09, SVC-16.
#[test]
fn message_from_before_all_memory_is_refused() {
    for (age, runs) in [(329, true), (331, false)] {
        let mut raw = RawServer::new();
        let old = crate::raw::id_at(0, 1);
        raw.wait(Duration::from_secs(age));
        raw.salt = crate::raw::salts().current(raw.now.unix_seconds()).value;
        // Number 1 is the old message's.
        raw.seq_no(true);
        raw.greet();
        let inner = Inner { msg_id: old, seq_no: 1, body: query(1) };
        raw.service(boxed(&types::MsgsStateReq { msg_ids: vec![old.0] }));
        let told = raw.replied::<types::MsgsStateInfo>();
        assert_eq!(told[0].info[..], [if runs { 2 } else { 1 }], "{age} s");
        raw.container(&[inner]);
        assert_eq!(raw.ran().len(), usize::from(runs), "{age} s");
    }
}

/// Rule:   an announcement that was owed for long brings no salt: the one in use is newer.
/// Source: SES-23, SVC-40.
#[test]
fn salt_of_an_old_announcement_is_not_taken() {
    for (age, salt) in [(10, 7), (120, 1)] {
        let (mut raw, _, sent) = calling();
        let id = raw.id(1);
        raw.wait(Duration::from_secs(age));
        // It ends the row of salts that are known beforehand.
        raw.correct_salt(sent.msg_id, 1);
        let first_msg_id = sent.msg_id.0;
        let new = types::NewSession { first_msg_id, unique_id: 2, server_salt: 7 };
        raw.hand(id, 1, boxed(&new)).unwrap();
        raw.session.call(query(2));
        let packets = raw.packets();
        let salts: Vec<i64> = packets.iter().map(|packet| packet.header.salt).collect();
        assert!(salts.iter().all(|used| *used == salt), "{age} s: {salts:?}");
    }
}

/// Rule:   an answer that is read too late to be believed costs the link, for on another it comes
///         again.
/// Source: MSG-R09, SES-09, SES-28.
#[test]
fn answer_read_too_late_comes_again() {
    let (mut raw, _, sent) = calling();
    let id = raw.id(1);
    raw.now.mono += Duration::from_secs(301);
    raw.now.unix += Duration::from_secs(301);
    raw.hand(id, 9, crate::raw::result_of(sent.msg_id, &query(5))).unwrap();
    assert_eq!(raw.answers(), []);
    assert_eq!(raw.dead_link(), Some(DeadLink::Untimely));
}
