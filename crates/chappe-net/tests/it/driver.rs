//! The loop around a link.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::Rng;
use chappe_net::{Clock, DriveConfig, End, Owner, Prefixed, drive};
use chappe_proto::Now;
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent};
use chappe_proto::transport::{Carrier, ClientOptions, Detect, DetectConfig, Framing, Transport};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Rule:   what one end says arrives at the other, whole and in order.
/// Source: TRN-43.
#[tokio::test]
async fn messages_travel_both_ways() {
    let (client_end, server_end) = tokio::io::duplex(64);
    let mut client = start(client_end, client_link(), DriveConfig::default());
    let mut server = start(server_end, server_link(), DriveConfig::default());
    for text in [[1; 20], [2; 20], [3; 20]] {
        client.say(&text);
        assert_eq!(server.hear().await, text);
        server.say(&text);
        assert_eq!(client.hear().await, text);
    }
    client.commands = mpsc::unbounded_channel().0;
    assert!(matches!(client.task.await.unwrap(), End::Closed(CloseReason::Owner)));
    assert!(matches!(server.task.await.unwrap(), End::Eof));
}

/// Rule:   several frames that are ready leave in one write, since some clients read inexactly.
/// Source: TRN-43.
#[tokio::test]
async fn frames_that_are_ready_leave_in_one_write() {
    let (client_end, mut server_end) = tokio::io::duplex(1 << 20);
    let client = start(client_end, client_link(), DriveConfig::default());
    for _ in 0..10 {
        client.say(b"four");
    }
    let mut one_read = vec![0; 1 << 16];
    let len = server_end.read(&mut one_read).await.unwrap();
    // The tag of the framing, then ten times length, plain header and body.
    assert_eq!(len, 4 + 10 * (4 + 20 + 4));
}

/// Rule:   a peer that reads nothing is not read from beyond 4 MiB queued, and dropped at 16 MiB
///         or after 60 s without progress.
/// Source: TRN-43.
#[tokio::test(start_paused = true)]
async fn peer_that_reads_nothing_is_dropped() {
    let mut config = DriveConfig::default();
    config.outbound_soft_max_bytes = 1000;
    config.outbound_max_bytes = 10_000;
    let (client_end, mut server_end) = tokio::io::duplex(64);
    let slow = start(client_end, client_link(), config.clone());
    slow.say(&[7; 5000]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let unread = tokio::time::timeout(Duration::from_secs(1), server_end.write_all(&[1; 200]));
    assert!(unread.await.is_err(), "the driver went on reading");
    assert!(matches!(slow.task.await.unwrap(), End::Stalled { waiting: 4900..=5028 }));

    let (client_end, _server_end) = tokio::io::duplex(64);
    let flooded = start(client_end, client_link(), config);
    flooded.say(&[7; 12_000]);
    assert!(matches!(flooded.task.await.unwrap(), End::Stalled { waiting: 10_001.. }));
}

/// Rule:   a link without a first packet ends at its deadline; bytes that trickle change nothing.
/// Source: TRN-22.
#[tokio::test(start_paused = true)]
async fn silent_link_ends_at_its_deadline() {
    let (mut client_end, server_end) = tokio::io::duplex(64);
    let server = start(server_end, server_link(), DriveConfig::default());
    let begun = tokio::time::Instant::now();
    for byte in [0xee, 0xee, 0xee, 0xee, 24, 0, 0] {
        client_end.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(matches!(server.task.await.unwrap(), End::Closed(CloseReason::Silent)));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

/// Rule:   a connection that begins with a carrier of ours goes on from its first byte.
/// Source: TRN-17.
#[tokio::test]
async fn connection_is_handed_over_from_its_first_byte() {
    let (mut client_end, mut server_end) = tokio::io::duplex(1024);
    let mut config = DetectConfig::default();
    config.http = true;
    let now = Clock::system().now();
    let detect = Arc::new(Detect::new(config));
    let mut link = Link::server(now, LinkConfig::server(), detect, Rng::from_seed([2; 32]));
    let (_commands, receiver) = mpsc::unbounded_channel();
    let mut owner = Plain { commands: receiver, heard: mpsc::unbounded_channel().0 };
    client_end.write_all(b"POST /api HT").await.unwrap();
    let config = DriveConfig::default();
    let end = drive(&mut server_end, &mut link, &mut owner, &Clock::system(), &config).await;
    let End::HandOver(Carrier::Http, read) = end else { panic!("{end}") };
    let mut stream = Prefixed::new(read, server_end);
    client_end.write_all(b"TP/1.1").await.unwrap();
    // In pieces smaller than what was read before.
    let mut heard = [0; 18];
    for piece in heard.chunks_mut(5) {
        stream.read_exact(piece).await.unwrap();
    }
    assert_eq!(&heard, b"POST /api HTTP/1.1");
    stream.write_all(b"200").await.unwrap();
    client_end.read_exact(&mut heard[..3]).await.unwrap();
    assert_eq!(&heard[..3], b"200");
}

/// Rules:  a stranger is heard until the deadline and not answered; it may leave before.
/// Source: TRN-21, TRN-22.
#[tokio::test(start_paused = true)]
async fn stranger_is_heard_and_not_answered() {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let (mut client_end, server_end) = tokio::io::duplex(64);
    let ignored = tokio::spawn(chappe_net::ignore(server_end, deadline));
    client_end.write_all(&[0x55; 5000]).await.unwrap();
    let mut answer = Vec::new();
    client_end.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() && tokio::time::Instant::now() == deadline);
    assert!(matches!(ignored.await.unwrap(), End::Closed(CloseReason::Silent)));

    let (client_end, server_end) = tokio::io::duplex(64);
    drop(client_end);
    let end = chappe_net::ignore(server_end, deadline + Duration::from_secs(1)).await;
    assert!(matches!(end, End::Eof));
}

/// What was to be sent still is when the owner ends the link.
#[tokio::test]
async fn last_words_are_flushed() {
    let (client_end, mut server_end) = tokio::io::duplex(16);
    let client = start(client_end, client_link(), DriveConfig::default());
    client.say(&[7; 4000]);
    drop(client.commands);
    let mut heard = Vec::new();
    server_end.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), 4 + 4 + 20 + 4000);
}

