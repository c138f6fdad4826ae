//! Worlds of one trouble each. In all of them every invariant has to hold; some say more.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::transport::Transport;
use chappe_sim::fault::{Cut, Fault, Plan};
use chappe_sim::world::{Outcome, run_plan};

/// Runs the plan under some seeds.
fn check(plan: &Plan) -> Vec<Outcome> {
    (0..20)
        .map(|seed| {
            let outcome = run_plan(plan.clone(), Rng::from_seed([seed; 32]), false);
            assert_eq!(outcome.broken, None, "seed {seed}");
            outcome
        })
        .collect()
}

fn with(faults: &[(u64, Fault)]) -> Plan {
    let faults = faults.iter().map(|(at, fault)| (Duration::from_secs(*at), *fault)).collect();
    Plan { faults, ..Plan::quiet() }
}

fn cut(cut: Cut) -> Fault {
    Fault::Cut { client: 0, cut }
}

/// Rule: without trouble nothing is ever late: all calls end with the last one.
#[test]
fn quiet_world_is_done_at_once() {
    for outcome in check(&Plan::quiet()) {
        assert!(outcome.ended < Duration::from_secs(160), "{:?}", outcome.ended);
    }
}

/// Rule: every transport carries a session.
#[test]
fn every_transport_works() {
    for transport in Transport::ALL {
        check(&Plan { transports: vec![transport], ..Plan::quiet() });
    }
}

/// Rules: SES-09, SES-10, SES-11, SES-16: a link that breaks, whoever notices, costs no call.
#[test]
fn cut_links_cost_nothing() {
    let cuts = [Cut::Both, Cut::Client, Cut::Node, Cut::Nobody, Cut::NobodyUp, Cut::NobodyDown];
    for kind in cuts {
        check(&with(&[(20, cut(kind)), (41, cut(kind)), (42, cut(kind))]));
    }
}

/// Rules: SES-14, SVC-34, SVC-35: an end that hears nothing gives its link up in time.
#[test]
fn half_open_link_is_given_up() {
    for outcome in check(&with(&[(55, cut(Cut::Nobody))])) {
        assert!(outcome.ended < Duration::from_secs(260), "{:?}", outcome.ended);
    }
}

/// Rules: SES-02, SES-06, SES-19, SVC-39, SVC-40, MSG-39: a server that forgets or restarts loses
///        no call.
#[test]
fn forgetful_servers_lose_no_call() {
    check(&with(&[(20, Fault::ForgetAll), (20, cut(Cut::Both)), (45, Fault::Forget(0))]));
    check(&with(&[(30, Fault::Restart(Duration::from_secs(7))), (60, Fault::ForgetAll)]));
    let slow = Plan { slowest: Duration::from_secs(30), ..with(&[(33, Fault::ForgetAll)]) };
    check(&Plan { slow: 1, ..slow });
}

/// Rules: SEC-55, MSG-39, SVC-09: somebody plays back what he recorded, after the server forgot:
///        nothing runs twice, and no call waits for ever.
#[test]
fn replays_after_a_loss_of_memory_harm_nobody() {
    let mut faults = Vec::new();
    for at in 0..20 {
        faults.push((3 + 5 * at, Fault::Replay));
        faults.push((4 + 5 * at, Fault::ForgetAll));
    }
    let mut plan = with(&faults);
    plan.network.steal = 500;
    plan.network.swallow = 500;
    check(&plan);
    plan.faults.push((Duration::from_secs(50), Fault::Restart(Duration::from_secs(3))));
    check(&plan);
}

/// Rules: SES-28, SES-29, SES-30, SVC-10: a client whose clock is wrong by years is served.
#[test]
fn wrong_clocks_are_corrected() {
    let year = 365 * 86_400_000;
    for skew in [-20 * year, -301_000, -299_000, 29_000, 31_000, 301_000, 20 * year] {
        check(&Plan { skews: vec![skew], ..Plan::quiet() });
        check(&with(&[(20, Fault::StepClient(0, skew)), (40, cut(Cut::Both))]));
    }
}

/// Rule: SES-28: a machine that sleeps for an hour goes on, however its clocks take it.
#[test]
fn sleep_is_overcome() {
    for mono_stands in [false, true] {
        for seconds in [31, 299, 301, 3600] {
            let span = Duration::from_secs(seconds);
            let sleep = Fault::Sleep { client: 0, span, mono_stands };
            let heals_at = Duration::from_secs(100) + span;
            check(&Plan { heals_at, ..with(&[(25, sleep)]) });
            check(&Plan { heals_at, ..with(&[(25, sleep), (26, cut(Cut::Node))]) });
        }
    }
}

