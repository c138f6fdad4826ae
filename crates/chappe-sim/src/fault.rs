//! What goes wrong in a world, and when: all drawn from the seed before the world begins.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_proto::transport::{Framing, Transport};

/// The course of one world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seconds that the world begins after a change of salts.
    pub phase: u64,
    /// One transport for each client.
    pub transports: Vec<Transport>,
    /// All clients hold one key between them, or one each.
    pub shares_key: bool,
    /// Keys are made over the network, not given.
    pub makes_keys: bool,
    /// Keys are temporary: the node keeps them in memory alone and for so many seconds, and whoever
    /// hears -404 gets another.
    pub key_life: Option<u32>,
    /// How far each client's wall clock is ahead when the world begins, in milliseconds.
    pub skews: Vec<i64>,
    /// When each call is made, by whom, and when its caller gives it up.
    pub calls: Vec<(Duration, usize, Option<Duration>)>,
    /// How many calls in a hundred may run twice.
    pub repeatable: u32,
    /// How many calls in a hundred come after the one before, or after all that are open.
    pub ordered: u32,
    /// How many calls in a hundred write into a log; where there are any, clients are devices of
    /// accounts and follow their logs.
    pub writes: u32,
    /// How many readings of a log in a hundred fail.
    pub unread: u32,
    /// When the node pushes.
    pub pushes: Vec<Duration>,
    /// How long handlers take: one in `slow` takes up to `slowest`.
    pub slow: u32,
    /// The longest run of a handler.
    pub slowest: Duration,
    /// The network's way.
    pub network: Weather,
    /// What happens besides, in order of time.
    pub faults: Vec<(Duration, Fault)>,
    /// When everything is well again.
    pub heals_at: Duration,
    /// A session without a link is forgotten after this.
    pub idle_max: Duration,
}

/// How connections behave. The chances are in ten thousandths, for each write.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Least time on the way.
    pub delay: Duration,
    /// How much longer it may take.
    pub jitter: Duration,
    /// Arrives in pieces.
    pub split: u32,
    /// A piece arrives, and then nothing more.
    pub cut: u32,
    /// A middleman flips a bit.
    pub flip: u32,
    /// A middleman sends it twice.
    pub duplicate: u32,
    /// A middleman keeps it.
    pub swallow: u32,
    /// A middleman keeps it and sends it on a connection of his own, later.
    pub steal: u32,
    /// A middleman slips in what he recorded elsewhere, or a transport error.
    pub inject: u32,
}

/// Something that goes wrong at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A client's connection breaks, for those who notice.
    Cut {
        /// Whose.
        client: usize,
        /// How.
        cut: Cut,
    },
    /// A client's wall clock steps, in milliseconds.
    StepClient(usize, i64),
    /// A client's machine sleeps.
    Sleep {
        /// Whose.
        client: usize,
        /// For how long.
        span: Duration,
        /// Its monotonic clock stands meanwhile.
        mono_stands: bool,
    },
    /// The node's wall clock steps, in milliseconds.
    StepNode(i64),
    /// The node's process ends, and another begins after a while.
    Restart(Duration),
    /// The node forgets the sessions of all clients.
    ForgetAll,
    /// The node forgets the sessions of one client.
    Forget(usize),
    /// A stranger sends what he recorded, on a connection of his own.
    Replay,
    /// A stranger sends what he recorded, long after everything was over.
    LateReplay,
    /// A stranger sends noise.
    Noise,
}

/// Who notices that a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both ends.
    Both,
    /// The client; the node takes the connection for open.
    Client,
    /// The node; the client takes the connection for open.
    Node,
    /// Nobody: nothing arrives any more.
    Nobody,
    /// Nobody: nothing arrives at the node any more.
    NobodyUp,
    /// Nobody: nothing arrives at the client any more.
    NobodyDown,
}

/// Bits of a mask that decide which kinds of trouble a world has at all: worlds with all of them
/// would hide what only shows in a quiet one.
struct Kinds(u32);

