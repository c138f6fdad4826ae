//! Stopping.

use std::time::Duration;

use chappe_tl::Str;
use tokio::net::TcpStream;

use crate::client::Client;
use crate::functions::{Echo, Sleep};
use crate::world::World;

/// Calls that run when the server is told to stop are answered; then connections are closed, and
/// nobody is accepted.
#[tokio::test]
async fn running_calls_are_answered_before_the_end() {
    let mut world = World::new().await;
    let mut busy = Client::new(&world).await;
    let mut idle = Client::with(&world, &busy.account).await;
    idle.call(Echo::from("x")).await.unwrap();
    busy.call(Echo::from("x")).await.unwrap();
    let call = busy.begin(&Sleep::from("300")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.stop();
    let answer: Str = busy.answer::<Sleep>(call).await.unwrap();
    assert_eq!(answer, "300");
    busy.wire.ends().await;
    idle.wire.ends().await;
    let address = world.address;
    world.ended().await;
    assert!(TcpStream::connect(address).await.is_err());
}

/// A call that does not end in time is left without its answer.
#[tokio::test]
async fn stop_does_not_wait_for_ever() {
    let mut world = World::with(|config| config.drain_max = Duration::from_millis(200)).await;
    let mut client = Client::new(&world).await;
    client.begin(&Sleep::from("60000")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = tokio::time::Instant::now();
    world.stop();
    world.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    let heard = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            if matches!(client.wire.hear().await, crate::client::Heard::End) {
                break;
            }
        }
    });
    heard.await.unwrap();
}
