//! Peers that send garbage, stall, flood or do not read; beside each, one that must not notice.

use std::time::Duration;

use chappe_proto::schema::functions::Ping;
use chappe_proto::session::container::{self, Inner};
use chappe_tl::to_bytes;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::client::{Client, Heard, Scribe, Wire};
use crate::functions::{Echo, Fill, Sleep};
use crate::world::World;

/// Rule:   what is no transport of ours is not answered and closed at the deadline.
/// Source: TRN-21, TRN-22.
#[tokio::test]
async fn garbage_is_not_answered() {
    let (world, mut bystander) = world_with_deadline().await;
    let mut wire = Wire::connect(world.address).await;
    wire.raw(&[0x5a; 4096]).await;
    wire.hear_nothing().await;
    bystander.call(Echo::from("x")).await.unwrap();
    wire.ends().await;
    bystander.call(Echo::from("x")).await.unwrap();
}

/// Rule:   a connection without a complete packet at the deadline is closed, whether nothing came
///         or half a packet.
/// Source: TRN-22, SEC-47.
#[tokio::test]
async fn stalling_peer_is_closed_at_the_deadline() {
    let (world, mut bystander) = world_with_deadline().await;
    for begin in [&[][..], &[0xee], &[0xee, 0xee, 0xee, 0xee, 40, 0, 0, 0, 1, 2, 3]] {
        let begun = tokio::time::Instant::now();
        let mut wire = Wire::connect(world.address).await;
        wire.raw(begin).await;
        bystander.call(Echo::from("x")).await.unwrap();
        wire.ends().await;
        let elapsed = begun.elapsed();
        assert!(elapsed >= DEADLINE && elapsed < DEADLINE * 10, "{elapsed:?}");
    }
}

/// Rule:   a connection that falls silent after its first packet is closed after the idle limit.
/// Source: TRN-42.
#[tokio::test]
async fn idle_connection_is_closed() {
    let world = World::with(|config| config.link.idle_max = Duration::from_millis(300)).await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let begun = tokio::time::Instant::now();
    client.wire.ends().await;
    assert!(begun.elapsed() >= Duration::from_millis(250));
}

/// Rule:   a packet that does not open is answered by silence and the end.
/// Source: SEC-48, SEC-21, SEC-22.
#[tokio::test]
async fn forged_packet_ends_its_connection_in_silence() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let account = client.account.clone();
    for damaged_at in [10, 30, 60] {
        let mut wire = Wire::connect(world.address).await;
        let message = Scribe::new(&account).write(&Echo::from("x"));
        let mut packet = wire.record(&account.key, message);
        // After the tag and the length of the framing: msg_key, header or body.
        packet[8 + damaged_at] ^= 1;
        wire.raw(&packet).await;
        wire.ends().await;
    }
    client.call(Echo::from("x")).await.unwrap();
}

/// Rule:   strangers send packets of 4096 bytes at most; a larger one under an unknown key gets
///         -404 unread, one under a known key is taken.
/// Source: TRN-38, TRN-37.
#[tokio::test]
async fn stranger_cannot_announce_large_packets() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    wire.raw(&[&[0xee; 4][..], &100_000_u32.to_le_bytes(), &[7; 200]].concat()).await;
    wire.errs(404).await;
    wire.ends().await;
    let mut wire = Wire::connect(world.address).await;
    wire.raw(&[&[0xee; 4][..], &100_000_u32.to_le_bytes(), &[0; 200]].concat()).await;
    wire.ends().await;

    let mut client = Client::new(&world).await;
    let text = world_of_words(100_000);
    let account = client.account.clone();
    client.wire = Wire::connect(world.address).await;
    let message = Scribe::new(&account).write(&Echo::from(text.as_str()));
    client.wire.send(&account.key, message).await;
    assert!(matches!(client.wire.hear().await, Heard::Message(_)));
}

/// Rule:   a packet above the limit ends the connection, also of a client with a key.
/// Source: TRN-37, MSG-04, SEC-47.
#[tokio::test]
async fn oversize_packet_ends_its_connection() {
    let (world, mut bystander) = world_with_deadline().await;
    let mut client = Client::with(&world, &bystander.account).await;
    client.call(Echo::from("x")).await.unwrap();
    client.wire.raw(&(2_u32 << 20).to_le_bytes()).await;
    client.wire.raw(&[1; 64]).await;
    client.wire.ends().await;
    bystander.call(Echo::from("x")).await.unwrap();
}

