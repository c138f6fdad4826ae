//! Who is recognised, and by what.

use std::time::Duration;

use chappe_proto::transport::fake_tls::{CHANGE_CIPHER_SPEC, record_header};
use chappe_proxy::Modes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::client::{
    ABRIDGED, Client, INTERMEDIATE, PADDED, header, header_from, hello, read_answer, rng,
};
use crate::world::{ALICE, BOB, Centre, Running, SITE, config, tls_config, until};

/// Rules: PRX-04, PRX-10, PRX-15: each form that is switched on is served with the framing that the
///        client asked for, each other is not.
#[tokio::test]
async fn modes_are_served_where_switched_on() {
    let centre = Centre::start().await;
    for (plain, padded) in [(true, true), (true, false), (false, true)] {
        let mut config = config(centre.address);
        config.modes = Modes { plain, padded, tls: false };
        config.access.greeting_wait_max = Duration::from_millis(200);
        let proxy = Running::start(config).await;
        for (tag, is_served) in [(ABRIDGED, plain), (INTERMEDIATE, plain), (PADDED, padded)] {
            let mut client = Client::bare(proxy.address, BOB, tag, 2).await;
            if is_served {
                client.check().await;
                assert_eq!(centre.asked(), (tag, 2));
            } else {
                client.stream.set_zero_linger().unwrap();
            }
        }
        let served = proxy.handle.statistics()[1].connections_total;
        assert_eq!(served, u64::from(plain) * 2 + u64::from(padded));
    }
}

/// Rules: PRX-10, FTL-20: inside fake TLS it is padded framing or nothing, and so is the secret.
#[tokio::test]
async fn inside_fake_tls_only_padded_framing_is_served() {
    let centre = Centre::start().await;
    let proxy = Running::start(tls_config(centre.address, centre.address)).await;
    Client::tls(proxy.address, SITE, ALICE, 2).await.check().await;
    for (secret, tag) in [(ALICE, INTERMEDIATE), (ALICE, ABRIDGED), (BOB, PADDED)] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let (hello, random) = hello(SITE, ALICE, 0);
        stream.write_all(&hello).await.unwrap();
        read_answer(&mut stream, ALICE, random).await;
        let (header, ..) = header(secret, tag, 2);
        let first = [&CHANGE_CIPHER_SPEC[..], &record_header(64), &header].concat();
        stream.write_all(&first).await.unwrap();
        assert!(matches!(stream.read(&mut [0]).await, Ok(0)), "{tag:?}");
    }
    assert_eq!(centre.headers.lock().unwrap().len(), 1);
}

/// Rules: FTL-03, FTL-15, OBF-04: hellos and headers are read however they are cut, the change of
///        cipher and the header in records of their own or in several.
#[tokio::test]
async fn greetings_come_in_pieces() {
    let centre = Centre::start().await;
    let tls = Running::start(tls_config(centre.address, centre.address)).await;
    let (hello, random) = hello(SITE, BOB, 0);
    let mut stream = TcpStream::connect(tls.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in hello.chunks(400) {
        stream.write_all(piece).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    read_answer(&mut stream, BOB, random).await;
    let (header, outbound, inbound) = header(BOB, PADDED, 2);
    stream.write_all(&CHANGE_CIPHER_SPEC).await.unwrap();
    for piece in header.chunks(40) {
        sleep(Duration::from_millis(5)).await;
        let record = [&record_header(piece.len())[..], piece].concat();
        for byte in record.chunks(7) {
            stream.write_all(byte).await.unwrap();
        }
    }
    let records = Some(chappe_proto::transport::fake_tls::Records::of_proxy());
    Client { stream, outbound, inbound, records }.check().await;

    let bare = Running::start(config(centre.address)).await;
    let (header, outbound, inbound) = crate::client::header(BOB, PADDED, 2);
    let mut stream = TcpStream::connect(bare.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in header {
        stream.write_all(&[byte]).await.unwrap();
    }
    Client { stream, outbound, inbound, records: None }.check().await;
}

/// Rules: PRX-16: what comes together with the header passes on.
#[tokio::test]
async fn bytes_behind_the_header_are_not_lost() {
    let centre = Centre::start().await;
    let proxy = Running::start(config(centre.address)).await;
    let (header, mut outbound, inbound) = header(ALICE, PADDED, 2);
    let mut early = vec![7; 20_000];
    outbound.apply(&mut early);
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(&[&header[..], &early].concat()).await.unwrap();
    let mut client = Client { stream, outbound, inbound, records: None };
    assert_eq!(client.receive(20_000).await, vec![7; 20_000]);
}

/// Rules: PRX-24, PRX-25, PRX-26, OBF-17: a header is good once, whatever stands in the bytes that its
///        keys do not come from, and at whichever listener; a header that nobody's secret opens is
///        not remembered.
#[tokio::test]
async fn header_is_good_once() {
    let centre = Centre::start().await;
    let proxy = Running::start(config(centre.address)).await;
    let random = rng().bytes();
    let (first, outbound, inbound) = header_from(random, ALICE, PADDED, 2);
    // The same keys by an unknown secret: refused, and not remembered.
    let (foreign, ..) = header_from(random, [9; 16], PADDED, 2);
    let mut stranger = TcpStream::connect(proxy.address).await.unwrap();
    stranger.write_all(&foreign).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(&first).await.unwrap();
    Client { stream, outbound, inbound, records: None }.check().await;
    let mut changed = first;
    changed[1] ^= 1;
    for again in [first, changed] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(&again).await.unwrap();
        // Nothing is said, and nothing passes on.
        assert!(timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_err());
    }
    assert_eq!(centre.headers.lock().unwrap().len(), 1);
}

/// Rules: PRX-11, PRX-12, PRX-32, PRX-36: without a site strangers are told nothing, and not closed
///        before the time in which others are recognised; nor is who says nothing.
#[tokio::test]
async fn without_a_site_strangers_are_told_nothing() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    config.access.greeting_wait_max = Duration::from_millis(300);
    let proxy = Running::start(config).await;
    let words: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        &[0xef, 0x0a, 0, 0, 0, 0],
        &[0xee; 80],
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        &[0x33; 200],
    ];
    for word in words {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(word).await.unwrap();
        let early = timeout(Duration::from_millis(250), stream.read(&mut [0])).await;
        assert!(early.is_err(), "{word:?}: {early:?}");
    }
    assert!(centre.headers.lock().unwrap().is_empty());
}

