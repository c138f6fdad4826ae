//! Bytes on their way, and how connections end.

use std::time::Duration;

use chappe_net::connect::Endpoint;
use chappe_proxy::RelayConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::{ABRIDGED, Client, PADDED};
use crate::world::{ALICE, Centre, Running, SITE, config, from_client, tls_config, until};

/// A proxy with a data centre that the test plays itself.
async fn played(tls: bool) -> (Running, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = if tls { tls_config(address, address) } else { config(address) };
    config.relay.idle_max = Duration::from_secs(30);
    (Running::start(config).await, listener)
}

async fn connect(proxy: &Running, tls: bool) -> Client {
    match tls {
        true => Client::tls(proxy.address, SITE, ALICE, 2).await,
        false => Client::bare(proxy.address, ALICE, PADDED, 2).await,
    }
}

async fn accept(centre: &TcpListener) -> (TcpStream, [u8; 64]) {
    let (mut stream, _) = centre.accept().await.unwrap();
    let mut header = [0; 64];
    stream.read_exact(&mut header).await.unwrap();
    (stream, header)
}

/// Rules: PRX-18, FTL-19: an end of either side passes on once everything before it has, and the
///        other direction goes on; no record announces it.
#[tokio::test]
async fn ends_pass_on_one_by_one() {
    for tls in [true, false] {
        let (proxy, centre) = played(tls).await;
        let mut client = connect(&proxy, tls).await;
        let (mut far, header) = accept(&centre).await;
        client.send(&[5; 30_000]).await;
        client.stream.shutdown().await.unwrap();
        let mut came = Vec::new();
        timeout(Duration::from_secs(5), far.read_to_end(&mut came)).await.unwrap().unwrap();
        let mut stream = from_client(&header);
        stream.apply(&mut [0; 64]);
        stream.apply(&mut came);
        assert_eq!(came, [5; 30_000]);
        // The client is still told what the data centre has to say.
        far.write_all(&[1; 20_000]).await.unwrap();
        assert_eq!(client.receive(20_000).await.len(), 20_000);
        far.shutdown().await.unwrap();
        assert!(client.read().await.unwrap().is_empty());
    }
}

