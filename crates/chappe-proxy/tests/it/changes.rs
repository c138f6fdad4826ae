//! Settings that change under connections: who has to go, who stays, who still gets in.

use std::time::Duration;

use chappe_proxy::UserConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::client::{Client, PADDED, header};
use crate::world::{ALICE, BOB, Centre, Running, config, until};

/// Rule: PRX-37: connections that are given up end as soon as settings do not serve them, though
///       others of that kind may stay; those that are served go on.
#[tokio::test]
async fn connections_are_given_up_one_user_at_a_time() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    let proxy = Running::start(config.clone()).await;
    let mut alice = Client::bare(proxy.address, ALICE, PADDED, 2).await;
    let mut bob = Client::bare(proxy.address, BOB, PADDED, 2).await;
    alice.check().await;
    bob.check().await;
    proxy.handle.reload_revoking(config.clone(), "alice").unwrap();
    proxy.handle.reload_revoking(config.clone(), "nobody").unwrap();
    sleep(Duration::from_millis(100)).await;
    alice.check().await;
    config.users = vec![UserConfig::new("alice", [8; 16].into()), config.users[1].clone()];
    config.users[1].enabled = false;
    proxy.handle.reload_revoking(config, "alice").unwrap();
    assert!(alice.is_closed().await);
    let mut new = Client::bare(proxy.address, [8; 16], PADDED, 2).await;
    new.check().await;
    // Nobody gave his up.
    bob.check().await;
}

/// Rule: PRX-37: who greets while his secret is taken away is not served by it.
#[tokio::test]
async fn a_greeting_does_not_outlive_its_secret() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    let proxy = Running::start(config.clone()).await;
    let (header, outbound, inbound) = header(ALICE, PADDED, 2);
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(&header[..32]).await.unwrap();
    until("it is accepted", || proxy.handle.totals().connections == 1).await;
    sleep(Duration::from_millis(100)).await;
    config.users.remove(0);
    proxy.handle.reload(config).unwrap();
    stream.write_all(&header[32..]).await.unwrap();
    let mut late = Client { stream, outbound, inbound, records: None };
    assert!(late.is_closed().await);
    let ended = proxy.handle.totals().ended_total;
    assert_eq!(ended["removed"], 1);
}

/// Rules: PRX-34, PRX-37: bounds on connections change while it runs; whoever is here stays.
#[tokio::test]
async fn bounds_on_connections_change() {
    let centre = Centre::start().await;
    let mut config = config(centre.address);
    let proxy = Running::start(config.clone()).await;
    let mut first = Client::bare(proxy.address, ALICE, PADDED, 2).await;
    first.check().await;
    config.connections.total_max = 1;
    proxy.handle.reload(config.clone()).unwrap();
    // It is closed before a byte was read, which may be told at once.
    let mut refused = TcpStream::connect(proxy.address).await.unwrap();
    let read = tokio::io::AsyncReadExt::read(&mut refused, &mut [0; 8]).await;
    assert!(matches!(read, Ok(0) | Err(_)));
    first.check().await;
    config.connections.total_max = 2;
    proxy.handle.reload(config).unwrap();
    Client::bare(proxy.address, ALICE, PADDED, 2).await.check().await;
    let totals = proxy.handle.totals();
    assert_eq!((totals.accepted_total, totals.rejected_total["connections"]), (3, 1));
    assert_eq!((totals.handshakes_total["padded"], totals.reloads_total), (2, 2));
    assert!(totals.bytes_up > 0 && totals.bytes_down > 0);
}
