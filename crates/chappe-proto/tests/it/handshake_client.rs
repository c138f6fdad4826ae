//! The client's side of the key exchange, against servers that break its rules one at a time, and
//! the published exchanges.

use std::sync::Arc;

use bytes::Bytes;
use chappe_crypto::dh::{DhError, Exponent, Group};
use chappe_crypto::{AuthKey, Rng, exchange, rsa};
use chappe_proto::Side;
use chappe_proto::envelope::plain;
use chappe_proto::handshake::client::{
    self, AwaitDhGen, AwaitDhParams, AwaitResPq, DhGen, Finished, HandshakeError, KeyRequest,
};
use chappe_proto::schema::{ctors, functions, types};
use chappe_tl::Constructor;

use crate::handshake_ends::{Inner, at, decode, encode, identity};
use crate::transport_ends::{bytes, list, rng, vectors};

/// Rules: KEY-07, KEY-10, KEY-11, KEY-19, CRY-10: what a client sends is fresh in each run, names
///        the data centre in the kind of inner data that its key needs, and repeats the numbers.
#[test]
fn requests_hold_what_they_must() {
    let mut nonces = Vec::new();
    for (seed, dc, expires_in) in [(1, 2, None), (2, -10_002, Some(86_400)), (3, 10_003, None)] {
        let request = KeyRequest { dc, expires_in, ..request() };
        let mut rng = rng(seed);
        let (state, body) = client::start(request, &mut rng);
        let mut fake = Fake::new(&body);
        let (state, body) = state.handle(&encode(&fake.offer), &mut rng).unwrap();
        let sent: functions::ReqDhParams = decode(&body.clone().into()).unwrap();
        assert_eq!(sent.encrypted_data.len(), 256);
        assert_eq!((sent.nonce, sent.server_nonce), (fake.offer.nonce, fake.offer.server_nonce));
        assert_eq!((sent.p[..].to_vec(), sent.q[..].to_vec()), (fake.p.clone(), fake.q.clone()));
        let inner = Inner::read(&sent);
        assert_eq!((inner.dc, inner.expires_in), (Some(dc), expires_in));
        assert_eq!((inner.nonce, inner.server_nonce), (sent.nonce, sent.server_nonce));
        assert_eq!((inner.pq, inner.p, inner.q), (fake.offer.pq.clone(), sent.p, sent.q));
        nonces.extend([inner.nonce.to_vec(), inner.new_nonce[..16].to_vec()]);

        let params = fake.params(&body);
        let (_, body) = state.handle(at(0), &encode(&fake.seal(&params)), &mut rng).unwrap();
        let sent = fake.read_g_b(&body);
        assert_eq!((sent.nonce, sent.server_nonce), (inner.nonce, inner.server_nonce));
        assert_eq!((sent.retry_id, sent.g_b.len()), (0, 256));
        Group::known().check_public(&sent.g_b).unwrap();
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 6);
}

/// Rules: KEY-09, KEY-24, SEC-07: an offer for another nonce, or anything but an offer, ends the run.
#[test]
fn altered_offer_is_refused() {
    let (state, mut fake, mut rng) = asked();
    fake.offer.nonce[0] ^= 1;
    let error = state.handle(&encode(&fake.offer), &mut rng).unwrap_err();
    assert_eq!(error, HandshakeError::Nonce("nonce"));
    for body in [Bytes::new(), Bytes::from_static(&[1, 2, 3]), encode(&dh_gen_ok([0; 16]))] {
        let (state, _, mut rng) = asked();
        let error = state.handle(&body, &mut rng).unwrap_err();
        assert_eq!(error, HandshakeError::Unexpected("resPQ"));
    }
    let (state, fake, mut rng) = asked();
    let cut = encode(&fake.offer);
    assert!(state.handle(&cut.slice(..cut.len() - 4), &mut rng).is_err());
}

