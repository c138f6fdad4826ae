//! Reaching a server: several addresses, proxies, networks that block.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chappe_client::{
    Address, ConnectError, Endpoint, Fallback, LinkError, Proxy, RawClient, Target, TargetError,
    Way,
};
use chappe_proto::transport::{
    Detect, DetectConfig, Detected, EndpointSecret, EndpointSecretError, Framing, Secret, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::proxies::TestProxy;
use crate::server::{Accept, Hooks, Inject, Server};

const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

/// Rule: TRN-39: of several addresses the one that answers is used, and after a cut again.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_addresses_is_tried() {
    let server = Server::start(Hooks::default()).await;
    let list = format!("{}, {},{}", nobody().await, server.address, nobody().await);
    let client = RawClient::builder(list, [Server::public_key()]).pfs(false);
    let client = client.connect().await.unwrap();
    check(&client).await;
    server.inject(Inject::Cut);
    check(&client).await;
}

/// Rules: SES-13, SEC-60: an address that serves another data centre, or has too much to do, is left
/// for one that does not.
#[tokio::test(flavor = "multi_thread")]
async fn another_address_is_used_where_one_refuses() {
    for code in [444, 429] {
        let refuses = Hooks { accept: Box::new(move |_| Accept::Error(code)), ..Hooks::default() };
        let (busy, server) = (Server::start(refuses).await, Server::start(Hooks::default()).await);
        let list = format!("{},{}", busy.address, server.address);
        let client = RawClient::builder(list, [Server::public_key()]).pfs(false);
        check(&client.connect().await.unwrap()).await;
        assert_eq!(busy.links(), 1);
    }
}

/// Whatever the transport, and after a cut.
#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_passed_through() {
    for transport in Transport::ALL {
        let server = Server::start(Hooks::default()).await;
        let (socks, http) = (TestProxy::socks5(true).await, TestProxy::http(GRANTED).await);
        for url in [
            format!("socks5://jo%3Ae:s3cret%40%C3%BC@{}", socks.address),
            format!("http://{}", http.address),
        ] {
            let client = server.client().transport(transport).proxy(url.parse().unwrap());
            let client = client.connect().await.unwrap();
            check(&client).await;
            server.inject(Inject::Cut);
            check(&client).await;
        }
        assert_eq!(socks.seen(), vec![server.address.to_string(); 2]);
        assert_eq!(http.seen().len(), 2);
        assert_eq!(server.links(), 4);
    }
}

/// Nothing goes around a proxy: without it there is no connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_the_error() {
    let server = Server::start(Hooks::default()).await;
    let proxy = TestProxy::http("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let proxy: Proxy = format!("http://{}", proxy.address).parse().unwrap();
    let client = server.client().proxy(proxy).fallback(Fallback::all());
    let client = client.connect_timeout(Duration::from_millis(300));
    let error = client.connect().await.unwrap_err();
    // As the answer to `CONNECT`, or to a request that it should have passed on.
    assert!(error.to_string().contains("403"), "{error}");
    assert_eq!(server.links(), 0);
}

/// Rules: OBF-12, OBF-13, OBF-16, PRX-01: to an MTProto proxy the header says which data centre is
/// meant, in the transport that its secret asks for; so it does to a server with a secret.
#[tokio::test]
async fn a_proxy_is_told_the_data_centre() {
    for (secret, expected) in
        [(SECRET.to_owned(), Framing::Intermediate), (format!("dd{SECRET}"), Framing::Padded)]
    {
        for dc in [2, -4, 10_002, 203] {
            let first = first_bytes(|address| {
                let SocketAddr::V4(address) = address else { panic!("{address}") };
                let (host, port) = (address.ip(), address.port());
                let link = format!("tg://proxy?server={host}&port={port}&secret={secret}");
                RawClient::builder(link, [Server::public_key()]).dc(dc)
            });
            check_header(first.await, dc, expected);
        }
        let first = first_bytes(|address| {
            let secret = secret.parse().unwrap();
            let address = Address::new(address.into()).secret(secret);
            RawClient::builder("", [Server::public_key()]).addresses([address]).dc(3)
        });
        check_header(first.await, 3, expected);
        let first = first_bytes(|address| {
            let builder = RawClient::builder(address, [Server::public_key()]);
            builder.endpoint_secret(secret.parse().unwrap())
        });
        check_header(first.await, 2, expected);
    }
    let link = format!("tg://proxy?server=p.example&port=443&secret={SECRET}");
    for dc in [0, 10_000, 40_000, -40_000] {
        let error = RawClient::builder(&link, [Server::public_key()]).dc(dc).connect().await;
        assert!(matches!(error, Err(ConnectError::DcUnnamed { .. })), "{dc}");
    }
}

