//! The client's side of a key exchange, against a server that is honest but for what the script
//! changes: it finishes if nothing was wrong, and only then.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use chappe_crypto::dh::{Exponent, Group};
use chappe_crypto::{AuthKey, Rng, exchange};
use chappe_proto::handshake::client::{self, DhGen, HandshakeError, KeyRequest};
use chappe_proto::schema::{ctors, functions, types};
use chappe_tl::{Constructor, Reader};

use crate::identity::{IDENTITY, START, rng};
use crate::script::Script;
use crate::words::{boxed, read};

/// Products of two primes, as a server draws them.
const PQS: [u64; 3] = [0x17ED_4894_1A08_F981, 0x29A2_241F_44DB_990B, 1_000_003 * 1_000_033];
/// The server's half of every agreement: making one takes a while.
static HALF: LazyLock<(Exponent, [u8; 256])> =
    LazyLock::new(|| Group::known().key_pair(&mut rng(5)));

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut server = Server { is_honest: true, is_odd: false, rng: rng(4) };
    let outcome = exchange(&mut script, &mut server);
    match outcome {
        Ok(key) => {
            assert!(server.is_honest, "an exchange that was tampered with came to its end");
            drop(key);
        }
        Err(error) => {
            assert!(!server.is_honest || server.is_odd, "an honest exchange failed: {error}");
        }
    }
}

struct Server {
    /// Nothing was changed that a client must notice.
    is_honest: bool,
    /// Something was said that a client may put up with or not.
    is_odd: bool,
    rng: Rng,
}

fn exchange(script: &mut Script<'_>, server: &mut Server) -> Result<AuthKey, HandshakeError> {
    let mut rng = rng(3);
    let expires_in = script.one_in(2).then(|| script.i32());
    let server_keys = IDENTITY.iter().map(|key| key.public().clone()).collect::<Arc<[_]>>();
    let request = KeyRequest { dc: 2, expires_in, server_keys };

    let (state, body) = client::start(request, &mut rng);
    let ask: functions::ReqPqMulti = read(&body.into()).unwrap();
    let server_nonce: [u8; 16] = server.rng.bytes();
    let res_pq = server.res_pq(script, ask.nonce, server_nonce);
    let nonces = (ask.nonce, res_pq.server_nonce);
    let (state, body) = state.handle(&server.said(script, boxed(&res_pq)), &mut rng)?;

    let request: functions::ReqDhParams = read(&body.into()).unwrap();
    let new_nonce = server.new_nonce(&request);
    let answer = server.dh_params(script, nonces, &new_nonce);
    let heard = server.said(script, answer);
    let (mut state, mut body) = state.handle(START, &heard, &mut rng)?;

    let keys = exchange::tmp_aes(&new_nonce, &nonces.1);
    for _ in 0..8 {
        let request: functions::SetClientDhParams = read(&Bytes::from(body)).unwrap();
        let mut sealed = request.encrypted_data.to_vec();
        let inner = exchange::open_inner(&mut sealed, &keys).unwrap();
        let inner = Bytes::copy_from_slice(inner.unchecked());
        let inner: types::ClientDhInnerData = read_front(&inner);
        let key = Group::known().shared(&HALF.0, &inner.g_b).unwrap();
        let answer = server.dh_gen(script, nonces, &new_nonce, &key.aux_hash());
        match state.handle(&server.said(script, answer), &mut rng)? {
            DhGen::Finished(finished) => {
                assert_eq!(finished.key, key, "the two ends have different keys");
                assert_eq!(finished.first_salt, exchange::first_salt(&new_nonce, &nonces.1));
                return Ok(finished.key);
            }
            DhGen::Again(next, again) => (state, body) = (*next, again),
        }
    }
    panic!("the client retries for ever");
}

impl Server {
    fn res_pq(
        &mut self,
        script: &mut Script<'_>,
        nonce: [u8; 16],
        server_nonce: [u8; 16],
    ) -> types::ResPq {
        let mut pq = minimal(PQS[script.below(PQS.len())]);
        if script.one_in(8) {
            (pq, self.is_honest) = match script.below(4) {
                0 => (minimal(0xffff_fffb), false),
                1 => (minimal(1_000_003 * 1_000_003), false),
                2 => (chappe_tl::Bytes::copy_from_slice(&[0xff; 9]), false),
                _ => {
                    // It may be a product of two primes after all.
                    self.is_odd = true;
                    (script.bytes(9).to_vec().into(), true)
                }
            };
        }
        let own = IDENTITY[0].public().fingerprint();
        let fingerprints = match script.below(8) {
            6 => vec![script.i64() | 1, own],
            7 => {
                self.is_honest = false;
                vec![own ^ 1; script.below(4)]
            }
            _ => vec![own],
        };
        types::ResPq {
            nonce: self.nonce(script, nonce),
            server_nonce,
            pq,
            server_public_key_fingerprints: fingerprints,
        }
    }

    /// What the client encrypted for us.
    fn new_nonce(&mut self, request: &functions::ReqDhParams) -> [u8; 32] {
        let plain = IDENTITY[0].decrypt(&request.encrypted_data, &mut self.rng).unwrap();
        let plain = Bytes::copy_from_slice(&plain.data);
        if let Some(inner) = read_front_if::<ctors::PQInnerDataDc>(&plain) {
            return inner.new_nonce;
        }
        read_front::<ctors::PQInnerDataTempDc>(&plain).new_nonce
    }

