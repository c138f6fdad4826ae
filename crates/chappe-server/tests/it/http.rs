//! What is said in HTTP, on real sockets: paths, methods, lengths, headers (12-http §1, 2, 4, 5).

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chappe_proto::handshake::client::{KeyRequest, start};
use chappe_proto::handshake::server::DcPolicy;
use chappe_proto::schema::types;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::rng;
use crate::functions::{Echo, Whence};
use crate::log::Log;
use crate::tls;
use crate::web::{Answer, Pen, Web, plain_packet, post, post_alone, texts};
use crate::world::World;

/// Rule:   any path that begins with `/api` is served, whatever its query; one of more than 64 bytes
///         gets 414, any other 404.
/// Source: HTP-01.
#[tokio::test]
async fn paths_that_begin_with_api_are_served() {
    let world = World::new().await;
    let longest = format!("/api{}", "x".repeat(60));
    let query = format!("/apiw1?{}", "x".repeat(1000));
    for path in ["/api", "/apiw1", "/api_test", "/apiw_test1", "/apiw1_premium", &longest, &query] {
        let answer = ask(&world, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.len() > 60, "{path}");
    }
    for (path, status) in [
        (&format!("{longest}x")[..], 414),
        (&format!("/apiw1{}", "x".repeat(1000)), 414),
        ("/", 404),
        ("/ap", 404),
        ("/index.html", 404),
        ("//api", 404),
        ("/API", 404),
    ] {
        let answer = ask(&world, path).await;
        assert_eq!((answer.status, answer.closes()), (status, true), "{path}");
        assert_eq!(answer.header("access-control-allow-origin").is_some(), path.contains("apiw"));
    }
}

async fn ask(world: &World, path: &str) -> Answer {
    let mut web = Web::connect(world.address).await;
    web.post(path, &request_pq()).await.unwrap()
}

/// Rule:   `POST` brings packets, `OPTIONS` asks for leave, `GET` may ask for a WebSocket; whatever
///         else gets 405 or 501, and the connection ends.
/// Source: HTP-02, WSK-01, WSK-02, TRN-18, TRN-21.
#[tokio::test]
async fn other_methods_are_refused() {
    let world = World::new().await;
    for (method, path, status) in [
        ("HEAD", "/api", 405),
        ("GET", "/", 404),
        ("GET", "/api", 404),
        ("GET", "/apiws", 400),
        ("OPTIONS", "/", 404),
        ("OPTIONS", "*", 404),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = said(&world, request).await;
        assert_eq!((answer.status, answer.closes()), (status, true), "{method} {path}");
        assert!(answer.body.is_empty());
    }
    // Other words may open an obfuscated connection: silence, whatever comes.
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "post"] {
        let mut web = Web::connect(world.address).await;
        let request = format!("{method} /api HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        web.write(request.repeat(3)).await;
        web.hears_nothing().await;
    }
    // A connection that has begun with one of those that are recognised may go on with any.
    for (method, status) in
        [("PUT", 405), ("DELETE", 405), ("PATCH", 405), ("TRACE", 405), ("BREW", 501)]
    {
        let mut web = Web::connect(world.address).await;
        assert_eq!(web.post("/api", &request_pq()).await.unwrap().status, 200);
        web.write(format!("{method} /api HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")).await;
        let answer = web.next().await.unwrap();
        assert_eq!((answer.status, answer.closes()), (status, true), "{method}");
        web.ends().await;
    }
}

/// Rule:   a connection goes on after an answer, unless its client wants otherwise; one of HTTP/1.0
///         only where its client wants that.
/// Source: HTP-03.
#[tokio::test]
async fn connections_are_kept_as_the_client_wants() {
    let world = World::new().await;
    for (version, header, keeps) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: close\r\n", false),
    ] {
        let mut web = Web::connect(world.address).await;
        let body = request_pq();
        let head =
            format!("POST /api HTTP/{version}\r\n{header}Content-Length: {}\r\n\r\n", body.len());
        for _ in 0..2 {
            web.write([head.as_bytes(), &body].concat()).await;
            let answer = web.next().await.unwrap();
            assert_eq!(answer.status, 200);
            let told = if keeps { "keep-alive" } else { "close" };
            assert_eq!(answer.header("connection"), Some(told), "{version} {header}");
            if !keeps {
                web.ends().await;
                break;
            }
        }
    }
}