/// Rules: CRY-09, SEC-12, KEY-09: of the keys the server offers the first that is trusted counts;
///        where none is, nothing encrypted leaves.
#[test]
fn only_trusted_keys_are_used() {
    let ours = identity().public().fingerprint();
    let (state, mut fake, mut rng) = asked();
    fake.offer.server_public_key_fingerprints = vec![1, 2, -3];
    let error = state.handle(&encode(&fake.offer), &mut rng).unwrap_err();
    assert_eq!(error, HandshakeError::NoTrustedKey(vec![1, 2, -3]));
    let (state, mut fake, mut rng) = asked();
    fake.offer.server_public_key_fingerprints = Vec::new();
    assert!(state.handle(&encode(&fake.offer), &mut rng).is_err());

    let published = &vectors("rsa.json")["public_keys"][0];
    let other = rsa::PublicKey::new(&bytes(&published["n"]), &bytes(&published["e"])).unwrap();
    for (offered, chosen) in [
        (vec![7, ours], ours),
        (vec![other.fingerprint(), ours], other.fingerprint()),
        (vec![ours, other.fingerprint()], ours),
    ] {
        let keys = [identity().public().clone(), other.clone()];
        let mut rng = crate::transport_ends::rng(1);
        let request = KeyRequest { server_keys: Arc::new(keys), ..request() };
        let (state, body) = client::start(request, &mut rng);
        let mut fake = Fake::new(&body);
        fake.offer.server_public_key_fingerprints = offered;
        let (_, body) = state.handle(&encode(&fake.offer), &mut rng).unwrap();
        let sent: functions::ReqDhParams = decode(&body.into()).unwrap();
        assert_eq!(sent.public_key_fingerprint, chosen);
    }
}

/// Rules: CRY-20, SEC-15, KEY-09: pq that is no product of two different odd primes ends the run.
#[test]
fn bad_pq_is_refused() {
    let prime = 1_455_403_679_u64;
    for (name, pq) in [
        ("nothing", vec![]),
        ("0", vec![0]),
        ("1", vec![1]),
        ("even", (prime * 2).to_be_bytes().to_vec()),
        ("prime", prime.to_be_bytes().to_vec()),
        ("large prime", 9_223_372_036_854_775_783_u64.to_be_bytes().to_vec()),
        ("square", (prime * prime).to_be_bytes().to_vec()),
        ("three primes", (1009_u64 * 1_000_003 * 2_000_003).to_be_bytes().to_vec()),
        ("9 bytes", [&[0], &15_u64.to_be_bytes()[..]].concat()),
        ("300 bytes", vec![0xff; 300]),
    ] {
        let (state, mut fake, mut rng) = asked();
        fake.offer.pq = pq.into();
        let error = state.handle(&encode(&fake.offer), &mut rng).unwrap_err();
        assert_eq!(error, HandshakeError::Pq, "{name}");
    }
}

/// Rules: KEY-17, KEY-24, SEC-07: the nonces of the parameters are checked outside and inside.
#[test]
fn altered_nonces_of_the_parameters_are_refused() {
    type Alter = fn(&mut ctors::ServerDhParamsOk);
    type AlterInner = fn(&mut types::ServerDhInnerData);
    let outer: [(&str, Alter); 2] = [
        ("nonce", |answer| answer.nonce[3] ^= 1),
        ("server_nonce", |answer| answer.server_nonce[3] ^= 1),
    ];
    for (name, alter) in outer {
        let (state, fake, params, mut rng) = offered();
        let mut answer = fake.seal(&params);
        alter(&mut answer);
        let error = state.handle(at(0), &encode(&answer), &mut rng).unwrap_err();
        assert_eq!(error, HandshakeError::Nonce(name));
    }
    let inner: [(&str, AlterInner); 2] = [
        ("nonce", |params| params.nonce[3] ^= 1),
        ("server_nonce", |params| params.server_nonce[3] ^= 1),
    ];
    for (name, alter) in inner {
        let error = params_error(alter);
        assert_eq!(error, Some(HandshakeError::Nonce(name)));
    }
    for body in [Bytes::new(), encode(&dh_gen_ok([0; 16])), Bytes::from_static(&[0; 700])] {
        let (state, _, _, mut rng) = offered();
        let error = state.handle(at(0), &body, &mut rng).unwrap_err();
        assert_eq!(error, HandshakeError::Unexpected("server_DH_params_ok"));
    }
}

