//! `auth.bindTempAuthKey` as the server judges it: each check, its error, and their order.

use chappe_crypto::AuthKey;
use chappe_proto::handshake::bind::Binding;
use chappe_proto::schema::functions::auth::BindTempAuthKey;
use chappe_proto::schema::functions::{InvokeWithLayer, Ping};
use chappe_proto::session::container::{self, Inner};
use chappe_tl::to_bytes;

use crate::client::Account;
use crate::functions::{Echo, WhoAmI, named};
use crate::holder::{Holder, LIFE, answer, call_under, connect, refusal, scribe};
use crate::sessions::raw;
use crate::world::World;

const INVALID: &str = "ENCRYPTED_MESSAGE_INVALID";

/// Rules:  PFS-10, SEC-36: a good request is answered with `boolTrue`; calls under the temporary
///         key are then made in the name of the permanent one, which nothing is sent under.
/// Source: 07-pfs §1 and §3.
#[tokio::test]
async fn bound_key_speaks_for_the_permanent_one() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    assert_eq!(holder.bind().await, Ok(true));
    let (permanent, temporary) = (holder.permanent.key.id(), holder.temporary().key.id());
    let name = holder.call(WhoAmI::from("")).await.unwrap();
    assert_eq!(name, named(permanent, Some(temporary)).as_str());
    let name = call_under::<WhoAmI>(&world, &holder.permanent, &WhoAmI::from("")).await.unwrap();
    assert_eq!(name, named(permanent, None).as_str());
}

/// Rules:  PFS-10, SEC-39: check 1 comes before all others: a request under a permanent key gets
///         400 `TEMP_AUTH_KEY_EMPTY`, however bad it is.
/// Source: 07-pfs §3.
#[tokio::test]
async fn request_under_a_permanent_key_is_refused_first() {
    let world = World::new().await;
    let account = connect(&world).await.exchange(&world).await.unwrap();
    for len in [0, 104, 2000] {
        let request = BindTempAuthKey {
            perm_auth_key_id: 1,
            nonce: 2,
            expires_at: 3,
            encrypted_message: vec![0; len].into(),
        };
        let result = call_under::<BindTempAuthKey>(&world, &account, &request).await;
        assert_eq!(refusal(result), (400, "TEMP_AUTH_KEY_EMPTY".into()), "{len} bytes");
    }
}

/// Rules:  PFS-10, SEC-39: check 2: more than 1024 bytes of message, or no whole object, get 400
///         `INPUT_REQUEST_TOO_LONG`; 1024 are looked at.
/// Source: 07-pfs §3.
#[tokio::test]
async fn long_request_is_refused() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    for (len, error) in [(1024, INVALID), (1025, "INPUT_REQUEST_TOO_LONG")] {
        let change = |request: &mut BindTempAuthKey| {
            request.encrypted_message = vec![0; len].into();
        };
        let result = holder.bind_with(|_| {}, change).await;
        assert_eq!(refusal(result), (400, error.into()), "{len} bytes");
    }
    let mut cut = holder.bind_message(|_| {}, |_| {});
    cut.body.truncate(cut.body.len() - 4);
    let result = holder.ask::<BindTempAuthKey>(cut).await;
    assert_eq!(refusal(result), (400, "INPUT_REQUEST_TOO_LONG".into()));
    // Nothing of it was an end.
    assert_eq!(holder.bind().await, Ok(true));
}

