//! What the simulation found about sessions that a server forgets while their client lives on.

use chappe_proto::schema::types;
use chappe_proto::session::container::Inner;

use crate::raw::{RawServer, query, read};

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
