//! The message that binds a temporary key: made byte by byte, and refused for every other byte.

use bytes::Bytes;
use chappe_crypto::msg_key::{AesKeys, MsgKey};
use chappe_crypto::packet::HEADER_LEN;
use chappe_crypto::{AuthKey, AuthKeyId, Direction, ige};
use chappe_proto::handshake::bind::{
    self, BindError, Binding, CameWith, ENCRYPTED_MESSAGE_LEN, RANDOM_LEN,
};
use chappe_proto::schema::functions::auth::BindTempAuthKey;
use chappe_proto::{MsgId, SessionId};
use serde_json::Value;

use crate::transport_ends::{bytes, vectors};

/// Rules:  PFS-06: nonce, expiry and permanent key stand in both places, `msg_id` is that of the
///         request; SEC-39: all of it is laid out as published.
/// Source: `bind_temp_auth_key.json`; 07-pfs §2.
#[test]
fn published_request_is_made_byte_by_byte() {
    let vector = Vector::read();
    let request = vector.binding.request(&vector.permanent, vector.random);
    assert_eq!(request.encrypted_message, vector.bytes("encrypted_message"));
    assert_eq!(request, vector.request);
    assert_eq!(chappe_tl::to_bytes(&request).unwrap(), vector.bytes("request_body"));

    // Each step on its own, so that the vector is right about itself, too.
    let plain = vector.bytes("plaintext_without_padding");
    let msg_key = MsgKey::v1(&plain).bytes;
    assert_eq!(msg_key[..], vector.bytes("msg_key"));
    let keys = AesKeys::v1(&vector.permanent, &msg_key, Direction::ClientToServer);
    assert_eq!(keys.key[..], vector.bytes("aes_key"));
    assert_eq!(keys.iv[..], vector.bytes("aes_iv"));
    let inner = vector.bytes("bind_auth_key_inner");
    assert!(plain.ends_with(&inner));
    assert!(inner.ends_with(&vector.binding.expires_at.to_le_bytes()));
}

/// Rules:  SEC-39, PFS-10: the published request is good, for a server that keeps 192 bytes of the
///         key as for one that has just made it.
/// Source: `bind_temp_auth_key.json`; 07-pfs §3.
#[test]
fn published_request_is_accepted() {
    let vector = Vector::read();
    let request = bind::read_request(&vector.bytes("request_body").into()).unwrap();
    assert_eq!(bind::permanent_id(&request), vector.permanent.id());
    let mut stored = vector.permanent.clone();
    stored.forget_client_part();
    for key in [&vector.permanent, &stored] {
        assert_eq!(bind::verify(&request, vector.came_with, Some(key)), Ok(()));
    }
}

/// Rule:   PFS-07: a new attempt differs in its random bytes alone, and is as good.
/// Source: 07-pfs §2.
#[test]
fn random_bytes_are_free() {
    let vector = Vector::read();
    for seed in 0..50 {
        let random = std::array::from_fn(|at| seed ^ at as u8);
        let request = vector.binding.request(&vector.permanent, random);
        assert_ne!(request.encrypted_message, vector.request.encrypted_message);
        assert_eq!(bind::verify(&request, vector.came_with, Some(&vector.permanent)), Ok(()));
    }
}

/// Rules:  SEC-39, PFS-10: a flipped bit anywhere in the message under the permanent key, or a
///         piece of it missing or added, is one and the same error (checks 3 to 5).
/// Source: 07-pfs §3.
#[test]
fn damaged_message_is_refused() {
    let vector = Vector::read();
    let good = vector.request.encrypted_message.to_vec();
    for at in 0..good.len() {
        for bit in [0, 7] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            vector.refuses_message(bad, &format!("bit {bit} of byte {at}"));
        }
    }
    for len in (0..good.len()).chain([105, 120, 1024]) {
        let mut bad = good.clone();
        bad.resize(len, 0);
        vector.refuses_message(bad, &format!("{len} bytes"));
    }
}