/// Rule:   the length of a body is what `Content-Length` says: chunks and no length get 411, two
///         lengths that differ, and both headers at once, are refused; then the connection ends and
///         nothing that came behind is heard.
/// Source: HTP-04.
#[tokio::test]
async fn lengths_that_can_be_read_two_ways_are_refused() {
    let world = World::new().await;
    let body = request_pq();
    let length = body.len();
    // What somebody before us may have taken for a body is a request to us, or the other way round.
    let smuggled = String::from_utf8_lossy(&post("/api", b"")).into_owned();
    for (headers, statuses) in [
        ("Transfer-Encoding: chunked\r\n".to_owned(), &[411][..]),
        ("Transfer-Encoding: Chunked\r\n".to_owned(), &[411]),
        (String::new(), &[411]),
        (format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), &[400]),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), &[400]),
        (format!("Transfer-Encoding: identity\r\nContent-Length: {length}\r\n"), &[400]),
        ("Transfer-Encoding: gzip\r\n".to_owned(), &[400]),
        (format!("Content-Length: {length}\r\nContent-Length: 4\r\n"), &[400]),
        (format!("Content-Length: {length}, {length}\r\n"), &[400]),
        (format!("Content-Length: +{length}\r\n"), &[400]),
        ("Content-Length: -4\r\n".to_owned(), &[400]),
        ("Content-Length: 0x28\r\n".to_owned(), &[400]),
        ("Content-Length: 99999999999999999999999\r\n".to_owned(), &[400, 413]),
        (format!("Content-Length : {length}\r\n"), &[400]),
        (format!("Content-Length\r\n : {length}\r\n"), &[400]),
        (format!("X: y\r\n Content-Length: {length}\r\n"), &[400]),
        (format!("Content-Length:\r\n {length}\r\n"), &[400]),
    ] {
        let mut web = Web::connect(world.address).await;
        let mut request = format!("POST /apiw1 HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes();
        request.extend_from_slice(b"0\r\n\r\n");
        request.extend_from_slice(smuggled.as_bytes());
        request.extend_from_slice(&body);
        web.write(request).await;
        let answer = web.next().await.unwrap();
        assert!(statuses.contains(&answer.status), "{headers:?}: {}", answer.head);
        assert!(answer.closes(), "{headers:?}: {}", answer.head);
        web.ends().await;
    }
    // Twice the same is once.
    let mut web = Web::connect(world.address).await;
    let twice = format!("Content-Length: {length}\r\nContent-Length: {length}\r\n");
    web.write([format!("POST /api HTTP/1.1\r\n{twice}\r\n").as_bytes(), &body].concat()).await;
    assert_eq!(web.next().await.unwrap().status, 200);
}

/// Rule:   a head of more than 16 KiB gets 431, whether in one header or many.
/// Source: HTP-04, WSK-07.
#[tokio::test]
async fn head_is_bounded() {
    let world = World::new().await;
    let long = format!("X: {}\r\n", "y".repeat(16 << 10));
    let many = "X: y\r\n".repeat(3000);
    for headers in [long, many] {
        let answer = said(&world, format!("POST /api HTTP/1.1\r\n{headers}\r\n")).await;
        assert_eq!((answer.status, answer.closes()), (431, true));
    }
    let mut web = Web::connect(world.address).await;
    let body = request_pq();
    let head = format!("X: {}\r\nContent-Length: {}\r\n", "y".repeat(15 << 10), body.len());
    web.write([format!("POST /api HTTP/1.1\r\n{head}\r\n").as_bytes(), &body].concat()).await;
    assert_eq!(web.next().await.unwrap().status, 200);
}

/// Rule:   a packet larger than the limit gets 413 at its head; a stranger may send 4096 bytes, and
///         more only where it names a key that there is.
/// Source: HTP-04, TRN-37, TRN-38, MSG-04.
#[tokio::test]
async fn packets_are_bounded_and_strangers_more_so() {
    let world = World::new().await;
    let announced = async |len: usize, begun: &[u8]| {
        let mut web = Web::connect(world.address).await;
        web.write(format!("POST /apiw1 HTTP/1.1\r\nContent-Length: {len}\r\n\r\n")).await;
        web.write(begun).await;
        let answer = web.next().await.unwrap();
        assert!(answer.closes());
        web.ends().await;
        answer.status
    };
    assert_eq!(announced(1_044_481, b"").await, 413);
    // The key is looked up as soon as it is named, and the rest is not waited for.
    assert_eq!(announced(1_044_480, &[7; 8]).await, 404);
    assert_eq!(announced(4100, &[0; 8]).await, 413);
    assert_eq!(announced(4100, &[7; 8]).await, 404);
    // What a stranger may send is waited for as a whole.
    let mut web = Web::connect(world.address).await;
    web.write(b"POST /api HTTP/1.1\r\nContent-Length: 4096\r\n\r\n").await;
    web.write([7; 4095]).await;
    web.hears_nothing().await;
    web.write([7]).await;
    assert_eq!(web.next().await.unwrap().status, 404);
    // One who names a key may send as much as anybody.
    let mut pen = Pen::new(&world).await;
    let text = "x".repeat(900_000);
    let call = pen.call(&Echo::from(&text[..]));
    let answers = pen.ask_alone(&world, std::slice::from_ref(&call)).await;
    assert_eq!(texts(&answers), [(call.msg_id, text)]);
}

