//! The two steps of an exchange that cost milliseconds: RSA with `g^a`, and `g_b^a`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chappe_crypto::dh::{Exponent, Group};
use chappe_crypto::msg_key::AesKeys;
use chappe_crypto::{AuthKey, Rng, exchange, rsa};
use zeroize::Zeroizing;

use super::{DcPolicy, NOT_FOUND, Ticket, WRONG_DC, minimal};
use crate::handshake::{Nonce, boxed, open_inner, read_front};
use crate::schema::{ctors, types};

/// A computation to run on any thread; it needs nothing but itself.
#[derive(Debug)]
pub enum Work {
    /// Decrypt the inner data, draw `a`, write `server_DH_params_ok`: about 3 ms.
    Rsa(Box<RsaWork>),
    /// Open the client's `g_b`, raise it to `a`: about 2 ms.
    Dh(Box<DhWork>),
}

/// The result of [`Work`].
#[derive(Debug)]
pub enum Done {
    /// Of [`Work::Rsa`].
    #[doc(hidden)]
    Rsa { ticket: Ticket, outcome: Result<(Box<Agreement>, Bytes), i32> },
    /// Of [`Work::Dh`].
    #[doc(hidden)]
    Dh { ticket: Ticket, outcome: Result<DhDone, i32> },
}

impl Work {
    /// Computes. `server_time` is the Unix second to state in the answer (KEY-16).
    pub fn run(self, server_time: i64) -> Done {
        match self {
            Self::Rsa(work) => Done::Rsa { ticket: work.ticket, outcome: work.run(server_time) },
            Self::Dh(work) => Done::Dh { ticket: work.ticket, outcome: work.run() },
        }
    }
}

/// Input of the first step.
#[derive(Debug)]
pub struct RsaWork {
    pub(super) ticket: Ticket,
    pub(super) identities: Arc<[rsa::PrivateKey]>,
    pub(super) identity: usize,
    pub(super) encrypted: chappe_tl::Bytes,
    pub(super) p: u32,
    pub(super) q: u32,
    pub(super) dc: DcPolicy,
    pub(super) old_clients: bool,
    pub(super) life_max: i32,
    pub(super) rng: Rng,
}

/// What both ends have agreed on once `server_DH_params_ok` is out.
#[derive(Clone)]
pub struct Agreement {
    nonce: Nonce,
    server_nonce: Nonce,
    new_nonce: Zeroizing<[u8; 32]>,
    exponent: Option<Exponent>,
    temporary: Arc<AesKeys>,
    pub(super) dc: i32,
    pub(super) expires_in: Option<i32>,
    pub(super) retries: u32,
    /// `retry_id` that the next attempt must state; `None` stands for 0.
    pub(super) retry_id: Option<i64>,
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreement").field("retries", &self.retries).finish_non_exhaustive()
    }
}

/// The four kinds of inner data, made one.
struct Inner {
    pq: chappe_tl::Bytes,
    p: chappe_tl::Bytes,
    q: chappe_tl::Bytes,
    nonce: Nonce,
    server_nonce: Nonce,
    new_nonce: [u8; 32],
    dc: Option<i32>,
    expires_in: Option<i32>,
}

impl RsaWork {
    /// Every failure gives the same code, so that it is no oracle (CRY-12); only a wrong data
    /// centre, which is known after everything else held, is told apart.
    fn run(mut self, server_time: i64) -> Result<(Box<Agreement>, Bytes), i32> {
        let identity = &self.identities[self.identity];
        let old_clients = self.old_clients;
        let plain = identity
            .decrypt(&self.encrypted, &mut self.rng)
            .ok()
            .filter(|plain| plain.scheme == rsa::Scheme::Padded || old_clients)
            .ok_or(NOT_FOUND)?;
        let inner = read_inner(&plain.data).ok_or(NOT_FOUND)?;
        let Ticket(nonce, server_nonce) = self.ticket;
        let pq = minimal(u64::from(self.p) * u64::from(self.q));
        let is_same = inner.pq == pq
            && inner.p == minimal(u64::from(self.p))
            && inner.q == minimal(u64::from(self.q))
            && inner.nonce == nonce
            && inner.server_nonce == server_nonce
            && inner.expires_in.is_none_or(|life| life > 0)
            && (inner.dc.is_some() || old_clients);
        if !is_same {
            return Err(NOT_FOUND);
        }
        if inner.dc.is_some_and(|dc| !self.dc.admits(dc)) {
            return Err(WRONG_DC);
        }
        let group = Group::known();
        let (exponent, g_a) = group.key_pair(&mut self.rng);
        let temporary = exchange::tmp_aes(&inner.new_nonce, &server_nonce);
        let answer = boxed(&types::ServerDhInnerData {
            nonce,
            server_nonce,
            g: group.generator() as i32,
            dh_prime: chappe_tl::Bytes::copy_from_slice(&group.prime()),
            g_a: g_a.to_vec().into(),
            server_time: server_time as i32,
        });
        let answer = boxed(&ctors::ServerDhParamsOk {
            nonce,
            server_nonce,
            encrypted_answer: exchange::seal_inner(&answer, &temporary, &mut self.rng).into(),
        });
        let agreement = Agreement {
            nonce,
            server_nonce,
            new_nonce: Zeroizing::new(inner.new_nonce),
            exponent: Some(exponent),
            temporary: Arc::new(temporary),
            dc: inner.dc.unwrap_or(0),
            expires_in: inner.expires_in.map(|life| life.min(self.life_max)),
            retries: 0,
            retry_id: None,
        };
        Ok((Box::new(agreement), answer.into()))
    }
}

