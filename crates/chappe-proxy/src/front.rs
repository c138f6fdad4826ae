//! Recognising who comes, from his first bytes.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use chappe_crypto::{Rng, x25519_public};
use chappe_proto::Now;
use chappe_proto::transport::fake_tls::{
    ClientHello, Heard, NotHello, RecordError, Records, asked_domain, flight,
};
use chappe_proto::transport::{ClientLeg, DOWN_KEYS, Framing, HEADER_LEN};

use crate::config::UnknownDomain;
use crate::policy::Policy;
use crate::seen::Seen;

/// Recognises one connection.
///
/// Holds no socket, clock or task. The caller appends what comes to one buffer and hands it to
/// [`handle`](Self::handle), until that gives something else than [`Step::More`]. As long as it has
/// said nothing it consumes nothing: what a stranger sent is all there, for the site that he is
/// shown.
#[derive(Debug)]
pub(crate) struct Front {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was said.
    First,
    /// A hello was answered; the header comes in records.
    Piped { user: usize, records: Records, plain: BytesMut },
}

/// What the bytes so far say.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing yet.
    More,
    /// A user, who is to be answered with this after so much time; then it goes on.
    Say(Vec<u8>, Duration),
    /// A user, and all that is known of his connection.
    Accepted(Box<Accepted>),
    /// No user, and nothing was said to him or consumed.
    Stranger(Stranger),
    /// A user by his hello, by nothing that came after it: to be closed.
    Broken(Broken),
}

/// A connection of a user.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// His place among those listed.
    pub(crate) user: usize,
    pub(crate) mode: Mode,
    /// Keys and wishes of the stream inside.
    pub(crate) leg: ClientLeg,
    /// What takes records of fake TLS apart.
    pub(crate) records: Option<Records>,
    /// What came of the stream behind its header, still encrypted.
    pub(crate) early: BytesMut,
}

/// The form in which a user came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Padded,
    Tls,
}

/// Why somebody is a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// What he says is in no form that is served.
    Foreign,
    /// A hello that no client of ours makes.
    Hello,
    /// More than a hello came before it was answered (FTL-04).
    Surplus,
    /// A hello to no site, or to none that we seem to be (FTL-07).
    Domain,
    /// Nobody's secret (FTL-05).
    Secret,
    /// A hello of another time (FTL-06).
    Skew,
    /// A hello or a header that came before (FTL-08, PRX-24).
    Replay,
    /// He said nothing whole in time.
    Slow,
    /// He comes from where nobody is served.
    Denied,
}

/// Why a user's connection is closed before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// What comes are no records of data.
    Records(RecordError),
    /// The stream inside does not begin with a header of padded framing by the same secret.
    Header,
    /// That header came before.
    Replay,
}

impl Front {
    pub(crate) fn new() -> Self {
        Self { stage: Stage::First }
    }

    /// Whether a hello was answered.
    pub(crate) fn has_spoken(&self) -> bool {
        matches!(self.stage, Stage::Piped { .. })
    }

    /// Looks at all that came so far; what it consumes is gone from `input`.
    pub(crate) fn handle(
        &mut self,
        policy: &Policy,
        seen: &Seen,
        now: Now,
        input: &mut BytesMut,
        rng: &mut Rng,
    ) -> Step {
        match &mut self.stage {
            Stage::First => {
                let (user, answer, wait) = match first(policy, seen, now, input, rng) {
                    Ok(First::More) => return Step::More,
                    Ok(First::Header(accepted)) => return Step::Accepted(accepted),
                    Ok(First::Hello { user, len, answer, wait }) => {
                        input.advance(len);
                        (user, answer, wait)
                    }
                    Err(stranger) => return Step::Stranger(stranger),
                };
                let (records, plain) = (Records::of_client(), BytesMut::new());
                self.stage = Stage::Piped { user, records, plain };
                Step::Say(answer, wait)
            }
            Stage::Piped { user, records, plain } => {
                let mut came = input.split();
                match records.unwrap(&mut came) {
                    Ok(len) => plain.extend_from_slice(&came[..len]),
                    Err(error) => return Step::Broken(Broken::Records(error)),
                }
                let Some(header) = plain.first_chunk::<HEADER_LEN>().copied() else {
                    return Step::More;
                };
                let secret = std::slice::from_ref(&policy.secrets[*user]);
                let leg = ClientLeg::open(&header, secret);
                let Some(leg) = leg.filter(|leg| leg.framing == Framing::Padded) else {
                    return Step::Broken(Broken::Header);
                };
                if !seen.is_new_header(&header[DOWN_KEYS], now.mono) {
                    return Step::Broken(Broken::Replay);
                }
                plain.advance(HEADER_LEN);
                Step::Accepted(Box::new(Accepted {
                    user: *user,
                    mode: Mode::Tls,
                    leg,
                    records: Some(std::mem::take(records)),
                    early: std::mem::take(plain),
                }))
            }
        }
    }
}

/// What the first bytes can be.
enum First {
    More,
    Hello { user: usize, len: usize, answer: Vec<u8>, wait: Duration },
    Header(Box<Accepted>),
}

fn first(
    policy: &Policy,
    seen: &Seen,
    now: Now,
    input: &mut BytesMut,
    rng: &mut Rng,
) -> Result<First, Stranger> {
    if policy.config.modes.tls {
        match ClientHello::read(input) {
            Ok(Heard::More) => return Ok(First::More),
            Ok(Heard::Hello(hello, len)) => {
                return answer(policy, seen, now, &hello, input.len() > len, rng)
                    .map(|(user, answer, wait)| First::Hello { user, len, answer, wait });
            }
            // No TLS at all: another form perhaps.
            Err(NotHello::Record) => {}
            Err(_) => return Err(Stranger::Hello),
        }
    }
    header(policy, seen, now, input)
}

