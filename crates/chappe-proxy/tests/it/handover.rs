//! Another proxy takes over from one that runs, in one process here; `chappe proxy` has the tests
//! with several.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use chappe_net::listen::{Listener, bind};
use chappe_proxy::{Charge, Handle, Predecessor, Proxy, ProxyConfig, Quota, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::client::{Client, PADDED, header, hello, read_answer};
use crate::world::{ALICE, BOB, Centre, SITE, config, tls_config, until};

/// A proxy with a state folder, which takes over from the one before it.
struct Process {
    address: SocketAddr,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Process {
    async fn start(config: ProxyConfig) -> Self {
        let folder = config.state.clone().unwrap();
        let mut predecessor = ask(&folder).await;
        let socket = predecessor.as_mut().and_then(|before| before.take("listen", "here"));
        let listener = match socket {
            Some(socket) => Listener::adopt(socket).unwrap(),
            None => bind("127.0.0.1:0".parse().unwrap(), false).unwrap().into(),
        };
        let Listener::Tcp(tcp) = &listener else { panic!("another socket was handed over") };
        let address = tcp.local_addr().unwrap();
        let socket = listener.as_fd().try_clone_to_owned().unwrap();
        let offered = Socket { role: "listen".into(), asked: "here".into(), socket };
        let proxy = Proxy::after(config, predecessor).unwrap();
        let handle = proxy.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let serving = proxy
            .serve_all([listener])
            .with_graceful_shutdown(stopped, Duration::ZERO)
            .with_successor(vec![offered], Duration::from_secs(60))
            .unwrap();
        let serving = tokio::spawn(serving.into_future());
        handle.reached(Charge::Held).await;
        Self { address, handle, stop: Some(stop), serving }
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        self.ended().await;
    }

    /// Waits until it ends by itself.
    async fn ended(self) {
        timeout(Duration::from_secs(20), self.serving).await.unwrap().unwrap();
    }

    fn used(&self, user: usize) -> u64 {
        self.handle.statistics()[user].quota_used
    }

    async fn client(&self, secret: [u8; 16]) -> Client {
        Client::bare(self.address, secret, PADDED, 2).await
    }
}

async fn ask(folder: &Path) -> Option<Predecessor> {
    let folder = folder.to_owned();
    spawn_blocking(move || Predecessor::ask(&folder)).await.unwrap().unwrap()
}

/// What a [`check`](Client::check) counts, both ways.
const CHECK: u64 = 600;

/// Rules: PRX-14, PRX-38: what a user passes is counted once, wherever it passes, while one process
///        takes over from another and a third one from that; the file says it to the byte.
#[tokio::test]
async fn traffic_is_counted_once_over_hand_overs() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().join("state"));
    config.users[0].quota = Some(Quota::once(1_000_000));
    config.users[1].quota = Some(Quota::each_month(1_000_000));
    let first = Process::start(config.clone()).await;
    let (mut alice, mut bob) = (first.client(ALICE).await, first.client(BOB).await);
    alice.check().await;
    bob.check().await;
    let second = Process::start(config.clone()).await;
    assert_eq!((first.address, first.handle.charge()), (second.address, Charge::HandedOver));
    let mut another = second.client(ALICE).await;
    for _ in 0..3 {
        alice.check().await;
        another.check().await;
        bob.check().await;
    }
    // Each hears what the other counts.
    until("both know", || second.used(0) == 7 * CHECK && first.used(0) == 7 * CHECK).await;
    let third = Process::start(config.clone()).await;
    alice.check().await;
    another.check().await;
    third.client(ALICE).await.check().await;
    until("the third knows", || third.used(0) == 10 * CHECK && third.used(1) == 4 * CHECK).await;
    until("the first knows", || first.used(0) == 10 * CHECK).await;
    // The last bytes of the first two come with their last words.
    another.check().await;
    bob.check().await;
    drop(another);
    // The second has no connections any more, and stays for the first one's sake.
    tokio::time::sleep(Duration::from_millis(300)).await;
    alice.check().await;
    assert!(!second.serving.is_finished());
    drop((alice, bob));
    first.ended().await;
    second.ended().await;
    assert_eq!((third.used(0), third.used(1)), (12 * CHECK, 5 * CHECK));
    third.stop().await;
    let text = std::fs::read(folder.path().join("state/traffic.json")).unwrap();
    let traffic: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(traffic["alice"]["bytes"], 12 * CHECK);
    assert_eq!(traffic["bob"]["bytes"], 5 * CHECK);
    let again = Process::start(config).await;
    assert_eq!(again.used(0), 12 * CHECK);
}

