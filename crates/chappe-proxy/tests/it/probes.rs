//! What a prober sees: what he sees of the site itself, by bytes and by the manner of closing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chappe_proxy::UnknownDomain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};

use crate::client::{Client, hello, read_answer, rng};
use crate::site::Site;
use crate::world::{ALICE, Centre, Running, SITE, domain, tls_config};

/// Something that a prober does.
#[derive(Clone, Debug)]
enum Act {
    Send(Vec<u8>),
    Pause(u64),
    Finish,
}

use Act::{Finish, Pause, Send};

/// What he saw.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    records: Vec<Record>,
    end: End,
}

/// A record of TLS. What differs from one connection to the next is not looked at.
#[derive(Debug, PartialEq, Eq)]
enum Record {
    Whole(Vec<u8>),
    Length(u8, [u8; 2], usize),
}

/// How the other side left it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Open,
    Finished,
    Reset,
}

/// Silence after which nothing more is expected.
const SILENCE: Duration = Duration::from_millis(400);

async fn probe(at: SocketAddr, acts: &[Act]) -> Seen {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for act in acts {
        let done = match act {
            Send(bytes) => stream.write_all(bytes).await,
            Pause(ms) => {
                sleep(Duration::from_millis(*ms)).await;
                Ok(())
            }
            Finish => stream.shutdown().await,
        };
        // Whoever is cut off sees it below.
        if done.is_err() {
            break;
        }
    }
    let mut bytes = Vec::new();
    let end = loop {
        match timeout(SILENCE, stream.read_buf(&mut bytes)).await {
            Err(_) => break End::Open,
            Ok(Ok(0)) => break End::Finished,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                break End::Reset;
            }
        }
    };
    Seen { records: records(&bytes), end }
}

fn records(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let len = match bytes {
            [0x14..=0x17, 3, _, high, low, ..] => {
                5 + usize::from(u16::from_be_bytes([*high, *low]))
            }
            other => other.len(),
        };
        let (record, rest) = bytes.split_at(len.min(bytes.len()));
        records.push(match record {
            [kind @ (0x16 | 0x17), major, minor, ..] => {
                Record::Length(*kind, [*major, *minor], record.len())
            }
            whole => Record::Whole(whole.to_vec()),
        });
        bytes = rest;
    }
    records
}

