//! Both sessions against each other over links that fail.

use std::time::Duration;

use chappe_proto::rpc::RpcError;
use chappe_proto::session::client::{self, CallError, CallOptions, ClientEvent, Doubt};
use chappe_proto::session::server;
use chappe_tl::Raw;
use proptest::prelude::*;

use crate::pair::Pair;
use crate::raw::{answer_to, query};

/// Rule:   an answer is sent again until the client acknowledges it, and its call runs once.
/// Source: SES-09, SES-15, SES-16, SVC-24.
#[test]
fn answer_lost_with_its_link_arrives_on_the_next_one() {
    let mut pair = Pair::connected();
    let call = pair.client.call(query(1));
    pair.collect();
    pair.deliver_to_server();
    pair.cut();
    pair.reconnect();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
    assert_eq!(pair.runs_of(&query(1)), 1);
}

/// Rule:   closing a link cancels nothing; the answer comes on the next one, whenever it is made.
/// Source: SES-16, SES-03.
#[test]
fn answer_made_without_a_link_waits_for_one() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let call = pair.client.call(query(1));
    pair.run_for(Duration::from_secs(1));
    pair.cut();
    pair.answer_all();
    pair.reconnect();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
}

/// Rule:   an acknowledged call is not sent again on a new link; the server is only told where
///         the client is, and sends what it owes.
/// Source: SES-09, SES-10, SVC-05.
#[test]
fn acknowledged_call_gets_its_answer_on_a_new_link_at_once() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let call = pair.client.call(query(1));
    pair.run_for(Duration::from_secs(1));
    pair.cut();
    pair.reconnect();
    pair.run_to_idle();
    pair.answer_all();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
    assert_eq!(pair.runs_of(&query(1)), 1);
}

/// Rule:   what left on a link that closes goes out on the other one that is open.
/// Source: SES-03, SES-09.
#[test]
fn answer_lost_on_an_old_link_arrives_on_the_one_already_open() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let call = pair.client.call(query(1));
    pair.run_for(Duration::from_secs(1));
    let old = pair.link.unwrap();
    let waiting = std::mem::take(&mut pair.running);
    // The client reconnects; the server takes the old link for alive and answers there.
    pair.cut_for_client();
    pair.answer(&waiting[0]);
    pair.collect();
    pair.reconnect();
    pair.run_to_idle();
    assert!(!pair.is_answered(call));
    pair.server.handle_link_closed(old);
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
}

/// Rule:   who asks on a new link about a call whose answer left on a half-dead one gets it again.
/// Source: SES-09, SES-10.
#[test]
fn answer_lost_on_a_half_dead_link_comes_when_the_client_asks() {
    let mut pair = Pair::connected();
    let call = pair.client.call(query(1));
    pair.collect();
    pair.deliver_to_server();
    pair.cut_for_client();
    pair.reconnect();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
    assert_eq!(pair.runs_of(&query(1)), 1);
}

/// Rule:   a call lost with its link is asked for and sent again in a container, under its old id.
/// Source: SES-10, SES-11, SVC-14, SVC-15.
#[test]
fn call_lost_with_its_link_is_sent_again_under_its_old_id() {
    let mut pair = Pair::connected();
    let call = pair.client.call(query(1));
    pair.collect();
    let lost = crate::raw::flatten(pair.to_server[0].clone());
    let lost = lost.iter().find(|inner| crate::raw::is_query(inner)).unwrap().clone();
    pair.cut();
    pair.reconnect();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
    assert_eq!(pair.runs_of(&query(1)), 1);
    let again = pair.heard.iter().find(|message| {
        message.header.msg_id != lost.msg_id
            && crate::raw::flatten((*message).clone()).contains(&lost)
    });
    assert!(again.is_some(), "not found in a container under its old numbers");
}