/// Rules: PRX-28: a connection to which the data centre answers with an error of the transport alone
///        is counted; one that is answered with more is not, nor one that is not answered.
#[tokio::test]
async fn answers_that_are_errors_are_counted() {
    let centre = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Running::start(config(centre.local_addr().unwrap())).await;
    let suspected = || proxy.handle.statistics()[0].suspected_replays_total;
    let mut expected = 0;
    for (answer, counts) in [(0, false), (4, false), (5, true), (8, true), (23, true), (24, false)]
    {
        let mut client = Client::bare(proxy.address, ALICE, PADDED, 2).await;
        client.send(&[7; 100]).await;
        let (mut upstream, _) = centre.accept().await.unwrap();
        upstream.read_exact(&mut [0; 164]).await.unwrap();
        upstream.write_all(&vec![1; answer]).await.unwrap();
        drop(upstream);
        client.receive(answer).await;
        assert!(client.is_closed().await);
        drop(client);
        until("it is over", || proxy.handle.statistics()[0].connections == 0).await;
        expected += u64::from(counts);
        assert_eq!(suspected(), expected, "{answer} bytes");
    }
}

/// Rules: PRX-26: after a start that remembers nothing, hellos from before it are refused where that
///        is wished for.
#[tokio::test]
async fn hellos_from_before_the_start_can_be_refused() {
    let centre = Centre::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for refused in [false, true] {
        let mut config = tls_config(centre.address, silent.local_addr().unwrap());
        config.hello.refuse_before_start = refused;
        let proxy = Running::start(config).await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let (hello, random) = hello(SITE, ALICE, -30);
        stream.write_all(&hello).await.unwrap();
        if refused {
            // It is the site's, which says nothing here.
            assert!(timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_err());
        } else {
            read_answer(&mut stream, ALICE, random).await;
        }
        Client::tls(proxy.address, SITE, ALICE, 2).await.check().await;
    }
}

/// Rules: PRX-24, FTL-06, FTL-08: settings by which older hellos are fresh do not make one fresh that
///        may have been forgotten; what was accepted is a replay as long as it is fresh by them.
#[tokio::test]
async fn older_hellos_are_fresh_once_they_would_be_known() {
    let centre = Centre::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = tls_config(centre.address, silent.local_addr().unwrap());
    config.hello.age_max = Duration::from_secs(100);
    let proxy = Running::start(config.clone()).await;
    let come = async |hello: &[u8]| {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(hello).await.unwrap();
        timeout(Duration::from_millis(300), stream.read(&mut [0])).await.is_ok()
    };
    let [young, old, older] = [-80, -80, -200].map(|skew| hello(SITE, ALICE, skew).0);
    assert!(come(&young).await);
    config.hello.age_max = Duration::from_secs(3600);
    proxy.handle.reload(config.clone()).unwrap();
    // It may have come when it was fresh.
    assert!(!come(&older).await);
    assert!(come(&old).await && !come(&old).await && !come(&young).await);
    // Fewer are fresh by other settings, and then no more than before.
    for age_max in [50, 3600] {
        config.hello.age_max = Duration::from_secs(age_max);
        proxy.handle.reload(config.clone()).unwrap();
        assert!(!come(&older).await);
        assert_eq!(come(&hello(SITE, ALICE, -80).0).await, age_max > 80);
    }
    let strangers = proxy.handle.totals().strangers_total;
    assert_eq!((strangers["skew"], strangers["replay"]), (4, 2));
}
