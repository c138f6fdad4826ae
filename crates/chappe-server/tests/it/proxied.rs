//! Behind a load balancer, and at a socket in the file system.

use std::time::Duration;

use chappe_net::listen::UnixSocket;
use chappe_proto::transport::Transport;
use chappe_server::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use crate::client::{Client, PATIENCE, Wire};
use crate::functions::{Echo, Whence};
use crate::world::{Setup, World};

/// Rule:   a balancer says on whose behalf it connects, and the connection is that client's, for
///         handlers as for limits; its own connections are its own.
/// Source: PRX-13, issue "PROXY protocol v1 and v2 from trusted peers".
#[tokio::test]
async fn balancer_speaks_for_its_clients() {
    let world = World::with(|config| {
        trust(config, "127.0.0.0/8");
        config.link.first_packet_wait_max = PATIENCE;
        config.connections.per_address_max = 2;
    })
    .await;
    let mut held = Vec::new();
    for (header, peer) in [
        (&b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n"[..], Some("192.0.2.7:51234")),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\0\x05\x01\xbb",
            Some("192.0.2.7:5"),
        ),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 9 443\r\n", Some("[2001:db8::7]:9")),
        (b"PROXY UNKNOWN\r\n", None),
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let own = stream.local_addr().unwrap().to_string();
        stream.write_all(header).await.unwrap();
        let mut wire = Wire::over(stream, Transport::ALL[1]);
        let account = wire.exchange(&world).await.unwrap();
        let mut client = Client::over(wire, &account);
        let answer = client.call(Whence::from("")).await.unwrap();
        assert_eq!(answer, peer.unwrap_or(&own));
        held.push(client);
    }
    // The third of that address.
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 7 443\r\n\xef").await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

/// Rule:   a balancer that does not say it is closed, at once or at the deadline; from anybody else
///         the header is a stranger's words.
/// Source: PRX-13, TRN-21, TRN-22.
#[tokio::test]
async fn header_is_for_balancers_and_nobody_else() {
    let world = World::with(|config| trust(config, "127.0.0.1/32")).await;
    for (said, is_at_once) in
        [(&[0xef, 1][..], true), (b"PROXY TCP4 192.0.2.7 ", false), (b"", false)]
    {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.is_empty());
        assert_eq!(begin.elapsed() < WAIT, is_at_once, "{said:x?}");
    }
    let world = World::with(|config| trust(config, "192.0.2.0/24")).await;
    Client::new(&world).await.call(Echo::from("x")).await.unwrap();
    let begin = Instant::now();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 7 443\r\n\xef").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty() && begin.elapsed() >= WAIT);
}

/// A socket in the file system serves like an address; whoever is there counts as this machine.
#[tokio::test]
async fn unix_socket_serves_like_an_address() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chappe.sock");
    let listener = UnixSocket::bind(&path).unwrap();
    let mut world = World::start_at(Setup::default(), listener).await;
    for transport in [Transport::ALL[0], Transport::ALL[6]] {
        let mut wire = Wire::over(UnixStream::connect(&path).await.unwrap(), transport);
        let account = wire.exchange(&world).await.unwrap();
        let mut client = Client::over(wire, &account);
        let answer = client.call(Whence::from("")).await.unwrap();
        assert_eq!(answer, "127.0.0.1:0");
    }
    world.stop();
    world.ended().await;
    assert!(!path.exists());
}

const WAIT: Duration = Duration::from_millis(400);

fn trust(config: &mut ServerConfig, network: &str) {
    config.proxy_protocol_from = vec![network.parse().unwrap()];
    config.link.first_packet_wait_max = WAIT;
}