/// Rules: SEC-48, SEC-50, SES-03: a middleman who flips bits, sends twice, keeps, mixes and forges
///        transport errors costs links, never a call.
#[test]
fn middleman_harms_nobody() {
    let mut plan = Plan {
        transports: vec![Plan::quiet().transports[0]; 3],
        skews: vec![0; 3],
        calls: (0..30)
            .map(|number| (Duration::from_secs(3 * number), number as usize % 3, None))
            .collect(),
        pushes: (0..9).map(|number| Duration::from_secs(10 * number)).collect(),
        shares_key: true,
        ..Plan::quiet()
    };
    for kind in 0..6 {
        let weather = &mut plan.network;
        let chances = [
            &mut weather.flip,
            &mut weather.duplicate,
            &mut weather.swallow,
            &mut weather.steal,
            &mut weather.inject,
            &mut weather.cut,
        ];
        for (number, chance) in chances.into_iter().enumerate() {
            *chance = if number == kind { 1500 } else { 0 };
        }
        check(&plan);
    }
}

/// Rules: KEY-25, KEY-26: clients that make their keys in the world use them at once.
#[test]
fn keys_are_made_over_the_network() {
    let plan = Plan { makes_keys: true, ..Plan::quiet() };
    for seed in 0..3 {
        let outcome = run_plan(plan.clone(), Rng::from_seed([seed; 32]), false);
        assert_eq!(outcome.broken, None, "seed {seed}");
    }
}

/// Rules: PFS-02, PFS-03, SES-18: temporary keys end with their time or with the process; clients
///        hear -404, take another and lose no call, and nothing of a dead key stays in memory.
#[test]
fn temporary_keys_end_without_a_lost_call() {
    let mut plan = with(&[(30, Fault::Restart(Duration::from_secs(4))), (70, cut(Cut::Both))]);
    for life in [15, 40, 3600] {
        plan.key_life = Some(life);
        check(&plan);
        check(&Plan { slowest: Duration::from_secs(20), ..plan.clone() });
    }
}

/// Three devices of two accounts, which write all the time.
fn town() -> Plan {
    Plan {
        transports: vec![Plan::quiet().transports[0]; 3],
        skews: vec![0; 3],
        calls: (0..60)
            .map(|number| (Duration::from_secs(number), number as usize % 3, None))
            .collect(),
        writes: 100,
        ..Plan::quiet()
    }
}

/// Rules: UPD-01, UPD-02, UPD-03, UPD-05: where nothing fails, pushes and answers tell each device
///        everything; it asks when its session begins, and never again.
#[test]
fn nobody_has_to_ask_where_nothing_fails() {
    for outcome in check(&town()) {
        assert!(outcome.asked <= 6, "{} questions", outcome.asked);
        assert!(outcome.ended < Duration::from_secs(160), "{:?}", outcome.ended);
    }
}

/// Rules: UPD-01, UPD-03, UPD-09, UPD-14: devices that are cut off and sleep, a server that dies
///        between a commit and its announcement or forgets, logs that cannot be read: each device
///        ends up with the log of its account.
#[test]
fn devices_end_up_with_the_log_whatever_fails() {
    for client in 0..3 {
        let span = Duration::from_secs(17);
        let mut plan = town();
        plan.unread = 20;
        plan.repeatable = 50;
        plan.faults = vec![
            (Duration::from_millis(5010), Fault::Restart(Duration::from_millis(10))),
            (Duration::from_secs(9), Fault::Cut { client, cut: Cut::Nobody }),
            (Duration::from_secs(12), Fault::Sleep { client, span, mono_stands: true }),
            (Duration::from_millis(20_030), Fault::Restart(Duration::from_secs(2))),
            (Duration::from_secs(31), Fault::ForgetAll),
            (Duration::from_millis(40_045), Fault::Restart(Duration::from_millis(1))),
            (Duration::from_secs(44), Fault::Cut { client, cut: Cut::Client }),
        ];
        check(&plan);
        plan.network.jitter = Duration::from_secs(2);
        check(&Plan { shares_key: true, ..plan.clone() });
        check(&Plan { key_life: Some(25), ..plan });
    }
}
