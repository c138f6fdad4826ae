//! The life of a client's keys, on a virtual clock.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{AuthKey, Rng};
use chappe_proto::Now;
use chappe_proto::keys::{KeyAction, Keys, KeysConfig, PfsConfig, Slot};
use chappe_proto::rpc::RpcError;

/// Keys, and an owner that does what they say.
struct World {
    keys: Keys,
    now: Now,
    made: u8,
    /// What was asked for and not done yet.
    actions: Vec<KeyAction>,
    dropped: Vec<Slot>,
}

impl World {
    fn with(pfs: Option<PfsConfig>, permanent: Option<u8>) -> Self {
        let now = Now { mono: secs(1000), unix: secs(1_800_000_000) };
        let permanent = permanent.map(key);
        let keys = Keys::new(now, KeysConfig::new(pfs), permanent, Rng::from_seed([4; 32]));
        Self { keys, now, made: 100, actions: Vec::new(), dropped: Vec::new() }
    }

    /// With a stored permanent key and a bound temporary one.
    fn ready() -> (Self, Slot) {
        let mut world = Self::with(Some(PfsConfig::default()), Some(1));
        let slot = world.make_and_bind();
        (world, slot)
    }

    fn act(&mut self) {
        while let Some(action) = self.keys.poll_action() {
            match action {
                KeyAction::Drop(slot) => self.dropped.push(slot),
                action => self.actions.push(action),
            }
        }
    }

    fn next(&mut self) -> Option<KeyAction> {
        self.act();
        (!self.actions.is_empty()).then(|| self.actions.remove(0))
    }

    fn made(&mut self) -> Slot {
        let Some(KeyAction::Make { slot, expires_in }) = self.next() else {
            panic!("no key is asked for")
        };
        self.made += 1;
        let unix = self.now.unix_seconds();
        let expires_at = expires_in.map(|life| unix + i64::from(life));
        self.keys.handle_made(self.now, slot, key(self.made), self.now, expires_at);
        slot
    }

    fn make_and_bind(&mut self) -> Slot {
        let slot = self.made();
        let Some(KeyAction::Bind(bound, _)) = self.next() else { panic!("nothing is bound") };
        assert_eq!(bound, slot);
        self.keys.handle_bound(self.now, slot);
        assert!(matches!(self.next(), Some(KeyAction::Use(used)) if used == slot));
        slot
    }

    fn refuse(&mut self, slot: Slot, message: &str) {
        assert!(matches!(self.next(), Some(KeyAction::Bind(bound, _)) if bound == slot));
        self.keys.handle_bind_failed(self.now, slot, RpcError::bad_request(message));
    }

    fn wait(&mut self, span: Duration) {
        self.now.mono += span;
        self.now.unix += span;
        self.keys.handle_timeout(self.now);
    }

    /// Lets time pass to whatever is due next.
    fn wait_for_next(&mut self) -> Duration {
        let due = self.keys.poll_timeout().expect("something is due");
        let span = due.saturating_sub(self.now.mono);
        self.wait(span);
        span
    }
}