/// A driven link, seen from its owner's owner.
struct Driven {
    commands: mpsc::UnboundedSender<Vec<u8>>,
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
    task: JoinHandle<End>,
}

impl Driven {
    fn say(&self, body: &[u8]) {
        self.commands.send(body.to_vec()).unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        self.heard.recv().await.unwrap()
    }
}

/// Hands plain messages through.
struct Plain {
    commands: mpsc::UnboundedReceiver<Vec<u8>>,
    heard: mpsc::UnboundedSender<Vec<u8>>,
}

impl Owner for Plain {
    type Command = Vec<u8>;

    fn handle_event<'a>(
        &'a mut self,
        _: Now,
        _: &'a mut Link,
        event: LinkEvent,
    ) -> Option<BoxFuture<'a, ()>> {
        if let LinkEvent::Plain(message) = event {
            self.heard.send(message.body.to_vec()).unwrap();
        }
        None
    }

    async fn next_command(&mut self) -> Option<Vec<u8>> {
        self.commands.recv().await
    }

    fn handle_command(&mut self, now: Now, link: &mut Link, command: Vec<u8>) {
        link.send_plain(now.unix, &command);
    }
}

fn start(mut stream: tokio::io::DuplexStream, mut link: Link, config: DriveConfig) -> Driven {
    let (commands, receiver) = mpsc::unbounded_channel();
    let (sender, heard) = mpsc::unbounded_channel();
    let mut owner = Plain { commands: receiver, heard: sender };
    let clock = Clock::system();
    let task =
        tokio::spawn(
            async move { drive(&mut stream, &mut link, &mut owner, &clock, &config).await },
        );
    Driven { commands, heard, task }
}

fn client_link() -> Link {
    let transport = Transport::plain(Framing::Intermediate);
    let rng = Rng::from_seed([1; 32]);
    Link::client(LinkConfig::client(), transport, &ClientOptions::default(), rng)
}

fn server_link() -> Link {
    let detect = Arc::new(Detect::new(DetectConfig::default()));
    let now = Clock::system().now();
    Link::server(now, LinkConfig::server(), detect, Rng::from_seed([2; 32]))
}