/// Rule:   a server that forgot the session announces a new one. Of the calls sent in the old one
///         nobody knows the fate: those that may run twice go again, the others say so; a call
///         that was never sent runs once.
/// Source: SES-02, SES-06, SES-12, SES-19, SVC-39, SVC-40.
#[test]
fn call_survives_a_server_that_forgot_the_session() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let repeatable = || CallOptions::default().repeatable();
    let acknowledged = pair.client.call(query(1));
    let again = pair.client.call_with(query(2), repeatable());
    pair.run_for(Duration::from_secs(1));
    pair.running.clear();
    let lost = pair.client.call(query(3));
    let lost_again = pair.client.call_with(query(4), repeatable());
    pair.collect();
    pair.cut();
    let unsent = pair.client.call(query(5));
    assert!(pair.client.is_unsent(unsent) && !pair.client.is_unsent(lost));
    pair.forget_session();
    pair.answers_itself = true;
    pair.reconnect();
    pair.run_to_idle();
    let unknown = [Err(CallError::Unknown(Doubt::SessionForgotten))];
    assert_eq!(pair.answers[&acknowledged], unknown);
    assert_eq!(pair.answers[&lost], unknown);
    for (call, number, runs) in [(again, 2, 2), (lost_again, 4, 1), (unsent, 5, 1)] {
        assert_eq!(pair.answers[&call], [Ok(Raw(answer_to(&query(number))))]);
        assert_eq!(pair.runs_of(&query(number)), runs);
    }
    assert_eq!([pair.runs_of(&query(1)), pair.runs_of(&query(3))], [1, 0]);
    assert!(pair.client_events.contains(&ClientEvent::PushesMayBeLost));
}

/// Rule:   a client whose clock is years off corrects it and is served, on the same link.
/// Source: SES-28, SES-29, SES-30, SVC-10; codes 16 and 17.
#[test]
fn clock_wrong_by_years_is_corrected() {
    for ahead in [-301, 31, 3 * 365 * 86_400, -3 * 365 * 86_400] {
        let mut pair =
            Pair::with(ahead, client::SessionConfig::default(), server::SessionConfig::default());
        pair.reconnect();
        let calls = [pair.client.call(query(1)), pair.client.call(query(2))];
        pair.run_to_idle();
        for (call, number) in calls.into_iter().zip([1, 2]) {
            assert_eq!(pair.answers[&call].len(), 1, "clock {ahead} s ahead");
            assert_eq!(pair.runs_of(&query(number)), 1, "clock {ahead} s ahead");
        }
        let restarts = pair.client_events.iter().filter(|e| matches!(e, ClientEvent::Restarted(_)));
        assert_eq!(restarts.count(), usize::from(ahead > 0), "clock {ahead} s ahead");
        assert!(pair.link.is_some());
    }
}

/// Rule:   a wall clock that jumps moves nothing: the client runs on its monotonic clock.
/// Source: SES-28.
#[test]
fn stepping_wall_clock_of_the_client_disturbs_nothing() {
    let mut pair = Pair::connected();
    for step in [86_400, -86_400] {
        pair.client_ahead += step;
        let call = pair.client.call(query(7));
        pair.run_to_idle();
        assert_eq!(pair.answers[&call].len(), 1);
    }
    assert!(!pair.client_events.iter().any(|e| matches!(e, ClientEvent::Restarted(_))));
}

/// Rule:   each of 1000 messages, replayed in any order, is executed once.
/// Source: SEC-27, MSG-36, MSG-39.
#[test]
fn replayed_messages_run_once() {
    let mut pair = Pair::connected();
    for number in 1..=1000 {
        pair.client.call(query(number));
        pair.run_to_idle();
    }
    let mut recorded = std::mem::take(&mut pair.heard);
    let mut rng = chappe_crypto::Rng::from_seed([7; 32]);
    for at in (1..recorded.len()).rev() {
        recorded.swap(at, rng.below(at as u32 + 1) as usize);
    }
    for message in recorded {
        pair.replay(message);
    }
    assert!((1..=1000).all(|number| pair.runs_of(&query(number)) == 1));
}