/// Rules:  SEC-39, PFS-10: a message that is sealed well under the permanent key, but says anything
///         else, is the same error: `msg_id`, `seqno`, `length`, constructor, nonce, either key,
///         session, expiry (checks 5 to 7).
/// Source: 07-pfs §3.
#[test]
fn message_that_says_something_else_is_refused() {
    let vector = Vector::read();
    let plain = vector.plain();
    assert_eq!(vector.seal(&plain, 72), vector.request.encrypted_message, "the test seals well");
    for at in 16..72 {
        for bit in 0..8 {
            let mut bad = plain.clone();
            bad[at] ^= 1 << bit;
            let sealed = vector.seal(&bad, 72);
            vector.refuses_message(sealed, &format!("bit {bit} of byte {at}"));
        }
    }
    // A longer message whose beginning is right, its key and its length true; and one whose
    // message key covers the padding.
    let mut longer = plain.clone();
    longer.resize(96, 0);
    longer[28..32].copy_from_slice(&56_u32.to_le_bytes());
    vector.refuses_message(vector.seal(&longer, 88), "a longer message");
    vector.refuses_message(vector.seal(&plain, 80), "a message key over the padding");
    let padded = [&plain[..], &[0; 16]].concat();
    vector.refuses_message(vector.seal(&padded, 72), "a block of padding more");
}

/// Rules:  SEC-39, PFS-06, PFS-10: arguments and envelope that do not agree with the message are
///         the same error (checks 4, 6 and 7).
/// Source: 07-pfs §3.
#[test]
fn arguments_and_envelope_have_to_agree() {
    let vector = Vector::read();
    type Change = fn(&mut BindTempAuthKey, &mut CameWith);
    let changes: [(&str, Change); 6] = [
        ("nonce", |request, _| request.nonce ^= 1),
        ("expires_at", |request, _| request.expires_at += 1),
        ("perm_auth_key_id", |request, _| request.perm_auth_key_id ^= 1),
        ("temporary key", |_, with| with.temporary.0 ^= 1),
        ("session", |_, with| with.session_id.0 ^= 1),
        // The id of a container around the request is not that of the request.
        ("msg_id", |_, with| with.msg_id.0 += 4),
    ];
    for (what, change) in changes {
        let (mut request, mut with) = (vector.request.clone(), vector.came_with);
        change(&mut request, &mut with);
        let verdict = bind::verify(&request, with, Some(&vector.permanent));
        assert_eq!(verdict, Err(BindError::Message), "{what}");
    }
}

/// Rules:  SEC-39, PFS-10: a permanent key that is not known, or is another one, is the same error,
///         also for a message sealed with the key that stands in for it (check 4).
/// Source: 07-pfs §3.
#[test]
fn unknown_permanent_key_is_refused() {
    let vector = Vector::read();
    let refused = Err(BindError::Message);
    assert_eq!(bind::verify(&vector.request, vector.came_with, None), refused);
    let other = AuthKey::new([7; 256]);
    assert_eq!(bind::verify(&vector.request, vector.came_with, Some(&other)), refused);
    // The right bytes under another name, and the other way round.
    let id = vector.permanent.id();
    let renamed = AuthKey::from_stored(AuthKeyId(5), [0; 8], vector.permanent.stored());
    assert_eq!(bind::verify(&vector.request, vector.came_with, Some(&renamed)), refused);
    let zeros = AuthKey::from_stored(id, [0; 8], &[0; 192]);
    let forged = vector.binding.request(&zeros, vector.random);
    assert_eq!(bind::verify(&forged, vector.came_with, Some(&zeros)), Ok(()));
    assert_eq!(bind::verify(&forged, vector.came_with, None), refused);
}

/// Rules:  PFS-10, SEC-39: 1024 bytes of message are looked at, 1025 are too long, and so is what
///         is no whole object or more than one (check 2).
/// Source: 07-pfs §3.
#[test]
fn request_has_a_size() {
    let vector = Vector::read();
    let of = |len| {
        let encrypted_message = vec![0; len].into();
        let request = BindTempAuthKey { encrypted_message, ..vector.request.clone() };
        bind::read_request(&chappe_tl::to_bytes(&request).unwrap()).map(|_| ())
    };
    assert_eq!(of(1024), Ok(()));
    assert_eq!(of(1025), Err(BindError::Size));
    let body = Bytes::from(vector.bytes("request_body"));
    for len in (0..body.len()).step_by(4) {
        assert_eq!(bind::read_request(&body.slice(..len)), Err(BindError::Size), "{len} bytes");
    }
    let more = [&body[..], &[0; 4]].concat();
    assert_eq!(bind::read_request(&more.into()), Err(BindError::Size));
}

