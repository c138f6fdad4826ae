//! What users may do, and how that changes while they do it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chappe_proto::transport::Secret;
use chappe_proxy::{ConfigError, Quota, TIME_MAX, UserConfig};
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use crate::client::{Client, PADDED, header, unix};
use crate::world::{ALICE, BOB, Centre, Running, config, until};

async fn alice(proxy: &Running) -> Client {
    Client::bare(proxy.address, ALICE, PADDED, 2).await
}

/// Rules: PRX-14: connections over the bound of a user are closed without a word, those of others and
///        later ones are not.
#[tokio::test]
async fn connections_of_a_user_are_bounded() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    config.users[0].connections_max = Some(2);
    let proxy = Running::start(config).await;
    let (mut one, mut two) = (alice(&proxy).await, alice(&proxy).await);
    one.check().await;
    two.check().await;
    assert!(alice(&proxy).await.is_closed().await);
    Client::bare(proxy.address, BOB, PADDED, 2).await.check().await;
    drop(one);
    until("the place is free", || proxy.handle.statistics()[0].connections == 1).await;
    alice(&proxy).await.check().await;
    assert_eq!(proxy.handle.statistics()[0].refused_total, 1);
}

/// Rules: PRX-14: addresses count as long as somebody comes from there.
#[tokio::test]
async fn addresses_of_a_user_are_bounded() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    config.users[0].addresses_max = Some(1);
    let proxy = Running::start(config).await;
    let from = |host: &str| {
        let (from, to) = (format!("{host}:0").parse().unwrap(), proxy.address);
        async move { bare_from(from, to).await }
    };
    let (mut one, mut two) = (from("127.0.0.1").await, from("127.0.0.1").await);
    one.check().await;
    two.check().await;
    assert!(from("127.0.0.2").await.is_closed().await);
    assert_eq!(proxy.handle.statistics()[0].addresses, 1);
    drop((one, two));
    until("nobody is here", || proxy.handle.statistics()[0].addresses == 0).await;
    from("127.0.0.2").await.check().await;
}

async fn bare_from(from: SocketAddr, to: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let (header, outbound, inbound) = header(ALICE, PADDED, 2);
    tokio::io::AsyncWriteExt::write_all(&mut stream, &header).await.unwrap();
    Client { stream, outbound, inbound, records: None }
}

/// Rules: PRX-14: who has expired is closed; who is switched off is a stranger.
#[tokio::test]
async fn users_expire_and_are_switched_off() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    let now = u64::try_from(unix()).unwrap();
    config.users[0].expires = Some(now - 1);
    config.users[1].expires = Some(now + 1000);
    let proxy = Running::start(config.clone()).await;
    assert!(alice(&proxy).await.is_closed().await);
    Client::bare(proxy.address, BOB, PADDED, 2).await.check().await;
    config.users[1].enabled = false;
    proxy.handle.reload(config).unwrap();
    let mut bob = Client::bare(proxy.address, BOB, PADDED, 2).await;
    assert!(timeout(Duration::from_millis(200), bob.is_closed()).await.is_err());
}

/// Rules: PRX-14, PRX-37: a connection ends when the time of its user is over, though nothing passes:
///        the time that was set when it came, and one that is set later.
#[tokio::test]
async fn time_that_is_over_ends_connections() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    let now = || u64::try_from(unix()).unwrap();
    config.users[0].expires = Some(now() + 2);
    let proxy = Running::start(config.clone()).await;
    let (mut one, mut bob) =
        (alice(&proxy).await, Client::bare(proxy.address, BOB, PADDED, 2).await);
    one.check().await;
    bob.check().await;
    assert_eq!(timeout(Duration::from_secs(4), one.is_closed()).await, Ok(true));
    config.users[0].expires = Some(now() + 1000);
    proxy.handle.reload(config.clone()).unwrap();
    let mut again = alice(&proxy).await;
    again.check().await;
    for users in [0, 1] {
        config.users[users].expires = Some(now() - 1);
    }
    proxy.handle.reload(config).unwrap();
    for client in [&mut again, &mut bob] {
        assert_eq!(timeout(Duration::from_secs(2), client.is_closed()).await, Ok(true));
    }
    assert_eq!(proxy.handle.totals().ended_total["removed"], 3);
}

/// Rules: PRX-14: a quota ends connections when it is used up, is remembered over a restart, and can
///        be raised.
#[tokio::test]
async fn quotas_outlive_the_proxy() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(centre.address);
    config.state = Some(folder.path().join("state"));
    config.users[0].quota = Some(Quota::once(10_000));
    let proxy = Running::start(config.clone()).await;
    let mut client = alice(&proxy).await;
    client.check().await;
    client.send(&[0; 12_000]).await;
    while !client.is_closed().await {}
    assert!(alice(&proxy).await.is_closed().await);
    proxy.stop().await;

    let proxy = Running::start(config.clone()).await;
    assert!(proxy.handle.statistics()[0].quota_used >= 10_000);
    assert!(alice(&proxy).await.is_closed().await);
    config.users[0].quota = Some(Quota::once(1_000_000));
    proxy.handle.reload(config.clone()).unwrap();
    alice(&proxy).await.check().await;
    // What was used once counts for no other month.
    config.users[0].quota = Some(Quota::each_month(1000));
    proxy.handle.reload(config).unwrap();
    alice(&proxy).await.check().await;
}

