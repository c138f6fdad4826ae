//! A client that asks what it missed is not pushed it as well; and whatever it is not told by the
//! answer it is pushed, each event once and all in their order.

use std::time::Duration;

use chappe_proto::MsgId;
use chappe_proto::session::container::Inner;
use chappe_proto::session::outbox::Mark;
use chappe_proto::session::server::Told;

use crate::raw::{LINK, RawServer, ack, query, results_in};

const NOTHING: [u32; 0] = [];

/// A session whose client asks; and the question.
fn asking() -> (RawServer, MsgId) {
    let mut raw = RawServer::greeted();
    let call = ask(&mut raw);
    (raw, call)
}

fn ask(raw: &mut RawServer) -> MsgId {
    let call = raw.call(query(0));
    raw.events();
    raw.session.ask(call);
    call
}

fn mark(at: i32) -> Mark {
    Mark { line: 7, at }
}

/// Pushes the event of a place.
fn push(raw: &mut RawServer, at: i32) {
    raw.session.push_in_line(raw.now, mark(at), query(at as u32));
}

fn answer(raw: &mut RawServer, call: MsgId, up_to: i32, is_whole: bool) {
    raw.answer(call, query(1000));
    let told = Told { up_to: mark(up_to), is_whole };
    raw.session.told(raw.now, call, Some(told));
}

/// The events in messages, by their places, 0 for an answer.
fn events(inners: &[Inner]) -> Vec<u32> {
    let is_answer = |inner: &&Inner| !results_in(std::slice::from_ref(*inner)).is_empty();
    let place = |inner: &Inner| match is_answer(&inner) {
        true => Some(0),
        false if inner.body.len() == 8 && inner.body.starts_with(&query(0)[..4]) => {
            Some(u32::from_le_bytes(inner.body[4..].try_into().unwrap()))
        }
        false => None,
    };
    inners.iter().filter_map(place).collect()
}

fn heard(raw: &mut RawServer) -> Vec<u32> {
    events(&raw.replies())
}

/// Rule:   what is pushed while a client asks follows the answer, in its order; what the answer
///         tells is not pushed, then or later; what is no event of a line does not wait.
/// Source: UPD-03, UPD-04, UPD-09.
#[test]
fn pushes_wait_for_the_answer() {
    let (mut raw, call) = asking();
    push(&mut raw, 4);
    push(&mut raw, 5);
    raw.session.push(raw.now, query(900));
    push(&mut raw, 6);
    push(&mut raw, 7);
    assert_eq!(heard(&mut raw), [900]);
    answer(&mut raw, call, 5, true);
    assert_eq!(heard(&mut raw), [0, 6, 7]);
    // Who pushes may be late.
    push(&mut raw, 5);
    push(&mut raw, 8);
    assert_eq!(heard(&mut raw), [8]);
    // Another account's line may begin anywhere.
    raw.session.push_in_line(raw.now, Mark { line: 8, at: 1 }, query(1));
    assert_eq!(heard(&mut raw), [1]);
}

/// Rule:   a question that fails, or whose answer nobody wants any more, withholds nothing.
/// Source: UPD-14, SVC-29.
#[test]
fn nothing_is_lost_without_an_answer() {
    let (mut raw, call) = asking();
    push(&mut raw, 4);
    raw.fail(call);
    raw.session.told(raw.now, call, None);
    push(&mut raw, 5);
    assert_eq!(heard(&mut raw), [0, 4, 5]);
    // Two questions, of which the one that tells less is answered last.
    let (first, second) = (ask(&mut raw), ask(&mut raw));
    push(&mut raw, 6);
    push(&mut raw, 7);
    push(&mut raw, 8);
    answer(&mut raw, second, 7, true);
    assert_eq!(heard(&mut raw), [0]);
    answer(&mut raw, first, 6, true);
    assert_eq!(heard(&mut raw), [0, 8]);
    // An answer to what did not ask.
    raw.session.told(raw.now, MsgId(5), Some(Told { up_to: mark(100), is_whole: true }));
    push(&mut raw, 9);
    assert_eq!(heard(&mut raw), [9]);
}

/// Rule:   after a part of the difference pushes wait for the question after it, and for ten seconds
///         if the client does not come back; then it is pushed what it was not told, in order.
/// Source: UPD-09, UPD-14, 20-telegram-api-service §3.4.
#[test]
fn client_that_does_not_come_back_is_pushed_to() {
    let (mut raw, call) = asking();
    push(&mut raw, 9);
    answer(&mut raw, call, 5, false);
    push(&mut raw, 10);
    assert_eq!(heard(&mut raw), [0]);
    raw.wait(Duration::from_secs(9));
    raw.timeout();
    assert_eq!(heard(&mut raw), NOTHING);
    let next = ask(&mut raw);
    raw.wait(Duration::from_secs(60));
    raw.timeout();
    assert_eq!(heard(&mut raw), NOTHING, "the answer is what takes long");
    answer(&mut raw, next, 8, false);
    assert_eq!(heard(&mut raw), [0]);
    assert_eq!(raw.session.poll_timeout(), Some(raw.now.mono + Duration::from_secs(10)));
    raw.wait(Duration::from_secs(10));
    raw.timeout();
    assert_eq!(heard(&mut raw), [9, 10]);
    push(&mut raw, 11);
    assert_eq!(heard(&mut raw), [11]);
}

/// Rule:   what was pushed to a session before its line broke, and not acknowledged, is not told a
///         second time where the client asks first when it is back; what the answer does not tell
///         comes after it, older ones first.
/// Source: SES-09, UPD-09.
#[test]
fn pushes_of_a_broken_line_wait_as_well() {
    let mut raw = RawServer::greeted();
    push(&mut raw, 4);
    push(&mut raw, 5);
    assert_eq!(heard(&mut raw), [4, 5]);
    raw.session.handle_link_closed(LINK);
    push(&mut raw, 6);
    raw.link = chappe_proto::LinkId(2);
    let call = ask(&mut raw);
    push(&mut raw, 7);
    assert_eq!(heard(&mut raw), NOTHING);
    answer(&mut raw, call, 5, true);
    assert_eq!(heard(&mut raw), [0, 6, 7]);
    assert_eq!(raw.session.load().owed, 3, "what was told is not kept");
}

/// Rule:   pushes that wait are bounded; too many are given up, which is counted, so that the client
///         is told to ask again.
/// Source: UPD-10, SES-07.
#[test]
fn waiting_pushes_are_bounded() {
    let (mut raw, call) = asking();
    let before = raw.session.footprint();
    for at in 1..=1000 {
        push(&mut raw, at);
    }
    assert!(raw.session.take_tally().is_none());
    assert!(raw.session.footprint() >= before + 8000);
    push(&mut raw, 1001);
    assert_eq!(raw.session.take_tally().unwrap().dropped_pushes, 1001);
    push(&mut raw, 1002);
    answer(&mut raw, call, 1, true);
    let replies = raw.replies();
    assert_eq!(events(&replies), [0, 1002]);
    let ids: Vec<MsgId> = replies.iter().map(|inner| inner.msg_id).collect();
    raw.service(ack(&ids));

    let (mut raw, _) = asking();
    for at in 1..=2 {
        raw.session.push_in_line(raw.now, mark(at), vec![0; 700 << 10].into());
    }
    assert_eq!(raw.session.take_tally().unwrap().dropped_pushes, 2);
}
