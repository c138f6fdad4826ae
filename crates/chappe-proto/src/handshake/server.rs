//! The server's side of the key exchange: many at once, none bound to a connection (KEY-32).
//!
//! ```text
//!                 req_pq          req_DH_params                set_client_DH_params
//! (nothing) ──────────▶ Offered ─────────────▶ (Work) ─▶ Agreed ─────────▶ (Work)
//!                                                           ▲ dh_gen_retry   │
//!                                                           └────────────────┤
//!                                                 Done ◀── stored ── Store ◀─┘
//! ```
//!
//! [`Exchanges`] is a value: feed it with `handle_*`, then drain [`Exchanges::poll_output`].
//! The two steps that cost milliseconds leave it as [`Work`], to be run on any thread.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{Rng, equal, pq, rsa, sha256};

use super::{NewKey, Nonce, boxed, read_front};
use crate::ids::LinkId;
use crate::now::Now;
use crate::schema::{functions, types};

mod work;
use work::{Agreement, DhDone, DhWork, RsaWork};
pub use work::{Done, Work};

/// What a server accepts in an exchange, and how much of it at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandshakeConfig {
    /// Which data centres a client may name.
    pub dc: DcPolicy,
    /// Accept the RSA form and inner data of old clients (CRY-13, KEY-14). Default: true. About
    /// half of the clients in use need it (QRK-01).
    pub old_clients: bool,
    /// Longest life of a temporary key, in seconds. Default: 604 800 (KEY-15).
    pub temporary_key_life_max: i32,
    /// Exchanges under way at once. Default: 10 000. Each costs about 1.5 KiB.
    pub exchanges_max: usize,
    /// Exchanges of one link. Default: 16 (KEY-32).
    pub exchanges_per_link_max: usize,
    /// Exchanges of one address. Default: 1000 (KEY-32).
    pub exchanges_per_address_max: usize,
    /// Life of an exchange from its first message. Default: 10 minutes (KEY-31).
    pub life: Duration,
    /// `dh_gen_retry` answers before `dh_gen_fail`. Default: 5 (KEY-21).
    pub retries_max: u32,
}

impl Default for HandshakeConfig {
    fn default() -> Self {
        Self {
            dc: DcPolicy::default(),
            old_clients: true,
            temporary_key_life_max: 604_800,
            exchanges_max: 10_000,
            exchanges_per_link_max: 16,
            exchanges_per_address_max: 1000,
            life: Duration::from_secs(600),
            retries_max: 5,
        }
    }
}

/// Which `dc` an inner data may name (KEY-14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DcPolicy {
    /// Any: one process is every data centre, test and media forms included.
    #[default]
    Any,
    /// Only this one, as production (`n`), test (`10000 + n`) or media (`-n`) form; -444 otherwise.
    Only {
        /// Number of the data centre.
        dc: i32,
        /// Whether it is a test server.
        test: bool,
        /// Whether media forms are served, too.
        media: bool,
    },
}

impl DcPolicy {
    /// Whether a client that names `dc` is in the right place.
    pub fn admits(self, dc: i32) -> bool {
        match self {
            Self::Any => true,
            Self::Only { dc: own, test, media } => {
                let size = i64::from(dc).abs();
                size == i64::from(own) + if test { 10_000 } else { 0 } && (dc > 0 || media)
            }
        }
    }
}

/// Who sent a message of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The link it came on, where the answer goes.
    pub link: LinkId,
    /// The address of the peer; limits go by it.
    pub address: IpAddr,
}

/// What [`Exchanges`] wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this body, unencrypted, on this link.
    Reply(LinkId, Bytes),
    /// Send this transport error (-404, -429 or -444) on this link.
    Error(LinkId, i32),
    /// Run this somewhere, then hand the result to [`Exchanges::handle_done`].
    Work(Work),
    /// Store this key durably (KEY-22), then call [`Exchanges::handle_stored`].
    Store(Ticket, Box<NewKey>, i32),
}

/// Names an exchange towards the caller while its key is being stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(Nonce, Nonce);

/// What became of a key to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is durable.
    Kept,
    /// A key of this id exists; nothing was changed (KEY-21).
    Collision,
    /// The store failed; the client may begin again.
    Failed,
}