/// Rules: PRX-18: a reset of one side is one for the other.
#[tokio::test]
async fn resets_pass_on() {
    let (proxy, centre) = played(false).await;
    let mut client = connect(&proxy, false).await;
    let (far, _) = accept(&centre).await;
    far.set_zero_linger().unwrap();
    drop(far);
    let error = client.read().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let client = connect(&proxy, false).await;
    let (mut far, _) = accept(&centre).await;
    client.stream.set_zero_linger().unwrap();
    drop(client);
    let error = far.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// Rules: PRX-18: a connection on which nothing comes for long is closed, not one that is used.
#[tokio::test]
async fn idle_connections_are_closed() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    config.relay.idle_max = Duration::from_secs(2);
    let proxy = Running::start(config).await;
    let mut idle = Client::bare(proxy.address, ALICE, PADDED, 2).await;
    let mut used = Client::bare(proxy.address, ALICE, PADDED, 2).await;
    for _ in 0..12 {
        used.check().await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let closed = timeout(Duration::from_secs(1), idle.is_closed()).await;
    assert_eq!(closed, Ok(true));
    used.check().await;
}

/// Rules: FTL-16, FTL-18: once data travels, anything that is no record of data ends the connection.
#[tokio::test]
async fn other_records_end_a_connection() {
    let wrong: [&[u8]; 4] =
        [&[0x15, 3, 3, 0, 2, 2, 40], &[0x14, 3, 3, 0, 1, 1], &[0x17, 3, 3, 0x41, 1], b"GET /"];
    for bytes in wrong {
        let (proxy, centre) = played(true).await;
        let mut client = connect(&proxy, true).await;
        let (mut far, _) = accept(&centre).await;
        client.stream.write_all(bytes).await.unwrap();
        assert!(client.is_closed().await);
        assert!(!matches!(far.read(&mut [0]).await, Ok(1..)));
    }
}

/// Rules: PRX-33: who does not read slows the other end, and no more than one read waits for him in
///        the proxy.
#[tokio::test]
async fn slow_reader_slows_the_other_end() {
    let (proxy, centre) = played(false).await;
    let client = connect(&proxy, false).await;
    let (mut far, _) = accept(&centre).await;
    let mut sent = 0;
    // Until the buffers of the system on the way are full.
    while let Ok(Ok(len)) = timeout(Duration::from_millis(500), far.write(&[0; 64 << 10])).await {
        sent += len;
        assert!(sent < 64 << 20, "nothing slows the data centre");
    }
    let buffer = RelayConfig::default().buffer_bytes;
    assert!((1..=buffer).contains(&proxy.handle.totals().held_bytes));
    drop(client);
    until("nothing waits", || proxy.handle.totals().held_bytes == 0).await;
}

/// Rules: PRX-33: at the bound of all that waits nobody new is served; beyond it who waits longest is
///        closed, and nobody who fits without him.
#[tokio::test]
async fn what_waits_is_bounded_in_all() {
    let (proxy, centre) = played(false).await;
    let mut config = config(centre.local_addr().unwrap());
    let held = || proxy.handle.totals().held_bytes;
    let evicted = || proxy.handle.totals().evicted_total as usize;
    // Nothing is taken for a while and something waits that did not a moment ago: a machine that stood
    // still looks like a socket that is full.
    let came = async || {
        let client = connect(&proxy, false).await;
        let (mut far, _) = accept(&centre).await;
        let before = held();
        let fill = async {
            loop {
                let known = held();
                let wait = Duration::from_millis(300);
                match timeout(wait, far.write(&[0; 64 << 10])).await {
                    Ok(Ok(1..)) => {}
                    Err(_) if evicted() > 0 || (known > before && known == held()) => break,
                    Err(_) => {}
                    Ok(ended) => panic!("{ended:?}"),
                }
            }
        };
        timeout(Duration::from_secs(20), fill).await.expect("never full");
        (client, far)
    };
    let mut slow = Vec::new();
    // How much of a read has to wait is the system's whim: so many that another one's fits beside none
    // of theirs, and alone in any case.
    while held() < config.relay.buffer_bytes {
        slow.push(came().await);
    }
    let all = held();
    config.relay.held_max_bytes = all;
    proxy.handle.reload(config.clone()).unwrap();
    let mut refused = TcpStream::connect(proxy.address).await.unwrap();
    assert!(!matches!(refused.read(&mut [0]).await, Ok(1..)));
    assert_eq!(proxy.handle.totals().rejected_total["memory"], 1);
    config.relay.held_max_bytes = all + 1;
    proxy.handle.reload(config).unwrap();
    // One more is too many, or a few where the system takes some of what waited after all.
    let (_client, mut newest) = loop {
        let newest = came().await;
        if evicted() > 0 {
            break newest;
        }
        slow.push(newest);
    };
    let ended = || proxy.handle.totals().ended_total.get("evicted").copied().unwrap_or_default();
    until("those are closed", || ended() as usize == evicted() && held() <= all + 1).await;
    assert!(held() > 0);
    // Their data centres hear of it, nobody else's does.
    let mut heard = 0;
    for (_, far) in &mut slow {
        let end = timeout(Duration::from_millis(100), far.read(&mut [0])).await;
        heard += usize::from(end.is_ok());
    }
    assert_eq!(heard, evicted());
    let waits = timeout(Duration::from_millis(100), newest.read(&mut [0])).await;
    assert!(waits.is_err(), "{waits:?}");
}

/// Rules: PRX-33, PRX-18: who takes nothing for long is closed.
#[tokio::test]
async fn stalled_connections_are_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(listener.local_addr().unwrap());
    config.relay.stalled_max = Duration::from_millis(400);
    config.centres.set(3, vec![Endpoint::from(listener.local_addr().unwrap())]);
    let proxy = Running::start(config).await;
    let client = Client::bare(proxy.address, ALICE, ABRIDGED, 3).await;
    let (mut far, _) = accept(&listener).await;
    let flood = async { while far.write_all(&[0; 64 << 10]).await.is_ok() {} };
    timeout(Duration::from_secs(20), flood).await.expect("the data centre is never told");
    drop(client);
}