/// Rule: PRX-07: links through an MTProto proxy that are lost again and again are dialled four times
/// a second and five times in five seconds at most, however much is called.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_not_dialled_too_often() {
    let server = Server::start(Hooks::default()).await;
    let secret: EndpointSecret = SECRET.parse().unwrap();
    server.state().detect.secrets = vec![secret.secret];
    let dialled = Arc::new(Mutex::new(Vec::new()));
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (host, port) = ("127.0.0.1", relay.local_addr().unwrap().port());
    let (there, moments) = (server.address, Arc::clone(&dialled));
    tokio::spawn(async move {
        while let Ok((mut near, _)) = relay.accept().await {
            moments.lock().unwrap().push(Instant::now());
            let mut far = TcpStream::connect(there).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let link = format!("tg://proxy?server={host}&port={port}&secret={SECRET}");
    let client = RawClient::builder(link, [Server::public_key()]).pfs(false);
    let client = client.connect().await.unwrap();
    for _ in 0..6 {
        check(&client).await;
        server.inject(Inject::Cut);
    }
    check(&client).await;
    let dialled = dialled.lock().unwrap();
    assert!(dialled.len() >= 7, "{}", dialled.len());
    // Those who accept may be late by some moments.
    let late = Duration::from_millis(200);
    for (count, span) in [(4, Duration::from_secs(1)), (5, Duration::from_secs(5))] {
        for window in dialled.windows(count + 1) {
            assert!(window[count] - window[0] + late >= span, "{dialled:?}");
        }
    }
}

/// Rule: PRX-01, OBF-16: links of both kinds; a secret of fake TLS is refused for what it is.
#[tokio::test]
async fn targets_are_read_from_text() {
    for start in ["tg://proxy", "https://t.me/proxy", "http://telegram.me/proxy"] {
        let target = format!("{start}?server=p.example&port=443&secret=3QARIjNEVWZ3iJmqu8zd7v8%3D");
        let Target::Proxy(proxy) = target.parse().unwrap() else { panic!("{target}") };
        assert_eq!(proxy.endpoint.to_string(), "p.example:443");
        assert_eq!(proxy.secret.transport.to_string(), "obfuscated-padded");
    }
    let Target::Addresses(list) = "a:1, [::1]:2".parse().unwrap() else { panic!() };
    let list: Vec<String> = list.iter().map(|address| address.endpoint().to_string()).collect();
    assert_eq!(list, ["a:1", "[::1]:2"]);
    for (bad, expected) in [
        ("tg://proxy?port=443&secret=00", TargetError::Parameter("server")),
        ("tg://proxy?server=%ff&port=443&secret=00", TargetError::Parameter("server")),
        ("tg://proxy?server=p&port=443", TargetError::Parameter("secret")),
        (
            "tg://proxy?server=p&port=443&secret=00",
            TargetError::Secret(EndpointSecretError::Shape(1)),
        ),
        (
            "tg://proxy?server=p&port=443&secret=zz!!",
            TargetError::Secret(EndpointSecretError::Text),
        ),
        ("tg://resolve?domain=x", TargetError::Url("tg://resolve?domain=x".into())),
        ("https://example.org/proxy?", TargetError::Url("https://example.org/proxy?".into())),
    ] {
        assert_eq!(bad.parse::<Target>().unwrap_err(), expected, "{bad}");
    }
    let portless = format!("tg://proxy?server=p&port=0&secret={SECRET}");
    for bad in ["host", "a:1,", &portless] {
        assert!(matches!(bad.parse::<Target>(), Err(TargetError::Endpoint(_))), "{bad}");
    }
    let tls = format!("tg://proxy?server=p&port=443&secret=ee{SECRET}6578616d20706c65");
    let error = RawClient::builder(tls, [Server::public_key()]).connect().await.unwrap_err();
    let fake = ConnectError::Target(TargetError::Secret(EndpointSecretError::Domain));
    assert_eq!(error.to_string(), fake.to_string());
}

/// What a network does to connections that it takes for MTProto.
#[derive(Clone, Copy, Debug)]
enum Block {
    /// Closed at once.
    Close,
    /// Nothing passes.
    Mute,
}

/// A blocked way is left for the next; what worked is used from then on.
#[tokio::test(flavor = "multi_thread")]
async fn blocked_ways_are_left_for_others() {
    for block in [Block::Close, Block::Mute] {
        let server = Server::start(Hooks::default()).await;
        let censor = Censor::start(server.address, block).await;
        let builder = || {
            let builder = RawClient::builder(censor.address, [Server::public_key()]).pfs(false);
            builder.connect_timeout(Duration::from_secs(20))
        };
        let begun = Instant::now();
        let client = builder().fallback(Fallback::all()).connect().await.unwrap();
        let patience = if matches!(block, Block::Mute) { 8 } else { 2 };
        assert!(begun.elapsed() < Duration::from_secs(patience), "{:?}", begun.elapsed());
        check(&client).await;
        let blocked = censor.blocked();
        assert_eq!(blocked, 1);
        for _ in 0..2 {
            server.inject(Inject::Cut);
            check(&client).await;
        }
        assert_eq!(censor.blocked(), blocked);
    }
}

/// Without a fallback a blocked way stays the only one.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_tried_unasked() {
    let server = Server::start(Hooks::default()).await;
    let censor = Censor::start(server.address, Block::Close).await;
    let client = RawClient::builder(censor.address, [Server::public_key()]);
    let error = client.connect_timeout(Duration::from_millis(500)).connect().await.unwrap_err();
    let ConnectError::Timeout { last: Some(LinkError::Ended(_)), .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(server.links(), 0);
    let client = RawClient::builder(censor.address, [Server::public_key()]).pfs(false);
    check(&client.way(Way::Obfuscated).connect().await.unwrap()).await;
}

/// A network that lets obfuscated connections pass and no others.
struct Censor {
    address: SocketAddr,
    blocked: Arc<AtomicUsize>,
}

impl Censor {
    async fn start(server: SocketAddr, block: Block) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let blocked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&blocked);
        tokio::spawn(async move {
            let muted = Mutex::new(Vec::new());
            while let Ok((mut client, _)) = listener.accept().await {
                let mut first = [0];
                if client.read_exact(&mut first).await.is_err() {
                    continue;
                }
                if first == [0xef] {
                    count.fetch_add(1, Ordering::Relaxed);
                    match block {
                        Block::Close => {}
                        Block::Mute => muted.lock().unwrap().push(client),
                    }
                    continue;
                }
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await?;
                    server.write_all(&first).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address, blocked }
    }

    fn blocked(&self) -> usize {
        self.blocked.load(Ordering::Relaxed)
    }
}

/// What a client sends first.
async fn first_bytes(builder: impl Fn(SocketAddr) -> chappe_client::Builder) -> BytesMut {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let builder = builder(listener.local_addr().unwrap());
    let client = tokio::spawn(builder.connect());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut first = BytesMut::zeroed(64);
    stream.read_exact(&mut first).await.unwrap();
    client.abort();
    first
}

fn check_header(mut first: BytesMut, dc: i32, framing: Framing) {
    let secret = Secret::from(*hex::decode(SECRET).unwrap().first_chunk().unwrap());
    let mut config = DetectConfig::default();
    config.secrets = vec![secret];
    let detected = Detect::new(config).handle(&mut first);
    let Detected::Codec(codec, Some(field)) = detected else { panic!("{detected:?}") };
    assert_eq!((codec.transport().framing(), i32::from(field)), (framing, dc));
}

const GRANTED: &str = "HTTP/1.1 200 OK\r\n\r\n";

async fn check(client: &RawClient) {
    let call = Bytes::from_static(&[9, 7, 7, 7, 0, 0, 0, 0]);
    let answer = tokio::time::timeout(Duration::from_secs(20), client.invoke_raw(call.clone()));
    assert_eq!(answer.await.unwrap().unwrap(), call);
}

/// Where nobody listens.
async fn nobody() -> Endpoint {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().into()
}