impl Kinds {
    fn has(&self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

impl Plan {
    /// A world in which nothing goes wrong and one client makes a call every ten seconds.
    pub fn quiet() -> Self {
        Self {
            phase: 0,
            transports: vec![Transport::plain(Framing::Intermediate)],
            shares_key: false,
            makes_keys: false,
            key_life: None,
            skews: vec![0],
            calls: (0..10).map(|number| (Duration::from_secs(10 * number), 0, None)).collect(),
            repeatable: 0,
            ordered: 0,
            writes: 0,
            unread: 0,
            pushes: Vec::new(),
            slow: 1,
            slowest: Duration::from_millis(20),
            network: Weather { delay: Duration::from_millis(50), ..Weather::default() },
            faults: Vec::new(),
            heals_at: Duration::from_secs(100),
            idle_max: Duration::from_secs(900),
        }
    }

    /// The course of the world of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        // One world in sixteen is quiet.
        let kinds =
            Kinds(if rng.below(16) == 0 { 0 } else { rng.u32() & rng.u32() | rng.u32() & 1 });
        let clients = 1 + rng.below(3) as usize;
        let span = 20 + rng.below(300);
        let makes_keys = rng.below(512) == 0;
        let key_life = (kinds.has(18) && !makes_keys).then(|| 30 + rng.below(2000));
        let within = |rng: &mut Rng| Duration::from_millis(u64::from(rng.below(span * 1000)));
        let transports = (0..clients).map(|_| transport(rng)).collect();
        let skews = (0..clients).map(|_| if kinds.has(1) { skew(rng) } else { 0 }).collect();
        let mut calls: Vec<_> = (0..clients * (1 + rng.below(8) as usize))
            .map(|number| {
                let at = within(rng);
                let gives_up = kinds.has(2) && rng.below(4) == 0;
                let until = at + Duration::from_millis(u64::from(rng.below(3000)));
                (at, number % clients, gives_up.then_some(until))
            })
            .collect();
        calls.sort();
        let pushes = if kinds.has(3) { 1 + rng.below(6) } else { 0 };
        let pushes = (0..pushes).map(|_| within(rng)).collect();
        let mut faults: Vec<(Duration, Fault)> = Vec::new();
        let mut add = |rng: &mut Rng, bit, most: u32, draw: &mut dyn FnMut(&mut Rng) -> Fault| {
            if kinds.has(bit) {
                for _ in 0..1 + rng.below(most) {
                    let at = within(rng);
                    faults.push((at, draw(rng)));
                }
            }
        };
        let who = |rng: &mut Rng| rng.below(clients as u32) as usize;
        add(rng, 0, 8, &mut |rng| Fault::Cut { client: who(rng), cut: cut(rng) });
        add(rng, 4, 3, &mut |rng| Fault::StepClient(who(rng), skew(rng)));
        add(rng, 5, 2, &mut |rng| {
            let most = [60_000, 4_000_000][rng.below(2) as usize];
            Fault::Sleep {
                client: who(rng),
                span: Duration::from_millis(u64::from(rng.below(most))),
                mono_stands: rng.below(2) == 0,
            }
        });
        add(rng, 6, 2, &mut |rng| Fault::StepNode(i64::from(rng.below(8_000)) - 4_000));
        add(rng, 7, 2, &mut |rng| {
            Fault::Restart(Duration::from_millis(u64::from(rng.below(20_000))))
        });
        add(rng, 8, 3, &mut |rng| match rng.below(2) {
            0 => Fault::ForgetAll,
            _ => Fault::Forget(who(rng)),
        });
        add(rng, 9, 6, &mut |_| Fault::Replay);
        add(rng, 10, 2, &mut |_| Fault::Noise);
        if kinds.has(9) {
            faults.push((Duration::from_secs(u64::from(span)), Fault::LateReplay));
        }
        // Nobody is well who sleeps.
        let wakes_at = |(at, fault): &(Duration, Fault)| match fault {
            Fault::Sleep { span, .. } => *at + *span,
            _ => *at,
        };
        let heals_at = faults.iter().map(wakes_at).max().unwrap_or_default();
        let heals_at = heals_at.max(Duration::from_secs(u64::from(span)));
        faults.sort_by_key(|(at, _)| *at);
        let delay = Duration::from_millis(1 + u64::from(rng.below(200)));
        let jitter = Duration::from_millis([8000u64, 1000, 50, 50][rng.below(4) as usize]);
        let mut chance = |bit, most: u32| if kinds.has(bit) { 1 + rng.below(most) } else { 0 };
        let network = Weather {
            split: chance(11, 3000),
            cut: chance(12, 300),
            flip: chance(13, 200),
            duplicate: chance(14, 1000),
            swallow: chance(15, 500),
            steal: chance(16, 500),
            inject: chance(17, 500),
            delay,
            jitter,
        };
        let mut share = |bit| if kinds.has(bit) { 1 + rng.below(100) } else { 0 };
        let (repeatable, ordered) = (share(19), share(20));
        let writes = if makes_keys { 0 } else { share(21) };
        let unread = share(22) / 5;
        Self {
            phase: u64::from(rng.below(3600)),
            transports,
            shares_key: rng.below(3) == 0,
            makes_keys,
            key_life,
            skews,
            calls,
            repeatable,
            ordered,
            writes,
            unread,
            pushes,
            slow: 1 + rng.below(8),
            slowest: Duration::from_millis(u64::from(1 + rng.below(40_000))),
            network,
            faults,
            heals_at,
            idle_max: Duration::from_secs([5, 900][rng.below(2) as usize]),
        }
    }
}

fn transport(rng: &mut Rng) -> Transport {
    match rng.below(4) {
        0 => Transport::ALL[rng.below(Transport::ALL.len() as u32) as usize],
        1 => Transport::plain(Framing::Abridged),
        _ => Transport::plain(Framing::Intermediate),
    }
}

/// A difference of clocks: small, near the bounds of what is accepted, or years.
fn skew(rng: &mut Rng) -> i64 {
    let size = match rng.below(5) {
        0 => i64::from(rng.below(2_000)),
        1 => 29_000 + i64::from(rng.below(3_000)),
        2 => 299_000 + i64::from(rng.below(3_000)),
        3 => i64::from(rng.below(100_000_000)),
        _ => i64::from(rng.below(4_000_000)) * 30_000,
    };
    if rng.below(2) == 0 { size } else { -size }
}

fn cut(rng: &mut Rng) -> Cut {
    match rng.below(8) {
        0 => Cut::Client,
        1 => Cut::Node,
        2 => Cut::Nobody,
        3 => Cut::NobodyUp,
        4 => Cut::NobodyDown,
        _ => Cut::Both,
    }
}