/// Rules: PRX-14: a quota that is used up in one process ends connections in the other.
#[tokio::test]
async fn quotas_hold_in_both_processes() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().into());
    config.users[0].quota = Some(Quota::once(20 * CHECK));
    let first = Process::start(config.clone()).await;
    let mut old = first.client(ALICE).await;
    old.check().await;
    let second = Process::start(config).await;
    let mut new = second.client(ALICE).await;
    for _ in 0..18 {
        new.check().await;
    }
    until("the old one knows", || first.used(0) == 19 * CHECK).await;
    old.send(&[0; 700]).await;
    while !old.is_closed().await {}
    until("the new one knows", || second.used(0) >= 20 * CHECK).await;
    new.send(&[0; 10]).await;
    while !new.is_closed().await {}
    assert!(second.client(ALICE).await.is_closed().await);
    first.ended().await;
}

/// Rules: PRX-14: connections and addresses of a user count in both processes together, until they
///        are over.
#[tokio::test]
async fn connections_count_in_both_processes() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().into());
    config.users[0].connections_max = Some(2);
    let first = Process::start(config.clone()).await;
    let (mut one, mut two) = (first.client(ALICE).await, first.client(ALICE).await);
    one.check().await;
    two.check().await;
    let second = Process::start(config).await;
    assert!(second.client(ALICE).await.is_closed().await, "a third one is served");
    let statistics = second.handle.statistics();
    assert_eq!((statistics[0].connections, statistics[0].addresses), (2, 1));
    drop(one);
    until("a place is free", || second.handle.statistics()[0].connections == 1).await;
    let mut three = second.client(ALICE).await;
    three.check().await;
    two.check().await;
    assert!(second.client(ALICE).await.is_closed().await, "a third one is served");
    drop(two);
    first.ended().await;
    until("one is left", || second.handle.statistics()[0].connections == 1).await;
    three.check().await;
}

/// Rules: PRX-24, PRX-26, FTL-08: what was accepted in one process is a replay in the other, before
///        the hand-over and after it, and in either direction.
#[tokio::test]
async fn replays_are_known_to_both_processes() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = tls_config(centre.address, silent.local_addr().unwrap());
    config.modes.padded = true;
    config.state = Some(folder.path().into());
    let first = Process::start(config.clone()).await;
    let address = first.address;
    let before = accepted(TcpStream::connect(address).await.unwrap()).await;
    // Accepted by the old process, and silent until the other one has taken over.
    let (waiting, late) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    until("they are accepted", || first.handle.totals().connections == 3).await;
    let second = Process::start(config).await;
    let in_the_old = accepted(waiting).await;
    let in_the_new = accepted(TcpStream::connect(address).await.unwrap()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for greeting in [before.0, before.1, in_the_old.0, in_the_old.1] {
        assert!(is_refused(TcpStream::connect(address).await.unwrap(), &greeting).await);
    }
    assert!(is_refused(late, &in_the_new.0).await, "the old process accepts it again");
    assert_eq!(centre.headers.lock().unwrap().len(), 3);
    second.stop().await;
    first.ended().await;
}

/// Sends a hello on a connection and a header on another one that go through, as the proxy at the
/// other end sees them; what was sent.
async fn accepted(mut stream: TcpStream) -> (Vec<u8>, Vec<u8>) {
    let (hello, random) = hello(SITE, ALICE, 0);
    stream.write_all(&hello).await.unwrap();
    read_answer(&mut stream, ALICE, random).await;
    let (header, outbound, inbound) = header(BOB, PADDED, 2);
    let address = stream.peer_addr().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&header).await.unwrap();
    Client { stream, outbound, inbound, records: None }.check().await;
    (hello, header.to_vec())
}

/// Whether nothing is said to it.
async fn is_refused(mut stream: TcpStream, greeting: &[u8]) -> bool {
    stream.write_all(greeting).await.unwrap();
    timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_err()
}