/// Rule:   large answers go out again as an announcement, and the client fetches them.
/// Source: SES-09, SVC-19, SVC-21, SVC-22.
#[test]
fn large_answer_is_announced_and_fetched() {
    let mut pair = Pair::connected();
    let mut large = query(1).to_vec();
    // Incompressible, so that it stays large.
    let mut rng = chappe_crypto::Rng::from_seed([8; 32]);
    large.extend_from_slice(&rng.bytes::<2048>());
    let call = pair.client.call(large.into());
    pair.collect();
    pair.deliver_to_server();
    pair.cut();
    pair.reconnect();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
}

/// Rule:   what is sent again travels in a container, so that its age does not make the client
///         ignore it.
/// Source: SES-09, MSG-12, MSG-25, MSG-R09.
#[test]
fn answer_much_older_than_its_link_is_heeded() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let call = pair.client.call(query(1));
    pair.run_for(Duration::from_secs(1));
    pair.cut();
    pair.answer_all();
    pair.run_for(Duration::from_secs(3600));
    pair.reconnect();
    pair.run_to_idle();
    assert_eq!(pair.answers[&call].len(), 1);
}

/// Rule:   a client that slept, its monotonic clock with it, gets what it missed.
/// Source: SES-28, MSG-R09; clocks 31 s and 299 s late, which the server does not refuse.
#[test]
fn client_that_slept_finds_the_time_again() {
    for slept in [31, 299, 301] {
        let mut pair = Pair::connected();
        pair.client_late += slept;
        let call = pair.client.call(query(1));
        pair.run_to_idle();
        let is_dead = |event: &ClientEvent| matches!(event, ClientEvent::LinkIsDead(_));
        if pair.client_events.iter().any(is_dead) {
            pair.cut();
            pair.reconnect();
            pair.run_to_idle();
        }
        assert_eq!(pair.answers[&call].len(), 1, "slept {slept} s");
        assert_eq!(pair.runs_of(&query(1)), 1, "slept {slept} s");
    }
}

/// Rule:   a push is sent again on the next link until it is acknowledged, and told once.
/// Source: SES-09, SES-15.
#[test]
fn push_lost_with_its_link_arrives_on_the_next_one() {
    let mut pair = Pair::connected();
    let now = pair.server_now();
    pair.server.push(now, answer_to(&query(9)));
    pair.collect();
    pair.cut();
    pair.reconnect();
    pair.run_to_idle();
    pair.cut();
    pair.reconnect();
    pair.run_to_idle();
    let pushed = pair.client_events.iter().filter(|e| matches!(e, ClientEvent::Pushed(_)));
    assert_eq!(pushed.count(), 1);
}

/// Rule:   a dropped call reports nothing, and the server is told.
/// Source: SVC-29, SVC-30.
#[test]
fn dropped_call_reports_nothing() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let call = pair.client.call(query(1));
    pair.run_to_idle();
    pair.client.drop_call(call);
    pair.run_to_idle();
    let dropped = |e: &server::ServerEvent| matches!(e, server::ServerEvent::CallDropped(_));
    assert!(pair.server_events.iter().any(dropped));
    pair.answer_all();
    pair.run_to_idle();
    assert!(!pair.is_answered(call));
}

/// Rule:   the server's salts go round every half an hour; an idle client catches up.
/// Source: SES-20, SES-24, SVC-08.
#[test]
fn client_follows_the_salts_for_a_day() {
    let mut pair = Pair::connected();
    for number in 1..=24 {
        pair.run_for(Duration::from_secs(3600));
        let call = pair.client.call(query(number));
        pair.run_to_idle();
        assert_eq!(pair.answers[&call].len(), 1, "hour {number}");
    }
    assert!(pair.link.is_some());
}

