//! Answers to hellos are like those of the site.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcgen::PKCS_ECDSA_P256_SHA256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::client::{hello, read_answer};
use crate::site::Site;
use crate::world::{ALICE, Centre, Running, SITE, domain, tls_config, until};

/// Rules: PRX-30, PRX-31, FTL-10: once the site was measured, the answer to a user has the suite, the
///        group and the order of the site's and as many encrypted bytes, in one record.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_like_those_of_the_site() {
    let (centre, site) =
        (Centre::start().await, Site::start_with(SITE, &PKCS_ECDSA_P256_SHA256).await);
    let mut config = tls_config(centre.address, site.address);
    config.strangers.measure = true;
    let proxy = Running::start(config).await;
    let expected = answer_of_the_site(&site).await;
    let encrypted = expected.1;
    for attempt in 0.. {
        let (hello, random) = hello(SITE, ALICE, 0);
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        let answer = shape(&read_answer(&mut stream, ALICE, random).await);
        // Until then any length will do.
        if answer.1.abs_diff(encrypted) <= SIGNATURES_DIFFER {
            assert_eq!(answer.0, expected.0);
            break;
        }
        assert!(attempt < 100, "{answer:?}, and the site's is {expected:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Rules: PRX-30: settings that change nothing of the sites have none of them measured again, and a
///        site that is new is measured alone.
#[tokio::test]
async fn sites_are_measured_once() {
    let (centre, visits) = (Centre::start().await, Arc::new(AtomicU64::new(0)));
    let site = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = site.local_addr().unwrap();
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        // Of no use as a mask: one try is enough to see that.
        while site.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let visits = || visits.load(Ordering::Relaxed);
    let mut config = tls_config(centre.address, address);
    config.strangers.measure = true;
    let proxy = Running::start(config.clone()).await;
    until("the site is measured", || visits() == 1).await;
    sleep(Duration::from_millis(200)).await;
    for connections in 5..10 {
        config.users[0].connections_max = Some(connections);
        proxy.handle.reload(config.clone()).unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    config.domains.push(domain("new.example", address));
    proxy.handle.reload(config.clone()).unwrap();
    until("the new one is measured", || visits() == 2).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(visits(), 2);
}

/// Bytes by which two signatures by one key of a curve differ in length.
const SIGNATURES_DIFFER: usize = 3;

/// What the site itself answers to the same kind of hello.
async fn answer_of_the_site(site: &Site) -> (Vec<u8>, usize) {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(&hello(SITE, ALICE, 0).0).await.unwrap();
    let mut bytes = Vec::new();
    let silence = Duration::from_millis(300);
    while let Ok(Ok(1..)) = timeout(silence, stream.read_buf(&mut bytes)).await {}
    shape(&bytes)
}

/// The parts of a hello that do not differ from one to the next, and how many bytes follow its
/// change of cipher.
fn shape(answer: &[u8]) -> (Vec<u8>, usize) {
    let hello = 5 + usize::from(u16::from_be_bytes([answer[3], answer[4]]));
    let encrypted = answer.len() - hello - 6;
    // Up to the random, then suite and compression, then the head of the first extension.
    let fixed = [&answer[..11], &answer[76..85]].concat();
    (fixed, encrypted)
}