/// Rules: KEY-17, SEC-06, CRY-01, CRY-02: the sealed answer is in whole blocks, its hash covers the
///        object and nothing else, and at most 15 bytes follow.
#[test]
fn damaged_answer_is_refused() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("hash", |plain| plain[0] ^= 1),
        ("object", |plain| plain[20 + 40] ^= 1),
        ("last byte of the object", |plain| plain[20 + 563] ^= 1),
        ("constructor", |plain| plain[20] ^= 1),
        ("16 extra bytes", |plain| plain.extend([0; 16])),
    ];
    for (name, damage) in damages {
        let (state, fake, params, mut rng) = offered();
        let object = encode(&params);
        assert_eq!(object.len(), 564);
        let mut plain = chappe_crypto::sha1(&[&object]).to_vec();
        plain.extend(&object);
        plain.resize(plain.len().next_multiple_of(16), 0);
        damage(&mut plain);
        let answer = fake.wrap(fake.encrypt(plain));
        let error = state.handle(at(0), &encode(&answer), &mut rng).unwrap_err();
        assert_eq!(error, HandshakeError::Sealed, "{name}");
    }
    for len in [0, 15, 16, 32, 593] {
        let (state, fake, _, mut rng) = offered();
        let answer = encode(&fake.wrap(vec![7; len]));
        let error = state.handle(at(0), &answer, &mut rng).unwrap_err();
        assert_eq!(error, HandshakeError::Sealed, "{len} bytes");
    }
    // The padding itself may be anything.
    let (state, fake, params, mut rng) = offered();
    let object = encode(&params);
    let mut plain = chappe_crypto::sha1(&[&object]).to_vec();
    plain.extend(&object);
    plain.resize(plain.len().next_multiple_of(16), 0xee);
    let answer = encode(&fake.wrap(fake.encrypt(plain)));
    assert!(state.handle(at(0), &answer, &mut rng).is_ok());
}

/// Rules: CRY-15, CRY-16, SEC-01, SEC-02, SEC-05, KEY-17: an unsafe prime or generator ends the run
///        before anything is sent, also when the prime is known to be good.
#[test]
fn unsafe_group_is_refused() {
    let dh = vectors("dh.json");
    for case in list(&dh["bad_primes"]) {
        let error = params_error(|params| {
            params.dh_prime = bytes(&case["p"]).into();
            params.g = 4;
        });
        assert!(matches!(error, Some(HandshakeError::Dh(_))), "{}: {error:?}", case["name"]);
    }
    for g in -1..=8 {
        let allowed = dh["generator_allowed"][g.to_string()] == true;
        let error = params_error(|params| params.g = g);
        assert_eq!(error.is_none(), allowed, "generator {g}");
        assert!(allowed || matches!(error, Some(HandshakeError::Dh(DhError::Generator(_)))));
    }
    for prime in [vec![], vec![0xff; 255], vec![0xff; 257]] {
        let error = params_error(|params| params.dh_prime = prime.into());
        assert_eq!(error, Some(HandshakeError::Dh(DhError::PrimeLength)));
    }
}

/// Rules: CRY-17, SEC-03, SEC-04, KEY-17: g_a from 2^1984 to p − 2^1984 and no other is taken.
#[test]
fn public_value_out_of_range_is_refused() {
    for case in list(&vectors("dh.json")["g_a_range"]) {
        let error = params_error(|params| params.g_a = bytes(&case["value"]).into());
        assert_eq!(error.is_none(), case["recommended_ok"] == true, "{}", case["name"]);
    }
    let error = params_error(|params| params.g_a = vec![1; 257].into());
    assert_eq!(error, Some(HandshakeError::Dh(DhError::PublicValue)));
}