/// A hello of a browser, as far as there is one among libraries.
fn real_hello(name: &str, version: &'static SupportedProtocolVersion) -> Vec<u8> {
    let config = client_config(RootCertStore::empty(), version);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

fn client_config(roots: RootCertStore, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// What probers send, and what it is called.
fn probes() -> Vec<(&'static str, Vec<Act>)> {
    let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
    let whole = real_hello(SITE, tls13);
    let half = whole[..whole.len() / 2].to_vec();
    let garbage: [u8; 300] = rng().bytes();
    let ours = hello(SITE, ALICE, 0).0;
    let mut no_record = whole.clone();
    no_record[5] = 2;
    let slow: Vec<Act> =
        whole.chunks(97).flat_map(|piece| [Send(piece.to_vec()), Pause(15)]).collect();
    let get = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
    vec![
        ("nothing", vec![]),
        ("nothing, and the end", vec![Finish]),
        ("garbage", vec![Send(garbage.to_vec())]),
        ("zeros", vec![Send(vec![0; 64])]),
        ("little garbage", vec![Send(garbage[..3].to_vec())]),
        ("HTTP", vec![Send(get.to_vec())]),
        ("HTTP and the end", vec![Send(get.to_vec()), Finish]),
        ("SSH", vec![Send(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())]),
        ("TLS 1.3", vec![Send(whole.clone())]),
        ("TLS 1.3 and the end", vec![Send(whole.clone()), Finish]),
        ("TLS 1.3, slow", slow),
        ("TLS 1.3 of another site", vec![Send(real_hello("another.example", tls13))]),
        ("TLS 1.3 of no site", vec![Send(real_hello("127.0.0.1", tls13))]),
        ("TLS 1.2", vec![Send(real_hello(SITE, tls12))]),
        ("TLS 1.2 of another site", vec![Send(real_hello("another.example", tls12))]),
        ("half a hello", vec![Send(half.clone())]),
        ("half a hello and the end", vec![Send(half.clone()), Finish]),
        ("half a hello and garbage", vec![Send([&half[..], &[0xff; 900]].concat())]),
        ("hello and garbage", vec![Send([&whole[..], &garbage].concat())]),
        ("hello, then garbage", vec![Send(whole), Pause(50), Send(garbage.to_vec())]),
        ("another message", vec![Send(no_record)]),
        ("an alert", vec![Send(vec![0x15, 3, 3, 0, 2, 1, 0])]),
        ("wrong secret", vec![Send(hello(SITE, [1; 16], 0).0)]),
        ("stale", vec![Send(hello(SITE, ALICE, -700).0)]),
        ("premature", vec![Send(hello(SITE, ALICE, 300).0)]),
        ("our hello with more behind it", vec![Send([&ours[..], &[0x14, 3, 3, 0, 1, 1]].concat())]),
        ("our hello to another site", vec![Send(hello("another.example", ALICE, 0).0)]),
    ]
}

/// Rules: PRX-12, PRX-21, FTL-03, FTL-04, FTL-05, FTL-06, FTL-07, FTL-09: whatever a prober sends,
///        what he sees is what he sees of the site, record by record, to the manner of the end.
#[tokio::test(flavor = "multi_thread")]
async fn probers_see_the_site() {
    let (centre, site) = (Centre::start().await, Site::start(SITE).await);
    let proxy = Running::start(tls_config(centre.address, site.address)).await;
    for (name, acts) in probes() {
        let expected = probe(site.address, &acts).await;
        assert_eq!(probe(proxy.address, &acts).await, expected, "{name}");
    }
    assert!(centre.headers.lock().unwrap().is_empty());
    assert_eq!(proxy.handle.statistics()[0].connections_total, 0);
}

/// Rules: PRX-27, FTL-08, PRX-25: a hello that was good comes again: it is the site's, and counted; one
///        that was not good is not remembered.
#[tokio::test(flavor = "multi_thread")]
async fn replayed_hellos_are_the_sites() {
    let (centre, site) = (Centre::start().await, Site::start(SITE).await);
    let proxy = Running::start(tls_config(centre.address, site.address)).await;
    let (hello, random) = hello(SITE, ALICE, 0);
    // With more behind it, it is a stranger's.
    probe(proxy.address, &[Send([&hello[..], &[0; 9]].concat())]).await;
    let mut user = TcpStream::connect(proxy.address).await.unwrap();
    user.write_all(&hello).await.unwrap();
    read_answer(&mut user, ALICE, random).await;
    let acts = [Send(hello)];
    for _ in 0..2 {
        assert_eq!(probe(proxy.address, &acts).await, probe(site.address, &acts).await);
    }
    assert_eq!(proxy.handle.totals().strangers_total["replay"], 2);
}

/// Rules: PRX-21, PRX-23: a stranger who falls silent is closed when the site closes, not before; and
///        when he was silent for too long, in the same manner.
#[tokio::test]
async fn silence_ends_as_at_the_site() {
    let (centre, site) = (Centre::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = site.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = site.accept().await {
            tokio::spawn(async move {
                assert_ne!(stream.read(&mut [0; 100]).await.unwrap(), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                sleep(SITE_IDLE_MAX).await;
            });
        }
    });
    let closes = async |at: SocketAddr| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let (begun, mut seen) = (Instant::now(), Vec::new());
        let end = timeout(Duration::from_secs(10), stream.read_to_end(&mut seen)).await.unwrap();
        (end.map_err(|error| error.kind()), seen, begun.elapsed())
    };
    let (end, seen, _) = closes(address).await;
    let mut config = tls_config(centre.address, address);
    assert!(config.strangers.idle_max > Duration::from_secs(75), "sites wait so long");
    for (idle_max, closed_after) in
        [(Duration::from_secs(60), SITE_IDLE_MAX), (SITE_IDLE_MAX / 4, SITE_IDLE_MAX / 4)]
    {
        config.strangers.idle_max = idle_max;
        let proxy = Running::start(config.clone()).await;
        // Late may be this machine; the proxy would be each time.
        let mut soonest = Duration::MAX;
        for _ in 0..5 {
            let (its_end, its_words, took) = closes(proxy.address).await;
            assert_eq!((its_end, its_words), (end, seen.clone()));
            assert!(took >= closed_after, "{took:?}");
            soonest = soonest.min(took);
            if soonest < closed_after + Duration::from_millis(700) {
                break;
            }
        }
        assert!(soonest < closed_after + Duration::from_millis(700), "{soonest:?}");
    }
}

/// Silence that the site bears.
const SITE_IDLE_MAX: Duration = Duration::from_millis(1600);

/// Rules: PRX-21, PRX-22: a visitor is a guest of the site, whose certificate he sees: of the one that
///        he asks for, and of the first where it is none of them.
#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_guests_of_the_site() {
    let centre = Centre::start().await;
    let (site, other) = (Site::start(SITE).await, Site::start("other.example").await);
    let mut config = tls_config(centre.address, site.address);
    config.domains.push(domain("other.example", other.address));
    let proxy = Running::start(config).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (name, site) in [(SITE, &site), ("other.example", &other)] {
            let mut roots = RootCertStore::empty();
            roots.add(site.certificate.clone()).unwrap();
            let connector = TlsConnector::from(Arc::new(client_config(roots, version)));
            let stream = TcpStream::connect(proxy.address).await.unwrap();
            let name = ServerName::try_from(name).unwrap();
            let mut stream = connector.connect(name.clone(), stream).await.unwrap();
            let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut page = String::new();
            let _ = stream.read_to_string(&mut page).await;
            assert!(page.ends_with(&*name.to_str()), "{page}");
        }
    }
    for secret in [ALICE, [1; 16]] {
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        let (hello, random) = hello("other.example", secret, 0);
        client.write_all(&hello).await.unwrap();
        if secret == ALICE {
            read_answer(&mut client, ALICE, random).await;
        }
    }
}

