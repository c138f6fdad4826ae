//! Calls by WebSocket and HTTP, inside TLS or not, and what the client says on them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chappe_client::{
    Authorities, Builder, ConnectError, DialError, Fallback, LinkError, Push, RawClient, Way,
    WebConfig,
};
use chappe_proto::schema::{functions, types};
use chappe_proto::session::client::SessionConfig;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::proxies::TestProxy;
use crate::server::{Accept, Hooks, Inject, Reply, Seen, Server, encoded};
use crate::web::{self, Fate};

const WEB: [Way; 4] = [Way::WebSocket, Way::WebSocketTls, Way::Http, Way::Https];

/// Rules: HTP-08, HTP-23, WSK-03, WSK-08, WSK-10, WSK-14: keys are made and calls answered in every
/// way, after a cut too, with temporary keys and without. The server cuts its messages of WebSocket
/// where it likes and pings between them.
#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_in_every_way() {
    for way in WEB {
        let server = start(way).await;
        for pfs in [false, true] {
            let client = builder(&server, way).pfs(pfs).connect().await.unwrap();
            let calls = (0..20).map(|n| check(&client, n));
            futures_util::future::join_all(calls).await;
            let before = server.links();
            server.inject(Inject::Cut);
            check(&client, 20).await;
            while server.links() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            check(&client, 21).await;
            client.close().await;
        }
    }
}

/// What the server pushes comes without a call, over HTTP in the request that waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn pushes_come_in_every_way() {
    for way in WEB {
        let server = start(way).await;
        let client = builder(&server, way).connect().await.unwrap();
        let mut pushes = client.pushes();
        check(&client, 0).await;
        let begun = Instant::now();
        for n in 1..4 {
            server.inject(Inject::Push(call(n)));
            assert_eq!(pushes.next().await, Some(Push::Message(call(n))), "{way}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{way}: {:?}", begun.elapsed());
    }
}