/// Rule: KEY-18: an obsolete failure ends the run as a failure if it is proved, and as an attack if
///       it is not; its nonces are checked, too.
#[test]
fn obsolete_failure_is_checked() {
    let fail = |alter: fn(&mut ctors::ServerDhParamsFail)| {
        let (state, fake, _, mut rng) = offered();
        let mut fail = ctors::ServerDhParamsFail {
            nonce: fake.offer.nonce,
            server_nonce: fake.offer.server_nonce,
            new_nonce_hash: exchange::new_nonce_hash(&fake.new_nonce),
        };
        alter(&mut fail);
        state.handle(at(0), &encode(&fail), &mut rng).unwrap_err()
    };
    assert_eq!(fail(|_| ()), HandshakeError::GaveUp);
    assert_eq!(fail(|fail| fail.new_nonce_hash[0] ^= 1), HandshakeError::Proof);
    assert_eq!(fail(|fail| fail.nonce[0] ^= 1), HandshakeError::Nonce("nonce"));
    assert_eq!(fail(|fail| fail.server_nonce[0] ^= 1), HandshakeError::Nonce("server_nonce"));
}

/// Rules: KEY-23, KEY-24, SEC-07, SEC-09: success, retry and failure each need the proof with their
///        own number, and the nonces of the run.
#[test]
fn conclusion_without_its_proof_is_refused() {
    for said in 1..=3 {
        for proved in 1..=3 {
            let (state, fake, key, mut rng) = agreed();
            let body = fake.conclude(said, fake.proof(proved, &key));
            let outcome = state.handle(&body, &mut rng);
            match (said == proved, said) {
                (false, _) => assert_eq!(outcome.unwrap_err(), HandshakeError::Proof),
                (true, 1) => assert!(matches!(outcome, Ok(DhGen::Finished(_)))),
                (true, 2) => assert!(matches!(outcome, Ok(DhGen::Again(..)))),
                (true, _) => assert_eq!(outcome.unwrap_err(), HandshakeError::GaveUp),
            }
        }
        for (name, at_byte) in [("nonce", 4), ("server_nonce", 20)] {
            let (state, fake, key, mut rng) = agreed();
            let mut body = fake.conclude(said, fake.proof(said, &key)).to_vec();
            body[at_byte] ^= 1;
            let error = state.handle(&body.into(), &mut rng).unwrap_err();
            assert_eq!(error, HandshakeError::Nonce(name), "of kind {said}");
        }
    }
    for body in [Bytes::new(), Bytes::from_static(&[9; 52])] {
        let (state, _, _, mut rng) = agreed();
        let error = state.handle(&body, &mut rng).unwrap_err();
        assert_eq!(error, HandshakeError::Unexpected("dh_gen_ok"));
    }
}

/// Rules: KEY-19, KEY-23: each retry draws a new exponent and names the key before; the sixth ends
///        the run.
#[test]
fn retries_are_followed_five_times() {
    let (mut state, fake, mut key, mut rng) = agreed();
    let mut keys = vec![key.id()];
    for _ in 0..5 {
        let body = fake.conclude(2, fake.proof(2, &key));
        let Ok(DhGen::Again(next, body)) = state.handle(&body, &mut rng) else { panic!() };
        let sent = fake.read_g_b(&body);
        assert_eq!(sent.retry_id, i64::from_le_bytes(key.aux_hash()));
        key = fake.shared(&sent);
        assert!(!keys.contains(&key.id()));
        keys.push(key.id());
        state = *next;
    }
    let body = fake.conclude(2, fake.proof(2, &key));
    assert_eq!(state.handle(&body, &mut rng).unwrap_err(), HandshakeError::GaveUp);

    // A retry may succeed.
    let (state, fake, first, mut rng) = agreed();
    let body = fake.conclude(2, fake.proof(2, &first));
    let Ok(DhGen::Again(state, body)) = state.handle(&body, &mut rng) else { panic!() };
    let second = fake.shared(&fake.read_g_b(&body));
    let body = fake.conclude(1, fake.proof(1, &second));
    assert_eq!(finished(*state, &body, &mut rng).key.id(), second.id());
}