/// What cannot be read is not overwritten.
#[tokio::test]
async fn foreign_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.json");
    std::fs::write(&path, "something else").unwrap();
    let mut config = config("127.0.0.1:1".parse().unwrap());
    config.state = Some(folder.path().into());
    let error = chappe_proxy::Proxy::new(config.clone()).err().unwrap().to_string();
    assert!(error.contains("traffic.json"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
    config.state = Some(path);
    let error = chappe_proxy::Proxy::new(config).err().unwrap().to_string();
    assert!(error.contains("folder"), "{error}");
}

/// Rules: PRX-14, PRX-37: bytes a second are bounded for all connections of a user together, and the
///        bound changes under open connections.
#[tokio::test]
async fn rates_are_bounded() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    config.users[0].rate_down = Some(200_000);
    let proxy = Running::start(config.clone()).await;
    let (mut one, mut two) = (alice(&proxy).await, alice(&proxy).await);
    let begun = Instant::now();
    // The first second's worth comes at once.
    for client in [&mut one, &mut two] {
        client.send(&[1; 250_000]).await;
    }
    tokio::join!(one.receive(250_000), two.receive(250_000));
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(6)).contains(&took), "{took:?}");
    config.users[0].rate_down = None;
    proxy.handle.reload(config).unwrap();
    sleep(Duration::from_millis(700)).await;
    let begun = Instant::now();
    for _ in 0..8 {
        one.send(&[1; 200_000]).await;
        one.receive(200_000).await;
    }
    // With the bound it would take seven.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

/// Rules: PRX-37: users come and go without a dropped connection; those of who is gone are closed
///        only where that is wished for. Settings that are wrong change nothing.
#[tokio::test]
async fn settings_are_replaced_while_it_runs() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    let proxy = Running::start(config.clone()).await;
    let mut old = alice(&proxy).await;
    let mut bob = Client::bare(proxy.address, BOB, PADDED, 2).await;
    old.check().await;
    bob.check().await;

    let wrong = {
        let mut wrong = config.clone();
        wrong.users.clear();
        wrong
    };
    assert_eq!(proxy.handle.reload(wrong), Err(ConfigError::NoUser));
    config.users[0] = UserConfig::new("alice", [8; 16].into());
    proxy.handle.reload(config.clone()).unwrap();
    old.check().await;
    Client::bare(proxy.address, [8; 16], PADDED, 2).await.check().await;
    config.close_removed = true;
    proxy.handle.reload(config.clone()).unwrap();
    assert!(old.is_closed().await);
    config.users.remove(1);
    proxy.handle.reload(config).unwrap();
    assert!(bob.is_closed().await);
    Client::bare(proxy.address, [8; 16], PADDED, 2).await.check().await;
}

/// Rules: PRX-38: told to stop, it accepts nobody, lets connections go on for a while, and closes.
#[tokio::test]
async fn stopping_drains() {
    let centre = Centre::start().await;
    let mut proxy =
        Running::start_draining(config(centre.address), Duration::from_millis(600)).await;
    let mut client = alice(&proxy).await;
    client.check().await;
    proxy.begin_stop();
    sleep(Duration::from_millis(200)).await;
    let late = tokio::net::TcpStream::connect(proxy.address).await;
    assert!(late.is_err(), "it accepts while it stops");
    client.check().await;
    proxy.stop().await;
    assert!(client.is_closed().await);
}

/// Rules: PRX-05: whoever prints settings prints no secret; one of the last of many users is served as
///        well as the first, for all secrets are tried.
#[tokio::test]
async fn secrets_are_all_tried_and_never_shown() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    for number in 0..200 {
        let secret = std::array::from_fn(|at| number ^ at as u8 ^ 0x5a);
        config.users.push(UserConfig::new(format!("{number}"), Secret::from(secret)));
    }
    let last: [u8; 16] = std::array::from_fn(|at| 199 ^ at as u8 ^ 0x5a);
    let shown = format!("{config:?}");
    assert!(!shown.contains("alice's secret") && !shown.contains(&hex::encode(last)));
    let proxy = Running::start(config).await;
    alice(&proxy).await.check().await;
    Client::bare(proxy.address, last, PADDED, 2).await.check().await;
}

/// Rules: PRX-04: settings with which nobody could be served, or told apart, are refused.
#[test]
fn impossible_settings_are_refused() {
    let good = config("127.0.0.1:1".parse().unwrap());
    let check = |change: fn(&mut chappe_proxy::ProxyConfig)| {
        let mut config = good.clone();
        change(&mut config);
        config.check()
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert_eq!(check(|config| config.modes.tls = true), Err(ConfigError::NoDomain));
    let none = |config: &mut chappe_proxy::ProxyConfig| {
        config.modes = chappe_proxy::Modes { plain: false, padded: false, tls: false };
    };
    assert_eq!(check(none), Err(ConfigError::NoMode));
    let long = |config: &mut chappe_proxy::ProxyConfig| config.relay.idle_max = Duration::MAX;
    assert_eq!(check(long), Err(ConfigError::TooLong("relay.idle-max")));
    let year = |config: &mut chappe_proxy::ProxyConfig| config.relay.idle_max = TIME_MAX;
    assert_eq!(check(year), Ok(()));
    let twice = ConfigError::Twice("alice".into(), "bob".into());
    assert_eq!(check(|config| config.users[1].secret = ALICE.into()), Err(twice));
    let weak = |config: &mut chappe_proxy::ProxyConfig| config.users[1].secret = [0; 16].into();
    assert_eq!(check(weak), Ok(()));
    let mut config = good.clone();
    weak(&mut config);
    assert_eq!(config.weak().collect::<Vec<_>>(), ["bob"]);
}
