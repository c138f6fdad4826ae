//! The client's session over links that come and go: questions, pings, calls sent again.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::MsgId;
use chappe_proto::schema::{functions, types};
use chappe_proto::session::client::{CallError, DeadLink, Doubt, SessionConfig};
use chappe_proto::session::container;
use chappe_tl::Raw;

use crate::raw::{
    RawClient, ack, boxed, calling, calling_repeatable, flatten, query, read, reopen, state_info,
};

/// Rule:   on a new link the client asks for calls that are not acknowledged, and waits for those
///         that are.
/// Source: SES-10, SVC-05, SVC-14, SVC-15.
#[test]
fn unacknowledged_calls_are_asked_for() {
    let mut raw = RawClient::settled();
    for number in 0..5 {
        raw.session.call(query(number));
    }
    let sent = raw.sent_calls();
    raw.reply(ack(&[sent[0].msg_id]));
    reopen(&mut raw);
    let all = raw.sent();
    let request: types::MsgsStateReq = all.iter().find_map(|inner| read(&inner.body)).unwrap();
    // The acknowledged one is a witness: the server must know it, or has forgotten the session.
    assert_eq!(request.msg_ids, sent.iter().map(|inner| inner.msg_id.0).collect::<Vec<_>>());
    let asked = all.iter().find(|i| read::<types::MsgsStateReq>(&i.body).is_some()).unwrap();
    raw.reply(state_info(asked.msg_id, &[4, 1, 2, 3, 4 | 32]));
    // Under their old ids, in a container.
    let packet = raw.packets().remove(0);
    assert!(packet.header.msg_id > asked.msg_id);
    assert_eq!(flatten(packet), sent[1..4]);
    // Even a single one.
    reopen(&mut raw);
    let asked = raw.sent().remove(0);
    raw.reply(state_info(asked.msg_id, &[4, 4, 4, 1]));
    let packet = raw.packets().remove(0);
    assert_eq!(packet.body, container::pack(&sent[3..4]));
}

/// Rule:   states of a wrong number, to no question of ours, or of no meaning are ignored.
/// Source: SVC-13.
#[test]
fn states_without_meaning_are_ignored() {
    let (mut raw, _, sent) = calling();
    reopen(&mut raw);
    let asked = raw.sent().remove(0).msg_id;
    raw.reply(state_info(asked, &[4, 1, 1]));
    raw.reply(state_info(asked, &[4]));
    raw.reply(state_info(asked, &[]));
    raw.reply(state_info(MsgId(asked.0 + 4), &[4, 1]));
    raw.reply(state_info(sent.msg_id, &[4, 1]));
    for state in [0, 5, 6, 7] {
        raw.reply(state_info(asked, &[4, state]));
    }
    assert_eq!(raw.sent(), []);
    raw.reply(state_info(asked, &[4, 1]));
    assert_eq!(raw.sent_calls(), [sent]);
}

/// Rule:   an unanswered question is asked three times, 10 s apart; then calls that may run twice
///         go under new ids, and the answer to either message counts, once; others are in doubt.
/// Source: SES-10, SES-12.
#[test]
fn unanswered_question_leaves_calls_in_doubt() {
    for repeatable in [false, true] {
        let (mut raw, call, sent) = if repeatable { calling_repeatable() } else { calling() };
        reopen(&mut raw);
        raw.reply(ack(&[]));
        for _ in 0..3 {
            assert_eq!(raw.sent_as::<types::MsgsStateReq>().len(), 1);
            // The server is there, and says something else.
            raw.wait(Duration::from_secs(5));
            raw.reply(ack(&[]));
            raw.wait(Duration::from_millis(4_999));
            raw.reply(ack(&[]));
            assert_eq!(raw.sent(), []);
            raw.wait(Duration::from_millis(1));
        }
        if !repeatable {
            assert_eq!(raw.sent_calls(), []);
            assert_eq!(raw.answers(), [(call, Err(CallError::Unknown(Doubt::Unanswered)))]);
            raw.result(sent.msg_id, &query(5));
            assert_eq!(raw.answers(), []);
            continue;
        }
        let again = raw.sent_calls().remove(0);
        assert_ne!(again.msg_id, sent.msg_id);
        raw.result(sent.msg_id, &query(5));
        raw.result(again.msg_id, &query(6));
        assert_eq!(raw.answers(), [(call, Ok(Raw(query(5))))]);
    }
}