/// Rules: KEY-23, SEC-09: after a retry, proof for the rejected key is none for the next one.
#[test]
fn proof_for_the_rejected_key_is_refused() {
    for kind in 1..=3 {
        let (state, fake, first, mut rng) = agreed();
        let body = fake.conclude(2, fake.proof(2, &first));
        let Ok(DhGen::Again(state, _)) = state.handle(&body, &mut rng) else { panic!() };
        let stale = fake.conclude(kind, fake.proof(kind, &first));
        assert_eq!(state.handle(&stale, &mut rng).unwrap_err(), HandshakeError::Proof);
    }
}

/// Rules: KEY-25, KEY-26, KEY-17: what remains of a run is the key, the first salt, the server's
///        time with the moment it was heard, and the end of a temporary key by that time.
#[test]
fn finished_run_keeps_what_is_needed() {
    for expires_in in [None, Some(86_400)] {
        let mut rng = rng(4);
        let (state, body) = client::start(KeyRequest { expires_in, ..request() }, &mut rng);
        let mut fake = Fake::new(&body);
        let (state, body) = state.handle(&encode(&fake.offer), &mut rng).unwrap();
        let mut params = fake.params(&body);
        params.server_time = 1_705_754_877;
        let answer = encode(&fake.seal(&params));
        let (state, body) = state.handle(at(33), &answer, &mut rng).unwrap();
        let key = fake.shared(&fake.read_g_b(&body));
        let done = finished(state, &fake.conclude(1, fake.proof(1, &key)), &mut rng);
        assert_eq!(done.key, key);
        assert_eq!((done.server_time, done.heard_at), (1_705_754_877, at(33)));
        assert_eq!(done.expires_at, expires_in.map(|life| 1_705_754_877 + i64::from(life)));
        let salt: Vec<u8> =
            (0..8).map(|i| fake.new_nonce[i] ^ fake.offer.server_nonce[i]).collect();
        assert_eq!(done.first_salt.to_le_bytes()[..], salt);
    }
}

/// Rule: KEY-05: random bytes after each answer change nothing.
#[test]
fn trailing_bytes_are_ignored() {
    let tail = |object: Bytes, len: usize| Bytes::from([&object[..], &vec![0xab; len]].concat());
    for len in [1, 36, 60, 104, 255] {
        let (state, mut fake, mut rng) = asked();
        let (state, body) = state.handle(&tail(encode(&fake.offer), len), &mut rng).unwrap();
        let params = fake.params(&body);
        let answer = tail(encode(&fake.seal(&params)), len);
        let (state, body) = state.handle(at(0), &answer, &mut rng).unwrap();
        let key = fake.shared(&fake.read_g_b(&body));
        let last = tail(fake.conclude(1, fake.proof(1, &key)), len);
        assert_eq!(finished(state, &last, &mut rng).key, key);
    }
}

/// Rules: SEC-53, SEC-20: no state of a run shows its secrets in `Debug` output.
#[test]
fn debug_output_tells_no_secret() {
    let list = |secret: &[u8]| format!("{:?}", &secret[..6]).trim_matches(['[', ']']).to_owned();
    let (state, fake, params, mut rng) = offered();
    let mut text = format!("{state:?}");
    let answer = encode(&fake.seal(&params));
    let (state, body) = state.handle(at(0), &answer, &mut rng).unwrap();
    let key = fake.shared(&fake.read_g_b(&body));
    text += &format!("{state:?}");
    text += &format!("{:?}", finished(state, &fake.conclude(1, fake.proof(1, &key)), &mut rng));
    for secret in [&fake.new_nonce[..], &key.stored()[..]] {
        assert!(!text.replace("\n", "").contains(&list(secret)), "{text}");
        assert!(!text.contains(&hex::encode(&secret[..6])), "{text}");
    }
}

