//! What the simulation found about sessions that a server forgets while their client lives on, and
//! about servers that say nothing.

use std::time::Duration;

use chappe_proto::schema::types;
use chappe_proto::session::container::Inner;

use crate::raw::{RawServer, ack, boxed, calling, calling_repeatable, query, read, reopen};

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