fn key(number: u8) -> Arc<AuthKey> {
    Arc::new(AuthKey::new([number; 256]))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Rule:   the permanent key is made first, kept before it is used, and used for nothing but the
///         binding of a temporary one.
/// Source: PFS-01, 07-pfs §1, KEY-22.
#[test]
fn first_run_makes_two_keys() {
    let mut world = World::with(Some(PfsConfig::default()), None);
    let slot = world.made();
    assert!(matches!(world.next(), Some(KeyAction::Keep(kept)) if kept == slot));
    assert!(world.next().is_none() && world.keys.key(slot).is_none());
    world.keys.handle_kept(world.now, slot);
    let permanent = world.keys.permanent().unwrap().id();
    assert_eq!(world.make_and_bind(), slot);
    assert_ne!(world.keys.key(slot).unwrap().id(), permanent);
    assert_eq!(world.keys.in_use(), Some(slot));
}

/// Rule:   without forward secrecy the permanent key carries the calls, once it is kept; one that
///         cannot be kept is not used.
/// Source: KEY-22, PFS-15.
#[test]
fn permanent_key_may_carry_calls() {
    let mut world = World::with(None, Some(1));
    let Some(KeyAction::Use(slot)) = world.next() else { panic!("it is ready at once") };
    assert_eq!(world.keys.key(slot).unwrap().id(), key(1).id());
    for is_kept in [true, false] {
        let mut world = World::with(None, None);
        let slot = world.made();
        assert!(matches!(world.next(), Some(KeyAction::Keep(_))));
        if is_kept {
            world.keys.handle_kept(world.now, slot);
            assert!(matches!(world.next(), Some(KeyAction::Use(used)) if used == slot));
        } else {
            world.keys.handle_not_kept(slot);
            assert!(world.next().is_none() && world.keys.permanent().is_none());
        }
    }
}

/// Rule:   another key is made an hour before the end, a tenth of it sooner or later; for short
///         lives a quarter of the life.
/// Source: 07-pfs §1.
#[test]
fn keys_are_renewed_ahead_of_their_end() {
    for (life, ahead) in [(86_400, 3600), (7200, 1800), (60, 15), (4, 1)] {
        let mut seen = std::collections::BTreeSet::new();
        for made in 0..40 {
            let pfs = PfsConfig::default().with_expires_in(life);
            let mut world = World::with(Some(pfs), Some(1));
            world.keys = Keys::new(
                world.now,
                KeysConfig::new(Some(pfs)),
                Some(key(1)),
                Rng::from_seed([made; 32]),
            );
            let old = world.make_and_bind();
            let waited = world.wait_for_next().as_millis() as i64;
            let lead = i64::from(life) * 1000 - waited;
            assert!((ahead * 900..=ahead * 1100).contains(&lead), "{life} s: {lead} ms");
            seen.insert(lead);
            // The old one is in use until the new one is bound.
            let new = world.made();
            assert_eq!(world.keys.in_use(), Some(old));
            assert!(matches!(world.next(), Some(KeyAction::Bind(..))));
            world.keys.handle_bound(world.now, new);
            assert_eq!(world.keys.in_use(), Some(new));
        }
        assert!(seen.len() > 20, "{life} s: no jitter");
    }
}

/// Rule:   a key that was replaced opens what comes under it for 60 s, and longer while calls wait
///         under it, but not past its end. Then it is dropped.
/// Source: PFS-18, PFS-02.
#[test]
fn replaced_key_is_kept_for_a_minute() {
    let (mut world, old) = World::ready();
    world.wait_for_next();
    world.make_and_bind();
    world.keys.handle_drained(world.now, old);
    assert_eq!(world.keys.poll_timeout(), Some(world.now.mono + secs(60)));
    world.wait(Duration::from_millis(59_999));
    world.act();
    assert_eq!(world.dropped, []);
    assert!(world.keys.key(old).is_some());
    world.wait(Duration::from_millis(1));
    assert!(world.next().is_none(), "it has been replaced already");
    assert_eq!(world.dropped, [old]);
    assert!(world.keys.key(old).is_none());

    let (mut world, old) = World::ready();
    let made_at = world.now.mono;
    world.wait_for_next();
    world.make_and_bind();
    world.wait(secs(600));
    world.act();
    assert_eq!(world.dropped, []);
    world.wait_for_next();
    world.act();
    assert_eq!((world.dropped, world.now.mono), (vec![old], made_at + secs(86_400)));
}

/// Rule:   a key past its end is dropped before anything is sent under it, also where the machine
///         slept and its monotonic clock with it; a wall clock set back prolongs no life.
/// Source: PFS-19, PFS-02.
#[test]
fn key_that_ended_is_not_used() {
    for asleep in [false, true] {
        let (mut world, old) = World::ready();
        world.now.unix += secs(86_400);
        if !asleep {
            world.now.mono += secs(86_400);
        }
        world.keys.handle_timeout(world.now);
        world.act();
        assert_eq!(world.dropped, [old]);
        assert_eq!(world.keys.in_use(), None);
        let new = world.make_and_bind();
        assert_eq!(world.keys.in_use(), Some(new));
    }
    let (mut world, old) = World::ready();
    world.now.unix -= secs(1_000_000);
    world.wait(secs(86_399));
    assert_eq!(world.keys.in_use(), Some(old));
    world.wait(secs(1));
    assert_eq!(world.keys.in_use(), None);
}

/// Rule:   while another key is on its way none is made besides, however often the time for it
///         comes, and nobody is woken for that; the end of the old one changes nothing.
/// Source: PFS-17, PFS-19.
#[test]
fn one_key_is_made_at_a_time() {
    let (mut world, old) = World::ready();
    world.wait_for_next();
    let new = world.made();
    assert!(matches!(world.next(), Some(KeyAction::Bind(..))));
    world.wait(secs(1));
    assert!(world.next().is_none());
    assert!(world.keys.poll_timeout().is_some_and(|due| due > world.now.mono + secs(3000)));
    world.wait_for_next();
    assert!(world.next().is_none());
    assert_eq!((&world.dropped[..], world.keys.in_use()), (&[old][..], None));
    world.keys.handle_bound(world.now, new);
    assert_eq!(world.keys.in_use(), Some(new));
}

/// Rule:   a renewal that does not come to its end leaves the old key in use to its own.
/// Source: PFS-17, PFS-19.
#[test]
fn renewal_that_fails_costs_nothing_before_the_end() {
    let (mut world, old) = World::ready();
    world.wait_for_next();
    let slot = world.made();
    world.refuse(slot, "TEMP_AUTH_KEY_ALREADY_BOUND");
    for _ in 0..5 {
        assert_eq!(world.keys.in_use(), Some(old));
        if !matches!(world.actions.first(), Some(KeyAction::Make { .. })) {
            world.act();
        }
        if world.actions.is_empty() {
            world.wait_for_next();
        }
        let slot = world.made();
        world.refuse(slot, "TEMP_AUTH_KEY_ALREADY_BOUND");
    }
    world.wait(secs(4000));
    assert_eq!(world.keys.in_use(), None);
}

/// Rule:   -404 costs a temporary key at once; the permanent key stays, however often that
///         happens. Attempts follow one another as links do.
/// Source: SES-18, SEC-49, PFS-17, SES-13.
#[test]
fn not_found_costs_a_temporary_key_at_once() {
    let (mut world, mut slot) = World::ready();
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.keys.handle_not_found(world.now, slot);
        world.act();
        assert_eq!(world.dropped.pop(), Some(slot));
        waits.push(if world.actions.is_empty() { world.wait_for_next() } else { secs(0) });
        slot = world.make_and_bind();
    }
    assert_eq!(waits[0], secs(0));
    let seconds = waits.iter().map(|wait| (wait.as_secs_f64()).round() as u64);
    assert_eq!(seconds.collect::<Vec<_>>(), [0, 1, 2, 4]);
    // One that served for a while is replaced without a wait.
    world.wait(secs(60));
    world.keys.handle_not_found(world.now, slot);
    world.make_and_bind();
    assert_eq!(world.keys.permanent().unwrap().id(), key(1).id());
}

