//! Accepting connections.

use std::time::Duration;

use chappe_net::connect::connect;
use chappe_net::{connect, listen};
use tokio::net::TcpListener;

/// Rule:   small messages are not held back, on neither end.
/// Source: TRN-40.
#[tokio::test]
async fn both_ends_send_without_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoints = [address.into()];
    let (connected, (accepted, peer)) =
        tokio::join!(connect(&endpoints, None, Duration::from_secs(5)), listen::accept(&listener));
    let connected = connected.unwrap().stream;
    assert!(connected.nodelay().unwrap() && accepted.nodelay().unwrap());
    assert_eq!(peer, connected.local_addr().unwrap());
    assert_eq!(connect::peer_of(&connected).unwrap(), address);
}