/// Rules: WSK-03, WSK-09, WSK-15: the request for a WebSocket names the subprotocol and the path of
/// the network, and what comes inside is obfuscated.
#[tokio::test(flavor = "multi_thread")]
async fn websockets_are_asked_for_as_servers_want() {
    let server = start(Way::WebSocket).await;
    let client = builder(&server, Way::WebSocket).connect().await.unwrap();
    check(&client, 0).await;
    let test_network = builder(&server, Way::WebSocket).dc(10_002).connect().await.unwrap();
    check(&test_network, 0).await;
    let mut web = WebConfig::default();
    web.ws_path = Some("/apiws_premium".to_owned());
    web.host = Some("venus.web.telegram.org".to_owned());
    let elsewhere = builder(&server, Way::WebSocket).web(web).connect().await.unwrap();
    check(&elsewhere, 0).await;
    let heads = server.state().heads.clone();
    assert!(heads.iter().all(|head| head.contains(r#""sec-websocket-protocol": "binary""#)));
    for (head, path, host) in [
        (&heads[0], "/apiws", server.address.to_string()),
        (&heads[1], "/apiws_test", server.address.to_string()),
        (&heads[2], "/apiws_premium", format!("venus.web.telegram.org:{}", server.address.port())),
    ] {
        assert!(head.starts_with(&format!("GET {path} ")), "{head}");
        assert!(head.contains(&format!(r#""host": "{host}""#)), "{head}");
    }
}

/// Rules: WSK-18: a WebSocket that the server closes, with a reason or without, is a link that
/// ended; a server that begins none is said to.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_websocket_is_an_error() {
    for (answer, expected) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: AAAA\r\n\r\n",
            "proof",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tea\r\nConnection: Upgrade\r\n\r\n",
            "something else",
        ),
        ("SSH-2.0-OpenSSH_10.0\r\n", "HTTP"),
    ] {
        let server = TestProxy::http(answer).await;
        let error = failure(format!("ws://{}", server.address)).await;
        assert!(error.contains(expected), "{answer}: {error}");
    }
}

/// Rules: HTP-08, HTP-23, HTP-24, HTP-26: each request says how long it is and nothing of chunks,
/// goes to `/api`, one at a time on a connection; two connections serve, one of them in long poll;
/// pings are plain ones.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_what_servers_want() {
    let server = start(Way::Http).await;
    let mut config = SessionConfig::default();
    config.silence_max = Duration::from_secs(1);
    let client = builder(&server, Way::Http).session_config(config).connect().await.unwrap();
    for n in 0..5 {
        check(&client, n).await;
    }
    server.state().hooks.call = Box::new(|_| Reply::Nothing);
    let patience = Duration::from_millis(1500);
    tokio::time::timeout(patience, client.invoke_raw(call(9))).await.unwrap_err();
    assert_eq!(server.links(), 2);
    let state = server.state();
    for head in &state.heads {
        assert!(head.starts_with("POST /api HTTP/1.1\r\n"), "{head}");
        let head = head.to_lowercase();
        assert!(head.contains(&format!("host: {}\r\n", server.address)), "{head}");
        assert!(head.contains("content-length: ") && head.contains("connection: keep-alive"));
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
    let said = |id: &[u8]| {
        let holds = |body: &Bytes| body.windows(4).any(|at| at == id);
        let message = |seen: &&Seen| matches!(seen, Seen::Message { body, .. } if holds(body));
        state.seen.iter().filter(message).count()
    };
    let ping = encoded(&functions::PingDelayDisconnect { ping_id: 0, disconnect_delay: 0 });
    assert_eq!(said(&ping[..4]), 0);
    assert!(said(&encoded(&functions::Ping { ping_id: 0 })[..4]) > 0);
    let wait = encoded(&types::HttpWait { max_delay: 0, wait_after: 0, max_wait: 0 });
    let messages = state.seen.iter().filter(|seen| matches!(seen, Seen::Message { .. })).count();
    assert_eq!(said(&wait[..4]), messages);
}

/// Rules: HTP-25, SES-11: whatever becomes of requests, each call runs once and is answered; a
/// request that failed is made good on another connection.
#[tokio::test(flavor = "multi_thread")]
async fn failed_requests_cost_no_call() {
    let server = start(Way::Http).await;
    let client = builder(&server, Way::Http).connect().await.unwrap();
    check(&client, 0).await;
    for fate in
        [Fate::Lost, Fate::Refused, Fate::Chunked, Fate::AnsweredAndClosed, Fate::Status(500)]
    {
        let mut left = if fate == Fate::Chunked { usize::MAX } else { 2 };
        server.state().requests = Box::new(move |_| match left {
            0 => Fate::Answered,
            _ => {
                left -= 1;
                fate
            }
        });
        for n in 0..6 {
            let body = Bytes::from(vec![n, fate_number(fate), 7, 0x99, 0, 0, 0, 0]);
            let answer = client.invoke_raw(body.clone());
            let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
            assert_eq!(answer.unwrap().unwrap(), body, "{fate:?}");
            assert_eq!(server.count(|seen| *seen == Seen::Call(body.clone())), 1, "{fate:?}");
        }
    }
}

fn fate_number(fate: Fate) -> u8 {
    match fate {
        Fate::Lost => 1,
        Fate::Refused => 2,
        Fate::Chunked => 3,
        Fate::AnsweredAndClosed => 4,
        _ => 5,
    }
}

/// Rule: HTP-11: a status is the code of a transport error, and what stands in the body means
/// nothing: after 429 there is a pause, 444 says that the data centre is not served.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_a_transport_error() {
    let server = start(Way::Http).await;
    server.state().requests = Box::new(|_| Fate::Status(444));
    let error = builder(&server, Way::Http).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Misconfigured(LinkError::WrongDc { dc: 2 })), "{error}");

    server.state().requests = Box::new(|_| Fate::Answered);
    let client = builder(&server, Way::Http).connect().await.unwrap();
    check(&client, 0).await;
    // The request that waits for the server to speak is under way then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut first = true;
    server.state().requests = Box::new(move |_| match std::mem::take(&mut first) {
        true => Fate::Status(429),
        false => Fate::Answered,
    });
    let begun = Instant::now();
    check(&client, 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Rule: HTP-13: a body larger than a packet may be is not read, and ends the link.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_too_large_are_not_read() {
    let server = start(Way::Http).await;
    server.state().requests = Box::new(|_| Fate::Oversize(5 << 20));
    let client = builder(&server, Way::Http).connect_timeout(Duration::from_secs(1));
    let error = client.connect().await.unwrap_err().to_string();
    assert!(error.contains("a body of more than 4195328 bytes"), "{error}");
}

/// Rule: HTP-14: the key exchange is a request and its answer, on one connection, each time.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_request_by_request() {
    let server = start(Way::Http).await;
    let client = builder(&server, Way::Http).connect().await.unwrap();
    check(&client, 0).await;
    let seen = server.seen();
    let last_step = seen.iter().position(|seen| matches!(seen, Seen::SetDh { .. })).unwrap();
    let connected = |seen: &&Seen| matches!(seen, Seen::Connected(_));
    assert_eq!(seen[..last_step].iter().filter(connected).count(), 1);
}

/// A server is believed whose certificate a given authority signed, under its name, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked() {
    let server = start(Way::Https).await;
    let (other, _) = web::certificate();
    for way in ["wss", "https"] {
        let url = format!("{way}://{}", server.address);
        let client = RawClient::builder(&url, [Server::public_key()]).pfs(false);
        let strangers = client.web(authorities(&other)).connect_timeout(Duration::from_millis(500));
        let error = strangers.connect().await.unwrap_err();
        let ConnectError::Timeout { last: Some(LinkError::Connect(error)), .. } = error else {
            panic!("{error}");
        };
        assert!(matches!(*error, DialError::Tls { .. }), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        // The authorities of browsers do not know it either.
        assert!(failure(url).await.contains("certificate"));
    }
    let mut wrong_name = authorities(&server.certificate());
    wrong_name.host = Some("example.org".to_owned());
    let url = format!("wss://{}", server.address);
    let client = RawClient::builder(url, [Server::public_key()]).web(wrong_name);
    let error = client.connect_timeout(Duration::from_millis(500)).connect().await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

/// Rule: HTP-33: through an HTTP proxy requests go as they are, with the whole address and who asks;
/// TLS and WebSocket go through `CONNECT`, as everything does through SOCKS5.
#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_passed_through_in_every_way() {
    for way in WEB {
        let server = start(way).await;
        let socks = TestProxy::socks5(true).await;
        let http = TestProxy::forward(server.address).await;
        for url in [
            format!("socks5://jo%3Ae:s3cret%40%C3%BC@{}", socks.address),
            format!("http://jo%3Ae:s3cret%40%C3%BC@{}", http.address),
        ] {
            let client = builder(&server, way).proxy(url.parse().unwrap());
            check(&client.connect().await.unwrap(), 0).await;
        }
        assert!(socks.seen().iter().all(|target| *target == server.address.to_string()));
        let expected = match way {
            Way::Http => format!("POST http://{}/api HTTP/1.1\r\n", server.address),
            _ => format!("CONNECT {} HTTP/1.1\r\n", server.address),
        };
        for head in http.seen() {
            assert!(head.starts_with(&expected), "{head}");
            let basic = "proxy-authorization: basic am86ztpzm2nyzxraw7w=\r\n";
            assert!(head.to_lowercase().contains(basic), "{head}");
        }
    }
}

/// Where everything but HTTP is blocked, HTTP is found, and used from then on.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_is_found() {
    let server = start(Way::Http).await;
    // Nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut web = WebConfig::default();
    web.addresses = vec![server.address.to_string().parse().unwrap()];
    let client = RawClient::builder(nobody, [Server::public_key()]).pfs(false).web(web);
    let client = client.fallback(Fallback::all()).connect().await.unwrap();
    check(&client, 0).await;
    let heads = server.state().heads.len();
    assert!(heads > 0);
    server.inject(Inject::Cut);
    check(&client, 1).await;
    assert!(server.state().heads.len() > heads);
}