/// Rule:   a question holds at most 8192 ids; the rest follows in the next one.
/// Source: MSG-21, SES-10.
#[test]
fn large_questions_are_split() {
    let mut raw = RawClient::settled();
    for number in 0..8193 {
        raw.session.call(query(number));
    }
    raw.sent();
    reopen(&mut raw);
    let asked = raw.sent().remove(0);
    assert_eq!(read::<types::MsgsStateReq>(&asked.body).unwrap().msg_ids.len(), 8192);
    raw.reply(state_info(asked.msg_id, &[4; 8192]));
    let rest: Vec<types::MsgsStateReq> = raw.sent_as();
    // Two calls, and the witness again.
    assert_eq!(rest[0].msg_ids.len(), 3);
}

/// Rule:   a ping every 60 s; without a pong in 75 s the link is dead.
/// Source: SVC-35, SES-14.
#[test]
fn link_without_pongs_is_dead() {
    let mut raw = RawClient::settled();
    reopen(&mut raw);
    let pings: Vec<functions::PingDelayDisconnect> = raw.sent_as();
    assert_eq!((pings.len(), pings[0].disconnect_delay), (1, 75));
    raw.wait(Duration::from_millis(74_999));
    assert_eq!(raw.dead_link(), None);
    raw.wait(Duration::from_millis(1));
    assert_eq!(raw.dead_link(), Some(DeadLink::Silent));
}

/// Rule:   while a call waits, 8 s in which nothing comes draw a ping, and 8 more end the link;
///         anything that comes is a sign of life.
/// Source: SVC-35, SES-14.
#[test]
fn silence_while_calls_wait_ends_the_link() {
    let mut raw = RawClient::settled();
    let call = raw.session.call(query(1));
    raw.sent();
    for sign in 0..3 {
        silent(&mut raw, SILENCE);
        assert_eq!(pings(&mut raw), 1, "sign {sign}");
        raw.wait(SILENCE - TICK);
        match sign {
            0 => drop(raw.push(query(70))),
            1 => raw.session.handle_progress(raw.now.mono),
            _ => {}
        }
        raw.sent();
    }
    // What came before is known already.
    raw.session.handle_progress(raw.now.mono - 2 * SILENCE);
    assert!(!is_dead(&mut raw));
    assert_eq!(raw.session.poll_timeout(), Some(raw.now.mono + TICK));
    raw.wait(TICK);
    assert!(is_dead(&mut raw));
    // An owner who leaves the link open is not told again at once.
    silent(&mut raw, SILENCE);
    assert_eq!(pings(&mut raw), 1);
    // The next link is one to wait for, too.
    raw.wait(SILENCE - TICK);
    reopen(&mut raw);
    assert_eq!(pings(&mut raw), 1);
    silent(&mut raw, SILENCE);
    assert_eq!(pings(&mut raw), 1);
    raw.session.drop_call(call);
    raw.wait(2 * SILENCE);
    assert!(!is_dead(&mut raw));
}

/// Rule:   a silence that nobody minds is none: it counts from the call on, and an idle link keeps
///         its 60 s.
/// Source: SVC-35.
#[test]
fn silence_counts_while_calls_wait() {
    let mut raw = RawClient::settled();
    reopen(&mut raw);
    pong(&mut raw, 0);
    silent(&mut raw, Duration::from_secs(50));
    let call = raw.session.call(query(1));
    raw.sent();
    silent(&mut raw, SILENCE);
    assert_eq!(pings(&mut raw), 1);
    // A ping without an answer, and nobody who waits: 75 s.
    raw.session.drop_call(call);
    raw.sent();
    raw.wait(Duration::from_secs(75) - TICK);
    assert!(!is_dead(&mut raw));
    raw.session.call(query(2));
    raw.sent();
    raw.wait(TICK);
    assert!(is_dead(&mut raw));
}

