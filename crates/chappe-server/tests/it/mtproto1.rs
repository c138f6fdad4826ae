//! Clients that speak MTProto 1.0, against the same server as everybody.

use chappe_proto::link::LinkConfig;

use crate::client::{Client, Heard, Scribe, Wire};
use crate::functions::{Echo, Fill, Sleep};
use crate::world::World;

/// Rule:   a client that begins with 1.0 is served in it: key exchange, calls small and large, and
///         an answer that found its link gone; beside it others speak 2.0.
/// Source: V1-01, MSG-33, SEC-43.
#[tokio::test]
async fn client_of_the_older_version_is_served() {
    let world = World::new().await;
    let mut newer = Client::new(&world).await;
    let mut wire = older(&world).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut client = Client::over(wire, &account);
    for text in ["", "x", "four"] {
        assert_eq!(client.call(Echo::from(text)).await.unwrap(), text);
        assert_eq!(newer.call(Echo::from(text)).await.unwrap(), text);
    }
    assert_eq!(client.call(Fill::from("300000")).await.unwrap().to_bytes().len(), 300_000);

    // The session goes on over a link of the other version, and back.
    let call = client.begin(&Sleep::from("100")).await;
    client.reconnect(&world).await;
    assert_eq!(client.answer::<Sleep>(call).await.unwrap(), "100");
    let call = client.begin(&Sleep::from("100")).await;
    let wire = older(&world).await;
    client.reconnect_over(wire).await;
    assert_eq!(client.answer::<Sleep>(call).await.unwrap(), "100");
}

/// Rule:   a packet of the other version ends its connection, and that one alone; a new one decides
///         anew.
/// Source: MSG-34, SEC-43.
#[tokio::test]
async fn version_cannot_change_within_a_connection() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let account = client.account.clone();
    for older_first in [true, false] {
        let mut older = older(&world).await;
        let mut newer = Wire::connect(world.address).await;
        let (first, other) =
            if older_first { (&mut older, &mut newer) } else { (&mut newer, &mut older) };
        let mut scribe = Scribe::new(&account);
        first.send(&account.key, scribe.write(&Echo::from("x"))).await;
        first.hear().await;
        // What a wire writes begins with the tag of its framing.
        let switched = other.record(&account.key, scribe.write(&Echo::from("y"))).split_off(4);
        first.raw(&switched).await;
        while !matches!(first.hear().await, Heard::End) {}
    }
    client.call(Echo::from("x")).await.unwrap();
}

/// Rule:   a server that is told so serves 2.0 only; who speaks 1.0 hears nothing but the end.
/// Source: MSG-35, V1-01.
#[tokio::test]
async fn older_version_can_be_switched_off() {
    let world = World::with(|config| config.link.mtproto1 = false).await;
    let mut client = Client::new(&world).await;
    let mut older = older(&world).await;
    let message = Scribe::new(&client.account).write(&Echo::from("x"));
    older.send(&client.account.key, message).await;
    older.ends().await;
    client.call(Echo::from("x")).await.unwrap();
}

/// A connection of our own client that speaks 1.0.
async fn older(world: &World) -> Wire {
    let mut config = LinkConfig::client();
    config.mtproto1 = true;
    Wire::connect_with(world.address, config).await
}