/// Rules: PRX-29: what becomes of hellos to unknown sites is set; what names none is the first site's.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_sites_are_treated_as_set() {
    let (centre, site) = (Centre::start().await, Site::start(SITE).await);
    for (unknown, expected) in [
        (UnknownDomain::Drop, vec![]),
        (UnknownDomain::Alert, vec![Record::Whole(vec![0x15, 3, 3, 0, 2, 2, 0x70])]),
    ] {
        let mut config = tls_config(centre.address, site.address);
        config.unknown_domain = unknown;
        let proxy = Running::start(config).await;
        for secret in [ALICE, [1; 16]] {
            let acts = [Send(hello("another.example", secret, 0).0)];
            let seen = probe(proxy.address, &acts).await;
            assert_eq!(seen, Seen { records: expected_of(&expected), end: End::Finished });
        }
        // Whatever version of TLS he speaks, and whatever else is wrong with it.
        let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
        let other = real_hello("another.example", tls12);
        for hello in [[&other[..], &[0; 9]].concat(), other, real_hello("another.example", tls13)] {
            let seen = probe(proxy.address, &[Send(hello)]).await;
            assert_eq!(seen.records, expected_of(&expected));
            assert_ne!(seen.end, End::Open);
        }
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            real_hello(SITE, tls12),
            real_hello("127.0.0.1", tls12),
            real_hello("127.0.0.1", tls13),
        ] {
            let acts = [Send(bytes)];
            assert_eq!(probe(proxy.address, &acts).await, probe(site.address, &acts).await);
        }
    }
}

fn expected_of(records: &[Record]) -> Vec<Record> {
    let whole = records.iter().filter_map(|record| match record {
        Record::Whole(bytes) => Some(Record::Whole(bytes.clone())),
        Record::Length(..) => None,
    });
    whole.collect()
}

/// Rules: FTL-07: a user who has a site of his own comes by no other.
#[tokio::test(flavor = "multi_thread")]
async fn user_comes_by_his_own_site() {
    let (centre, site) = (Centre::start().await, Site::start(SITE).await);
    let mut config = tls_config(centre.address, site.address);
    config.domains.push(domain("other.example", site.address));
    config.users[0].domain = Some("other.example".into());
    let proxy = Running::start(config).await;
    Client::tls(proxy.address, "other.example", ALICE, 2).await.check().await;
    let acts = [Send(hello(SITE, ALICE, 0).0)];
    assert_eq!(probe(proxy.address, &acts).await, probe(site.address, &acts).await);
}

