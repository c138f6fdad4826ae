//! Messages nobody asked for.

use bytes::Bytes;
use chappe_proto::SessionId;
use chappe_proto::schema::functions::InvokeWithoutUpdates;
use chappe_server::PushError;

use crate::client::Client;
use crate::functions::Echo;
use crate::sessions::raw;
use crate::world::World;

/// An update as a schema might have it; the server does not look inside.
const UPDATE: Bytes = Bytes::from_static(b"\x01\x00\x00\x99new message!");

/// Rule:   an update goes to the sessions of its key, and to no others.
/// Source: SEC-35, SES-04.
#[tokio::test]
async fn update_reaches_every_session_of_its_key() {
    let world = World::new().await;
    let mut one = Client::new(&world).await;
    let mut two = Client::with(&world, &one.account).await;
    let mut stranger = Client::new(&world).await;
    for client in [&mut one, &mut two, &mut stranger] {
        client.call(Echo::from("x")).await.unwrap();
    }
    assert_eq!(world.pusher.to_key(one.account.key.id(), UPDATE).await, 2);
    assert_eq!(one.pushed().await, UPDATE);
    assert_eq!(two.pushed().await, UPDATE);
    stranger.wire.hear_nothing().await;
}

/// Rule:   what was pushed while a session had no connection comes with the first message that
///         arrives on a new one.
/// Source: QRK-14, SES-09.
#[tokio::test]
async fn update_waits_for_the_next_connection() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let (key, session) = (client.account.key.id(), client.session.id());
    drop(std::mem::replace(&mut client.wire, crate::client::Wire::connect(world.address).await));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    world.pusher.to_session(key, session, UPDATE).await.unwrap();
    client.reconnect(&world).await;
    assert_eq!(client.pushed().await, UPDATE);
}

/// Rule:   a session that made all its calls in `invokeWithoutUpdates` gets no updates of its key.
/// Source: SVC-50.
#[tokio::test]
async fn session_without_updates_gets_none() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let quiet = InvokeWithoutUpdates { query: raw(&Echo::from("x")) };
    client.call_raw::<Echo>(&quiet).await.unwrap();
    assert_eq!(world.pusher.to_key(client.account.key.id(), UPDATE).await, 0);
    client.call(Echo::from("x")).await.unwrap();
    client.call_raw::<Echo>(&quiet).await.unwrap();
    assert_eq!(world.pusher.to_key(client.account.key.id(), UPDATE).await, 1);
}

/// A push to a session that is not there says so.
#[tokio::test]
async fn push_to_nobody_fails() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let outcome = world.pusher.to_session(client.account.key.id(), SessionId(3), UPDATE).await;
    assert_eq!(outcome, Err(PushError));
}