/// Rule:   calls that run at once are limited; more get `FLOOD_WAIT`, other sessions notice
///         nothing.
/// Source: SEC-47.
#[tokio::test]
async fn calls_at_once_are_limited() {
    let world = World::with(|config| config.session.calls_max = 2).await;
    let mut client = Client::new(&world).await;
    let mut bystander = Client::with(&world, &client.account).await;
    let one = client.begin(&Sleep::from("300")).await;
    client.begin(&Sleep::from("600")).await;
    let three = client.begin(&Sleep::from("1")).await;
    let error = client.answer::<Sleep>(three).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (420, "FLOOD_WAIT_1"));
    bystander.call(Echo::from("x")).await.unwrap();
    client.answer::<Sleep>(one).await.unwrap();
    client.begin(&Sleep::from("1")).await;
}

/// Rule:   more than 1024 messages in a container get -429 and the end.
/// Source: MSG-22, SEC-47.
#[tokio::test]
async fn container_of_too_many_messages_ends_its_connection() {
    let world = World::new().await;
    let mut bystander = Client::new(&world).await;
    let account = bystander.account.clone();
    bystander.call(Echo::from("x")).await.unwrap();
    let mut scribe = Scribe::new(&account);
    let ping = to_bytes(&Ping { ping_id: 1 }).unwrap();
    let inners: Vec<Inner> =
        (0..1025).map(|_| Inner { msg_id: scribe.id(), seq_no: 0, body: ping.clone() }).collect();
    let message = scribe.write_with(0, container::pack(&inners));
    let mut wire = Wire::connect(world.address).await;
    let first = scribe.write_with(0, ping);
    wire.send(&account.key, first).await;
    wire.hear().await;
    wire.send(&account.key, message).await;
    wire.errs(429).await;
    wire.ends().await;
    bystander.call(Echo::from("x")).await.unwrap();
}

/// Rule:   a session id of 0 ends the connection.
/// Source: MSG-R07.
#[tokio::test]
async fn session_zero_ends_its_connection() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut scribe = Scribe::new(&account);
    scribe.session_id = chappe_proto::SessionId(0);
    wire.send(&account.key, scribe.write(&Echo::from("x"))).await;
    wire.ends().await;
}

/// Rule:   connections of one address are limited; one more is closed at once, and is welcome when
///         another has gone.
/// Source: SEC-47.
#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let world = World::with(|config| config.connections.per_address_max = 3).await;
    let mut bystander = Client::new(&world).await;
    let _second = TcpStream::connect(world.address).await.unwrap();
    let third = TcpStream::connect(world.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..20 {
        let mut refused = TcpStream::connect(world.address).await.unwrap();
        let mut buffer = [0; 8];
        let read = tokio::time::timeout(Duration::from_secs(5), refused.read(&mut buffer));
        assert!(matches!(read.await.unwrap(), Ok(0) | Err(_)));
    }
    bystander.call(Echo::from("x")).await.unwrap();
    drop(third);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut welcome = Client::with(&world, &bystander.account).await;
    welcome.call(Echo::from("x")).await.unwrap();
}

/// Rule:   a peer that asks for much and reads nothing is dropped once too much waits for it;
///         others are served meanwhile.
/// Source: TRN-43, SEC-47.
#[tokio::test]
async fn slow_reader_is_dropped_and_disturbs_nobody() {
    let world = World::with(|config| {
        config.drive.outbound_soft_max_bytes = 100_000;
        config.drive.outbound_max_bytes = 400_000;
        config.drive.stalled_max = Duration::from_millis(500);
    })
    .await;
    let mut bystander = Client::new(&world).await;
    let mut slow = Client::with(&world, &bystander.account).await;
    slow.call(Echo::from("x")).await.unwrap();
    for _ in 0..40 {
        slow.begin(&Fill::from("300000")).await;
        let begun = tokio::time::Instant::now();
        bystander.call(Echo::from("x")).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    // What the socket had taken is still there; then comes the end.
    let mut total = 0;
    let mut buffer = vec![0; 1 << 16];
    let end = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match slow.wire.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(len) => total += len,
            }
        }
    });
    end.await.expect("the slow reader was not dropped");
    assert!(total < 40 * 300_000, "everything was sent");
    bystander.call(Echo::from("x")).await.unwrap();
}

/// Many who connect and say nothing do not keep others from being served.
#[tokio::test]
async fn crowd_of_silent_peers_disturbs_nobody() {
    let (world, mut bystander) = world_with_deadline().await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(world.address).await.unwrap());
    }
    let begun = tokio::time::Instant::now();
    bystander.call(Echo::from("x")).await.unwrap();
    let mut newcomer = Client::new(&world).await;
    newcomer.call(Echo::from("x")).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

const DEADLINE: Duration = Duration::from_millis(400);

/// A world whose deadline for the first packet is short, and a client that is past it.
async fn world_with_deadline() -> (World, Client) {
    let world = World::with(|config| config.link.first_packet_wait_max = DEADLINE).await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    (world, client)
}

fn world_of_words(len: usize) -> String {
    "word ".repeat(len / 5)
}
