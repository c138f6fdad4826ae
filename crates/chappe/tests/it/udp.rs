//! Experimental datagrams between our client and our server, over a network that loses some.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chappe_client::RawClient;
use tokio::net::UdpSocket;

use crate::Server;
use crate::recovery::{builder, nearest_dc};

/// Rules: UDP-01, UDP-08, UDP-11: with both ends told to, calls travel as datagrams and all of them
///        are answered, whatever the network loses.
#[tokio::test(flavor = "multi_thread")]
async fn calls_travel_as_datagrams_and_survive_losses() {
    let server = Server::start(&["--experimental-udp"]);
    for lost_of_12 in [0, 2] {
        let relay = Relay::start(server.address(), lost_of_12).await;
        let client = connect(&server, &relay).await;
        let before = relay.datagrams();
        let calls: Vec<_> = (0..20).map(|_| call(&client, nearest_dc())).collect();
        futures_util::future::join_all(calls).await;
        let carried = relay.datagrams() - before;
        assert!(carried >= 20, "{carried} datagrams for 20 calls");
        client.close().await;
    }
}

/// Rule: UDP-11: a call that fits no datagram goes over the connection.
#[tokio::test(flavor = "multi_thread")]
async fn what_fits_no_datagram_takes_the_stream() {
    let server = Server::start(&["--experimental-udp"]);
    let relay = Relay::start(server.address(), 0).await;
    let client = connect(&server, &relay).await;
    let before = relay.bytes();
    // help.getNearestDc in `invokeWithoutUpdates` over and over is longer than any datagram.
    let mut long = Vec::new();
    for _ in 0..400 {
        long.extend_from_slice(&0xbf94_59b7_u32.to_le_bytes());
    }
    long.extend_from_slice(&nearest_dc());
    let _ = client.invoke_raw(long.into()).await;
    assert!(relay.bytes() - before < 1600, "the call was cut into datagrams");
    client.close().await;
}

/// Rules: UDP-01, UDP-13: where a server takes no datagrams, or the network none, the connection carries
///        everything, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn without_datagrams_the_connection_carries_everything() {
    let silent = Server::start(&[]);
    let deaf = Server::start(&["--experimental-udp"]);
    for (server, lost_of_12) in [(&silent, 0), (&deaf, 12)] {
        let relay = Relay::start(server.address(), lost_of_12).await;
        let client = connect_unopened(server, &relay).await;
        let begun = Instant::now();
        for _ in 0..10 {
            call(&client, nearest_dc()).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(relay.answers(), 0);
        client.close().await;
    }
}

async fn connect(server: &Server, relay: &Relay) -> RawClient {
    let client = connect_unopened(server, relay).await;
    // The first ping has to come back.
    relay.until(|relay| relay.answers() > 0).await;
    call(&client, nearest_dc()).await;
    client
}

async fn connect_unopened(server: &Server, relay: &Relay) -> RawClient {
    builder(server, server.address()).experimental_udp(relay.address).connect().await.unwrap()
}

async fn call(client: &RawClient, call: Bytes) -> Bytes {
    let answered = tokio::time::timeout(Duration::from_secs(60), client.invoke_raw(call)).await;
    answered.expect("an answer was lost for good").unwrap()
}

/// A network of datagrams between one client and a server.
struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
    carrying: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    datagrams: AtomicUsize,
    bytes: AtomicUsize,
    answers: AtomicUsize,
    turn: AtomicU32,
}

impl Relay {
    /// One that loses so many datagrams of twelve, but never the first of either side.
    async fn start(server: &str, lost_of_12: u32) -> Self {
        let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = inside.local_addr().unwrap();
        let server: SocketAddr = server.parse().unwrap();
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let carrying = tokio::spawn(async move {
            let (mut there, mut back) = ([0; 2048], [0; 2048]);
            let mut client = None;
            loop {
                tokio::select! {
                    Ok((len, from)) = inside.recv_from(&mut there) => {
                        client = Some(from);
                        if counted.carry(len, lost_of_12) {
                            let _ = outside.send_to(&there[..len], server).await;
                        }
                    }
                    Ok((len, _)) = outside.recv_from(&mut back) => {
                        if counted.carry(len, lost_of_12) && let Some(client) = client {
                            counted.answers.fetch_add(1, Ordering::Relaxed);
                            let _ = inside.send_to(&back[..len], client).await;
                        }
                    }
                }
            }
        });
        Self { address, counts, carrying }
    }

    fn datagrams(&self) -> usize {
        self.counts.datagrams.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    fn answers(&self) -> usize {
        self.counts.answers.load(Ordering::Relaxed)
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("nothing comes through");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Counts {
    /// Whether a datagram gets through.
    fn carry(&self, len: usize, lost_of_12: u32) -> bool {
        assert!(len <= 1200, "a datagram of {len} bytes");
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        // As good as chance, and the same every time.
        let chance = (turn.wrapping_mul(2_654_435_761) >> 16) % 12;
        let is_lost = lost_of_12 == 12 || turn > 1 && chance < lost_of_12;
        self.datagrams.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(len, Ordering::Relaxed);
        !is_lost
    }
}
