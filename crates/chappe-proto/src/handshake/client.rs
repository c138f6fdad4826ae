//! The client's side of the key exchange.
//!
//! ```text
//! start ─▶ AwaitResPq ─▶ AwaitDhParams ─▶ AwaitDhGen ─▶ Finished
//!                                         ▲    │ dh_gen_retry
//!                                         └────┘
//! ```
//!
//! Each step checks everything that the specification lets a client check; after an error
//! nothing of the run remains (KEY-24) and the caller begins anew on a fresh connection.

use std::sync::Arc;

use bytes::Bytes;
use chappe_crypto::dh::{self, Group};
use chappe_crypto::msg_key::AesKeys;
use chappe_crypto::{AuthKey, Rng, equal, exchange, pq, rsa};
use chappe_tl::Bytes as TlBytes;

use super::{Nonce, boxed, open_inner, read_front};
use crate::now::Now;
use crate::schema::{ctors, functions, types};

/// What key is wanted, and whose server is trusted.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// The data centre: its number, +10000 for test servers, negative for media (KEY-11).
    pub dc: i32,
    /// Life of a temporary key in seconds; `None` for a permanent key.
    pub expires_in: Option<i32>,
    /// RSA keys that the server may prove itself with; no others are believed (CRY-09).
    pub server_keys: Arc<[rsa::PublicKey]>,
}

/// Why a run ended. Every one of these ends the connection too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Not the constructor that this step waits for, or not readable.
    #[error("{0} did not come; something else did")]
    Unexpected(&'static str),
    /// A nonce is not the one of this run: somebody mixes runs (SEC-07).
    #[error("the server's {0} is not the one of this exchange")]
    Nonce(&'static str),
    /// The server has none of the keys we trust.
    #[error("the server offers no RSA key that we trust; its fingerprints are {0:016x?}")]
    NoTrustedKey(Vec<i64>),
    /// `pq` is not what a server would send (CRY-20).
    #[error("pq is not a product of two odd primes")]
    Pq,
    /// The Diffie-Hellman group or value is unsafe (CRY-15 to CRY-17).
    #[error("unsafe Diffie-Hellman parameters: {0}")]
    Dh(#[from] dh::DhError),
    /// The sealed answer does not open: wrong padding, hash or length (KEY-17).
    #[error("the server's sealed answer does not open")]
    Sealed,
    /// A `new_nonce_hash` is wrong: someone between us forges the outcome (SEC-09).
    #[error("the server's proof of the new key is wrong")]
    Proof,
    /// The server gave up, or asked for more than five retries; begin again with a new nonce.
    #[error("the server could not complete the exchange; start it again")]
    GaveUp,
}

/// Retries after `dh_gen_retry` before a run is given up (KEY-23).
const RETRIES_MAX: u32 = 5;

/// Begins a run. Gives the state and the body of `req_pq_multi`.
pub fn start(request: KeyRequest, rng: &mut Rng) -> (AwaitResPq, Vec<u8>) {
    let nonce = rng.bytes();
    let body = boxed(&functions::ReqPqMulti { nonce });
    (AwaitResPq { request, nonce }, body)
}

/// `req_pq_multi` is out.
#[derive(Debug)]
pub struct AwaitResPq {
    request: KeyRequest,
    nonce: Nonce,
}

impl AwaitResPq {
    /// `resPQ` in, `req_DH_params` out. Factors `pq`: some tenths of a millisecond.
    pub fn handle(
        self,
        body: &Bytes,
        rng: &mut Rng,
    ) -> Result<(AwaitDhParams, Vec<u8>), HandshakeError> {
        let (answer, _) =
            read_front::<types::ResPq>(body).ok_or(HandshakeError::Unexpected("resPQ"))?;
        if answer.nonce != self.nonce {
            return Err(HandshakeError::Nonce("nonce"));
        }
        let offered = answer.server_public_key_fingerprints;
        let keys = &self.request.server_keys;
        let key = offered
            .iter()
            .find_map(|offer| keys.iter().find(|key| key.fingerprint() == *offer))
            .ok_or_else(|| HandshakeError::NoTrustedKey(offered.clone()))?;
        let (p, q) = factors(&answer.pq, rng)?;

        let new_nonce: [u8; 32] = rng.bytes();
        let server_nonce = answer.server_nonce;
        let inner = self.inner_data(answer.pq, &p, &q, server_nonce, new_nonce);
        let encrypted = key.encrypt_padded(&inner, rng).expect("inner data is short enough");
        let body = boxed(&functions::ReqDhParams {
            nonce: self.nonce,
            server_nonce,
            p,
            q,
            public_key_fingerprint: key.fingerprint(),
            encrypted_data: encrypted.to_vec().into(),
        });
        let next = AwaitDhParams {
            nonces: Nonces { client: self.nonce, server: server_nonce, new: new_nonce },
            expires_in: self.request.expires_in,
        };
        Ok((next, body))
    }

    fn inner_data(
        &self,
        pq: TlBytes,
        p: &TlBytes,
        q: &TlBytes,
        server_nonce: Nonce,
        new_nonce: [u8; 32],
    ) -> Vec<u8> {
        let (p, q, nonce, dc) = (p.clone(), q.clone(), self.nonce, self.request.dc);
        match self.request.expires_in {
            None => boxed(&ctors::PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc }),
            Some(expires_in) => boxed(&ctors::PQInnerDataTempDc {
                pq,
                p,
                q,
                nonce,
                server_nonce,
                new_nonce,
                dc,
                expires_in,
            }),
        }
    }
}

/// The primes of `pq`, smaller first, as minimal big-endian numbers.
fn factors(pq: &[u8], rng: &mut Rng) -> Result<(TlBytes, TlBytes), HandshakeError> {
    let number = pq::parse(pq).map_err(|_| HandshakeError::Pq)?;
    let (p, q) = pq::factor(number, rng).map_err(|_| HandshakeError::Pq)?;
    let minimal = |prime: u64| {
        let bytes = prime.to_be_bytes();
        TlBytes::copy_from_slice(&bytes[prime.leading_zeros() as usize / 8..])
    };
    Ok((minimal(p), minimal(q)))
}

/// The three nonces of a run; [`AwaitResPq::handle`] has checked the first two.
#[derive(Debug)]
struct Nonces {
    client: Nonce,
    server: Nonce,
    new: [u8; 32],
}

impl Nonces {
    fn check(&self, nonce: Nonce, server_nonce: Nonce) -> Result<(), HandshakeError> {
        if nonce != self.client {
            return Err(HandshakeError::Nonce("nonce"));
        }
        if server_nonce != self.server {
            return Err(HandshakeError::Nonce("server_nonce"));
        }
        Ok(())
    }
}

impl Drop for Nonces {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.new.zeroize();
    }
}

