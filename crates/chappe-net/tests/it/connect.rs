//! Opening connections, straight and through proxies, over real sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chappe_net::connect::{
    AttemptError, ConnectError, Connected, Endpoint, EndpointError, Proxy, ProxyError,
    ProxyUrlError, connect,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::proxies::{TestProxy, USER};

const WAIT: Duration = Duration::from_secs(5);

/// Rule: TRN-39: of several addresses and ports the one that answers is taken, whichever the others
/// are; the connection is ready for short messages (TRN-40).
#[tokio::test]
async fn the_address_that_answers_is_taken() {
    let server = echo().await;
    let endpoints = [nobody().await, silent(), nobody().await, server.into(), nobody().await];
    let begun = Instant::now();
    let Connected { stream, at } = connect(&endpoints, None, WAIT).await.unwrap();
    assert_eq!((at, stream.peer_addr().unwrap()), (3, server));
    assert!(stream.nodelay().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    check(stream).await;
}

/// Names are resolved by the system.
#[tokio::test]
async fn names_are_resolved() {
    let server = echo().await;
    let endpoint = Endpoint::new("localhost", server.port()).unwrap();
    check(connect(&[endpoint], None, WAIT).await.unwrap().stream).await;
    // A name that cannot exist (RFC 6761).
    let nowhere = Endpoint::new("nowhere.invalid", 443).unwrap();
    let error = connect(&[nowhere, nobody().await], None, WAIT).await.unwrap_err();
    assert!(error.to_string().contains("nowhere.invalid:443: name not resolved"), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn errors_name_every_address() {
    let (one, other) = (nobody().await, nobody().await);
    let error = connect(&[one.clone(), other.clone()], None, WAIT).await.unwrap_err();
    let text = error.to_string();
    let expected = |at: &Endpoint| text.contains(&format!("{at}: Connection refused"));
    assert!(expected(&one) && expected(&other), "{text}");
    let patience = Duration::from_millis(50);
    let error = connect(&[silent()], None, patience).await.unwrap_err();
    // Or no network leads there at all.
    let [failed] = &error.failed[..] else { panic!("{error}") };
    assert!(matches!(failed.why, AttemptError::TimedOut(_) | AttemptError::Connect(_)));
}

/// The proxy is told a name as it is, and an address as one.
#[tokio::test]
async fn socks5_proxies_lead_there() {
    let server = echo().await;
    let named = Endpoint::new("localhost", server.port()).unwrap();
    for wants_user in [false, true] {
        let running = TestProxy::socks5(wants_user).await;
        let endpoint = running.address;
        let url = match wants_user {
            true => format!("socks5://jo%3Ae:s3cret%40%C3%BC@{endpoint}"),
            false => format!("socks5://{endpoint}"),
        };
        let proxy: Proxy = url.parse().unwrap();
        for target in [&server.into(), &named] {
            let connected = connect(std::slice::from_ref(target), Some(&proxy), WAIT).await;
            check(connected.unwrap().stream).await;
        }
        assert_eq!(running.seen(), [server.to_string(), named.to_string()]);
    }
}

#[tokio::test]
async fn socks5_proxies_say_why_not() {
    let server = echo().await;
    let running = TestProxy::socks5(true).await;
    let endpoint = Endpoint::from(running.address);
    let wrong = Some((USER.0.to_owned(), "wrong".to_owned()));
    let right = Some((USER.0.to_owned(), USER.1.to_owned()));
    for credentials in [wrong, None] {
        let proxy = Proxy::socks5(endpoint.clone(), credentials).unwrap();
        let why = refusal(connect(&[server.into()], Some(&proxy), WAIT).await);
        assert!(matches!(why, ProxyError::Socks(_)), "{why}");
    }
    let proxy = Proxy::socks5(endpoint, right).unwrap();
    let error = connect(&[nobody().await], Some(&proxy), WAIT).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("through socks5://{}", running.address)), "{text}");
    assert!(!text.contains("s3cret") && !format!("{error:?}{proxy:?}").contains("s3cret"));

    let proxy = Proxy::socks5(nobody().await, None).unwrap();
    let why = refusal(connect(&[server.into()], Some(&proxy), WAIT).await);
    assert!(matches!(why, ProxyError::Unreachable(_)), "{why}");
}

/// Rule: HTP-33: `CONNECT`, then any transport inside; name and password as Basic asks for them.
#[tokio::test]
async fn http_proxies_lead_there() {
    let server = echo().await;
    let running = TestProxy::http("HTTP/1.1 200 Connection established\r\nVia: us\r\n\r\n").await;
    let endpoint = running.address;
    for user in ["", "jo%3Ae:s3cret%40%C3%BC@"] {
        let proxy: Proxy = format!("http://{user}{endpoint}").parse().unwrap();
        let connected = connect(&[server.into()], Some(&proxy), WAIT).await;
        check(connected.unwrap().stream).await;
    }
    let head = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n");
    // base64 of `jo:e:s3cret@ü`
    let basic = "Proxy-Authorization: Basic am86ZTpzM2NyZXRAw7w=\r\n";
    assert_eq!(running.seen(), [format!("{head}\r\n"), format!("{head}{basic}\r\n")]);
}

#[tokio::test]
async fn http_proxies_say_why_not() {
    let server = echo().await;
    for (answer, expected) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user or password"),
        ("HTTP/1.0 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "status 403"),
        ("SSH-2.0-OpenSSH_10.0\r\n", "no HTTP proxy"),
        ("HTTP/1.1 nonsense\r\n\r\n", "no HTTP proxy"),
    ] {
        let running = TestProxy::http(answer).await;
        let proxy = Proxy::http(running.address.into(), None).unwrap();
        let why = refusal(connect(&[server.into()], Some(&proxy), WAIT).await);
        assert!(why.to_string().contains(expected), "{answer}: {why}");
    }
    // A head without an end takes no more than its limit.
    let endless: &str = Box::leak(format!("HTTP/1.1 {}", "2".repeat(20_000)).into_boxed_str());
    let running = TestProxy::http(endless).await;
    let proxy = Proxy::http(running.address.into(), None).unwrap();
    let why = refusal(connect(&[server.into()], Some(&proxy), WAIT).await);
    assert!(matches!(why, ProxyError::NotHttp), "{why}");
}

/// All stages, those of the proxy too, share one time.
#[tokio::test]
async fn a_proxy_that_says_nothing_costs_the_time_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = echo().await;
    for url in [format!("socks5://{address}"), format!("http://{address}")] {
        let begun = Instant::now();
        let proxy: Proxy = url.parse().unwrap();
        let patience = Duration::from_millis(200);
        let error = connect(&[server.into()], Some(&proxy), patience).await.unwrap_err();
        assert!(matches!(error.failed[0].why, AttemptError::TimedOut(_)), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn proxies_are_read_from_urls() {
    for good in ["socks5://p:1080", "socks5h://u:p@[::1]:1", "http://u:%40@p.example:3128/"] {
        good.parse::<Proxy>().unwrap();
    }
    for (bad, expected) in [
        ("ftp://p:1", ProxyUrlError::Scheme("ftp".into())),
        ("https://p:1", ProxyUrlError::Scheme("https".into())),
        ("p:1080", ProxyUrlError::Form),
        ("http://p:1/path", ProxyUrlError::Form),
        ("http://p", ProxyUrlError::Endpoint(EndpointError::NoPort("p".into()))),
        ("http://p:0", ProxyUrlError::Endpoint(EndpointError::Port("0".into()))),
        ("socks5://u@p:1", ProxyUrlError::Credentials),
        ("socks5://u:@p:1", ProxyUrlError::Credentials),
        ("socks5://u:%ff@p:1", ProxyUrlError::Form),
    ] {
        assert_eq!(bad.parse::<Proxy>().unwrap_err(), expected, "{bad}");
    }
    let long = "x".repeat(256);
    assert_eq!(
        format!("socks5://u:{long}@p:1").parse::<Proxy>().unwrap_err(),
        ProxyUrlError::Credentials
    );
}

#[test]
fn endpoints_are_read_from_text() {
    for (text, host, port) in
        [("host:1", "host", 1), ("1.2.3.4:65535", "1.2.3.4", 65535), ("[::1]:443", "::1", 443)]
    {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!((endpoint.host(), endpoint.port()), (host, port));
        assert_eq!(endpoint.to_string(), text);
    }
    for bad in
        ["host", "[::1]", ":1", "::1:443", "a b:1", "a/b:1", "a@b:1", "h:0", "h:65536", "h:x"]
    {
        bad.parse::<Endpoint>().unwrap_err();
    }
    assert!(Endpoint::new(&"x".repeat(256), 1).is_err());
}

/// A server that gives back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.into_split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    address
}

async fn check(mut stream: TcpStream) {
    stream.write_all(b"anybody there?").await.unwrap();
    let mut back = [0; 14];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"anybody there?");
}

/// Where nobody listens.
async fn nobody() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().into()
}

/// An address for documentation, where nobody answers; or no network leads there.
fn silent() -> Endpoint {
    Endpoint::new("192.0.2.1", 443).unwrap()
}

fn refusal(outcome: Result<Connected, ConnectError>) -> ProxyError {
    let mut error = outcome.unwrap_err();
    match error.failed.pop().unwrap().why {
        AttemptError::Proxy(why) => why,
        other => panic!("{other}"),
    }
}
