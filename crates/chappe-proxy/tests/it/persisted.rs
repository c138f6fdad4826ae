//! Greetings are remembered over a restart.

use std::path::Path;
use std::time::Duration;

use chappe_proxy::ProxyConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::{Client, PADDED, header, hello, read_answer};
use crate::world::{ALICE, BOB, Centre, Running, SITE, tls_config};

/// Rules: PRX-24, PRX-26: a hello and a header that one process accepted are replays to the next,
///        which then needs to refuse no hello for its age; in a file that was damaged, or where the
///        process ended otherwise, nothing of that holds, and the proxy starts all the same.
#[tokio::test]
async fn greetings_outlive_the_process() {
    let centre = Centre::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = tls_config(centre.address, silent.local_addr().unwrap());
    config.modes.padded = true;
    config.hello.refuse_before_start = true;
    config.state = Some(folder.path().into());
    let proxy = Running::start(config.clone()).await;
    let hello = hello(SITE, ALICE, 0);
    assert!(is_answered(&proxy, &hello).await);
    let (header, outbound, inbound) = header(BOB, PADDED, 2);
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(&header).await.unwrap();
    Client { stream, outbound, inbound, records: None }.check().await;
    proxy.stop().await;

    let file = folder.path().join("greetings");
    let written = std::fs::read(&file).unwrap();
    check(&config, &file, &written, &hello, false, true).await;
    // As a crash leaves it: written by who went on accepting.
    let crashed = {
        let proxy = Running::start(config.clone()).await;
        crate::world::until("it is written", || std::fs::read(&file).unwrap() != written).await;
        drop(proxy);
        std::fs::read(&file).unwrap()
    };
    check(&config, &file, &crashed, &hello, false, false).await;
    let mut damaged = written.clone();
    damaged[40] ^= 1;
    check(&config, &file, &damaged, &hello, true, false).await;
    check(&config, &file, &written[..20], &hello, true, false).await;
    check(&config, &file, b"", &hello, true, false).await;
    let mut stream = {
        std::fs::write(&file, &written).unwrap();
        let proxy = Running::start(config).await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(&header).await.unwrap();
        assert!(timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_err());
        stream
    };
    let _ = stream.shutdown().await;
    assert_eq!(centre.headers.lock().unwrap().len(), 1);
}

/// Rules: PRX-24, PRX-26, FTL-08: a process by whose settings older hellos are fresh refuses those that
///        the one before may have accepted and forgotten.
#[tokio::test]
async fn hellos_that_were_forgotten_are_not_fresh_again() {
    let centre = Centre::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = tls_config(centre.address, silent.local_addr().unwrap());
    config.state = Some(folder.path().into());
    for (age_max, older_is_fresh) in [(3600, true), (3600, true), (100, false), (3600, false)] {
        config.hello.age_max = Duration::from_secs(age_max);
        let proxy = Running::start(config.clone()).await;
        assert_eq!(is_answered(&proxy, &hello(SITE, ALICE, -200)).await, older_is_fresh);
        assert!(is_answered(&proxy, &hello(SITE, ALICE, -80)).await);
        proxy.stop().await;
    }
}

/// Starts a proxy with such a file, and sends a hello again, and a new one from before the start.
async fn check(
    config: &ProxyConfig,
    file: &Path,
    content: &[u8],
    replayed: &(Vec<u8>, [u8; 32]),
    is_accepted_again: bool,
    is_old_accepted: bool,
) {
    std::fs::write(file, content).unwrap();
    let mut lax = config.clone();
    lax.hello.refuse_before_start = false;
    let proxy = Running::start(lax).await;
    assert_eq!(is_answered(&proxy, replayed).await, is_accepted_again);
    drop(proxy);
    std::fs::write(file, content).unwrap();
    let proxy = Running::start(config.clone()).await;
    assert_eq!(is_answered(&proxy, &hello(SITE, ALICE, -30)).await, is_old_accepted);
    assert!(is_answered(&proxy, &hello(SITE, ALICE, 0)).await);
}

async fn is_answered(proxy: &Running, (hello, random): &(Vec<u8>, [u8; 32])) -> bool {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let answer = read_answer(&mut stream, ALICE, *random);
    timeout(Duration::from_millis(300), answer).await.is_ok()
}