/// Rules:  KEY-01, KEY-03, KEY-05, KEY-10, KEY-19, KEY-26: every object of the published exchanges
///         reads, and is written again byte for byte; what both ends compute comes out the same.
/// Source: `auth_key_sample.json`: the exchange of 2024, and of 2013 in its older scheme.
#[test]
fn published_exchanges_are_reproduced() {
    for sample in list(&vectors("auth_key_sample.json")["samples"]) {
        let field = |name: &str| bytes(&sample[name]);
        let body = |name: &str| {
            let payload = field(&format!("{name}_payload"));
            if payload.is_empty() { field(&format!("{name}_body")) } else { payload[20..].to_vec() }
        };
        let nonce: [u8; 16] = field("nonce").try_into().unwrap();
        let server_nonce: [u8; 16] = field("server_nonce").try_into().unwrap();
        let new_nonce: [u8; 32] = field("new_nonce").try_into().unwrap();
        let [pq, p, q] = ["pq", "p", "q"].map(|name| Bytes::from(field(name)));
        let fingerprint = i64::from_le_bytes(field("chosen_fingerprint_le").try_into().unwrap());

        match sample["req_pq_payload"].is_string() {
            true => assert_eq!(encode(&functions::ReqPq { nonce }), body("req_pq")),
            false => assert_eq!(encode(&functions::ReqPqMulti { nonce }), body("req_pq_multi")),
        }
        let offer: types::ResPq = exact(&body("resPQ"));
        assert_eq!((offer.nonce, offer.server_nonce, &offer.pq), (nonce, server_nonce, &pq));
        assert!(offer.server_public_key_fingerprints.contains(&fingerprint));
        let found = chappe_crypto::pq::factor(chappe_crypto::pq::parse(&pq).unwrap(), &mut rng(1));
        assert_eq!(found.unwrap().0.to_be_bytes()[4..], p);
        let dc = sample["dc"].as_i64().map(|dc| dc as i32);
        let (inner_p, inner_q) = (p.clone(), q.clone());
        let expires_in = None;
        let inner =
            Inner { pq, p: inner_p, q: inner_q, nonce, server_nonce, new_nonce, dc, expires_in };
        assert_eq!(inner.encode(), field("p_q_inner_data"));
        let request: functions::ReqDhParams = exact(&body("req_DH_params"));
        assert_eq!((request.p, request.q), (p, q));
        assert_eq!(request.public_key_fingerprint, fingerprint);
        assert_eq!(request.encrypted_data, field("rsa_encrypted_data"));

        let answer: ctors::ServerDhParamsOk = exact(&body("server_DH_params_ok"));
        let temporary = exchange::tmp_aes(&new_nonce, &server_nonce);
        let mut sealed = answer.encrypted_answer.to_vec();
        let opened = exchange::open_inner(&mut sealed, &temporary).unwrap();
        let object = opened.check(field("answer").len()).unwrap();
        let params: types::ServerDhInnerData = exact(object);
        assert_eq!(i64::from(params.g), sample["g"].as_i64().unwrap());
        assert_eq!(
            (params.dh_prime, params.g_a.clone()),
            (field("dh_prime").into(), field("g_a").into())
        );

        let group = Group::of_example(params.g as u32);
        let exponent = Exponent::from_bytes(field("b").try_into().unwrap());
        let g_b = Bytes::copy_from_slice(&group.power(&exponent));
        let offer = types::ClientDhInnerData { nonce, server_nonce, retry_id: 0, g_b };
        assert_eq!(encode(&offer), field("client_DH_inner_data"));
        let request: functions::SetClientDhParams = exact(&body("set_client_DH_params"));
        assert_eq!(request.encrypted_data, field("client_encrypted_data"));

        let key = group.shared(&exponent, &params.g_a).unwrap();
        assert_eq!(key.full().unwrap()[..], field("auth_key"));
        assert_eq!(key.id().to_le_bytes()[..], field("auth_key_id_le"));
        let new_nonce_hash1 = exchange::new_nonce_hash1(&new_nonce, &key.aux_hash());
        let ok = ctors::DhGenOk { nonce, server_nonce, new_nonce_hash1 };
        assert_eq!(encode(&ok), body("dh_gen_ok"));
        let salt = exchange::first_salt(&new_nonce, &server_nonce);
        assert_eq!(salt.to_le_bytes()[..], field("server_salt_le"));
    }
}