/// Rules:  PFS-10, PFS-06, SEC-39: checks 3 to 7: whatever does not agree between the message under
///         the permanent key, the arguments and the envelope is the same error, and binds nothing.
/// Source: 07-pfs §3.
#[tokio::test]
async fn request_that_does_not_agree_is_refused() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let stranger = connect(&world).await.exchange(&world).await.unwrap();
    let stranger_id = stranger.key.id().0.cast_signed();
    let temporary_id = holder.temporary().key.id().0.cast_signed();

    type InBoth = fn(&mut Binding);
    let in_both: [(&str, InBoth); 3] = [
        ("temp_auth_key_id", |binding| binding.temporary.0 ^= 1),
        ("temp_session_id", |binding| binding.session_id.0 ^= 2),
        ("msg_id", |binding| binding.msg_id.0 += 4),
    ];
    for (what, change) in in_both {
        let result = holder.bind_with(change, |_| {}).await;
        assert_eq!(refusal(result), (400, INVALID.into()), "{what}");
    }

    type InArguments<'a> = &'a dyn Fn(&mut BindTempAuthKey);
    let in_arguments: [(&str, InArguments<'_>); 9] = [
        ("nonce", &|request| request.nonce ^= 1),
        ("expires_at", &|request| request.expires_at -= 1),
        // Before check 8: nobody learns of times without the permanent key.
        ("expires_at past", &|request| request.expires_at = 1),
        ("an unknown key", &|request| request.perm_auth_key_id ^= 1),
        ("another permanent key", &|request| request.perm_auth_key_id = stranger_id),
        ("a temporary key", &|request| request.perm_auth_key_id = temporary_id),
        ("no key", &|request| request.perm_auth_key_id = 0),
        ("a short message", &|request| request.encrypted_message.truncate(88)),
        ("a flipped bit", &|request| {
            let mut message = request.encrypted_message.to_vec();
            message[60] ^= 1;
            request.encrypted_message = message.into();
        }),
    ];
    for (what, change) in in_arguments {
        let result = holder.bind_with(|_| {}, change).await;
        assert_eq!(refusal(result), (400, INVALID.into()), "{what}");
    }
    // A well made request for a permanent key that the server does not know.
    let known = holder.permanent.clone();
    holder.permanent = Account { key: AuthKey::new([3; 256]).into(), salt: 0 };
    assert_eq!(refusal(holder.bind().await), (400, INVALID.into()));
    // For one that it knew.
    holder.permanent = stranger;
    assert_eq!(world.revoker.destroy(holder.permanent.key.id()).await, Ok(true));
    assert_eq!(refusal(holder.bind().await), (400, INVALID.into()));

    assert_eq!(refusal(holder.call(Echo::from("x")).await), (401, "AUTH_KEY_PERM_EMPTY".into()));
    holder.permanent = known;
    assert_eq!(holder.bind().await, Ok(true));
}

/// Rules:  PFS-10, PFS-08: check 8: a binding that would have ended, or outlive its key by more
///         than a minute, gets 400 `EXPIRES_AT_INVALID`; the minute is tolerated.
/// Source: 07-pfs §3.
#[tokio::test]
async fn expiry_has_to_fit() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let now = holder.now();
    for past in [0, 1, now - 100, now - 1, now] {
        let result = holder.bind_until(past).await;
        assert_eq!(refusal(result), (400, "EXPIRES_AT_INVALID".into()), "{past}");
    }
    // A second or two may have passed since the key was made.
    let result = holder.bind_until(now + LIFE + 65).await;
    assert_eq!(refusal(result), (400, "EXPIRES_AT_INVALID".into()));
    assert_eq!(holder.bind_until(now + LIFE + 58).await, Ok(true));
    let store = world.backend.store();
    let key = holder.temporary().key.id();
    let expires = store.key(key, 0).await.unwrap().unwrap().expires.unwrap();
    let binding = store.binding(key, 0).await.unwrap().unwrap();
    assert_eq!(binding.expires, expires, "cut to the life of the key");
}

/// Rule:   PFS-10: where the specific error is switched off, a binding in the past gets the one
///         that says nothing; one that would outlive its key still gets the specific one.
/// Source: 07-pfs §3, check 8.
#[tokio::test]
async fn expiry_errors_can_be_switched_off() {
    let world = World::with(|config| config.expiry_errors = false).await;
    let mut holder = Holder::new(&world).await;
    assert_eq!(refusal(holder.bind_until(1).await), (400, INVALID.into()));
    let late = holder.now() + LIFE + 100;
    assert_eq!(refusal(holder.bind_until(late).await), (400, "EXPIRES_AT_INVALID".into()));
}

