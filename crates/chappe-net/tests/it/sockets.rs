//! Accepting connections.

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use chappe_net::connect::{self, peer_of};
use chappe_net::listen::{self, Accepted, Ends, Listener, UnixSocket};
use chappe_net::{Stream, udp};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Rule:   small messages are not held back, on neither end.
/// Source: TRN-40.
#[tokio::test]
async fn both_ends_send_without_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Listener::from(listener);
    let (connected, (accepted, ends)) = tokio::join!(connect(address), listener.accept());
    let Accepted::Tcp(accepted) = accepted else { panic!("not over TCP") };
    assert!(connected.nodelay().unwrap() && accepted.nodelay().unwrap());
    assert_eq!(ends, Ends { peer: connected.local_addr().unwrap(), local: address });
    assert_eq!(peer_of(&connected).unwrap(), address);
}

/// One listener takes both kinds of addresses, each peer under its own; or IPv6 alone.
#[tokio::test]
async fn ipv6_listener_takes_ipv4_as_well() {
    let both = listen::bind("[::]:0".parse().unwrap(), false).unwrap();
    let port = both.local_addr().unwrap().port();
    let both = Listener::from(both);
    for host in ["127.0.0.1", "[::1]"] {
        let address = format!("{host}:{port}");
        let (connected, (_, ends)) = tokio::join!(connect(address.parse().unwrap()), both.accept());
        assert_eq!(ends.peer, connected.local_addr().unwrap());
        assert_eq!(ends.local, connected.peer_addr().unwrap());
    }
    let six = listen::bind("[::]:0".parse().unwrap(), true).unwrap();
    let port = six.local_addr().unwrap().port();
    let four = listen::bind(format!("0.0.0.0:{port}").parse().unwrap(), false);
    assert!(four.is_ok(), "an address beside the other");
}

/// So do sockets for datagrams.
#[tokio::test]
async fn ipv6_socket_takes_datagrams_of_ipv4_as_well() {
    let both = udp::bind("[::]:0".parse().unwrap(), false).unwrap();
    let port = both.local_addr().unwrap().port();
    for server in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let server = server.parse().unwrap();
        let client = udp::bind_towards(server).unwrap();
        udp::send(&client, server, b"there").await;
        let (from, datagram) = udp::receive(&both).await;
        assert_eq!(datagram[..], *b"there");
        udp::send(&both, from, b"back").await;
        assert_eq!(udp::receive(&client).await, (server, b"back"[..].into()));
    }
    let six = udp::bind("[::]:0".parse().unwrap(), true).unwrap();
    let port = six.local_addr().unwrap().port();
    let four = udp::bind(format!("0.0.0.0:{port}").parse().unwrap(), false);
    assert!(four.is_ok(), "an address beside the other");
}

/// A socket in the file system is for owner and group, replaces one that nobody listens at, and
/// takes its name with it; one that is in use, and other files, stay.
#[tokio::test]
async fn unix_socket_comes_and_goes_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chappe.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a stale one");
    let socket = UnixSocket::bind(&path).unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let listener = Listener::from(socket);
    let (connected, (accepted, ends)) =
        tokio::join!(tokio::net::UnixStream::connect(&path), listener.accept());
    connected.unwrap();
    assert!(matches!(accepted, Accepted::Unix(_)));
    assert!(ends.peer.ip().is_loopback() && ends.local.ip().is_loopback());
    let taken = UnixSocket::bind(&path).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    drop(listener);
    assert!(!path.exists());

    std::fs::write(&path, "not a socket").unwrap();
    assert!(UnixSocket::bind(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
}

async fn connect(address: SocketAddr) -> TcpStream {
    let connected = connect::connect(&[address.into()], None, Duration::from_secs(5)).await;
    connected.unwrap().stream
}

/// Rules: PRX-35: short messages leave at once, and the system finds out when the other end is gone.
#[tokio::test]
async fn system_looks_after_silent_connections() {
    let listener = listen::bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let listener = Listener::from(listener);
    let Listener::Tcp(tcp) = &listener else { panic!("no TCP") };
    let address = tcp.local_addr().unwrap();
    listener.keep_alive(Duration::from_secs(50), Duration::from_secs(120));
    let peer = Stream::Tcp(connect(address).await);
    peer.keep_alive(Duration::from_secs(50), Duration::from_secs(120));
    let (accepted, _) = listener.accept().await;
    for stream in [Stream::from(accepted), peer] {
        let Stream::Tcp(tcp) = &stream else { panic!("no TCP") };
        let socket = socket2::SockRef::from(tcp);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(50));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(120)));
    }
}

/// What comes in pieces, however it is read, comes whole, and so does the end; nothing is waited for
/// that is there already.
#[tokio::test]
async fn readiness_lasts_as_long_as_there_is_something() {
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    let (near, far) = (Stream::Unix(near), Stream::Unix(far));
    let ready =
        || timeout(Duration::from_secs(5), poll_fn(|context| near.poll_read_ready(context)));
    for piece in 0..100_u8 {
        far.try_write(&[piece; 6]).unwrap();
        ready().await.unwrap().unwrap();
        let mut bytes = [0; 4];
        assert_eq!(near.try_read(&mut bytes).unwrap(), 4);
        ready().await.unwrap().unwrap();
        let (mut first, mut second) = ([0; 1], [0; 9]);
        let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(near.try_read_vectored(&mut parts).unwrap(), 2);
        assert_eq!((bytes, first[0], second[0]), ([piece; 4], piece, piece));
        let silence = poll_fn(|context| near.poll_read_ready(context));
        assert!(timeout(Duration::from_millis(1), silence).await.is_err());
        let nothing = near.try_read(&mut bytes).map_err(|error| error.kind());
        assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));
    }
    far.try_write(b"last").unwrap();
    drop(far);
    let mut bytes = [0; 9];
    ready().await.unwrap().unwrap();
    assert_eq!(near.try_read(&mut bytes).unwrap(), 4);
    ready().await.unwrap().unwrap();
    assert_eq!(near.try_read(&mut bytes).unwrap(), 0);
}
