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

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{Rng, equal, pq, rsa, sha256};

use super::{NewKey, Nonce, boxed, read_front};
use crate::ids::LinkId;
use crate::now::Now;
use crate::schema::{functions, types};

mod config;
mod register;
mod work;

pub use config::{DcPolicy, HandshakeConfig};
use register::Register;
use work::{Agreement, DhDone, DhWork, RsaWork};
pub use work::{Done, Work};

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
    register: Register,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Exchange {
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
    /// `req_DH_params` of this hash is being worked on; the answer goes to the last who asked.
    Opening { request: [u8; 32], reply_to: LinkId },
    /// `server_DH_params_ok` or `dh_gen_retry` is out.
    Agreed { last: Answered, agreement: Box<Agreement> },
    /// `set_client_DH_params` of this hash is being worked on.
    Raising { request: [u8; 32], reply_to: LinkId, agreement: Box<Agreement> },
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
        Self { config, identities, rng, register: Register::default(), outputs: VecDeque::new() }
    }

    /// Takes the body of an unencrypted message.
    pub fn handle_plain(&mut self, now: Now, origin: Origin, body: &Bytes) {
        self.register.expire(now.mono, self.config.life);
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
        self.register.expire(now.mono, self.config.life);
        match done {
            Done::Rsa { ticket, outcome } => self.rsa_done(ticket, outcome),
            Done::Dh { ticket, outcome } => self.dh_done(ticket, outcome),
        }
    }

    /// Takes the store's verdict on a key.
    pub fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Stored) {
        self.register.expire(now.mono, self.config.life);
        let Some(exchange) = self.exchange(ticket) else { return };
        let State::Storing { request, reply_to, agreement, aux_hash } = &exchange.state else {
            return;
        };
        let (request, reply_to) = (*request, *reply_to);
        match stored {
            Stored::Kept => {
                let answer = agreement.dh_gen_ok(aux_hash);
                exchange.state = State::Done { last: Answered { request, answer: answer.clone() } };
                self.outputs.push_back(Output::Reply(reply_to, answer));
            }
            Stored::Collision => {
                let (agreement, aux_hash) = (agreement.clone(), *aux_hash);
                self.retry(ticket, request, reply_to, agreement, aux_hash);
            }
            Stored::Failed => self.fail(ticket, reply_to, NOT_FOUND),
        }
    }

    /// What to do next; `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the exchange of a ticket began, on the monotonic clock.
    pub fn begun(&self, ticket: Ticket) -> Option<Duration> {
        self.register.begun(&ticket.0)
    }

    /// Exchanges remembered.
    pub fn len(&self) -> usize {
        self.register.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.register.len() == 0
    }

    /// `req_pq` or `req_pq_multi` (KEY-08): a known nonce repeats, a new one begins.
    fn offer(&mut self, now: Now, origin: Origin, nonce: Nonce) {
        if let Some(exchange) = self.register.get(&nonce) {
            let output = match &exchange.state {
                State::Offered { offer, .. } => Output::Reply(origin.link, offer.clone()),
                // Its answer may be forgotten once the next step has come (KEY-31).
                _ => Output::Error(origin.link, NOT_FOUND),
            };
            self.outputs.push_back(output);
            return;
        }
        if !self.register.admits(origin, &self.config) {
            self.outputs.push_back(Output::Error(origin.link, FLOOD));
            return;
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
        let state = State::Offered { p, q, offer: offer.clone() };
        let exchange = Exchange { server_nonce, state };
        self.register.insert(now.mono, origin, nonce, exchange, self.config.exchanges_max);
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
            State::Opening { request, reply_to } if *request == hash => {
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
        exchange.state = State::Opening { request: hash, reply_to: origin.link };
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
        let State::Opening { request, reply_to } = exchange.state else { return };
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
        let agreement = match &mut exchange.state {
            State::Agreed { last, .. } | State::Done { last } if last.request == hash => {
                let answer = last.answer.clone();
                return self.outputs.push_back(Output::Reply(origin.link, answer));
            }
            State::Raising { request, reply_to, .. } | State::Storing { request, reply_to, .. }
                if *request == hash =>
            {
                *reply_to = origin.link;
                return;
            }
            State::Agreed { agreement, .. } => agreement.clone(),
            _ => return self.fail(ticket, origin.link, NOT_FOUND),
        };
        let work = DhWork { ticket, agreement: agreement.clone(), sealed: request.encrypted_data };
        exchange.state = State::Raising { request: hash, reply_to: origin.link, agreement };
        self.outputs.push_back(Output::Work(Work::Dh(Box::new(work))));
    }

    fn dh_done(&mut self, ticket: Ticket, outcome: Result<DhDone, i32>) {
        let Some(exchange) = self.exchange(ticket) else { return };
        let State::Raising { request, reply_to, agreement } = &exchange.state else { return };
        let (request, reply_to, agreement) = (*request, *reply_to, agreement.clone());
        let DhDone { key } = match outcome {
            Ok(done) => done,
            Err(code) => return self.fail(ticket, reply_to, code),
        };
        let aux_hash = key.aux_hash();
        if key.id().0 == 0 {
            return self.retry(ticket, request, reply_to, agreement, aux_hash);
        }
        let first_salt = agreement.first_salt();
        let new_key = Box::new(NewKey { key, first_salt, expires_in: agreement.expires_in });
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
        let answer = match is_over {
            true => agreement.dh_gen_fail(&aux_hash),
            false => agreement.dh_gen_retry(&aux_hash),
        };
        let last = Answered { request, answer: answer.clone() };
        exchange.state = if is_over {
            State::Done { last }
        } else {
            agreement.retry_id = i64::from_le_bytes(aux_hash);
            State::Agreed { last, agreement }
        };
        self.outputs.push_back(Output::Reply(reply_to, answer));
    }

    fn exchange(&mut self, ticket: Ticket) -> Option<&mut Exchange> {
        let exchange = self.register.get(&ticket.0)?;
        equal(&exchange.server_nonce, &ticket.1).then_some(exchange)
    }

    /// Ends an exchange; it stays known so that even a correct message finds it dead (KEY-13).
    fn fail(&mut self, ticket: Ticket, link: LinkId, code: i32) {
        if let Some(exchange) = self.exchange(ticket) {
            exchange.state = State::Dead;
        }
        self.outputs.push_back(Output::Error(link, code));
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