/// Rule:   a ping behind calls that a slow link may still be taking, at 16 KiB a second, is waited
///         for longer; what the server has acknowledged is not on its way.
/// Source: SES-14.
#[test]
fn large_calls_are_given_time() {
    for (is_acknowledged, extra) in [(false, 6), (true, 2)] {
        let mut raw = RawClient::settled();
        let mut body = vec![0; 64 << 10];
        Rng::from_seed([5; 32]).fill(&mut body);
        body[..4].copy_from_slice(&query(1)[..4]);
        raw.session.call(body.clone().into());
        let sent = raw.sent_calls();
        if is_acknowledged {
            raw.reply(ack(&[sent[0].msg_id]));
        }
        raw.session.call(body[..32 << 10].to_vec().into());
        raw.sent();
        silent(&mut raw, SILENCE);
        assert_eq!(pings(&mut raw), 1);
        raw.wait(SILENCE + Duration::from_secs(extra) - TICK);
        assert!(!is_dead(&mut raw));
        raw.wait(TICK);
        assert!(is_dead(&mut raw));
    }
}

/// The setting may be anything: it is 1 s at least, and none at all leaves it to the pongs.
#[test]
fn silence_can_be_set() {
    for (set, expected) in [(0, 1), (1, 1), (20, 20)] {
        let mut config = SessionConfig::default();
        config.silence_max = Duration::from_secs(set);
        let mut raw = RawClient::with(config);
        raw.session.call(query(1));
        raw.sent();
        silent(&mut raw, Duration::from_secs(expected));
        assert_eq!(pings(&mut raw), 1);
    }
    let mut config = SessionConfig::default();
    config.silence_max = Duration::MAX;
    let mut raw = RawClient::with(config);
    raw.session.call(query(1));
    raw.sent();
    silent(&mut raw, Duration::from_secs(60));
    assert_eq!(pings(&mut raw), 1);
    raw.wait(Duration::from_secs(75) - TICK);
    assert!(!is_dead(&mut raw));
    raw.wait(TICK);
    assert!(is_dead(&mut raw));
}

const SILENCE: Duration = Duration::from_secs(8);
const TICK: Duration = Duration::from_millis(1);

/// Waits, and sees that no ping leaves before the end.
fn silent(raw: &mut RawClient, span: Duration) {
    raw.wait(span - TICK);
    assert_eq!(pings(raw), 0);
    assert!(!is_dead(raw));
    raw.wait(TICK);
}

fn pings(raw: &mut RawClient) -> usize {
    raw.sent_as::<functions::PingDelayDisconnect>().len()
}

fn is_dead(raw: &mut RawClient) -> bool {
    raw.dead_link().is_some()
}

fn pong(raw: &mut RawClient, wrong: i64) {
    for inner in raw.sent() {
        if let Some(ping) = read::<functions::PingDelayDisconnect>(&inner.body) {
            let ping_id = ping.ping_id ^ wrong;
            raw.reply(boxed(&types::Pong { msg_id: inner.msg_id.0, ping_id }));
        }
    }
}

/// Rule:   a pong counts only with both its values right.
/// Source: SVC-33.
#[test]
fn pong_is_checked() {
    for (wrong, dies) in [(0, false), (1, true)] {
        let mut raw = RawClient::settled();
        reopen(&mut raw);
        pong(&mut raw, wrong);
        raw.wait(Duration::from_secs(75));
        assert_eq!(raw.dead_link(), dies.then_some(DeadLink::Silent));
    }
}

/// Rule:   a call that is not acknowledged while pongs arrive is asked for, and 60 s after such a
///         pong the link is given up.
/// Source: SVC-15, SES-14.
#[test]
fn pongs_without_acknowledgements_are_not_enough() {
    let mut raw = RawClient::settled();
    reopen(&mut raw);
    pong(&mut raw, 0);
    raw.session.call(query(1));
    raw.sent();
    raw.wait(Duration::from_secs(60));
    pong(&mut raw, 0);
    assert_eq!(raw.sent_as::<types::MsgsStateReq>().len(), 1);
    assert_eq!(raw.dead_link(), None);
    raw.wait(Duration::from_secs(60));
    pong(&mut raw, 0);
    assert_eq!(raw.dead_link(), Some(DeadLink::Deaf));
}