/// Rules: PRX-21, PRX-32: who says too little in time is the site's from then on, with what he said.
#[tokio::test(flavor = "multi_thread")]
async fn silent_visitors_are_shown_the_site() {
    let (centre, site) = (Centre::start().await, Site::start(SITE).await);
    let mut config = tls_config(centre.address, site.address);
    config.access.greeting_wait_max = Duration::from_millis(200);
    let proxy = Running::start(config).await;
    let hello = real_hello(SITE, &rustls::version::TLS13);
    let (begin, rest) = hello.split_at(100);
    let acts = [Send(begin.to_vec()), Pause(400), Send(rest.to_vec())];
    assert_eq!(probe(proxy.address, &acts).await, probe(site.address, &acts).await);
}

/// Rules: PRX-22: our own web server is told on whose behalf we come, where that is set.
#[tokio::test]
async fn site_is_told_who_comes() {
    let (centre, site) = (Centre::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    for version in
        [chappe_net::proxy_protocol::Version::V1, chappe_net::proxy_protocol::Version::V2]
    {
        let mut config = tls_config(centre.address, site.local_addr().unwrap());
        config.domains[0].proxy_protocol = Some(version);
        let proxy = Running::start(config).await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let (mut far, _) = site.accept().await.unwrap();
        let (ends, mut rest) = chappe_net::proxy_protocol::read(&mut far).await.unwrap();
        assert_eq!(ends.unwrap().peer, stream.local_addr().unwrap());
        assert_eq!(ends.unwrap().local, proxy.address);
        while rest.len() < 18 {
            far.read_buf(&mut rest).await.unwrap();
        }
        assert_eq!(rest, b"GET / HTTP/1.1\r\n\r\n"[..]);
    }
}

/// Rules: PRX-22, PRX-23: a site that is the proxy itself, where it sees itself or where others do, or
///        that cannot be reached, is nothing; so is any after too many bytes, and it is silent to one
///        visitor too many of an address.
#[tokio::test]
async fn visits_are_bounded() {
    let (centre, site) = (Centre::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let config = tls_config(centre.address, site.local_addr().unwrap());
    let proxy = Running::start(config.clone()).await;
    let garbage = [Send(vec![0; 100])];
    let closed = |seen: Seen| seen.records.is_empty() && seen.end != End::Open;

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for at in [proxy.address, nobody] {
        let mut config = config.clone();
        config.domains = vec![domain(SITE, at)];
        proxy.handle.reload(config).unwrap();
        assert!(closed(probe(proxy.address, &garbage).await), "{at}");
    }
    let mut seen_elsewhere = config.clone();
    seen_elsewhere.public = Some(site.local_addr().unwrap());
    proxy.handle.reload(seen_elsewhere).unwrap();
    assert!(closed(probe(proxy.address, &garbage).await));
    site.accept().await.unwrap();
    let mut few = config.clone();
    few.strangers.total_max = 2;
    few.strangers.per_address_max = 1;
    few.strangers.bytes_max = Some(150);
    proxy.handle.reload(few).unwrap();
    let mut first = TcpStream::connect(proxy.address).await.unwrap();
    first.write_all(&[0; 100]).await.unwrap();
    let (mut far, _) = site.accept().await.unwrap();
    far.read_exact(&mut [0; 100]).await.unwrap();
    // One too many of an address sees nothing, and no end that a busy site would not have either;
    // another address has its place still.
    let silent = Seen { records: vec![], end: End::Open };
    assert_eq!(probe(proxy.address, &garbage).await, silent);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut second = socket.connect(proxy.address).await.unwrap();
    second.write_all(&[0; 100]).await.unwrap();
    timeout(Duration::from_secs(5), site.accept()).await.unwrap().unwrap();
    assert_eq!(proxy.handle.totals().masked, 2);
    first.write_all(&[0; 151]).await.unwrap();
    assert!(!matches!(first.read(&mut [0]).await, Ok(1..)));
}