/// Rules:  PFS-10, PFS-08: a binding ends after now, and with its key at the latest; up to 60 s
///         beyond it are cut off, more are an error (check 8).
/// Source: 07-pfs §3.
#[test]
fn binding_ends_with_its_key() {
    let (now, key) = (1000, 2000);
    for (expires_at, expected) in [
        (-1, Err(BindError::Expired)),
        (0, Err(BindError::Expired)),
        (1000, Err(BindError::Expired)),
        (1001, Ok(1001)),
        (1999, Ok(1999)),
        (2000, Ok(2000)),
        (2001, Ok(2000)),
        (2060, Ok(2000)),
        (2061, Err(BindError::Outlives)),
        (i32::MAX, Err(BindError::Outlives)),
    ] {
        assert_eq!(bind::expiry(expires_at, now, key), expected, "{expires_at}");
    }
    assert_eq!(bind::expiry(5, 1, i64::MAX), Ok(5));
}

/// Rule:   PFS-10: each error of 07-pfs §3 has its text, all of code 400.
/// Source: 07-pfs §3.
#[test]
fn errors_have_their_texts() {
    for (error, text) in [
        (BindError::NotTemporary, "TEMP_AUTH_KEY_EMPTY"),
        (BindError::Size, "INPUT_REQUEST_TOO_LONG"),
        (BindError::Message, "ENCRYPTED_MESSAGE_INVALID"),
        (BindError::Expired, "EXPIRES_AT_INVALID"),
        (BindError::Outlives, "EXPIRES_AT_INVALID"),
        (BindError::AlreadyBound, "TEMP_AUTH_KEY_ALREADY_BOUND"),
    ] {
        assert_eq!((error.to_rpc().code, error.to_rpc().message.as_str()), (400, text));
    }
}

/// The published case.
struct Vector {
    case: Value,
    permanent: AuthKey,
    binding: Binding,
    random: [u8; RANDOM_LEN],
    request: BindTempAuthKey,
    came_with: CameWith,
}

impl Vector {
    fn read() -> Self {
        let case = vectors("bind_temp_auth_key.json")["cases"][0].clone();
        let key = |name: &str| AuthKey::new(bytes(&case[name]).try_into().unwrap());
        let long = |name: &str| i64::from_le_bytes(bytes(&case[name]).try_into().unwrap());
        let (permanent, temporary) = (key("perm_auth_key"), key("temp_auth_key"));
        assert_eq!(permanent.id().to_le_bytes()[..], bytes(&case["perm_auth_key_id_le"]));
        assert_eq!(temporary.id().to_le_bytes()[..], bytes(&case["temp_auth_key_id_le"]));
        let binding = Binding {
            nonce: long("nonce_le"),
            temporary: temporary.id(),
            session_id: SessionId(long("temp_session_id_le")),
            msg_id: MsgId(case["msg_id"].as_i64().unwrap()),
            expires_at: case["expires_at"].as_i64().unwrap() as i32,
        };
        let Binding { nonce, temporary, session_id, msg_id, expires_at } = binding;
        let request = BindTempAuthKey {
            perm_auth_key_id: permanent.id().0.cast_signed(),
            nonce,
            expires_at,
            encrypted_message: bytes(&case["encrypted_message"]).into(),
        };
        let random = [bytes(&case["random"]), bytes(&case["padding"])].concat();
        let random = random.try_into().unwrap();
        let came_with = CameWith { temporary, session_id, msg_id };
        Self { case, permanent, binding, random, request, came_with }
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        bytes(&self.case[name])
    }

    /// The plaintext with its padding.
    fn plain(&self) -> Vec<u8> {
        [self.bytes("plaintext_without_padding"), self.bytes("padding")].concat()
    }

    /// Seals any plaintext under the permanent key; its first `covered` bytes make the message key.
    fn seal(&self, plain: &[u8], covered: usize) -> Vec<u8> {
        let msg_key = MsgKey::v1(&plain[..covered]).bytes;
        let keys = AesKeys::v1(&self.permanent, &msg_key, Direction::ClientToServer);
        let mut sealed = plain.to_vec();
        ige::encrypt(&mut sealed, &keys.key, &keys.iv).unwrap();
        let sealed = [&self.permanent.id().to_le_bytes()[..], &msg_key, &sealed].concat();
        assert!(sealed.len() >= HEADER_LEN + 16);
        sealed
    }

    fn refuses_message(&self, encrypted_message: Vec<u8>, what: &str) {
        let whole = encrypted_message.len() == ENCRYPTED_MESSAGE_LEN;
        let request =
            BindTempAuthKey { encrypted_message: encrypted_message.into(), ..self.request.clone() };
        let verdict = bind::verify(&request, self.came_with, Some(&self.permanent));
        assert_eq!(verdict, Err(BindError::Message), "{what}; of the right size: {whole}");
    }
}