/// Rules:  KEY-02, KEY-03, KEY-04: the messages of the published exchanges have the form asked for.
/// Source: `auth_key_sample.json`.
#[test]
fn published_messages_have_their_form() {
    let samples = &vectors("auth_key_sample.json")["samples"];
    for (sample, name) in
        [(0, "req_pq_multi"), (0, "req_DH_params"), (0, "set_client_DH_params"), (1, "req_pq")]
    {
        let packet = bytes(&samples[sample][format!("{name}_payload")]);
        let message = plain::open(packet.clone().into(), Side::Client).unwrap();
        assert_eq!(message.body, packet[20..]);
        let mut again = bytes::BytesMut::new();
        plain::seal(message.msg_id, &message.body, &mut again);
        assert_eq!(again, packet);
    }
}

/// A server that answers by hand, so that a test can spoil what it says.
struct Fake {
    offer: types::ResPq,
    p: Vec<u8>,
    q: Vec<u8>,
    new_nonce: [u8; 32],
    exponent: Exponent,
}

impl Fake {
    /// Has got `req_pq_multi`; the offer is there to be sent.
    fn new(body: &[u8]) -> Self {
        let asked: functions::ReqPqMulti = exact(body);
        let mut rng = rng(200);
        let (p, q) = chappe_crypto::pq::generate(&mut rng);
        let pq = (u64::from(p) * u64::from(q)).to_be_bytes();
        let offer = types::ResPq {
            nonce: asked.nonce,
            server_nonce: rng.bytes(),
            pq: Bytes::copy_from_slice(&pq),
            server_public_key_fingerprints: vec![identity().public().fingerprint()],
        };
        let (p, q) = (p.to_be_bytes().to_vec(), q.to_be_bytes().to_vec());
        let exponent = Exponent::generate(&mut rng);
        Self { offer, p, q, new_nonce: [0; 32], exponent }
    }

    /// Has got `req_DH_params`: what its answer is to hold.
    fn params(&mut self, body: &[u8]) -> types::ServerDhInnerData {
        self.new_nonce = Inner::read(&exact(body)).new_nonce;
        let group = Group::known();
        types::ServerDhInnerData {
            nonce: self.offer.nonce,
            server_nonce: self.offer.server_nonce,
            g: 3,
            dh_prime: group.prime().to_vec().into(),
            g_a: group.power(&self.exponent).to_vec().into(),
            server_time: 1_700_000_000,
        }
    }

    fn seal(&self, params: &types::ServerDhInnerData) -> ctors::ServerDhParamsOk {
        let temporary = exchange::tmp_aes(&self.new_nonce, &self.offer.server_nonce);
        self.wrap(exchange::seal_inner(&encode(params), &temporary, &mut rng(8)))
    }

    fn wrap(&self, sealed: Vec<u8>) -> ctors::ServerDhParamsOk {
        ctors::ServerDhParamsOk {
            nonce: self.offer.nonce,
            server_nonce: self.offer.server_nonce,
            encrypted_answer: sealed.into(),
        }
    }

    fn encrypt(&self, mut plain: Vec<u8>) -> Vec<u8> {
        let keys = exchange::tmp_aes(&self.new_nonce, &self.offer.server_nonce);
        chappe_crypto::ige::encrypt(&mut plain, &keys.key, &keys.iv).unwrap();
        plain
    }

