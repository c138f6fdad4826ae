//! Proxies that bring many clients on one link, at a whole server.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::AuthKey;
use chappe_proto::middle::keys::Path;
use chappe_proto::middle::link::LinkEnd;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, Heard, PATIENCE, Scribe, Wire, rng};
use crate::functions::{Echo, Fill, Sleep, Whence};
use crate::middle_proxy::{Proxy, secret, transports};
use crate::world::{Setup, World};

/// Rules: MPX-09, MPX-16: clients of a proxy make keys and call as others do, whatever they speak to it
///        and all on one link; each call is made from where the client is.
#[tokio::test]
async fn clients_of_a_proxy_are_served() {
    let world = start(|_| {}).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    let mut clients = Vec::new();
    for (at, transport) in transports().into_iter().enumerate() {
        let peer = format!("198.51.100.{at}:{}", 1000 + at);
        let mut wire = proxy.client(peer.parse().unwrap(), transport).await;
        let account = wire.exchange(&world).await.unwrap();
        clients.push((Client::over(wire, &account), peer));
    }
    for round in 0..100 {
        for (client, peer) in &mut clients {
            let text = format!("{peer} {round}");
            assert_eq!(client.call(Echo::from(&*text)).await.unwrap(), *text);
        }
    }
    for (client, peer) in &mut clients {
        assert_eq!(client.call(Whence::from("")).await.unwrap(), peer.as_str());
    }
}

/// Rules: MPX-05, MPX-16: packets of nearly a megabyte pass both ways, while others are on their way.
#[tokio::test]
async fn large_packets_pass_both_ways() {
    let world = start(|_| {}).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    let [abridged, _, padded] = transports();
    let mut large = client(&proxy, &world, padded).await;
    let mut small = client(&proxy, &world, abridged).await;
    let text = "x".repeat(900_000);
    let call = large.begin(&Echo::from(&*text)).await;
    assert_eq!(small.call(Echo::from("y")).await.unwrap(), "y");
    assert_eq!(large.answer::<Echo>(call).await.unwrap(), *text);
    let filled = large.call(Fill::from("3000000")).await.unwrap();
    assert_eq!(filled.to_bytes().len(), 3_000_000);
}

/// Rules: MPX-12, MPX-16: who asks for a quick acknowledgement gets one, before the answer.
#[tokio::test]
async fn quick_acknowledgements_come_through() {
    let world = start(|_| {}).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    for transport in transports() {
        let mut wire = proxy.client(somewhere(), transport).await;
        let account = wire.exchange(&world).await.unwrap();
        let mut scribe = Scribe::new(&account);
        for wants in [true, false, true] {
            let message = scribe.write(&Echo::from("x"));
            let id = message.header.msg_id;
            if wants {
                wire.send_with_quick_ack(&account.key, message).await;
                let heard = wire.hear().await;
                assert!(matches!(heard, Heard::QuickAck(told) if told == id), "{heard:?}");
            } else {
                wire.send(&account.key, message).await;
            }
            // What comes with the first message of a session, and the answer.
            while !matches!(wire.hear().await, Heard::Message(message) if holds(&message.body, b"x"))
            {
            }
        }
    }
}

/// Rules: MPX-11, MPX-16: transport errors reach the client they are for, and it may go on.
#[tokio::test]
async fn transport_errors_come_through() {
    let world = start(|_| {}).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    for transport in transports() {
        let mut wire = proxy.client(somewhere(), transport).await;
        let account = wire.exchange(&world).await.unwrap();
        let mut scribe = Scribe::new(&account);
        let unknown = Arc::new(AuthKey::new(rng().bytes()));
        wire.send(&unknown, scribe.write(&Echo::from("x"))).await;
        wire.errs(404).await;
        let mut client = Client::over(wire, &account);
        assert_eq!(client.call(Echo::from("y")).await.unwrap(), "y");
    }
}

