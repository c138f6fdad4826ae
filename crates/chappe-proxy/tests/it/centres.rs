//! How data centres are found and spoken to.

use std::time::Duration;

use chappe_net::connect::Endpoint;
use chappe_proxy::{Centres, Family};
use tokio::net::TcpListener;

use crate::client::{Client, INTERMEDIATE, PADDED};
use crate::proxies::TestProxy;
use crate::world::{ALICE, Centre, Running, SITE, config, tls_config};

/// Rules: PRX-15, PRX-17: the header to the data centre is a fresh one without a secret, whether or
///        not its keys make the data centre encrypt for the client, and begins as no other protocol.
#[tokio::test]
async fn header_to_the_centre_is_fresh() {
    for fast in [true, false] {
        let centre = Centre::start().await;
        let mut config = config(centre.address);
        config.direct.fast = fast;
        let proxy = Running::start(config).await;
        for _ in 0..8 {
            let mut client = Client::bare(proxy.address, ALICE, INTERMEDIATE, -2).await;
            client.check().await;
            assert_eq!(centre.asked(), (INTERMEDIATE, -2));
        }
        let mut headers = centre.headers.lock().unwrap().clone();
        assert!(headers.iter().all(|header| header[0] != 0xef && header[4..8] != [0; 4]));
        headers.sort_unstable();
        headers.dedup();
        assert_eq!(headers.len(), 8);
    }
}

/// Rules: PRX-16, PRX-17, FTL-16, FTL-17: bytes pass in both directions in every form, in records
///        of any shape, with and without a cipher of the proxy's own.
#[tokio::test]
async fn bytes_pass_in_every_form() {
    let centre = Centre::start().await;
    for (fast, records) in [
        (true, chappe_proxy::RecordShape::Growing),
        (false, chappe_proxy::RecordShape::Fixed(1425)),
        (true, chappe_proxy::RecordShape::Fixed(1)),
    ] {
        let mut config = tls_config(centre.address, centre.address);
        config.modes.padded = true;
        config.direct.fast = fast;
        config.relay.records = records;
        let proxy = Running::start(config).await;
        let mut tls = Client::tls(proxy.address, SITE, ALICE, 2).await;
        let mut bare = Client::bare(proxy.address, ALICE, PADDED, 2).await;
        for len in [1, 100, 70_000] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            for client in [&mut tls, &mut bare] {
                client.send(&bytes).await;
                assert_eq!(client.receive(len as usize).await, bytes);
            }
        }
    }
}

/// Rules: PRX-20, OBF-15: an unknown data centre closes the connection or leads to the one set for
///        that; none of the numbers does harm.
#[tokio::test]
async fn unknown_centres_are_refused_or_replaced() {
    let centre = Centre::start().await;
    let strict = Running::start(config(centre.address)).await;
    let mut lenient = config(centre.address);
    lenient.direct.unknown_centre = Some(2);
    let lenient = Running::start(lenient).await;
    for dc in [0, 7, -7, i16::MIN, i16::MAX, 10_002] {
        assert!(Client::bare(strict.address, ALICE, PADDED, dc).await.is_closed().await, "{dc}");
        Client::bare(lenient.address, ALICE, PADDED, dc).await.check().await;
        assert_eq!(centre.asked(), (PADDED, 2));
    }
    Client::bare(strict.address, ALICE, PADDED, 2).await.check().await;
}

/// Rules: PRX-19: the next address is tried where one does not answer; where none does, the client
///        is closed.
#[tokio::test]
async fn next_address_is_tried() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    let mut list = vec![nobody().await, Endpoint::from(centre.address)];
    config.centres.set(2, list.clone());
    list.pop();
    config.centres.set(3, list);
    config.direct.connect_wait_max = Duration::from_millis(500);
    let proxy = Running::start(config).await;
    Client::bare(proxy.address, ALICE, PADDED, 2).await.check().await;
    assert!(Client::bare(proxy.address, ALICE, PADDED, 3).await.is_closed().await);
}

/// Rules: PRX-19: addresses of one family come first, or alone.
#[tokio::test]
async fn family_decides_which_address_is_used() {
    let centre = Centre::start().await;
    for (family, is_reached) in [
        (Family::PreferV4, true),
        (Family::PreferV6, true),
        (Family::OnlyV4, true),
        (Family::OnlyV6, false),
    ] {
        let mut config = config(centre.address);
        config.direct.family = family;
        let proxy = Running::start(config).await;
        let mut client = Client::bare(proxy.address, ALICE, PADDED, 2).await;
        if is_reached {
            client.check().await;
        } else {
            assert!(client.is_closed().await);
        }
    }
}

/// Source: 15-proxy §4, the list of everybody.
#[test]
fn telegrams_own_centres_are_known() {
    let centres = Centres::telegram();
    let known: Vec<i32> = centres.numbers().collect();
    assert_eq!(known, [1, 2, 3, 4, 5, 203, 10_001, 10_002, 10_003]);
    let first = |dc| centres.find(dc).map(|addresses| addresses[0].to_string());
    assert_eq!(first(-4).as_deref(), Some("149.154.167.91:443"));
    assert_eq!(first(203).as_deref(), Some("91.105.192.100:443"));
    assert_eq!(first(-10_003).as_deref(), Some("149.154.175.117:443"));
    assert_eq!(first(0), None);
    let media: Endpoint = "192.0.2.1:443".parse().unwrap();
    let mut centres = centres;
    centres.set(-4, vec![media.clone()]);
    assert_eq!(centres.find(-4), Some(&[media][..]));
}

/// Data centres are reached by a proxy where one is set.
#[tokio::test]
async fn centres_are_reached_by_a_proxy() {
    let centre = Centre::start().await;
    let (socks, http) = (TestProxy::socks5(true).await, TestProxy::http(GRANTED).await);
    for url in [
        format!("socks5://jo%3Ae:s3cret%40%C3%BC@{}", socks.address),
        format!("http://{}", http.address),
    ] {
        let mut config = config(centre.address);
        config.direct.proxy = Some(url.parse().unwrap());
        let proxy = Running::start(config).await;
        Client::bare(proxy.address, ALICE, PADDED, 2).await.check().await;
    }
    assert_eq!((socks.seen().len(), http.seen().len()), (1, 1));
}

/// An address where nobody listens.
async fn nobody() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().into()
}

const GRANTED: &str = "HTTP/1.1 200 OK\r\n\r\n";
