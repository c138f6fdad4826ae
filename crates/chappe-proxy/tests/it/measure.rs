//! Answers to hellos are like those of the site.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rcgen::PKCS_ECDSA_P256_SHA256;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::client::{hello, read_answer};
use crate::site::Site;
use crate::world::{ALICE, Centre, Running, SITE, domain, tls_config, until};

/// Rules: PRX-30, FTL-10: once the site was measured, the answer to a user has the suite, the
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

/// Rules: PRX-31: where that is wished for a user waits for his answer about as long as a stranger for
///        the site's, and otherwise not.
#[tokio::test(flavor = "multi_thread")]
async fn answers_take_as_long_as_those_of_the_site() {
    let (centre, site) =
        (Centre::start().await, Site::start_with(SITE, &PKCS_ECDSA_P256_SHA256).await);
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = far.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = far.accept().await {
            tokio::spawn(async move {
                sleep(FAR).await;
                let mut site = TcpStream::connect(site.address).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut site).await;
            });
        }
    });
    let mut config = tls_config(centre.address, address);
    config.strangers.measure = true;
    config.strangers.imitate_time = true;
    let proxy = Running::start(config.clone()).await;
    let answered = async |secret| {
        let (hello, random) = hello(SITE, secret, 0);
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let begun = Instant::now();
        stream.write_all(&hello).await.unwrap();
        match secret == ALICE {
            true => drop(read_answer(&mut stream, secret, random).await),
            false => drop(stream.read_u8().await.unwrap()),
        }
        begun.elapsed()
    };
    // The soonest of three: this machine stands still at times.
    let soonest = async |secret| {
        let mut soonest = Duration::MAX;
        for _ in 0..3 {
            soonest = soonest.min(answered(secret).await);
        }
        soonest
    };
    let stranger = soonest([1; 16]).await;
    for attempt in 0.. {
        if soonest(ALICE).await >= FAR {
            break;
        }
        assert!(attempt < 100, "users never wait");
        sleep(Duration::from_millis(100)).await;
    }
    let user = soonest(ALICE).await;
    assert!(user.abs_diff(stranger) < FAR / 2, "{user:?} and {stranger:?}");
    config.strangers.imitate_time = false;
    proxy.handle.reload(config).unwrap();
    assert!(soonest(ALICE).await < FAR / 2);
}

/// What the way to the site takes.
const FAR: Duration = Duration::from_millis(400);

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