/// Rules: MPX-13, MPX-16: when the server is done with a client, so is the proxy; and the other way
///        round. Others on the link notice nothing.
#[tokio::test]
async fn closes_come_through() {
    let world = start(|config| config.sessions.links_per_key_max = 1).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    let [abridged, intermediate, _] = transports();
    let mut other = client(&proxy, &world, intermediate).await;
    let mut first = client(&proxy, &world, abridged).await;
    assert_eq!(first.call(Echo::from("x")).await.unwrap(), "x");

    // The key has room for one link: while the first is there, a second is one too many.
    let mut second = proxy.client(somewhere(), abridged).await;
    let mut scribe = Scribe::new(&first.account);
    second.send(&first.account.key, scribe.write(&Echo::from("x"))).await;
    second.errs(429).await;
    second.ends().await;

    let account = first.account.clone();
    drop(first);
    // The server learns that it is gone, sooner or later.
    let served = async {
        loop {
            let mut wire = proxy.client(somewhere(), abridged).await;
            wire.send(&account.key, scribe.write(&Echo::from("x"))).await;
            if matches!(wire.hear().await, Heard::Message(_)) {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.unwrap();
    assert_eq!(other.call(Echo::from("x")).await.unwrap(), "x");
}

/// Rule: MPX-16: an address has as many clients as it may have connections, whichever proxy they come
///       by; those of the proxy itself are not counted.
#[tokio::test]
async fn limits_by_address_hold_for_clients_of_proxies() {
    let world = start(|config| config.connections.per_address_max = 2).await;
    let transport = transports()[0];
    let mut kept = Vec::new();
    for _ in 0..3 {
        let proxy = Proxy::connect(world.middle, secret(2)).await;
        for _ in 0..2 {
            let mut wire = proxy.client(somewhere(), transport).await;
            if kept.len() < 2 {
                wire.exchange(&world).await.unwrap();
                kept.push(wire);
            } else {
                wire.plain(&req_pq()).await;
                wire.errs(429).await;
                wire.ends().await;
            }
        }
        let mut wire = proxy.client("203.0.113.200:5".parse().unwrap(), transport).await;
        wire.exchange(&world).await.unwrap();
    }
}

/// Rule: MPX-15: a client of which more waits than may is dropped, and the link goes on with the
///       others.
#[tokio::test]
async fn client_that_sends_too_much_at_once_is_dropped() {
    let world = start(|config| config.middle.client_max_bytes = 4096).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    let [abridged, intermediate, _] = transports();
    let mut other = client(&proxy, &world, intermediate).await;
    let mut wire = proxy.client(somewhere(), abridged).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut scribe = Scribe::new(&account);
    wire.link.use_key(Arc::clone(&account.key));
    let mut flood = Vec::new();
    for _ in 0..40 {
        let message = scribe.write(&Echo::from(&*"x".repeat(1000)));
        flood.extend(wire.record(&account.key, message));
    }
    wire.raw(&flood).await;
    while !matches!(wire.hear().await, Heard::End) {}
    assert_eq!(other.call(Echo::from("y")).await.unwrap(), "y");
    // One packet alone may be larger than all that may wait.
    assert_eq!(other.call(Echo::from(&*"z".repeat(50_000))).await.unwrap(), *"z".repeat(50_000));
}

/// Rules: MPX-03, MPX-16: who does not know the secret is told nothing; one of several secrets will
///        do, and addresses have to be those that are seen here.
#[tokio::test]
async fn strangers_are_turned_away() {
    let world = start(|_| {}).await;
    let unknown = Proxy::connect(world.middle, secret(9)).await;
    assert_eq!(timeout(PATIENCE, unknown.ended).await.unwrap().unwrap(), None);
    Proxy::connect(world.middle, secret(2)).await.client(somewhere(), transports()[1]).await;

    let stream = TcpStream::connect(world.middle).await.unwrap();
    let path = Path::new("198.51.100.7:5".parse().unwrap(), world.middle).unwrap();
    let translated = Proxy::over(stream, path, secret(1));
    assert_eq!(timeout(PATIENCE, translated.ended).await.unwrap().unwrap(), None);

    let mut stream = TcpStream::connect(world.middle).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[0xee; 64]).await.unwrap();
    let mut heard = Vec::new();
    // Closed with our bytes unread: a reset, perhaps.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.is_empty());
}

/// Rule: MPX-01: a server behind a translated address serves proxies that dial that one.
#[tokio::test]
async fn server_may_have_another_address_for_proxies() {
    let dialled = "192.0.2.55:8888".parse().unwrap();
    let world = start(|config| config.middle.address = Some(dialled)).await;
    let stream = TcpStream::connect(world.middle).await.unwrap();
    let path = Path::new(stream.local_addr().unwrap(), dialled).unwrap();
    let proxy = Proxy::over(stream, path, secret(1));
    let mut wire = proxy.client(somewhere(), transports()[0]).await;
    wire.exchange(&world).await.unwrap();
}

/// Rule: MPX-14: a link that is lost takes its clients with it, and their sessions go on elsewhere.
#[tokio::test]
async fn sessions_outlive_the_link_of_a_proxy() {
    let world = start(|_| {}).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    let transport = transports()[2];
    let mut client = client(&proxy, &world, transport).await;
    let call = client.begin(&Sleep::from("300")).await;
    drop(proxy);
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    let wire = proxy.client(somewhere(), transport).await;
    client.reconnect_over(wire).await;
    assert_eq!(client.answer::<Sleep>(call).await.unwrap(), "300");
}

/// Rule: a server that stops lets running calls of a proxy's clients finish, then closes the link.
#[tokio::test]
async fn stop_drains_the_clients_of_a_proxy() {
    let mut world = start(|_| {}).await;
    let proxy = Proxy::connect(world.middle, secret(1)).await;
    let mut client = client(&proxy, &world, transports()[1]).await;
    let call = client.begin(&Sleep::from("200")).await;
    // The call has arrived when its session has answered something later.
    assert_eq!(client.call(Echo::from("x")).await.unwrap(), "x");
    world.stop();
    assert_eq!(client.answer::<Sleep>(call).await.unwrap(), "200");
    let ended = timeout(Duration::from_secs(5), proxy.ended).await.unwrap().unwrap();
    assert_eq!(ended, None::<LinkEnd>);
    world.ended().await;
}

async fn start(change: impl FnOnce(&mut chappe_server::ServerConfig)) -> World {
    let mut setup = Setup { proxy_secrets: vec![secret(1), secret(2)], ..Setup::default() };
    change(&mut setup.config);
    World::start(setup).await
}

async fn client(
    proxy: &Proxy,
    world: &World,
    transport: chappe_proto::transport::Transport,
) -> Client {
    let mut wire: Wire = proxy.client(somewhere(), transport).await;
    let account = wire.exchange(world).await.unwrap();
    Client::over(wire, &account)
}

fn somewhere() -> std::net::SocketAddr {
    "203.0.113.9:4000".parse().unwrap()
}

/// A request that begins an exchange.
fn req_pq() -> Vec<u8> {
    [&0xbe7e_8ef1_u32.to_le_bytes()[..], &[7; 16]].concat()
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    let string = [&[text.len() as u8], text].concat();
    body.windows(string.len()).any(|window| window == string)
}
