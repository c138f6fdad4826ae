//! A server of exchanges whose work and store are done at once, and a client made by hand, whose
//! every field a test can change.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::dh::{Exponent, Group};
use chappe_crypto::msg_key::AesKeys;
use chappe_crypto::rsa::{PrivateKey, Scheme};
use chappe_crypto::{AuthKey, Rng, exchange, pq};
use chappe_proto::handshake::server::{
    Exchanges, HandshakeConfig, Origin, Output, Stored, Ticket, Work,
};
use chappe_proto::handshake::{NewKey, Nonce};
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::{LinkId, Now};
use chappe_tl::{Constructor, Encode, Reader};

use crate::transport_ends::{bytes, rng, vectors};

/// The server's identity in every test: the test key of `rsa.json`.
pub(crate) fn identity() -> PrivateKey {
    static PEM: OnceLock<String> = OnceLock::new();
    let pem = PEM.get_or_init(|| {
        let key = &vectors("rsa.json")["test_key"];
        let (p, q) = (bytes(&key["p"]), bytes(&key["q"]));
        PrivateKey::from_primes(&[1, 0, 1], &p, &q).unwrap().to_pem().to_string()
    });
    PrivateKey::from_pem(pem).unwrap()
}

/// The clock of the tests, `seconds` after its start.
pub(crate) fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), unix: Duration::from_secs(UNIX_START + seconds) }
}

/// What the clock of the tests shows at its start.
pub(crate) const UNIX_START: u64 = 1_700_000_000;

pub(crate) fn encode(object: &impl Encode) -> Bytes {
    chappe_tl::to_bytes(object).unwrap()
}

/// The object at the front of `body`, if it is a `T`.
pub(crate) fn decode<T: Constructor>(body: &Bytes) -> Option<T> {
    let mut reader = Reader::new(body.clone());
    if reader.u32().ok()? != T::ID {
        return None;
    }
    T::decode_bare(&mut reader).ok()
}

/// What a server said to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Body(Bytes),
    Error(i32),
}

impl Said {
    #[track_caller]
    pub(crate) fn is<T: Constructor>(&self) -> T {
        match self {
            Self::Body(body) => decode(body).unwrap_or_else(|| panic!("no {}", T::NAME)),
            Self::Error(code) => panic!("{code} came, no {}", T::NAME),
        }
    }
}

/// [`Exchanges`] with someone who runs the work and keeps the keys.
pub(crate) struct Server {
    pub(crate) exchanges: Exchanges,
    pub(crate) now: Now,
    /// Keys stored, with their data centres.
    pub(crate) kept: Vec<(NewKey, i32)>,
    /// What becomes of the next keys; the others are kept.
    pub(crate) verdicts: VecDeque<Stored>,
}

impl Server {
    pub(crate) fn new(change: impl FnOnce(&mut HandshakeConfig)) -> Self {
        let mut config = HandshakeConfig::default();
        change(&mut config);
        Self {
            exchanges: Exchanges::new(config, Arc::new([identity()]), rng(77)),
            now: at(0),
            kept: Vec::new(),
            verdicts: VecDeque::new(),
        }
    }

    /// What it says to a message on `link`: exactly one thing, there.
    #[track_caller]
    pub(crate) fn ask(&mut self, link: u64, body: &[u8]) -> Said {
        self.tell(origin(link), body);
        let mut said = self.run();
        assert_eq!(said.len(), 1, "{said:?}");
        let (on, said) = said.remove(0);
        assert_eq!(on, link);
        said
    }

    /// Hands a message over, and does nothing about it yet.
    pub(crate) fn tell(&mut self, origin: Origin, body: &[u8]) {
        self.exchanges.handle_plain(self.now, origin, &Bytes::copy_from_slice(body));
    }

    /// Does all that there is to do.
    pub(crate) fn run(&mut self) -> Vec<(u64, Said)> {
        let mut said = Vec::new();
        while let Some(output) = self.exchanges.poll_output() {
            match output {
                Output::Reply(LinkId(link), body) => said.push((link, Said::Body(body))),
                Output::Error(LinkId(link), code) => said.push((link, Said::Error(code))),
                Output::Work(work) => {
                    let done = work.run(self.now.unix_seconds());
                    self.exchanges.handle_done(self.now, done);
                }
                Output::Store(ticket, key, dc) => {
                    let verdict = self.verdicts.pop_front().unwrap_or(Stored::Kept);
                    if verdict == Stored::Kept {
                        self.kept.push((*key, dc));
                    }
                    self.exchanges.handle_stored(self.now, ticket, verdict);
                }
            }
        }
        said
    }

