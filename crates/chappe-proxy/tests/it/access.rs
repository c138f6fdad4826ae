//! From whom connections are taken.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, PADDED, header};
use crate::site::Site;
use crate::world::{ALICE, Centre, Running, SITE, config, tls_config, until};

/// Rules: PRX-40: who is on no list of those served, or on that of those not served, is closed before
///        he says anything, or shown the site.
#[tokio::test]
async fn lists_decide_who_is_served() {
    let centre = Centre::start().await;
    for (allow, deny, is_served) in [
        (None, None, true),
        (Some("127.0.0.0/8"), None, true),
        (Some("10.0.0.0/8"), None, false),
        (None, Some("127.0.0.1/32"), false),
        (Some("127.0.0.0/8"), Some("127.0.0.1/32"), false),
    ] {
        let mut config = config(centre.address);
        config.access.allow = allow.iter().map(|network| network.parse().unwrap()).collect();
        config.access.deny = deny.iter().map(|network| network.parse().unwrap()).collect();
        let proxy = Running::start(config).await;
        if is_served {
            Client::bare(proxy.address, ALICE, PADDED, 2).await.check().await;
        } else {
            let mut stream = TcpStream::connect(proxy.address).await.unwrap();
            assert!(matches!(stream.read(&mut [0]).await, Ok(0)));
        }
    }
    let site = Site::start(SITE).await;
    let mut config = tls_config(centre.address, site.address);
    config.access.deny = vec!["127.0.0.0/8".parse().unwrap()];
    config.access.mask_denied = true;
    let proxy = Running::start(config).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x15, 3], "the site's alert");
}

/// Rules: PRX-13: who comes from a balancer says on whose behalf, and that counts; without it he is
///        closed, and nobody else is believed.
#[tokio::test]
async fn balancers_say_on_whose_behalf_they_come() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    config.access.proxy_protocol_from = vec!["127.0.0.1/32".parse().unwrap()];
    config.access.deny = vec!["192.0.2.66/32".parse().unwrap()];
    config.access.greeting_wait_max = Duration::from_secs(2);
    let proxy = Running::start(config.clone()).await;
    let come = async |announced: &str| {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let (header, outbound, inbound) = header(ALICE, PADDED, 2);
        let first = [announced.as_bytes(), &header].concat();
        stream.write_all(&first).await.unwrap();
        Client { stream, outbound, inbound, records: None }
    };
    let mut client = come("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n").await;
    client.check().await;
    let mut other = come("PROXY TCP4 192.0.2.3 192.0.2.2 1000 443\r\n").await;
    other.check().await;
    assert_eq!(proxy.handle.statistics()[0].addresses, 2);
    assert!(come("PROXY TCP4 192.0.2.66 192.0.2.2 1000 443\r\n").await.is_closed().await);
    assert!(come("PROXY TCP4 192.0.2.1\r\n").await.is_closed().await);

    config.access.proxy_protocol_from.clear();
    proxy.handle.reload(config).unwrap();
    let mut unbelieved = come("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n").await;
    assert!(timeout(Duration::from_millis(200), unbelieved.is_closed()).await.is_err());
}

/// Rules: PRX-13, PRX-34: those of one address are bounded whoever brings them; a balancer that says
///        nothing and goes is not one of them.
#[tokio::test]
async fn balancers_do_not_lift_the_bounds_of_an_address() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    config.access.proxy_protocol_from = vec!["127.0.0.1/32".parse().unwrap()];
    config.access.per_address_per_second = 1;
    let proxy = Running::start(config.clone()).await;
    let come = async |host: u8| {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let line = format!("PROXY TCP4 192.0.2.{host} 192.0.2.99 1000 443\r\n");
        stream.write_all(line.as_bytes()).await.unwrap();
        timeout(Duration::from_millis(100), stream.read(&mut [0])).await.is_err()
    };
    for (host, is_served) in [(1, true), (1, true), (1, false), (2, true)] {
        assert_eq!(come(host).await, is_served, "{host}");
    }
    config.access.per_address_per_second = 1000;
    config.connections.per_address_max = 0;
    proxy.handle.reload(config).unwrap();
    assert!(!come(3).await);
    drop(TcpStream::connect(proxy.address).await.unwrap());
    let rejected = || proxy.handle.totals().rejected_total;
    until("all are counted", || rejected().values().sum::<u64>() == 3).await;
    let reasons = ["rate", "connections", "proxy-protocol"].map(|reason| rejected()[reason]);
    assert_eq!(reasons, [1, 1, 1]);
}

/// Rules: PRX-34: connections from one address are bounded, at once and by the second.
#[tokio::test]
async fn connections_of_an_address_are_bounded() {
    let centre = Centre::start().await;
    let mut few = config(centre.address);
    few.connections.per_address_max = 2;
    let proxy = Running::start(few).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = Client::bare(proxy.address, ALICE, PADDED, 2).await;
        client.check().await;
        open.push(client);
    }
    assert!(Client::bare(proxy.address, ALICE, PADDED, 2).await.is_closed().await);

    let mut rare = config(centre.address);
    rare.access.per_address_per_second = 1;
    let proxy = Running::start(rare).await;
    let mut served = 0;
    for _ in 0..5 {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let open = timeout(Duration::from_millis(50), stream.read(&mut [0])).await.is_err();
        served += usize::from(open);
    }
    assert_eq!(served, 2);
}