/// Rule:   what a client says of the type, of itself, of its host and of what it accepts is nothing
///         to us.
/// Source: HTP-05.
#[tokio::test]
async fn headers_of_clients_are_ignored() {
    let world = World::new().await;
    let body = request_pq();
    for headers in [
        "Host:\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\nAccept: text/html\r\n",
        "Content-Type: application/octet-stream\r\nUser-Agent: \r\n",
        "Content-Type:\r\nHost: a\r\nX-Requested-With: y\r\nOrigin: null\r\n",
        "Keep-Alive: timeout=100000, max=10000000\r\nAccept-Encoding: gzip, br\r\nCookie: a=b\r\n",
    ] {
        let mut web = Web::connect(world.address).await;
        let head = format!("POST /api HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        web.write([head.as_bytes(), &body].concat()).await;
        assert_eq!(web.next().await.unwrap().status, 200, "{headers}");
    }
    // One who waits to be told before it sends is told (RFC 9110, 10.1.1).
    let mut web = Web::connect(world.address).await;
    let length = body.len();
    web.write(format!(
        "POST /api HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ))
    .await;
    assert_eq!(web.next().await.unwrap().status, 100);
    web.write(&body).await;
    assert_eq!(web.next().await.unwrap().status, 200);
}

/// Rule:   a body that cannot be a packet gets 404, and is not looked at; so does what is no key
///         exchange.
/// Source: HTP-06, KEY-01, KEY-04.
#[tokio::test]
async fn bodies_that_are_no_packets_get_404() {
    let world = World::new().await;
    let mut short = request_pq();
    short.truncate(36);
    for body in [
        &[1u8, 2, 3][..],
        &[0; 4],
        &[0; 20],
        &[7; 23],
        &[7; 25],
        &[7; 42],
        &[0; 24],
        &[0; 40],
        &short,
        &plain_packet(&[0; 40]),
    ] {
        let answer = post_alone(&world, body).await;
        assert_eq!((answer.status, answer.closes()), (404, true), "{} bytes", body.len());
        assert!(answer.body.is_empty());
    }
}

/// Rule:   a request with nothing in it is a probe: 404, readable to pages, and the connection stays.
/// Source: HTP-07.
#[tokio::test]
async fn empty_request_is_a_probe() {
    let world = World::new().await;
    let mut web = Web::connect(world.address).await;
    for _ in 0..3 {
        let answer = web.post("/apiw1", b"").await.unwrap();
        assert_eq!((answer.status, answer.closes()), (404, false));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-length"), Some("0"));
    }
    assert_eq!(web.post("/apiw1", &request_pq()).await.unwrap().status, 200);
}

/// Rule:   an error is the status, never a packet of four bytes, and ends its connection: an unknown
///         key is 404, too much 429, a data centre that is not here 444.
/// Source: HTP-10, KEY-34, MSG-22, KEY-14.
#[tokio::test]
async fn errors_are_statuses() {
    let own = DcPolicy::Only { dc: 2, test: false, media: true };
    let world = World::with(|config| config.handshake.dc = own).await;
    let check = |answer: Answer, status: u16| {
        assert_eq!((answer.status, answer.closes()), (status, true), "{}", answer.head);
        assert!(answer.body.is_empty());
    };
    let mut pen = Pen::new(&world).await;
    let mut unknown = pen.packet(&[]);
    unknown[0] ^= 1;
    check(post_alone(&world, &unknown).await, 404);

    let ids = types::MsgsAck { msg_ids: vec![1; 8193] };
    let acks = pen.service(&ids);
    let too_many = pen.packet(&[acks]);
    check(post_alone(&world, &too_many).await, 429);

    let request = KeyRequest { dc: 3, expires_in: None, server_keys: world.trusted() };
    let mut rng = rng();
    let (state, body) = start(request, &mut rng);
    let answer = crate::web::ask_plain(&world, &body).await;
    let (_, body) = state.handle(&answer, &mut rng).unwrap();
    check(post_alone(&world, &plain_packet(&body)).await, 444);

    // Whatever cannot be opened is met with silence (SEC-48).
    let mut forged = pen.packet(&[]);
    forged[30] ^= 1;
    let mut web = Web::connect(world.address).await;
    assert!(web.post("/api", &forged).await.is_none());
}

/// Rule:   `Content-length` stands last, right before the blank line, in every answer; nothing says
///         more than it has to.
/// Source: HTP-27, HTP-09.
#[tokio::test]
async fn length_is_the_last_header() {
    let world = World::new().await;
    let body = request_pq();
    let answers = [
        said(&world, post("/api", &body)).await,
        said(&world, post("/apiw1", &body)).await,
        said(&world, post("/apiw1", b"")).await,
        said(&world, post("/apiw1", &[1; 3])).await,
        said(&world, post("/", &body)).await,
        said(&world, "OPTIONS /apiw1 HTTP/1.1\r\n\r\n").await,
        said(&world, "GET /apiws HTTP/1.1\r\n\r\n").await,
        said(&world, "HEAD /api HTTP/1.1\r\n\r\n").await,
        said(&world, "POST /api HTTP/1.1\r\nContent-Length: x\r\n\r\n").await,
        said(&world, format!("POST /api HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(16 << 10))).await,
    ];
    for answer in answers {
        let lines: Vec<&str> = answer.head.trim_end().lines().collect();
        let last = lines.last().unwrap();
        assert!(last.to_ascii_lowercase().starts_with("content-length: "), "{}", answer.head);
        assert!(answer.head.ends_with("\r\n\r\n"));
        assert_eq!(answer.header("date"), None);
        assert_eq!(answer.header("server"), None);
        assert!(answer.header("connection").is_some(), "{}", answer.head);
    }
    let answer = said(&world, post("/api", &body)).await;
    assert_eq!(
        answer.head,
        format!(
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/octet-stream\r\n\
             Pragma: no-cache\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n",
            answer.body.len()
        )
    );
}

/// Rule:   pages of any origin may use `/apiw…`, as every answer there says, errors and leave
///         included, without credentials; those of `/api` say nothing of it, unless told to.
/// Source: HTP-28, HTP-29.
#[tokio::test]
async fn pages_may_read_answers_of_their_paths() {
    let world = World::new().await;
    let everywhere = World::with(|config| config.http.cors_everywhere = true).await;
    for (world, path, is_public) in
        [(&world, "/apiw1", true), (&world, "/api", false), (&everywhere, "/api", true)]
    {
        let options = format!(
            "OPTIONS {path} HTTP/1.1\r\nOrigin: https://x\r\nAccess-Control-Request-Method: POST\r\n\r\n"
        );
        let mut web = Web::connect(world.address).await;
        web.write(options).await;
        let leave = web.next().await.unwrap();
        assert_eq!((leave.status, leave.closes()), (200, false));
        assert_eq!(leave.header("content-type"), Some("text/plain"));
        assert_eq!(leave.header("content-length"), Some("0"));
        let answers = [
            leave,
            web.post(path, &request_pq()).await.unwrap(),
            web.post(path, b"").await.unwrap(),
            web.post(path, &[7; 72]).await.unwrap(),
            said(world, format!("POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"))
                .await,
            said(world, format!("POST {path} HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n")).await,
            said(world, format!("HEAD {path} HTTP/1.1\r\n\r\n")).await,
            said(world, post(&format!("{path}{}", "x".repeat(99)), b"x")).await,
        ];
        for answer in answers {
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-methods", "POST, OPTIONS"),
                ("access-control-allow-headers", "origin, content-type"),
                ("access-control-max-age", "1728000"),
            ] {
                assert_eq!(answer.header(name), is_public.then_some(value), "{}", answer.head);
            }
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
}

/// Rule:   a page of the public network may call a server in a private one where that is set.
/// Source: HTP-30.
#[tokio::test]
async fn private_network_is_opened_by_a_setting() {
    let world = World::new().await;
    let open = World::with(|config| config.http.private_network = true).await;
    let asks = "OPTIONS /apiw1 HTTP/1.1\r\nAccess-Control-Request-Private-Network: true\r\n\r\n";
    let asks_not = "OPTIONS /apiw1 HTTP/1.1\r\n\r\n";
    for (world, request, leave) in
        [(&open, asks, Some("true")), (&open, asks_not, None), (&world, asks, None)]
    {
        let answer = said(world, request).await;
        assert_eq!(answer.header("access-control-allow-private-network"), leave);
    }
}

/// Rule:   a reverse proxy may say whom it speaks for, where it is trusted; nobody else.
/// Source: HTP-32, SEC-60.
#[tokio::test]
async fn trusted_proxy_says_whom_it_speaks_for() {
    let trusting =
        World::with(|config| config.forwarded_from = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let wary =
        World::with(|config| config.forwarded_from = vec!["10.0.0.0/8".parse().unwrap()]).await;
    check_whence(&trusting, "X-Real-IP: 203.0.113.9\r\nX-Real-Port: 4711\r\n", "203.0.113.9:4711")
        .await;
    check_whence(&trusting, "X-Real-IP: 2001:db8::7\r\n", "[2001:db8::7]:0").await;
    let list = "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 127.0.0.5\r\nX-Forwarded-For: 127.0.0.6\r\n";
    check_whence(&trusting, list, "203.0.113.9:0").await;
    check_whence(&trusting, "X-Forwarded-For: 203.0.113.9, who?\r\n", "127.0.0.1").await;
    check_whence(&trusting, "X-Real-IP: nobody\r\n", "127.0.0.1").await;
    check_whence(&trusting, "", "127.0.0.1").await;
    check_whence(&wary, "X-Real-IP: 203.0.113.9\r\n", "127.0.0.1").await;

    // It speaks for many: the limit of one address is not for it.
    for (network, is_served) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let crowded = World::with(|config| {
            config.forwarded_from = vec![network.parse().unwrap()];
            config.connections.per_address_max = 2;
        })
        .await;
        let mut crowd = Vec::new();
        for _ in 0..3 {
            crowd.push(Web::connect(crowded.address).await);
        }
        let answer = crowd[2].post("/api", &request_pq()).await;
        assert_eq!(answer.map(|answer| answer.status), is_served.then_some(200), "{network}");
    }

    // Who speaks may change with each request.
    let mut pen = Pen::new(&trusting).await;
    let mut web = Web::connect(trusting.address).await;
    for address in ["203.0.113.1", "203.0.113.2", "203.0.113.1"] {
        let heard = whence(&mut pen, &mut web, &format!("X-Real-IP: {address}\r\n")).await;
        assert_eq!(heard, format!("{address}:0"));
    }
}

async fn check_whence(world: &World, headers: &str, expected: &str) {
    let mut pen = Pen::new(world).await;
    let mut web = Web::connect(world.address).await;
    let heard = whence(&mut pen, &mut web, headers).await;
    assert!(heard.starts_with(expected), "{headers:?}: {heard}");
}

async fn whence(pen: &mut Pen, web: &mut Web, headers: &str) -> String {
    let call = pen.call(&Whence::from(""));
    let packet = pen.packet(&[call]);
    let length = packet.len();
    web.write(format!("POST /api HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n")).await;
    web.write(packet).await;
    let answer = web.next().await.unwrap();
    texts(&pen.open(&answer.body)).remove(0).1
}

/// Rule:   a target with scheme and host, as sent through a proxy, means its path.
/// Source: HTP-33.
#[tokio::test]
async fn absolute_targets_are_understood() {
    let world = World::new().await;
    let mut web = Web::connect(world.address).await;
    let body = request_pq();
    for target in ["http://149.154.167.50:80/api", "http://x/apiw1?y", "https://x:443/api_test"] {
        let answer = web.post(target, &body).await.unwrap();
        assert_eq!(answer.status, 200, "{target}");
        let is_public = target.contains("apiw");
        assert_eq!(answer.header("access-control-allow-origin").is_some(), is_public);
    }
    let answer = web.post("http://api/other", &body).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (404, true));
}

/// Rule:   inside TLS it is the same.
/// Source: HTP-31.
#[tokio::test]
async fn https_is_http_inside_tls() {
    let (world, identity) = tls::world(|_| {}).await;
    let mut pen = Pen::new(&world).await;
    let mut web = Web::over(tls::dial(&world, &identity).await.unwrap());
    for text in ["a", "b"] {
        let call = pen.call(&Echo::from(text));
        let answers = pen.ask(&mut web, std::slice::from_ref(&call)).await;
        assert_eq!(texts(&answers), [(call.msg_id, text.to_owned())]);
    }
    let answer = web.post("/apiw1", b"").await.unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(web.post("/apiw1", &[7; 72]).await.unwrap().status, 404);
    web.ends().await;
}

/// Rule:   who does not send what it has announced is let go: without a head after the time for a
///         first packet, without a body after that for bodies.
/// Source: TRN-22, WSK-07, HTP-04.
#[tokio::test]
async fn slow_requests_are_given_up() {
    let world = World::with(|config| {
        config.link.first_packet_wait_max = Duration::from_millis(300);
        config.http.body_wait_max = Duration::from_millis(600);
    })
    .await;
    for (opening, least) in [
        ("POST", 300),
        ("POST /api HTTP/1.1\r\nContent-Length: 40\r\n", 300),
        ("POST /api HTTP/1.1\r\nContent-Length: 40\r\n\r\nbody", 600),
    ] {
        let mut web = Web::connect(world.address).await;
        let begun = Instant::now();
        web.write(opening).await;
        // A byte now and then does not help.
        let ended = async {
            while web.stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("it is let go");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(least - 5), "{opening:?} after {took:?}");
    }
    // Between requests it may be silent.
    let mut web = Web::connect(world.address).await;
    for _ in 0..2 {
        assert_eq!(web.post("/api", &request_pq()).await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// A request that ends in the middle of its body is told of as such, however it was cut.
#[tokio::test]
async fn request_cut_in_its_body_is_logged_as_that() {
    let log = Log::of_the_process();
    let world = World::new().await;
    for (number, body) in ["", "half of "].into_iter().enumerate() {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let peer = stream.local_addr().unwrap();
        let request = format!("POST /api HTTP/1.1\r\nContent-Length: 72\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        if number == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let told = format!("after {} of 72 bytes of a request's body", body.len());
        log.holds(&[&format!("peer={peer}"), "link closed", "reason=\"eof\"", &told]);
    }
}

/// Rule:   who asks and asks, and reads no answer, is let go; others are served meanwhile, though
///         all share one thread.
/// Source: TRN-43.
#[test]
fn who_reads_no_answers_is_let_go() {
    let (tell, told) = std::sync::mpsc::channel();
    // A server that never waits would keep a test on its own thread from telling so.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stalled_max = Duration::from_millis(300);
            let world = World::with(|config| config.drive.stalled_max = stalled_max).await;
            let mut others = Web::connect(world.address).await;
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut deaf = socket.connect(world.address).await.unwrap();
            let request = "OPTIONS /apiw1 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
            let mut flood =
                pin!(async { while deaf.write_all(request.as_bytes()).await.is_ok() {} });
            let body = request_pq();
            let begun = Instant::now();
            let mut served = 0;
            loop {
                tokio::select! {
                    biased;
                    () = &mut flood => break,
                    answer = others.post("/api", &body) => {
                        assert_eq!(answer.unwrap().status, 200);
                        served += 1;
                    }
                }
            }
            assert!(begun.elapsed() >= stalled_max);
            assert!(served > 10, "only {served}");
        });
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(30)).expect("it is let go, and others are served");
}

/// Rule:   HTTP can be switched off: it is met with silence then, as anything unknown.
/// Source: TRN-23.
#[tokio::test]
async fn http_can_be_switched_off() {
    let world = World::with(|config| {
        (config.detect.http, config.detect.websocket) = (false, false);
        config.link.first_packet_wait_max = Duration::from_millis(200);
    })
    .await;
    let mut web = Web::connect(world.address).await;
    assert!(web.post("/api", &request_pq()).await.is_none());
    // Where WebSockets are served they are all that is.
    let world = World::with(|config| config.detect.http = false).await;
    let mut web = Web::connect(world.address).await;
    web.write("GET /apiws HTTP/1.1\r\n\r\n").await;
    assert_eq!(web.next().await.unwrap().status, 400);
}

/// The first answer to some bytes.
async fn said(world: &World, bytes: impl AsRef<[u8]>) -> Answer {
    let mut web = Web::connect(world.address).await;
    web.write(bytes).await;
    web.next().await.unwrap()
}

/// A request that is answered at once: the first of a key exchange.
fn request_pq() -> Vec<u8> {
    let mut body = 0xbe7e_8ef1u32.to_le_bytes().to_vec();
    body.extend_from_slice(&rng().bytes::<16>());
    plain_packet(&Bytes::from(body))
}