/// Rule:   an error is the answer to its call and to no other.
/// Source: SVC-24, SVC-26.
#[test]
fn error_reaches_its_caller() {
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let call = pair.client.call(query(1));
    pair.run_to_idle();
    let id = pair.running[0].msg_id;
    let now = pair.server_now();
    pair.server.answer(now, id, Err(RpcError::unauthorized("AUTH_KEY_UNREGISTERED")));
    pair.run_to_idle();
    let error = RpcError::new(401, "AUTH_KEY_UNREGISTERED");
    assert_eq!(pair.answers[&call], [Err(client::CallError::Rpc(error))]);
}

/// One thing that happens in a random run.
#[derive(Clone, Copy, Debug)]
enum Step {
    Call,
    ToServer,
    ToClient,
    DropToServer,
    DropToClient,
    ReplayToServer,
    DuplicateToClient,
    ReorderToServer,
    ReorderToClient,
    Cut,
    CutForClient,
    Reconnect,
    Answer,
    Wait(u16),
    Push,
    Restart,
}

fn step(wait_max_ms: u16) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Call),
        6 => Just(Step::ToServer),
        6 => Just(Step::ToClient),
        1 => Just(Step::DropToServer),
        1 => Just(Step::DropToClient),
        1 => Just(Step::ReplayToServer),
        1 => Just(Step::DuplicateToClient),
        1 => Just(Step::ReorderToServer),
        1 => Just(Step::ReorderToClient),
        1 => Just(Step::Cut),
        1 => Just(Step::CutForClient),
        3 => Just(Step::Reconnect),
        4 => Just(Step::Answer),
        2 => (0..wait_max_ms).prop_map(Step::Wait),
        1 => Just(Step::Push),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Rule:   whatever the links do, every call is answered once and runs once.
    /// Source: SES-09 to SES-16, SEC-27, MSG-39.
    #[test]
    fn every_call_runs_and_is_answered_once_whatever_the_links_do(
        // In all less than the 30 s after which an unanswered question has calls sent anew.
        steps in prop::collection::vec(step(200), 1..120)
    ) {
        let (pair, calls) = play(steps);
        for (number, call) in calls.iter().enumerate() {
            let answers = pair.answers.get(call).map_or(0, Vec::len);
            prop_assert_eq!(answers, 1, "answers to call {}", number);
            prop_assert_eq!(pair.runs_of(&query(number as u32 + 1)), 1, "runs of call {}", number);
        }
    }

    /// Rule:   with links that stall for minutes too, every call is answered once and runs once at
    ///         most; one whose fate nobody told after three questions says so.
    /// Source: SES-10, SES-12.
    #[test]
    fn every_call_is_answered_once_however_long_the_links_stall(
        steps in prop::collection::vec(step(20_000), 1..120)
    ) {
        let (pair, calls) = play(steps);
        for (number, call) in calls.iter().enumerate() {
            let answers = pair.answers.get(call).map_or(&[][..], Vec::as_slice);
            prop_assert_eq!(answers.len(), 1, "call {}", number);
            let runs = pair.runs_of(&query(number as u32 + 1));
            match &answers[0] {
                Ok(_) if is_repeatable(number) => prop_assert!(runs >= 1, "call {}", number),
                Ok(_) => prop_assert_eq!(runs, 1, "call {}", number),
                Err(CallError::Unknown(_)) => prop_assert!(runs <= 1, "call {}", number),
                Err(error) => prop_assert!(false, "call {}: {}", number, error),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Rule:   whatever links do and however often the server forgets everything, every call ends
    ///         once, runs at most once, and says so when nobody knows whether it ran; one that may
    ///         run twice has its answer.
    /// Source: SES-12, SES-10, SVC-40, MSG-39.
    #[test]
    fn no_call_runs_twice_however_often_the_server_restarts(
        steps in prop::collection::vec(
            prop_oneof![
                9 => step(15_000).prop_filter("a restarted server remembers no replay", |step| {
                    !matches!(step, Step::ReplayToServer)
                }),
                1 => Just(Step::Restart),
            ],
            1..120,
        )
    ) {
        let (pair, calls) = play(steps);
        for (number, call) in calls.iter().enumerate() {
            let answers = pair.answers.get(call).map_or(&[][..], Vec::as_slice);
            prop_assert_eq!(answers.len(), 1, "call {}", number);
            let runs = pair.runs_of(&query(number as u32 + 1));
            match &answers[0] {
                Ok(_) if is_repeatable(number) => prop_assert!(runs >= 1, "call {}", number),
                Ok(_) => prop_assert_eq!(runs, 1, "call {}", number),
                Err(CallError::Unknown(_)) => {
                    prop_assert!(runs <= 1 && !is_repeatable(number), "call {}", number);
                }
                Err(error) => prop_assert!(false, "call {}: {}", number, error),
            }
        }
    }
}

/// Every third call of a script may run twice.
fn is_repeatable(number: usize) -> bool {
    number % 3 == 2
}

/// Plays a script, then lets the links work again until nothing is left to do.
fn play(steps: Vec<Step>) -> (Pair, Vec<client::CallId>) {
    // Messages that overtake the first one of a session are sent twice (SVC-40).
    let mut pair = Pair::connected();
    pair.answers_itself = false;
    let mut calls = Vec::new();
    for step in steps {
        take(&mut pair, step, &mut calls);
    }
    pair.answers_itself = true;
    pair.answer_all();
    // A link that has lost something is noticed in time, by both ends, and replaced.
    for _ in 0..4 {
        pair.cut();
        pair.notice_dead_links();
        pair.reconnect();
        pair.run_for(Duration::from_secs(31));
    }
    (pair, calls)
}

fn take(pair: &mut Pair, step: Step, calls: &mut Vec<client::CallId>) {
    match step {
        Step::Call => {
            let mut options = CallOptions::default();
            options.repeatable = is_repeatable(calls.len());
            calls.push(pair.client.call_with(query(calls.len() as u32 + 1), options));
            pair.collect();
        }
        Step::ToServer => drop(pair.deliver_to_server()),
        Step::ToClient => drop(pair.deliver_to_client()),
        // A link is a stream: what it loses in the middle ends it.
        Step::DropToServer | Step::DropToClient => pair.cut(),
        Step::ReplayToServer => {
            if let Some(message) = pair.heard.last().cloned() {
                pair.replay(message);
            }
        }
        Step::DuplicateToClient => {
            if let Some(message) = pair.to_client.front().cloned() {
                pair.hand_to_client(message);
            }
        }
        Step::ReorderToServer => pair.to_server.rotate_left(usize::from(pair.to_server.len() > 1)),
        Step::ReorderToClient => pair.to_client.rotate_left(usize::from(pair.to_client.len() > 1)),
        Step::Cut => pair.cut(),
        Step::CutForClient => pair.cut_for_client(),
        Step::Reconnect => pair.reconnect(),
        Step::Answer => {
            if !pair.running.is_empty() {
                let call = pair.running.remove(0);
                pair.answer(&call);
                pair.collect();
            }
        }
        Step::Wait(ms) => {
            pair.mono += Duration::from_millis(ms.into());
            let (client_now, server_now) = (pair.client_now(), pair.server_now());
            pair.client.handle_timeout(client_now);
            pair.server.handle_timeout(server_now);
            pair.collect();
        }
        Step::Restart => {
            pair.cut();
            pair.running.clear();
            pair.forget_session();
            // A restart takes time, so the next server's ids are others.
            pair.mono += Duration::from_millis(50);
        }
        Step::Push => {
            let now = pair.server_now();
            pair.server.push(now, answer_to(&query(1 << 20)));
            pair.collect();
        }
    }
}
