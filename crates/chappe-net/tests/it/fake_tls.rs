//! A client in fake TLS, before a proxy that the tests play.

use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::Wire;
use chappe_net::fake_tls::{FakeTls, FakeTlsError};
use chappe_proto::transport::Secret;
use chappe_proto::transport::fake_tls::{
    CHANGE_CIPHER_SPEC, ClientHello, FlightError, Group, Heard, Records, Shape, flight,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

const SITE: &str = "www.example.org";
const TIME: u32 = 1_700_000_000;
const SHAPE: Shape =
    Shape { suite: None, group: Group::X25519, version_first: false, encrypted_len: 1500 };

fn secret() -> Secret {
    [5; 16].into()
}

/// A client that has begun, and the other end, where its hello has come whole.
async fn greeted()
-> (tokio::task::JoinHandle<Result<FakeTls<DuplexStream>, FakeTlsError>>, DuplexStream, ClientHello)
{
    let (near, mut far) = duplex(1 << 16);
    let begun = tokio::spawn(async move {
        FakeTls::begin(near, SITE, &secret(), TIME, &mut Rng::from_seed([3; 32])).await
    });
    let mut bytes = Vec::new();
    let (hello, len) = loop {
        far.read_buf(&mut bytes).await.unwrap();
        if let Heard::Hello(hello, len) = ClientHello::read(&bytes).unwrap() {
            break (*hello, len);
        }
    };
    assert_eq!(bytes.len(), len);
    (begun, far, hello)
}

/// Rules: FTL-01, FTL-02, PRX-03: the hello asks for the site of the secret, at the time given, and
///        nothing follows it before the answer has come.
#[tokio::test]
async fn nothing_follows_the_hello_before_the_answer() {
    let (begun, mut far, hello) = greeted().await;
    assert_eq!((hello.domain(), hello.time_by(&secret())), (Some(SITE), Some(TIME)));
    assert!(timeout(Duration::from_millis(50), far.read(&mut [0])).await.is_err());
    let answer = flight(&hello, &secret(), &SHAPE, &[9; 32], &mut Rng::from_seed([4; 32]));
    let (first, last) = answer.split_at(answer.len() - 1);
    far.write_all(first).await.unwrap();
    assert!(timeout(Duration::from_millis(50), far.read(&mut [0])).await.is_err());
    assert!(!begun.is_finished());
    far.write_all(last).await.unwrap();
    begun.await.unwrap().unwrap();
}

/// Rules: FTL-11, FTL-12, PRX-09: who answers without the secret, as a site does or by closing, is no
///        proxy: the connection ends.
#[tokio::test]
async fn others_are_no_proxy() {
    let (begun, mut far, hello) = greeted().await;
    let foreign = flight(&hello, &[6; 16].into(), &SHAPE, &[9; 32], &mut Rng::from_seed([4; 32]));
    far.write_all(&foreign).await.unwrap();
    let error = begun.await.unwrap().unwrap_err();
    assert!(matches!(error, FakeTlsError::Flight(FlightError::Digest)), "{error}");
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);

    let (begun, mut far, _) = greeted().await;
    far.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await.unwrap();
    let error = begun.await.unwrap().unwrap_err();
    assert!(matches!(error, FakeTlsError::Flight(FlightError::Records)), "{error}");

    let (begun, far, _) = greeted().await;
    drop(far);
    assert!(matches!(begun.await.unwrap().unwrap_err(), FakeTlsError::Io(_)));
}

/// Rules: FTL-13, FTL-14, FTL-16, FTL-17: the change of cipher comes once, before the first record,
///        which holds what comes first; no record is longer than a browser's.
#[tokio::test]
async fn frames_travel_in_records() {
    let (begun, mut far, hello) = greeted().await;
    let answer = flight(&hello, &secret(), &SHAPE, &[9; 32], &mut Rng::from_seed([4; 32]));
    // What comes right behind the answer is not lost.
    far.write_all(&[&answer[..], &[0x17, 3, 3, 0, 2, 1, 2]].concat()).await.unwrap();
    let mut wire = begun.await.unwrap().unwrap();

    let mut records = Records::of_client();
    for len in [64, 1, 2878, 2879, 20_000] {
        let content: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let mut outbound = BytesMut::from(&b"before"[..]);
        let start = outbound.len();
        outbound.extend_from_slice(&content);
        wire.wrap(&mut outbound, start);
        assert_eq!(&outbound[..start], b"before");
        let wrapped = &mut outbound[start..];
        assert_eq!(wrapped.starts_with(&CHANGE_CIPHER_SPEC), len == 64);
        let first = if len == 64 { &wrapped[6..] } else { &*wrapped };
        let first_len = u16::from_be_bytes([first[3], first[4]]);
        assert_eq!(usize::from(first_len), (len as usize).min(2878));
        let found = records.unwrap(wrapped).unwrap();
        assert_eq!(wrapped[..found], content);
    }

    let mut inbound = BytesMut::new();
    wire.receive(&mut [0x17, 3, 3, 0], &mut inbound).unwrap();
    wire.receive(&mut [1, 3, 0x17, 3, 3, 0, 1], &mut inbound).unwrap();
    assert_eq!(inbound, [1, 2, 3][..]);
    wire.receive(&mut [4], &mut inbound).unwrap();
    assert_eq!(inbound, [1, 2, 3, 4][..]);
    let end = wire.receive(&mut [0x15, 3, 3, 0, 2], &mut inbound).unwrap_err();
    assert_eq!(end.cause(), "fake_tls");
}
