//! Opening and accepting connections.

use std::io;
use std::time::Duration;

use chappe_net::{connect, listen};
use tokio::net::TcpListener;

/// Rule:   small messages are not held back, on neither end.
/// Source: TRN-40.
#[tokio::test]
async fn both_ends_send_without_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, (accepted, peer)) =
        tokio::join!(connect::connect(address, Duration::from_secs(5)), listen::accept(&listener));
    let connected = connected.unwrap();
    assert!(connected.nodelay().unwrap() && accepted.nodelay().unwrap());
    assert_eq!(peer, connected.local_addr().unwrap());
    assert_eq!(connect::peer_of(&connected).unwrap(), address);
}

#[tokio::test]
async fn connecting_to_nobody_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = connect::connect(address, Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    // An address for documentation, where nobody answers; or no network leads there at all.
    let silent = connect::connect("192.0.2.1:443", Duration::from_millis(50)).await;
    assert!(silent.is_err());
}