/// `req_DH_params` is out.
#[derive(Debug)]
pub struct AwaitDhParams {
    nonces: Nonces,
    expires_in: Option<i32>,
}

impl AwaitDhParams {
    /// `server_DH_params_ok` in, `set_client_DH_params` out. Two exponentiations: milliseconds.
    pub fn handle(
        self,
        now: Now,
        body: &Bytes,
        rng: &mut Rng,
    ) -> Result<(AwaitDhGen, Vec<u8>), HandshakeError> {
        if let Some((fail, _)) = read_front::<ctors::ServerDhParamsFail>(body) {
            self.nonces.check(fail.nonce, fail.server_nonce)?;
            let expected = exchange::new_nonce_hash(&self.nonces.new);
            let is_genuine = equal(&expected, &fail.new_nonce_hash);
            return Err(if is_genuine { HandshakeError::GaveUp } else { HandshakeError::Proof });
        }
        let (answer, _) = read_front::<ctors::ServerDhParamsOk>(body)
            .ok_or(HandshakeError::Unexpected("server_DH_params_ok"))?;
        self.nonces.check(answer.nonce, answer.server_nonce)?;
        let temporary = exchange::tmp_aes(&self.nonces.new, &self.nonces.server);
        let inner = open_inner::<types::ServerDhInnerData>(&answer.encrypted_answer, &temporary)
            .ok_or(HandshakeError::Sealed)?;
        self.nonces.check(inner.nonce, inner.server_nonce)?;
        let generator = u32::try_from(inner.g).unwrap_or(0);
        let group = Group::check(&inner.dh_prime, generator, rng)?;
        group.check_public(&inner.g_a)?;

        let state = AwaitDhGen {
            nonces: self.nonces,
            temporary,
            group,
            g_a: inner.g_a,
            attempt: None,
            retries: 0,
            expires_in: self.expires_in,
            server_time: i64::from(inner.server_time),
            heard_at: now,
        };
        state.offer(0, rng)
    }
}