/// Reads the inner data, of whichever kind, from the front of decrypted bytes.
fn read_inner(plain: &[u8]) -> Option<Inner> {
    let plain = &Bytes::copy_from_slice(plain);
    if let Some((inner, _)) = read_front::<ctors::PQInnerDataDc>(plain) {
        let ctors::PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc } = inner;
        let dc = Some(dc);
        let expires_in = None;
        return Some(Inner { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in });
    }
    if let Some((inner, _)) = read_front::<ctors::PQInnerDataTempDc>(plain) {
        let ctors::PQInnerDataTempDc { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in } =
            inner;
        let (dc, expires_in) = (Some(dc), Some(expires_in));
        return Some(Inner { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in });
    }
    if let Some((inner, _)) = read_front::<ctors::PQInnerData>(plain) {
        let ctors::PQInnerData { pq, p, q, nonce, server_nonce, new_nonce } = inner;
        let (dc, expires_in) = (None, None);
        return Some(Inner { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in });
    }
    let (inner, _) = read_front::<ctors::PQInnerDataTemp>(plain)?;
    let ctors::PQInnerDataTemp { pq, p, q, nonce, server_nonce, new_nonce, expires_in } = inner;
    let (dc, expires_in) = (None, Some(expires_in));
    Some(Inner { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in })
}

/// Input of the second step.
#[derive(Debug)]
pub struct DhWork {
    pub(super) ticket: Ticket,
    pub(super) agreement: Box<Agreement>,
    pub(super) sealed: chappe_tl::Bytes,
}

/// Result of the second step.
#[derive(Debug)]
pub struct DhDone {
    pub(super) key: AuthKey,
}

impl DhWork {
    fn run(self) -> Result<DhDone, i32> {
        let Agreement { nonce, server_nonce, exponent, temporary, retry_id, .. } = &*self.agreement;
        let inner = open_inner::<types::ClientDhInnerData>(&self.sealed, temporary)
            .filter(|inner| inner.nonce == *nonce && inner.server_nonce == *server_nonce)
            .filter(|inner| inner.retry_id == retry_id.unwrap_or(0))
            .ok_or(NOT_FOUND)?;
        let exponent = exponent.as_ref().ok_or(NOT_FOUND)?;
        let key = Group::known().shared(exponent, &inner.g_b).map_err(|_| NOT_FOUND)?;
        Ok(DhDone { key })
    }
}

impl Agreement {
    /// `dh_gen_ok` (1), `dh_gen_retry` (2) or `dh_gen_fail` (3) for the key of that aux hash.
    pub(super) fn dh_gen(&self, kind: u8, aux_hash: &[u8; 8]) -> Bytes {
        let new_nonce = &self.new_nonce;
        let (nonce, server_nonce) = (self.nonce, self.server_nonce);
        Bytes::from(match kind {
            1 => boxed(&ctors::DhGenOk {
                nonce,
                server_nonce,
                new_nonce_hash1: exchange::new_nonce_hash1(new_nonce, aux_hash),
            }),
            2 => boxed(&ctors::DhGenRetry {
                nonce,
                server_nonce,
                new_nonce_hash2: exchange::new_nonce_hash2(new_nonce, aux_hash),
            }),
            _ => boxed(&ctors::DhGenFail {
                nonce,
                server_nonce,
                new_nonce_hash3: exchange::new_nonce_hash3(new_nonce, aux_hash),
            }),
        })
    }

    /// First salt of the key (KEY-26).
    pub(super) fn first_salt(&self) -> i64 {
        exchange::first_salt(&self.new_nonce, &self.server_nonce)
    }

    /// Lets go of the secrets as soon as the key is stored (KEY-22).
    pub(super) fn forget(&mut self) {
        self.exponent = None;
        *self.new_nonce = [0; 32];
    }
}