/// Rule:   a permanent key is lost when two links in a row do not know it, not for one, nor for
///         two with a message between them. Nothing is tried then before the owner says so.
/// Source: SES-18, SEC-49, SEC-50.
#[test]
fn permanent_key_is_lost_by_the_second_not_found() {
    let mut world = World::with(None, Some(1));
    let Some(KeyAction::Use(slot)) = world.next() else { panic!("it is ready at once") };
    for _ in 0..3 {
        world.keys.handle_not_found(world.now, slot);
        world.keys.handle_heard(world.now, slot);
    }
    assert!(world.next().is_none() && world.keys.permanent().is_some());
    world.keys.handle_not_found(world.now, slot);
    assert!(world.next().is_none());
    world.keys.handle_not_found(world.now, slot);
    assert!(matches!(world.next(), Some(KeyAction::Lost)));
    assert_eq!(world.dropped, [slot]);
    assert!(world.keys.permanent().is_none() && world.keys.poll_timeout().is_none());
    world.keys.begin_anew(world.now);
    assert!(matches!(world.next(), Some(KeyAction::Make { expires_in: None, .. })));
}

/// Rule:   a second invalid binding in a row has the permanent key looked after: two -404 there
///         and it is lost, an answer and it is kept. A key younger than a minute is given time.
/// Source: PFS-17, SES-18, SEC-49.
#[test]
fn invalid_bindings_have_the_permanent_key_looked_after() {
    for is_known in [false, true] {
        let mut world = World::with(Some(PfsConfig::default()), Some(1));
        for _ in 0..2 {
            let slot = world.made();
            world.refuse(slot, "ENCRYPTED_MESSAGE_INVALID");
        }
        let Some(KeyAction::Probe(slot)) = world.next() else { panic!("it is not looked after") };
        assert_eq!(world.keys.key(slot).unwrap().id(), key(1).id());
        world.keys.handle_not_found(world.now, slot);
        assert!(world.next().is_none() && world.keys.permanent().is_some());
        if is_known {
            world.keys.handle_heard(world.now, slot);
            world.wait_for_next();
            world.make_and_bind();
        } else {
            world.keys.handle_not_found(world.now, slot);
            assert!(matches!(world.next(), Some(KeyAction::Lost)));
        }
    }
    let mut world = World::with(Some(PfsConfig::default()), None);
    let slot = world.made();
    world.next();
    world.keys.handle_kept(world.now, slot);
    for _ in 0..3 {
        let slot = world.made();
        world.refuse(slot, "ENCRYPTED_MESSAGE_INVALID");
        world.act();
        if world.actions.is_empty() {
            world.wait_for_next();
        }
    }
    assert!(matches!(world.next(), Some(KeyAction::Make { .. })));
}