/// `set_client_DH_params` is out, once or several times.
#[derive(Debug)]
pub struct AwaitDhGen {
    nonces: Nonces,
    temporary: AesKeys,
    group: Group,
    g_a: TlBytes,
    attempt: Option<AuthKey>,
    retries: u32,
    expires_in: Option<i32>,
    server_time: i64,
    heard_at: Now,
}

/// What the answer to `set_client_DH_params` leads to.
#[derive(Debug)]
pub enum DhGen {
    /// The key is made.
    Finished(Box<Finished>),
    /// The server wants another exponent: the next state, and the body to send.
    Again(Box<AwaitDhGen>, Vec<u8>),
}

/// A key that both ends hold.
#[derive(Debug)]
pub struct Finished {
    /// The key.
    pub key: AuthKey,
    /// First server salt (KEY-26).
    pub first_salt: i64,
    /// Server time in Unix seconds, as stated in the exchange …
    pub server_time: i64,
    /// … and when that was heard.
    pub heard_at: Now,
    /// For a temporary key, the Unix second (server's) of its end; counted from before it was
    /// made, so it never outlives the server's own count (KEY-25).
    pub expires_at: Option<i64>,
}

impl AwaitDhGen {
    /// `dh_gen_ok`, `dh_gen_retry` or `dh_gen_fail` in.
    pub fn handle(self, body: &Bytes, rng: &mut Rng) -> Result<DhGen, HandshakeError> {
        let Some(key) = &self.attempt else {
            return Err(HandshakeError::Unexpected("dh_gen_ok"));
        };
        let new_nonce = &self.nonces.new;
        let aux = key.aux_hash();
        if let Some((ok, _)) = read_front::<ctors::DhGenOk>(body) {
            self.nonces.check(ok.nonce, ok.server_nonce)?;
            prove(&exchange::new_nonce_hash1(new_nonce, &aux), &ok.new_nonce_hash1)?;
            return Ok(DhGen::Finished(Box::new(self.finish())));
        }
        if let Some((retry, _)) = read_front::<ctors::DhGenRetry>(body) {
            self.nonces.check(retry.nonce, retry.server_nonce)?;
            prove(&exchange::new_nonce_hash2(new_nonce, &aux), &retry.new_nonce_hash2)?;
            if self.retries == RETRIES_MAX {
                return Err(HandshakeError::GaveUp);
            }
            let retry_id = i64::from_le_bytes(aux);
            let next = Self { retries: self.retries + 1, ..self };
            let (next, body) = next.offer(retry_id, rng)?;
            return Ok(DhGen::Again(Box::new(next), body));
        }
        let (fail, _) =
            read_front::<ctors::DhGenFail>(body).ok_or(HandshakeError::Unexpected("dh_gen_ok"))?;
        self.nonces.check(fail.nonce, fail.server_nonce)?;
        prove(&exchange::new_nonce_hash3(new_nonce, &aux), &fail.new_nonce_hash3)?;
        Err(HandshakeError::GaveUp)
    }

    /// Draws an exponent, computes the key that follows and the message that offers `g_b`.
    fn offer(mut self, retry_id: i64, rng: &mut Rng) -> Result<(Self, Vec<u8>), HandshakeError> {
        let (exponent, g_b) = self.group.key_pair(rng);
        let inner = boxed(&types::ClientDhInnerData {
            nonce: self.nonces.client,
            server_nonce: self.nonces.server,
            retry_id,
            g_b: g_b.to_vec().into(),
        });
        self.attempt = Some(self.group.shared(&exponent, &self.g_a)?);
        let body = boxed(&functions::SetClientDhParams {
            nonce: self.nonces.client,
            server_nonce: self.nonces.server,
            encrypted_data: exchange::seal_inner(&inner, &self.temporary, rng).into(),
        });
        Ok((self, body))
    }

    fn finish(mut self) -> Finished {
        let key = self.attempt.take().expect("a proof was checked against it");
        Finished {
            key,
            first_salt: exchange::first_salt(&self.nonces.new, &self.nonces.server),
            server_time: self.server_time,
            heard_at: self.heard_at,
            expires_at: self.expires_in.map(|life| self.server_time + i64::from(life)),
        }
    }
}

fn prove(expected: &Nonce, stated: &Nonce) -> Result<(), HandshakeError> {
    if equal(expected, stated) { Ok(()) } else { Err(HandshakeError::Proof) }
}
