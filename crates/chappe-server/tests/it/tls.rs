//! TLS in front of everything, and what a deadline spans.

use std::sync::Arc;
use std::time::Duration;

use chappe_net::tls::{Certificate, CertificateError};
use chappe_proto::transport::{Framing, Transport};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{Client, PATIENCE, Wire};
use crate::functions::Echo;
use crate::world::{Setup, World};
use crate::ws::Messages;

/// Rule:   with a certificate TLS goes in front of every transport and of WebSocket, on the port
///         that serves all of them without it, too.
/// Source: TRN-17, HTP-31.
#[tokio::test]
async fn everything_can_be_inside_tls() {
    let (world, identity) = world(|_| {}).await;
    for transport in Transport::ALL {
        let stream = dial(&world, &identity).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut wire = Wire::over(stream, transport);
        let account = wire.exchange(&world).await.unwrap();
        let mut client = Client::over(wire, &account);
        for len in [1, 200_000] {
            let text = "x".repeat(len);
            let answer = client.call(Echo::from(text.as_str())).await.unwrap();
            assert_eq!(answer, text.as_str(), "{transport}");
        }
    }
    let socket = Messages::over(dial(&world, &identity).await.unwrap(), usize::MAX).await;
    let mut wire = Wire::over(socket, Transport::obfuscated(Framing::Intermediate).unwrap());
    let account = wire.exchange(&world).await.unwrap();
    Client::over(wire, &account).call(Echo::from("x")).await.unwrap();

    let mut bare = Client::new(&world).await;
    bare.call(Echo::from("x")).await.unwrap();
}

/// Rule:   one deadline spans the handshake of TLS and what comes inside; whoever misses it gets
///         no more than TLS has said already.
/// Source: TRN-22, TRN-21.
#[tokio::test]
async fn deadline_spans_tls_and_what_is_inside() {
    let (world, identity) = world(|config| config.link.first_packet_wait_max = WAIT).await;
    // Half a greeting, then its bytes one by one: nothing helps.
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let begin = Instant::now();
    stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await.unwrap();
    let trickle = async {
        loop {
            sleep(WAIT / 10).await;
            if stream.write_all(&[7]).await.is_err() {
                break;
            }
            if let Ok(read) = timeout(Duration::from_millis(1), stream.read(&mut [0; 16])).await {
                assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
                break;
            }
        }
    };
    timeout(PATIENCE, trickle).await.unwrap();
    assert!(begin.elapsed() >= WAIT, "{:?}", begin.elapsed());

    for inside in [&[][..], b"GET /apiws HTTP/1.1\r\n", &[0xee, 0xee], &[0x55; 100], HELLO] {
        let ends = async || {
            let begin = Instant::now();
            let stream = TcpStream::connect(world.address).await.unwrap();
            sleep(WAIT / 2).await;
            // Where this machine stood still it is over already.
            let Ok(mut stream) = shake_hands(stream, &identity).await else { return false };
            let _ = stream.write_all(inside).await;
            let _ = stream.flush().await;
            let mut said = Vec::new();
            let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap();
            assert!(said.is_empty(), "{inside:x?}: {said:x?}");
            assert!(begin.elapsed() >= WAIT, "{inside:x?}");
            begin.elapsed() < WAIT * 3 / 2
        };
        // A deadline that began anew would be late each time, not only where the machine is.
        let mut is_in_time = false;
        for _ in 0..10 {
            is_in_time = is_in_time || ends().await;
        }
        assert!(is_in_time, "{inside:x?}");
    }
}

/// Rule:   without a certificate a greeting of TLS is a stranger's.
/// Source: TRN-19, TRN-21.
#[tokio::test]
async fn tls_is_not_answered_without_a_certificate() {
    let world = World::with(|config| config.link.first_packet_wait_max = WAIT).await;
    let begin = Instant::now();
    let error = dial(&world, &identity()).await.unwrap_err();
    assert!(begin.elapsed() >= WAIT, "{error}");
}

/// A certificate can be replaced while the server runs; a bad one leaves the old one in place.
#[tokio::test]
async fn certificate_is_replaced_while_it_is_used() {
    let old = identity();
    let certificate = certificate(&old);
    let setup = Setup { certificate: Some(certificate.clone()), ..Setup::default() };
    let world = World::start(setup).await;
    let mut kept = Wire::over(dial(&world, &old).await.unwrap(), Transport::ALL[1]);
    let account = kept.exchange(&world).await.unwrap();

    let new = identity();
    let (chain, key) = (new.cert.pem(), new.signing_key.serialize_pem());
    let foreign = certificate.replace(chain.as_bytes(), old.signing_key.serialize_pem().as_bytes());
    assert!(matches!(foreign, Err(CertificateError::Unusable(_))), "{foreign:?}");
    let cut = certificate.replace(chain.as_bytes(), &key.as_bytes()[..60]);
    assert!(matches!(cut, Err(CertificateError::Pem("key", _))), "{cut:?}");
    let empty = certificate.replace(b"", key.as_bytes());
    assert!(matches!(empty, Err(CertificateError::NoCertificate)), "{empty:?}");
    dial(&world, &old).await.unwrap();

    certificate.replace(chain.as_bytes(), key.as_bytes()).unwrap();
    dial(&world, &new).await.unwrap();
    dial(&world, &old).await.unwrap_err();
    Client::over(kept, &account).call(Echo::from("x")).await.unwrap();
}

const WAIT: Duration = Duration::from_millis(600);

/// The beginning of a greeting of TLS.
const HELLO: &[u8] = &[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];

type Identity = CertifiedKey<KeyPair>;

fn identity() -> Identity {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn certificate(identity: &Identity) -> Certificate {
    let key = identity.signing_key.serialize_pem();
    Certificate::from_pem(identity.cert.pem().as_bytes(), key.as_bytes()).unwrap()
}

pub(crate) async fn world(
    change: impl FnOnce(&mut chappe_server::ServerConfig),
) -> (World, Identity) {
    let identity = identity();
    let certificate = Some(certificate(&identity));
    let mut setup = Setup { certificate, ..Setup::default() };
    change(&mut setup.config);
    (World::start(setup).await, identity)
}

pub(crate) async fn dial(
    world: &World,
    identity: &Identity,
) -> std::io::Result<TlsStream<TcpStream>> {
    shake_hands(TcpStream::connect(world.address).await?, identity).await
}

/// Shakes hands with whoever holds this certificate.
async fn shake_hands(
    stream: TcpStream,
    identity: &Identity,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(identity.cert.der().to_vec())).unwrap();
    let provider = aws_lc_rs::default_provider().into();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