/// All exchanges of a server.
#[derive(Debug)]
pub struct Exchanges {
    config: HandshakeConfig,
    identities: Arc<[rsa::PrivateKey]>,
    rng: Rng,
    exchanges: HashMap<Nonce, Exchange>,
    /// Client nonces by age, for the end of life and for the bound on their number.
    by_age: BTreeMap<(Duration, u64), Nonce>,
    started: u64,
    by_link: HashMap<LinkId, usize>,
    by_address: HashMap<IpAddr, usize>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Exchange {
    age: (Duration, u64),
    origin: Origin,
    server_nonce: Nonce,
    state: State,
}

/// A request with the answer it got, so that its repetition gets the same (KEY-29).
#[derive(Debug, Clone)]
struct Answered {
    request: [u8; 32],
    answer: Bytes,
}

#[derive(Debug)]
enum State {
    /// `resPQ` is out.
    Offered { p: u32, q: u32, offer: Bytes },
    /// Work is under way for the request of this hash; the answer goes to the last who asked.
    Busy { request: [u8; 32], reply_to: LinkId, agreement: Option<Box<Agreement>> },
    /// `server_DH_params_ok` or `dh_gen_retry` is out.
    Agreed { last: Answered, agreement: Box<Agreement> },
    /// The key waits to be stored.
    Storing { request: [u8; 32], reply_to: LinkId, agreement: Box<Agreement>, aux_hash: [u8; 8] },
    /// `dh_gen_ok` or `dh_gen_fail` is out.
    Done { last: Answered },
    /// Something was wrong: whatever comes now gets -404 (KEY-13).
    Dead,
}

/// Transport error for anything wrong in an exchange.
const NOT_FOUND: i32 = -404;
/// Transport error for too much at once.
const FLOOD: i32 = -429;
/// Transport error for a data centre that is not served here.
const WRONG_DC: i32 = -444;

impl Exchanges {
    /// No exchanges yet; `identities` are offered in their order.
    pub fn new(config: HandshakeConfig, identities: Arc<[rsa::PrivateKey]>, rng: Rng) -> Self {
        Self {
            config,
            identities,
            rng,
            exchanges: HashMap::new(),
            by_age: BTreeMap::new(),
            started: 0,
            by_link: HashMap::new(),
            by_address: HashMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes the body of an unencrypted message.
    pub fn handle_plain(&mut self, now: Now, origin: Origin, body: &Bytes) {
        self.expire(now.mono);
        if let Some((request, _)) = read_front::<functions::ReqPqMulti>(body) {
            self.offer(now, origin, request.nonce);
        } else if let Some((request, _)) = read_front::<functions::ReqPq>(body) {
            self.offer(now, origin, request.nonce);
        } else if let Some((request, len)) = read_front::<functions::ReqDhParams>(body) {
            self.agree(origin, request, sha256(&[&body[..len]]));
        } else if let Some((request, len)) = read_front::<functions::SetClientDhParams>(body) {
            self.conclude(origin, request, sha256(&[&body[..len]]));
        } else {
            self.outputs.push_back(Output::Error(origin.link, NOT_FOUND));
        }
    }

    /// Takes the result of [`Work`].
    pub fn handle_done(&mut self, now: Now, done: Done) {
        self.expire(now.mono);
        match done {
            Done::Rsa { ticket, outcome } => self.rsa_done(ticket, outcome),
            Done::Dh { ticket, outcome } => self.dh_done(ticket, outcome),
        }
    }

    /// Takes the store's verdict on a key.
    pub fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Stored) {
        self.expire(now.mono);
        let Some(exchange) = self.exchange(ticket) else { return };
        let State::Storing { request, reply_to, mut agreement, aux_hash } =
            std::mem::replace(&mut exchange.state, State::Dead)
        else {
            return;
        };
        let answer = match stored {
            Stored::Kept => agreement.dh_gen(1, &aux_hash),
            Stored::Collision => {
                self.retry(ticket, request, reply_to, agreement, aux_hash);
                return;
            }
            Stored::Failed => {
                self.outputs.push_back(Output::Error(reply_to, NOT_FOUND));
                return;
            }
        };
        agreement.forget();
        exchange.state = State::Done { last: Answered { request, answer: answer.clone() } };
        self.outputs.push_back(Output::Reply(reply_to, answer));
    }

    /// What to do next; `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Exchanges remembered.
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// `req_pq` or `req_pq_multi` (KEY-08): a known nonce repeats, a new one begins.
    fn offer(&mut self, now: Now, origin: Origin, nonce: Nonce) {
        if let Some(exchange) = self.exchanges.get(&nonce) {
            let output = match &exchange.state {
                State::Offered { offer, .. } => Output::Reply(origin.link, offer.clone()),
                // Its answer may be forgotten once the next step has come (KEY-31).
                _ => Output::Error(origin.link, NOT_FOUND),
            };
            self.outputs.push_back(output);
            return;
        }
        let of_link = self.by_link.get(&origin.link).copied().unwrap_or(0);
        let of_address = self.by_address.get(&origin.address).copied().unwrap_or(0);
        if of_link >= self.config.exchanges_per_link_max
            || of_address >= self.config.exchanges_per_address_max
        {
            self.outputs.push_back(Output::Error(origin.link, FLOOD));
            return;
        }
        while self.exchanges.len() >= self.config.exchanges_max {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            self.remove(*oldest);
        }
        let server_nonce = self.rng.bytes();
        let (p, q) = pq::generate(&mut self.rng);
        let fingerprints = self.identities.iter().map(|key| key.public().fingerprint()).collect();
        let offer = Bytes::from(boxed(&types::ResPq {
            nonce,
            server_nonce,
            pq: minimal(u64::from(p) * u64::from(q)),
            server_public_key_fingerprints: fingerprints,
        }));
        self.started += 1;
        let age = (now.mono, self.started);
        self.by_age.insert(age, nonce);
        *self.by_link.entry(origin.link).or_default() += 1;
        *self.by_address.entry(origin.address).or_default() += 1;
        let state = State::Offered { p, q, offer: offer.clone() };
        self.exchanges.insert(nonce, Exchange { age, origin, server_nonce, state });
        self.outputs.push_back(Output::Reply(origin.link, offer));
    }

    /// `req_DH_params` (KEY-12): the checks that cost nothing here, the RSA as work.
    fn agree(&mut self, origin: Origin, request: functions::ReqDhParams, hash: [u8; 32]) {
        let ticket = Ticket(request.nonce, request.server_nonce);
        let identities = Arc::clone(&self.identities);
        let rng = self.rng.fork();
        let (old_clients, life_max, dc) =
            (self.config.old_clients, self.config.temporary_key_life_max, self.config.dc);
        let Some(exchange) = self.exchange(ticket) else {
            return self.outputs.push_back(Output::Error(origin.link, NOT_FOUND));
        };
        let (p, q) = match &mut exchange.state {
            State::Offered { p, q, .. } => (*p, *q),
            State::Busy { request, reply_to, agreement: None } if *request == hash => {
                *reply_to = origin.link;
                return;
            }
            State::Agreed { last, .. } if last.request == hash => {
                let answer = last.answer.clone();
                return self.outputs.push_back(Output::Reply(origin.link, answer));
            }
            _ => return self.fail(ticket, origin.link, NOT_FOUND),
        };
        let identity = identities
            .iter()
            .position(|key| key.public().fingerprint() == request.public_key_fingerprint);
        let are_ours =
            number(&request.p) == Some(u64::from(p)) && number(&request.q) == Some(u64::from(q));
        let (Some(identity), true) = (identity, are_ours) else {
            return self.fail(ticket, origin.link, NOT_FOUND);
        };
        exchange.state = State::Busy { request: hash, reply_to: origin.link, agreement: None };
        self.outputs.push_back(Output::Work(Work::Rsa(Box::new(RsaWork {
            ticket,
            identities,
            identity,
            encrypted: request.encrypted_data,
            p,
            q,
            dc,
            old_clients,
            life_max,
            rng,
        }))));
    }

    fn rsa_done(&mut self, ticket: Ticket, outcome: Result<(Box<Agreement>, Bytes), i32>) {
        let Some(exchange) = self.exchange(ticket) else { return };
        let State::Busy { request, reply_to, agreement: None } = exchange.state else { return };
        match outcome {
            Ok((agreement, answer)) => {
                let last = Answered { request, answer: answer.clone() };
                exchange.state = State::Agreed { last, agreement };
                self.outputs.push_back(Output::Reply(reply_to, answer));
            }
            Err(code) => self.fail(ticket, reply_to, code),
        }
    }

    /// `set_client_DH_params` (KEY-20): the exponentiation as work.
    fn conclude(&mut self, origin: Origin, request: functions::SetClientDhParams, hash: [u8; 32]) {
        let ticket = Ticket(request.nonce, request.server_nonce);
        let Some(exchange) = self.exchange(ticket) else {
            return self.outputs.push_back(Output::Error(origin.link, NOT_FOUND));
        };
        match &mut exchange.state {
            State::Agreed { last, .. } | State::Done { last } if last.request == hash => {
                let answer = last.answer.clone();
                return self.outputs.push_back(Output::Reply(origin.link, answer));
            }
            State::Busy { request, reply_to, agreement: Some(_) }
            | State::Storing { request, reply_to, .. }
                if *request == hash =>
            {
                *reply_to = origin.link;
                return;
            }
            State::Agreed { .. } => {}
            _ => return self.fail(ticket, origin.link, NOT_FOUND),
        }
        let State::Agreed { agreement, .. } = std::mem::replace(&mut exchange.state, State::Dead)
        else {
            return;
        };
        let work = DhWork { ticket, agreement: agreement.clone(), sealed: request.encrypted_data };
        exchange.state =
            State::Busy { request: hash, reply_to: origin.link, agreement: Some(agreement) };
        self.outputs.push_back(Output::Work(Work::Dh(Box::new(work))));
    }

    fn dh_done(&mut self, ticket: Ticket, outcome: Result<DhDone, i32>) {
        let Some(exchange) = self.exchange(ticket) else { return };
        let State::Busy { agreement: Some(_), .. } = &exchange.state else { return };
        let State::Busy { request, reply_to, agreement: Some(agreement) } =
            std::mem::replace(&mut exchange.state, State::Dead)
        else {
            return;
        };
        let DhDone { key } = match outcome {
            Ok(done) => done,
            Err(code) => return self.fail(ticket, reply_to, code),
        };
        let aux_hash = key.aux_hash();
        if key.id().0 == 0 {
            return self.retry(ticket, request, reply_to, agreement, aux_hash);
        }
        let new_key = Box::new(NewKey {
            key,
            first_salt: agreement.first_salt(),
            expires_in: agreement.expires_in,
        });
        let dc = agreement.dc;
        exchange.state = State::Storing { request, reply_to, agreement, aux_hash };
        self.outputs.push_back(Output::Store(ticket, new_key, dc));
    }

    /// The id exists or is 0: the client is asked for another exponent, at most so often (KEY-21).
    fn retry(
        &mut self,
        ticket: Ticket,
        request: [u8; 32],
        reply_to: LinkId,
        mut agreement: Box<Agreement>,
        aux_hash: [u8; 8],
    ) {
        let retries_max = self.config.retries_max;
        let Some(exchange) = self.exchange(ticket) else { return };
        agreement.retries += 1;
        let is_over = agreement.retries > retries_max;
        let answer = agreement.dh_gen(if is_over { 3 } else { 2 }, &aux_hash);
        let last = Answered { request, answer: answer.clone() };
        exchange.state = if is_over {
            State::Done { last }
        } else {
            agreement.retry_id = Some(i64::from_le_bytes(aux_hash));
            State::Agreed { last, agreement }
        };
        self.outputs.push_back(Output::Reply(reply_to, answer));
    }

    fn exchange(&mut self, ticket: Ticket) -> Option<&mut Exchange> {
        let exchange = self.exchanges.get_mut(&ticket.0)?;
        equal(&exchange.server_nonce, &ticket.1).then_some(exchange)
    }

    /// Ends an exchange; it stays known so that even a correct message finds it dead (KEY-13).
    fn fail(&mut self, ticket: Ticket, link: LinkId, code: i32) {
        if let Some(exchange) = self.exchange(ticket) {
            exchange.state = State::Dead;
        }
        self.outputs.push_back(Output::Error(link, code));
    }

    fn expire(&mut self, now: Duration) {
        while let Some((age, nonce)) = self.by_age.first_key_value() {
            if now.saturating_sub(age.0) < self.config.life {
                break;
            }
            self.remove(*nonce);
        }
    }

    fn remove(&mut self, nonce: Nonce) {
        let Some(exchange) = self.exchanges.remove(&nonce) else { return };
        self.by_age.remove(&exchange.age);
        uncount(&mut self.by_link, &exchange.origin.link);
        uncount(&mut self.by_address, &exchange.origin.address);
    }
}

fn uncount<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Minimal big-endian form.
fn minimal(number: u64) -> chappe_tl::Bytes {
    let bytes = number.to_be_bytes();
    chappe_tl::Bytes::copy_from_slice(&bytes[number.leading_zeros() as usize / 8..])
}

fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}
