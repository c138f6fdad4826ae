//! Key exchanges, keys of others, keys that are no more.

use chappe_backend::Backend;
use chappe_crypto::AuthKey;
use chappe_proto::handshake::server::DcPolicy;
use chappe_proto::schema::functions::{DestroyAuthKey, Ping, ReqPqMulti};
use chappe_proto::schema::types::DestroyAuthKeyRes;

use crate::client::{Account, Client, Heard, Scribe, Wire, exchange_on_three};
use crate::functions::{Describe, Echo};
use crate::world::World;

/// Rule:   the key is stored before `dh_gen_ok` is sent, its first salt is good at once, and ping
///         and call are answered on the same connection.
/// Source: KEY-22, KEY-26, SVC-33.
#[tokio::test]
async fn new_key_is_good_for_ping_and_call_at_once() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let stored = world.backend.store().key(account.key.id(), 0).await.unwrap().unwrap();
    assert_eq!(stored.first_salt, account.salt);

    let mut scribe = Scribe::new(&account);
    let ping = scribe.write(&Ping { ping_id: 77 });
    wire.send(&account.key, ping.clone()).await;
    let Heard::Message(answer) = wire.hear().await else { panic!("no message") };
    let expected = [ping.header.msg_id.0.to_le_bytes(), 77_i64.to_le_bytes()].concat();
    assert!(answer.body.windows(16).any(|window| window == expected));

    let mut client = Client::over(wire, &account);
    assert_eq!(client.call(Echo::from("hello")).await.unwrap(), "hello");
}

/// Rule:   state of an exchange hangs on no connection: each step may come on another.
/// Source: KEY-32, QRK-04.
#[tokio::test]
async fn exchange_may_use_a_connection_for_each_step() {
    let world = World::new().await;
    let account = exchange_on_three(&world).await.unwrap();
    let mut client = Client::with(&world, &account).await;
    client.call(Echo::from("x")).await.unwrap();
}

/// A client may begin another exchange on the connection that has just finished one.
#[tokio::test]
async fn second_exchange_follows_on_the_same_connection() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let first = wire.exchange(&world).await.unwrap();
    let mut client = Client::over(wire, &first);
    client.call(Echo::from("x")).await.unwrap();
    // Our own end takes nothing unencrypted while it has a key in use.
    client.wire.link.forget_key(first.key.id());
    let second = client.wire.exchange(&world).await.unwrap();
    assert_ne!(first.key.id(), second.key.id());
    let mut client = Client::over(client.wire, &second);
    client.call(Echo::from("y")).await.unwrap();
}

/// Rule:   a packet under an unknown key gets -404; the connection, and an exchange under way on
///         it, go on.
/// Source: MSG-R02, KEY-34, TRN-32.
#[tokio::test]
async fn unknown_key_gets_an_error_and_the_connection_goes_on() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let stranger = stranger();
    let message = Scribe::new(&stranger).write(&Echo::from("x"));
    wire.send(&stranger.key, message).await;
    wire.errs(404).await;
    wire.link.forget_key(stranger.key.id());
    let account = wire.exchange(&world).await.unwrap();
    let mut client = Client::over(wire, &account);
    client.call(Echo::from("x")).await.unwrap();
}

/// Rule:   at most ten transport errors a second, then the connection is closed.
/// Source: TRN-33.
#[tokio::test]
async fn transport_errors_are_limited() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let stranger = stranger();
    let mut scribe = Scribe::new(&stranger);
    // Two seconds may share them, but not more.
    for _ in 0..25 {
        let message = scribe.write(&Echo::from("x"));
        wire.send(&stranger.key, message).await;
    }
    let mut errors = 0;
    loop {
        match wire.hear().await {
            Heard::Error(404) => errors += 1,
            Heard::End => break,
            heard => panic!("heard {heard:?}"),
        }
    }
    assert!((10..=20).contains(&errors), "{errors} errors");
}

/// Rule:   a server that is one data centre answers -444 to a client that means another, and
///         closes.
/// Source: KEY-14, SEC-60, TRN-32.
#[tokio::test]
async fn client_of_another_data_centre_is_sent_away() {
    let world = World::with(|config| {
        config.handshake.dc = DcPolicy::Only { dc: 2, test: false, media: true };
    })
    .await;
    let mut wire = Wire::connect(world.address).await;
    assert_eq!(wire.exchange_for(&world, 3, None).await.unwrap_err(), 444);
    wire.ends().await;
    for dc in [2, -2] {
        let mut wire = Wire::connect(world.address).await;
        wire.exchange_for(&world, dc, None).await.unwrap();
    }
}

/// Rule:   16 exchanges of one connection; the next gets -429.
/// Source: KEY-32, SEC-47.
#[tokio::test]
async fn exchanges_of_one_connection_are_limited() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    for nonce in 0..16 {
        wire.plain(&chappe_tl::to_bytes(&ReqPqMulti { nonce: [nonce; 16] }).unwrap()).await;
        assert!(matches!(wire.hear().await, Heard::Plain(_)));
    }
    wire.plain(&chappe_tl::to_bytes(&ReqPqMulti { nonce: [16; 16] }).unwrap()).await;
    wire.errs(429).await;
    wire.ends().await;
}

/// Rule:   keys, and what their clients said of themselves, survive a restart.
/// Source: KEY-22, SVC-48.
#[tokio::test]
async fn keys_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.db");
    let mut world = World::on(Backend::embedded(&path).await.unwrap(), |_| {}).await;
    let mut client = Client::new(&world).await;
    let account = client.account.clone();
    let described = client.call_raw::<Describe>(&crate::sessions::initialised("phone")).await;
    assert_eq!(described.unwrap(), "Some(7) Some(\"phone\") false");
    world.stop();
    let backend = world.backend.clone();
    world.ended().await;
    backend.store().close().await;

    let world = World::on(Backend::embedded(&path).await.unwrap(), |_| {}).await;
    let mut client = Client::with(&world, &account).await;
    let described = client.call(Describe::from("")).await.unwrap();
    assert_eq!(described, "Some(7) Some(\"phone\") false");
}

/// Rule:   `destroy_auth_key` is answered; afterwards the key is unknown on every connection.
/// Source: SVC-37.
#[tokio::test]
async fn destroyed_key_is_unknown() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let mut other = Client::with(&world, &client.account).await;
    client.call(Echo::from("x")).await.unwrap();
    other.call(Echo::from("y")).await.unwrap();

    let mut scribe = Scribe::new(&client.account);
    let message = scribe.write(&DestroyAuthKey {});
    client.wire.send(&client.account.key, message).await;
    let ok = chappe_tl::to_bytes(&DestroyAuthKeyRes::DestroyAuthKeyOk).unwrap();
    loop {
        let Heard::Message(answer) = client.wire.hear().await else { panic!("no answer") };
        if answer.body.windows(ok.len()).any(|window| window == ok) {
            break;
        }
    }
    for mut wire in [client.wire, other.wire, Wire::connect(world.address).await] {
        let message = scribe.write(&Echo::from("z"));
        wire.send(&client.account.key, message).await;
        wire.errs(404).await;
    }
}

fn stranger() -> Account {
    Account { key: AuthKey::new([7; 256]).into(), salt: 0 }
}