/// Whose hello it is, what he is answered and after how long.
fn answer(
    policy: &Policy,
    seen: &Seen,
    now: Now,
    hello: &ClientHello,
    has_surplus: bool,
    rng: &mut Rng,
) -> Result<(usize, Vec<u8>, Duration), Stranger> {
    // Everybody knows these without a secret, and a scanner's hello costs little.
    let domain = hello.domain().and_then(|name| policy.domain(name)).ok_or(Stranger::Domain)?;
    if has_surplus {
        return Err(Stranger::Surplus);
    }
    // All of them, so that the time taken tells nothing of who is here (PRX-05).
    let mut found = None;
    for (at, secret) in policy.secrets.iter().enumerate() {
        found = found.or(hello.time_by(secret).map(|time| (at, time)));
    }
    let (user, time) = found.ok_or(Stranger::Secret)?;
    let own = &policy.listed[user].config.domain;
    if own.as_ref().is_some_and(|own| *own != domain.name) {
        return Err(Stranger::Domain);
    }
    if !is_fresh(policy, seen, now, time.into()) {
        return Err(Stranger::Skew);
    }
    if !seen.is_new_digest(hello.random(), now.mono) {
        return Err(Stranger::Replay);
    }
    let drawn = rng.u32();
    let (shape, wait) = (policy.shape(domain, drawn), policy.answer_wait(domain, drawn));
    let key = x25519_public(rng);
    Ok((user, flight(hello, &policy.secrets[user], &shape, &key, rng), wait))
}

/// Whether a hello of that time, in seconds since 1970, may be new.
fn is_fresh(policy: &Policy, seen: &Seen, now: Now, time: u64) -> bool {
    let hello = &policy.config.hello;
    let unix = now.unix.as_secs();
    if unix.saturating_sub(time) > hello.age_max.as_secs()
        || time.saturating_sub(unix) > hello.future_max.as_secs()
        || !seen.reaches(time)
    {
        return false;
    }
    // The clock of this process began with it.
    let start = unix.saturating_sub(now.mono.as_secs());
    !hello.refuse_before_start
        || seen.is_whole()
        || now.mono > hello.age_max
        || time + START_SLACK >= start
}

/// What a clock may be late, in seconds, where hellos from before the start are refused (PRX-26).
const START_SLACK: u64 = 3;

/// Whose header it is, where headers come as they are.
fn header(policy: &Policy, seen: &Seen, now: Now, input: &mut BytesMut) -> Result<First, Stranger> {
    let modes = policy.config.modes;
    if !(modes.plain || modes.padded) || is_other_protocol(input) {
        return Err(Stranger::Foreign);
    }
    let Some(header) = input.first_chunk::<HEADER_LEN>() else { return Ok(First::More) };
    let leg = ClientLeg::open(header, &policy.secrets).ok_or(Stranger::Secret)?;
    let (mode, is_served) = match leg.framing {
        Framing::Padded => (Mode::Padded, modes.padded),
        _ => (Mode::Plain, modes.plain),
    };
    if !is_served {
        return Err(Stranger::Foreign);
    }
    if !seen.is_new_header(&header[DOWN_KEYS], now.mono) {
        return Err(Stranger::Replay);
    }
    input.advance(HEADER_LEN);
    Ok(First::Header(Box::new(Accepted {
        user: leg.secret,
        mode,
        leg,
        records: None,
        early: input.split(),
    })))
}

/// What no client begins a header with (11 §2): nobody need be waited for who does.
fn is_other_protocol(input: &[u8]) -> bool {
    matches!(
        input,
        [0xef, ..]
            | [0xee, 0xee, 0xee, 0xee, ..]
            | [0xdd, 0xdd, 0xdd, 0xdd, ..]
            | [b'P', b'O', b'S', b'T', ..]
            | [b'H', b'E', b'A', b'D', ..]
            | [b'O', b'P', b'T', b'I', ..]
            | [b'G', b'E', b'T', b' ', ..]
            | [0x16, 0x03, 0x01, 0x02, ..]
            | [_, _, _, _, 0, 0, 0, 0, ..]
    )
}

/// What becomes of a stranger who sent these bytes: the name of the site that he asked for, if he
/// is shown one.
pub(crate) fn fate(policy: &Policy, input: &[u8]) -> Fate {
    let asked = asked_domain(input);
    let is_known = asked.as_deref().is_some_and(|name| policy.domain(name).is_some());
    match policy.config.unknown_domain {
        // Whatever else is wrong with a hello, or right: no site would look at that first.
        _ if is_known || asked.is_none() => Fate::Shown(asked),
        UnknownDomain::Mask => Fate::Shown(asked),
        UnknownDomain::Drop => Fate::Closed(&[]),
        UnknownDomain::Alert => Fate::Closed(&UNRECOGNIZED_NAME),
    }
}

/// What becomes of a stranger.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// He is shown the site of that name, or the first.
    Shown(Option<String>),
    /// He is told this, and closed.
    Closed(&'static [u8]),
}

/// The alert of TLS for a site that is not here.
const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Padded, Self::Tls];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Padded => "padded",
            Self::Tls => "tls",
        }
    }
}

impl Stranger {
    pub(crate) const ALL: [Self; 9] = [
        Self::Foreign,
        Self::Hello,
        Self::Surplus,
        Self::Domain,
        Self::Secret,
        Self::Skew,
        Self::Replay,
        Self::Slow,
        Self::Denied,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Hello => "hello",
            Self::Surplus => "surplus",
            Self::Domain => "domain",
            Self::Secret => "secret",
            Self::Skew => "skew",
            Self::Replay => "replay",
            Self::Slow => "slow",
            Self::Denied => "denied",
        }
    }
}