/// Rules:  PFS-10, SEC-40: check 9, the last: a second permanent key gets 400
///         `TEMP_AUTH_KEY_ALREADY_BOUND`, and the first one stays.
/// Source: 07-pfs §3.
#[tokio::test]
async fn second_permanent_key_is_refused() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    assert_eq!(holder.bind().await, Ok(true));
    let first = holder.permanent.clone();
    holder.permanent = connect(&world).await.exchange(&world).await.unwrap();
    let result = holder.bind_until(1).await;
    assert_eq!(refusal(result), (400, "EXPIRES_AT_INVALID".into()), "check 8 comes before");
    assert_eq!(refusal(holder.bind().await), (400, "TEMP_AUTH_KEY_ALREADY_BOUND".into()));
    let (permanent, temporary) = (first.key.id(), holder.temporary().key.id());
    let name = holder.call(WhoAmI::from("")).await.unwrap();
    assert_eq!(name, named(permanent, Some(temporary)).as_str());
}

/// Rule:   PFS-06: in a container it is the id of the request's own message that counts, not that
///         of the container.
/// Source: 07-pfs §2.
#[tokio::test]
async fn request_may_travel_in_a_container() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let request = holder.bind_message(|_| {}, |_| {});
    let ping = holder.scribe.write(&Ping { ping_id: 1 });
    let inners = [&request, &ping].map(|message| Inner {
        msg_id: message.header.msg_id,
        seq_no: message.header.seq_no,
        body: message.body.clone(),
    });
    let outer = holder.scribe.write_with(4, container::pack(&inners));
    let key = holder.temporary().key.clone();
    holder.wire.send(&key, outer).await;
    assert_eq!(answer::<BindTempAuthKey>(&mut holder.wire, request.header.msg_id).await, Ok(true));
}

/// Rule:   PFS-08: a layer around the request is allowed, and useless.
/// Source: 07-pfs §2.
#[tokio::test]
async fn request_may_be_wrapped() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let mut message = holder.bind_message(|_| {}, |_| {});
    let request: BindTempAuthKey = chappe_tl::from_bytes(message.body).unwrap();
    message.body = to_bytes(&InvokeWithLayer { layer: 7, query: raw(&request) }).unwrap();
    assert_eq!(holder.ask::<BindTempAuthKey>(message).await, Ok(true));
    let name = holder.call(WhoAmI::from("")).await.unwrap();
    let (permanent, temporary) = (holder.permanent.key.id(), holder.temporary().key.id());
    assert_eq!(name, named(permanent, Some(temporary)).as_str());
}

/// Rule:   PFS-07: a request is good for one message: recorded and sent in another, on another
///         session or under another key, it binds nothing.
/// Source: 07-pfs §2, SEC-39.
#[tokio::test]
async fn recorded_request_binds_nothing_else() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let request = holder.bind_message(|_| {}, |_| {});
    let again = holder.scribe.write_itself(|_| request.body.clone());
    let result = holder.ask::<BindTempAuthKey>(again).await;
    assert_eq!(refusal(result), (400, INVALID.into()));

    let mut other = scribe(&world, holder.temporary());
    let mut elsewhere = request.clone();
    elsewhere.header.session_id = other.session_id;
    elsewhere.header.seq_no = other.write(&Ping { ping_id: 1 }).header.seq_no;
    let result = holder.ask::<BindTempAuthKey>(elsewhere).await;
    assert_eq!(refusal(result), (400, INVALID.into()));

    let mut thief = Holder::of(&world, &holder.permanent, 2).await;
    let mut stolen = request.clone();
    stolen.header.session_id = thief.scribe.session_id;
    stolen.header.salt = thief.temporary().salt;
    let result = thief.ask::<BindTempAuthKey>(stolen).await;
    assert_eq!(refusal(result), (400, INVALID.into()));
    assert_eq!(holder.bind().await, Ok(true));
}