    /// The work that is asked for next, not run yet.
    #[track_caller]
    pub(crate) fn work(&mut self) -> Work {
        match self.exchanges.poll_output() {
            Some(Output::Work(work)) => work,
            other => panic!("{other:?} is no work"),
        }
    }

    /// The key that is to be stored next.
    #[track_caller]
    pub(crate) fn store(&mut self) -> (Ticket, Box<NewKey>) {
        match self.exchanges.poll_output() {
            Some(Output::Store(ticket, key, _)) => (ticket, key),
            other => panic!("{other:?} is nothing to store"),
        }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now.mono += Duration::from_secs(seconds);
        self.now.unix += Duration::from_secs(seconds);
    }
}

/// A link from the first address.
pub(crate) fn origin(link: u64) -> Origin {
    Origin { link: LinkId(link), address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)) }
}

/// Inner data of any of the four kinds.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) pq: Bytes,
    pub(crate) p: Bytes,
    pub(crate) q: Bytes,
    pub(crate) nonce: Nonce,
    pub(crate) server_nonce: Nonce,
    pub(crate) new_nonce: [u8; 32],
    pub(crate) dc: Option<i32>,
    pub(crate) expires_in: Option<i32>,
}

impl Inner {
    pub(crate) fn encode(&self) -> Bytes {
        let Self { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in } = self.clone();
        match (dc, expires_in) {
            (None, None) => {
                encode(&ctors::PQInnerData { pq, p, q, nonce, server_nonce, new_nonce })
            }
            (Some(dc), None) => {
                encode(&ctors::PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc })
            }
            (None, Some(expires_in)) => encode(&ctors::PQInnerDataTemp {
                pq,
                p,
                q,
                nonce,
                server_nonce,
                new_nonce,
                expires_in,
            }),
            (Some(dc), Some(expires_in)) => encode(&ctors::PQInnerDataTempDc {
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

    /// The inner data in `request`, whose fields are in any order but the constructor's.
    pub(crate) fn read(request: &functions::ReqDhParams) -> Self {
        let plain = identity().decrypt(&request.encrypted_data, &mut rng(3)).unwrap();
        let plain = Bytes::copy_from_slice(&plain.data);
        if let Some(inner) = decode::<ctors::PQInnerDataDc>(&plain) {
            let ctors::PQInnerDataDc { pq, p, q, nonce, server_nonce, new_nonce, dc } = inner;
            let (dc, expires_in) = (Some(dc), None);
            return Self { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in };
        }
        let inner: ctors::PQInnerDataTempDc = decode(&plain).unwrap();
        let ctors::PQInnerDataTempDc { pq, p, q, nonce, server_nonce, new_nonce, .. } = inner;
        let (dc, expires_in) = (Some(inner.dc), Some(inner.expires_in));
        Self { pq, p, q, nonce, server_nonce, new_nonce, dc, expires_in }
    }
}

/// A client between two steps: what it would send next is there to be spoilt.
pub(crate) struct Visitor {
    pub(crate) rng: Rng,
    pub(crate) inner: Inner,
    /// The last `server_DH_inner_data`.
    pub(crate) dh: Option<types::ServerDhInnerData>,
}

impl Visitor {
    /// Has sent nothing; wants a permanent key of data centre 2.
    pub(crate) fn new(seed: u8) -> Self {
        let mut rng = rng(seed);
        let (nonce, new_nonce) = (rng.bytes(), rng.bytes());
        let none = Bytes::new();
        let inner = Inner {
            pq: none.clone(),
            p: none.clone(),
            q: none,
            nonce,
            server_nonce: [0; 16],
            new_nonce,
            dc: Some(2),
            expires_in: None,
        };
        Self { rng, inner, dh: None }
    }

    /// Has got `resPQ` on `link`.
    #[track_caller]
    pub(crate) fn offered(server: &mut Server, link: u64, seed: u8) -> Self {
        let mut visitor = Self::new(seed);
        let said = server.ask(link, &visitor.req_pq());
        visitor.take_offer(&said);
        visitor
    }

    /// Has got `server_DH_params_ok` on `link`.
    #[track_caller]
    pub(crate) fn agreed(server: &mut Server, link: u64, seed: u8) -> Self {
        let mut visitor = Self::offered(server, link, seed);
        let request = visitor.req_dh();
        let said = server.ask(link, &encode(&request));
        visitor.take_params(&said);
        visitor
    }

    pub(crate) fn req_pq(&self) -> Bytes {
        encode(&functions::ReqPqMulti { nonce: self.inner.nonce })
    }

    #[track_caller]
    pub(crate) fn take_offer(&mut self, said: &Said) {
        let offer: types::ResPq = said.is();
        assert_eq!(offer.nonce, self.inner.nonce);
        let number = pq::parse(&offer.pq).unwrap();
        let (p, q) = pq::factor(number, &mut self.rng).unwrap();
        self.inner.server_nonce = offer.server_nonce;
        self.inner.pq = offer.pq;
        self.inner.p = Bytes::copy_from_slice(&(p as u32).to_be_bytes());
        self.inner.q = Bytes::copy_from_slice(&(q as u32).to_be_bytes());
    }

    pub(crate) fn req_dh(&mut self) -> functions::ReqDhParams {
        self.req_dh_as(Scheme::Padded, &self.inner.clone())
    }

    /// The request around this `inner` data, which its outer fields do not follow.
    pub(crate) fn req_dh_as(&mut self, scheme: Scheme, inner: &Inner) -> functions::ReqDhParams {
        let identity = identity();
        let key = identity.public();
        let encrypted = match scheme {
            Scheme::Padded => key.encrypt_padded(&inner.encode(), &mut self.rng),
            Scheme::Older => key.encrypt_older(&inner.encode(), &mut self.rng),
        };
        functions::ReqDhParams {
            nonce: self.inner.nonce,
            server_nonce: self.inner.server_nonce,
            p: self.inner.p.clone(),
            q: self.inner.q.clone(),
            public_key_fingerprint: key.fingerprint(),
            encrypted_data: encrypted.unwrap().to_vec().into(),
        }
    }

    #[track_caller]
    pub(crate) fn take_params(&mut self, said: &Said) {
        let params: ctors::ServerDhParamsOk = said.is();
        assert_eq!(params.nonce, self.inner.nonce);
        assert_eq!(params.server_nonce, self.inner.server_nonce);
        let mut sealed = params.encrypted_answer.to_vec();
        let inner = exchange::open_inner(&mut sealed, &self.temporary()).unwrap();
        let dh = decode(&Bytes::copy_from_slice(inner.unchecked())).unwrap();
        inner.check(encode(&dh).len()).unwrap();
        self.dh = Some(dh);
    }

    pub(crate) fn temporary(&self) -> AesKeys {
        exchange::tmp_aes(&self.inner.new_nonce, &self.inner.server_nonce)
    }

    /// Draws an exponent: what to offer, and the key that follows.
    #[track_caller]
    pub(crate) fn draw(&mut self) -> (types::ClientDhInnerData, AuthKey) {
        let exponent = Exponent::generate(&mut self.rng);
        let group = Group::known();
        let inner = types::ClientDhInnerData {
            nonce: self.inner.nonce,
            server_nonce: self.inner.server_nonce,
            retry_id: 0,
            g_b: group.power(&exponent).to_vec().into(),
        };
        let g_a = &self.dh.as_ref().unwrap().g_a;
        (inner, group.shared(&exponent, g_a).unwrap())
    }

    pub(crate) fn set_dh(&mut self, inner: &types::ClientDhInnerData) -> Bytes {
        let temporary = self.temporary();
        let sealed = exchange::seal_inner(&encode(inner), &temporary, &mut self.rng);
        self.set_dh_sealed(sealed)
    }

    pub(crate) fn set_dh_sealed(&self, sealed: Vec<u8>) -> Bytes {
        encode(&functions::SetClientDhParams {
            nonce: self.inner.nonce,
            server_nonce: self.inner.server_nonce,
            encrypted_data: sealed.into(),
        })
    }

    /// Whether `said` is the proof of success for `key`.
    pub(crate) fn finishes(&self, said: &Said, key: &AuthKey) -> bool {
        let Said::Body(body) = said else { return false };
        let hash = exchange::new_nonce_hash1(&self.inner.new_nonce, &key.aux_hash());
        decode::<ctors::DhGenOk>(body).is_some_and(|ok| ok.new_nonce_hash1 == hash)
    }
}