    /// What `set_client_DH_params` holds.
    fn read_g_b(&self, body: &[u8]) -> types::ClientDhInnerData {
        let request: functions::SetClientDhParams = exact(body);
        let keys = exchange::tmp_aes(&self.new_nonce, &self.offer.server_nonce);
        let mut sealed = request.encrypted_data.to_vec();
        let inner = exchange::open_inner(&mut sealed, &keys).unwrap();
        let object: types::ClientDhInnerData =
            decode(&Bytes::copy_from_slice(inner.unchecked())).unwrap();
        inner.check(encode(&object).len()).unwrap();
        object
    }

    fn shared(&self, offer: &types::ClientDhInnerData) -> AuthKey {
        Group::known().shared(&self.exponent, &offer.g_b).unwrap()
    }

    fn proof(&self, number: u8, key: &AuthKey) -> [u8; 16] {
        let aux_hash = key.aux_hash();
        match number {
            1 => exchange::new_nonce_hash1(&self.new_nonce, &aux_hash),
            2 => exchange::new_nonce_hash2(&self.new_nonce, &aux_hash),
            _ => exchange::new_nonce_hash3(&self.new_nonce, &aux_hash),
        }
    }

    /// `dh_gen_ok` (1), `dh_gen_retry` (2) or `dh_gen_fail` (3) with any proof.
    fn conclude(&self, kind: u8, proof: [u8; 16]) -> Bytes {
        let types::ResPq { nonce, server_nonce, .. } = self.offer;
        match kind {
            1 => encode(&ctors::DhGenOk { nonce, server_nonce, new_nonce_hash1: proof }),
            2 => encode(&ctors::DhGenRetry { nonce, server_nonce, new_nonce_hash2: proof }),
            _ => encode(&ctors::DhGenFail { nonce, server_nonce, new_nonce_hash3: proof }),
        }
    }
}

fn request() -> KeyRequest {
    KeyRequest { dc: 2, expires_in: None, server_keys: Arc::new([identity().public().clone()]) }
}

/// A client that has sent `req_pq_multi`.
fn asked() -> (AwaitResPq, Fake, Rng) {
    let mut rng = rng(1);
    let (state, body) = client::start(request(), &mut rng);
    (state, Fake::new(&body), rng)
}

/// A client that has sent `req_DH_params`, and what the answer is to hold.
fn offered() -> (AwaitDhParams, Fake, types::ServerDhInnerData, Rng) {
    let (state, mut fake, mut rng) = asked();
    let (state, body) = state.handle(&encode(&fake.offer), &mut rng).unwrap();
    let params = fake.params(&body);
    (state, fake, params, rng)
}

/// A client that has sent `set_client_DH_params`, and the key it should have.
fn agreed() -> (AwaitDhGen, Fake, AuthKey, Rng) {
    let (state, fake, params, mut rng) = offered();
    let answer = encode(&fake.seal(&params));
    let (state, body) = state.handle(at(0), &answer, &mut rng).unwrap();
    let key = fake.shared(&fake.read_g_b(&body));
    (state, fake, key, rng)
}

/// The error of a client that gets altered parameters, sealed as they should be.
fn params_error(alter: impl FnOnce(&mut types::ServerDhInnerData)) -> Option<HandshakeError> {
    let (state, fake, mut params, mut rng) = offered();
    alter(&mut params);
    state.handle(at(0), &encode(&fake.seal(&params)), &mut rng).err()
}

#[track_caller]
fn finished(state: AwaitDhGen, body: &Bytes, rng: &mut Rng) -> Finished {
    match state.handle(body, rng) {
        Ok(DhGen::Finished(finished)) => *finished,
        other => panic!("{other:?}"),
    }
}

fn dh_gen_ok(nonce: [u8; 16]) -> ctors::DhGenOk {
    ctors::DhGenOk { nonce, server_nonce: [0; 16], new_nonce_hash1: [0; 16] }
}

/// The one object in `bytes`, which fills them.
#[track_caller]
fn exact<T: Constructor + chappe_tl::Encode>(bytes: &[u8]) -> T {
    let object: T = decode(&Bytes::copy_from_slice(bytes)).unwrap();
    assert_eq!(encode(&object), bytes, "{}", T::NAME);
    object
}