    fn dh_params(
        &mut self,
        script: &mut Script<'_>,
        (nonce, server_nonce): ([u8; 16], [u8; 16]),
        new_nonce: &[u8; 32],
    ) -> Bytes {
        if script.one_in(16) {
            self.is_honest = false;
            return boxed(&ctors::ServerDhParamsFail {
                nonce: self.nonce(script, nonce),
                server_nonce,
                new_nonce_hash: exchange::new_nonce_hash(new_nonce),
            });
        }
        let group = Group::known();
        let mut prime = group.prime();
        let (mut g, mut g_a) = (group.generator() as i32, HALF.1.to_vec());
        if script.one_in(8) {
            self.is_honest = false;
            match script.below(3) {
                0 => g = [0, 1, 2, 5, 6, 8, -3, i32::MIN][script.below(8)],
                1 => prime[usize::from(script.byte())] ^= 1 << script.below(8),
                _ => g_a = bad_public(script, &group),
            }
        }
        let inner = boxed(&types::ServerDhInnerData {
            nonce: self.nonce(script, nonce),
            server_nonce: self.nonce(script, server_nonce),
            g,
            dh_prime: chappe_tl::Bytes::copy_from_slice(&prime),
            g_a: g_a.into(),
            server_time: script.i32(),
        });
        let keys = exchange::tmp_aes(new_nonce, &server_nonce);
        let mut sealed = exchange::seal_inner(&inner, &keys, &mut self.rng);
        if script.one_in(8) {
            self.is_honest = false;
            match script.below(3) {
                0 => sealed.extend([0; 16]),
                1 => sealed.truncate(sealed.len() - 16),
                _ => {
                    let at = usize::from(script.byte()) % sealed.len();
                    sealed[at] ^= 1;
                }
            }
        }
        boxed(&ctors::ServerDhParamsOk {
            nonce: self.nonce(script, nonce),
            server_nonce: self.nonce(script, server_nonce),
            encrypted_answer: sealed.into(),
        })
    }

    /// The proof of the key, of the right kind or not.
    fn dh_gen(
        &mut self,
        script: &mut Script<'_>,
        (nonce, server_nonce): ([u8; 16], [u8; 16]),
        new_nonce: &[u8; 32],
        aux_hash: &[u8; 8],
    ) -> Bytes {
        let hashes = [
            exchange::new_nonce_hash1(new_nonce, aux_hash),
            exchange::new_nonce_hash2(new_nonce, aux_hash),
            exchange::new_nonce_hash3(new_nonce, aux_hash),
        ];
        let kind = [0, 0, 0, 0, 0, 0, 1, 2][script.below(8)];
        let hash = if script.one_in(8) { (kind + 1 + script.below(2)) % 3 } else { kind };
        self.is_honest &= hash == kind && kind != 2;
        // More of them may follow than the client bears.
        self.is_odd |= kind == 1;
        let nonce = self.nonce(script, nonce);
        let server_nonce = self.nonce(script, server_nonce);
        match kind {
            0 => {
                let new_nonce_hash1 = hashes[hash];
                boxed(&ctors::DhGenOk { nonce, server_nonce, new_nonce_hash1 })
            }
            1 => {
                let new_nonce_hash2 = hashes[hash];
                boxed(&ctors::DhGenRetry { nonce, server_nonce, new_nonce_hash2 })
            }
            _ => {
                let new_nonce_hash3 = hashes[hash];
                boxed(&ctors::DhGenFail { nonce, server_nonce, new_nonce_hash3 })
            }
        }
    }

    fn nonce(&mut self, script: &mut Script<'_>, mut nonce: [u8; 16]) -> [u8; 16] {
        if script.one_in(16) {
            self.is_honest = false;
            nonce[script.below(16)] ^= 1 << script.below(8);
        }
        nonce
    }

    /// What arrives of an answer: it may have a tail, which is allowed, or be cut or something else.
    fn said(&mut self, script: &mut Script<'_>, body: Bytes) -> Bytes {
        match script.below(16) {
            13 => [&body[..], script.bytes(32)].concat().into(),
            14 => {
                self.is_honest = false;
                body.slice(..usize::from(script.byte()).min(body.len() - 1))
            }
            15 => {
                self.is_honest = false;
                Bytes::copy_from_slice(script.bytes(64))
            }
            _ => body,
        }
    }
}

fn bad_public(script: &mut Script<'_>, group: &Group) -> Vec<u8> {
    let prime = group.prime();
    match script.below(6) {
        0 => vec![script.byte() % 2],
        1 => prime.to_vec(),
        2 => {
            let mut below = prime;
            below[255] -= 1;
            below.to_vec()
        }
        // Below 2^1984, and above the prime less that.
        3 => vec![0xff; 248],
        4 => [&prime[..8], &[0xff; 248]].concat(),
        _ => vec![0xff; 256 + script.below(8)],
    }
}

fn read_front<T: Constructor>(body: &Bytes) -> T {
    read_front_if(body).unwrap()
}

fn read_front_if<T: Constructor>(body: &Bytes) -> Option<T> {
    let mut reader = Reader::new(body.clone());
    (reader.u32() == Ok(T::ID)).then_some(())?;
    T::decode_bare(&mut reader).ok()
}

fn minimal(number: u64) -> chappe_tl::Bytes {
    let bytes = number.to_be_bytes();
    chappe_tl::Bytes::copy_from_slice(&bytes[number.leading_zeros() as usize / 8..])
}