/// A network that swallows whatever comes after the connection: each way is left after a while.
#[tokio::test(flavor = "multi_thread")]
async fn silence_is_no_reason_to_wait_for_ever() {
    let silent = Hooks { accept: Box::new(|_| Accept::Silent), ..Hooks::default() };
    let server = Server::start(silent).await;
    let ways = Fallback::to([Way::Http]);
    let begun = Instant::now();
    let client = server.client().fallback(ways).connect_timeout(Duration::from_secs(12));
    let connecting = tokio::spawn(client.connect());
    server.until(|state| !state.heads.is_empty()).await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(8), "{waited:?}");
    server.state().hooks.accept = Box::new(|_| Accept::Serve);
    check(&connecting.await.unwrap().unwrap(), 0).await;
}

/// A client that is closed says its last words over HTTP, too.
#[tokio::test(flavor = "multi_thread")]
async fn last_words_are_said() {
    let server = start(Way::Http).await;
    let client = builder(&server, Way::Http).connect().await.unwrap();
    check(&client, 0).await;
    let begun = Instant::now();
    client.close().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    server
        .until(|state| {
            let ended = state.seen.iter().filter(|seen| matches!(seen, Seen::Closed(_))).count();
            ended == 2
        })
        .await;
}

/// Nothing follows the head of an answer: the connection is not held for ever.
#[tokio::test]
async fn a_server_that_stops_in_an_answer_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    let client = RawClient::builder(url, [Server::public_key()]);
    let client = client.connect_timeout(Duration::from_millis(700));
    let connecting = tokio::spawn(client.connect());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut first = [0; 4];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"POST");
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
}

/// A server that is to be had in this way.
async fn start(way: Way) -> Server {
    let server = Server::start(Hooks::default()).await;
    if way.has_tls() {
        server.use_tls();
    }
    server
}

fn builder(server: &Server, way: Way) -> Builder {
    let url = format!("{way}://{}", server.address);
    let builder = RawClient::builder(url, [Server::public_key()]).pfs(false);
    match way.has_tls() {
        true => builder.web(authorities(&server.certificate())),
        false => builder,
    }
}

fn authorities(pem: &str) -> WebConfig {
    let mut web = WebConfig::default();
    web.authorities = Some(Authorities::from_pem(pem.as_bytes()).unwrap());
    web
}

/// Why a client of this address gets no connection.
async fn failure(url: String) -> String {
    let client = RawClient::builder(url, [Server::public_key()]);
    let connecting = client.connect_timeout(Duration::from_millis(500)).connect();
    connecting.await.unwrap_err().to_string()
}

fn call(n: u8) -> Bytes {
    Bytes::from(vec![n, 7, 7, 0x99, 0, 0, 0, 0])
}

async fn check(client: &RawClient, n: u8) {
    let answer = tokio::time::timeout(Duration::from_secs(20), client.invoke_raw(call(n)));
    assert_eq!(answer.await.unwrap().unwrap(), call(n));
}