/// Rules: PRX-37, PRX-38: who asks and does not come to serve changes nothing, and hinders nobody
///        who asks later.
#[tokio::test]
async fn who_does_not_take_over_changes_nothing() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().into());
    assert!(ask(folder.path()).await.is_none());
    let first = Process::start(config.clone()).await;
    let mut old = first.client(ALICE).await;
    old.check().await;
    for _ in 0..2 {
        let mut predecessor = ask(folder.path()).await.unwrap();
        assert!(predecessor.take("listen", "elsewhere").is_none());
        assert!(predecessor.take("listen", "here").is_some());
        // Only one at a time.
        let folder = folder.path().to_owned();
        let another = spawn_blocking(move || Predecessor::ask(&folder)).await.unwrap();
        assert!(another.is_err());
        drop(predecessor);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    first.client(ALICE).await.check().await;
    assert_eq!(first.handle.charge(), Charge::Held);
    let second = Process::start(config).await;
    second.client(ALICE).await.check().await;
    old.check().await;
    drop(old);
    first.ended().await;
    second.stop().await;
    // Nobody is there any more.
    assert!(ask(folder.path()).await.is_none());
}

/// Rules: PRX-38: the end of the new process ends the connections of the old one as well, and what
///        they counted is written.
#[tokio::test]
async fn the_end_of_the_new_process_ends_the_old_one() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().into());
    config.users[0].quota = Some(Quota::once(1_000_000));
    let first = Process::start(config.clone()).await;
    let mut old = first.client(ALICE).await;
    let second = Process::start(config.clone()).await;
    old.check().await;
    second.stop().await;
    first.ended().await;
    assert!(old.is_closed().await);
    assert_eq!(Process::start(config).await.used(0), CHECK);
}

/// Rules: PRX-37: who is given up in one process loses the connections in the other as well, whichever
///        hears of it first, and in a third that the news reaches through the second; those that are
///        served there stay.
#[tokio::test]
async fn revocations_reach_all_processes() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().into());
    let first = Process::start(config.clone()).await;
    let (mut alice, mut bob) = (first.client(ALICE).await, first.client(BOB).await);
    alice.check().await;
    bob.check().await;
    let second = Process::start(config.clone()).await;
    let mut between = second.client(ALICE).await;
    between.check().await;
    let third = Process::start(config.clone()).await;
    let mut newest = third.client(BOB).await;
    newest.check().await;

    // The first reads its file before it is told, the second afterwards.
    let mut without_alice = config.clone();
    without_alice.users.remove(0);
    first.handle.reload(without_alice.clone()).unwrap();
    sleep(Duration::from_millis(300)).await;
    alice.check().await;
    third.handle.reload_revoking(without_alice.clone(), "alice").unwrap();
    assert!(alice.is_closed().await);
    sleep(Duration::from_millis(600)).await;
    between.check().await;
    second.handle.reload(without_alice.clone()).unwrap();
    assert!(between.is_closed().await);
    bob.check().await;

    // The other way.
    let mut nobody = without_alice.clone();
    nobody.users[0].secret = [8; 16].into();
    first.handle.reload_revoking(nobody.clone(), "bob").unwrap();
    assert!(bob.is_closed().await);
    third.handle.reload(nobody).unwrap();
    assert!(newest.is_closed().await);
    first.ended().await;
    second.ended().await;
}

/// Rules: PRX-38: who is told to stop while another process is about to take over waits for that, and
///        so leaves the state to one of them alone.
#[tokio::test]
async fn a_stop_waits_for_who_is_about_to_take_over() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().into());
    let mut first = Process::start(config.clone()).await;
    let predecessor = ask(folder.path()).await;
    drop(first.stop.take());
    sleep(Duration::from_millis(300)).await;
    let second = Proxy::after(config, predecessor).unwrap();
    let handle = second.handle();
    let (_offers, serving) =
        (folder, tokio::spawn(second.serve_all([] as [Listener; 0]).into_future()));
    handle.reached(Charge::Held).await;
    assert_eq!(first.handle.charge(), Charge::HandedOver);
    first.ended().await;
    serving.abort();
}