/// Rule:   a permanent key may take a minute to reach every node of the server; from then on the
///         second invalid binding has it looked after.
/// Source: PFS-17, 07-pfs §4.
#[test]
fn young_permanent_key_is_given_a_minute() {
    for (age, is_probed) in [(Duration::from_millis(59_999), false), (secs(60), true)] {
        let mut world = World::with(Some(PfsConfig::default()), None);
        let slot = world.made();
        assert!(matches!(world.next(), Some(KeyAction::Keep(kept)) if kept == slot));
        world.keys.handle_kept(world.now, slot);
        world.wait(age);
        for _ in 0..2 {
            let slot = world.made();
            world.refuse(slot, "ENCRYPTED_MESSAGE_INVALID");
        }
        assert_eq!(matches!(world.next(), Some(KeyAction::Probe(_))), is_probed, "{age:?}");
    }
}

/// Rule:   every refusal leads to another temporary key, the method's absence to an error besides;
///         none to the use of the permanent key.
/// Source: PFS-17, PFS-01.
#[test]
fn refused_binding_leads_to_another_key() {
    for refusal in [
        "ENCRYPTED_MESSAGE_INVALID",
        "TEMP_AUTH_KEY_ALREADY_BOUND",
        "TEMP_AUTH_KEY_EMPTY",
        "EXPIRES_AT_INVALID",
        "INPUT_REQUEST_TOO_LONG",
        "INPUT_METHOD_INVALID_3453160965",
    ] {
        let mut world = World::with(Some(PfsConfig::default()), Some(1));
        let slot = world.made();
        world.refuse(slot, refusal);
        world.act();
        assert_eq!(world.dropped, [slot]);
        if refusal.starts_with("INPUT_METHOD") {
            assert!(matches!(world.next(), Some(KeyAction::Unsupported(_))));
        }
        assert_eq!(world.keys.in_use(), None);
        assert_ne!(world.make_and_bind(), slot, "{refusal}");
    }
}

/// Rule:   a binding that the server does not hold any more is made anew; under a key that was
///         replaced it is none.
/// Source: PFS-17, PFS-11, SVC-28.
#[test]
fn lost_binding_is_made_anew() {
    let (mut world, old) = World::ready();
    world.wait_for_next();
    let new = world.make_and_bind();
    world.keys.handle_unbound(world.now, old);
    world.act();
    assert_eq!((world.keys.in_use(), world.actions.len()), (Some(new), 0));
    world.keys.handle_unbound(world.now, new);
    world.act();
    assert_eq!(world.dropped, [new]);
    world.make_and_bind();
}

/// Rule:   nothing printed holds a key.
/// Source: SEC-53.
#[test]
fn keys_do_not_print_themselves() {
    let (world, _) = World::ready();
    let printed = format!("{:?}", world.keys);
    assert!(printed.contains(&key(1).id().to_string()) || printed.contains("AuthKeyId"));
    assert!(!printed.contains("101, 101, 101") && !printed.contains("6565"));
}

/// Rule:   a permanent key that the server has given up is lost: its slots are dropped, and another
///         is made only when that is asked for; without one there is nothing to lose.
/// Source: SES-18, KEY-22.
#[test]
fn dead_key_is_lost_until_begun_anew() {
    let (mut world, slot) = World::ready();
    world.keys.handle_dead();
    assert!(world.keys.permanent().is_none());
    world.act();
    assert_eq!(world.dropped, [slot]);
    world.actions.clear();
    world.keys.begin_anew(world.now);
    world.keys.begin_anew(world.now);
    let made = world.made();
    assert!(matches!(world.next(), Some(KeyAction::Keep(kept)) if kept == made));
    // One that is being made is no reason for a second.
    world.keys.begin_anew(world.now);
    assert!(world.next().is_none());
    world.keys.handle_kept(world.now, made);
    world.keys.begin_anew(world.now);
    assert!(matches!(world.next(), Some(KeyAction::Make { expires_in: Some(_), .. })));
    assert!(world.next().is_none());
}
