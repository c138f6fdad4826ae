//! Messages nobody asked for.

use bytes::Bytes;
use chappe_backend::Backend;
use chappe_proto::SessionId;
use chappe_proto::schema::functions::{InvokeWithoutUpdates, Ping};
use chappe_proto::session::outbox::OutboxLimits;
use chappe_server::{PushError, ServerConfig};

use crate::client::{Client, Wire};
use crate::functions::{self, App, Echo, Fill};
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

/// Rule:   calls that are said to be quiet, as those for files are, make no session a receiver; the
///         first other one does, for good. A session that has called nothing takes the place of
///         receivers that are gone, and none beside one that is there.
/// Source: API-13, QRK-09, QRK-14.
#[tokio::test]
async fn quiet_calls_make_no_receiver() {
    let app = App::default();
    let router = functions::router(app.clone()).quiet(|name| name == "Fill");
    let world = World::routed(Backend::memory(), |_| {}, app, router).await;
    let mut main = Client::new(&world).await;
    let key = main.account.key.id();
    main.call(Echo::from("x")).await.unwrap();
    main.call(Fill::from("1")).await.unwrap();
    let mut media = Client::with(&world, &main.account).await;
    media.call(Fill::from("1")).await.unwrap();
    let mut heir = Client::with(&world, &main.account).await;
    heir.begin(&Ping { ping_id: 1 }).await;
    heir.wire.hear().await;
    assert_eq!(world.pusher.to_key(key, UPDATE).await, 1);
    assert_eq!(main.pushed().await, UPDATE);

    drop(std::mem::replace(&mut main.wire, Wire::connect(world.address).await));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(
        world.pusher.to_key(key, UPDATE).await,
        2,
        "one that may come back, one that is here"
    );
    assert_eq!(heir.pushed().await, UPDATE);
    media.wire.hear_nothing().await;
    media.call(Echo::from("x")).await.unwrap();
    media.call(Fill::from("1")).await.unwrap();
    assert_eq!(world.pusher.to_key(key, UPDATE).await, 2, "a receiver is there again");
    assert_eq!(media.pushed().await, UPDATE);
}

/// Rule:   in the place of pushes that were given up a session is told once that there were some,
///         and not again before a hundred more were.
/// Source: UPD-10, SES-07.
#[tokio::test]
async fn lost_pushes_are_told_of_once() {
    let word = Bytes::from_static(b"\x02\x00\x00\x99");
    let app = App::default();
    let router = functions::router(app.clone()).in_place_of_lost_pushes(word.clone());
    let few = |config: &mut ServerConfig| config.session.outbox = OutboxLimits::new(8, 1 << 20);
    let world = World::routed(Backend::memory(), few, app, router).await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let key = client.account.key.id();
    drop(std::mem::replace(&mut client.wire, Wire::connect(world.address).await));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    for _ in 0..12 {
        world.pusher.to_key(key, UPDATE).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    client.reconnect(&world).await;
    let mut kept = 0;
    while client.pushed().await != word {
        kept += 1;
    }
    assert!(kept < 12, "nothing was given up");
    world.pusher.to_key(key, UPDATE).await;
    assert_eq!(client.pushed().await, UPDATE, "it is told once");
}

/// A push to a session that is not there says so.
#[tokio::test]
async fn push_to_nobody_fails() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let outcome = world.pusher.to_session(client.account.key.id(), SessionId(3), UPDATE).await;
    assert_eq!(outcome, Err(PushError));
}
