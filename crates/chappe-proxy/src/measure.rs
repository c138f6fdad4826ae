//! Measuring how the sites that the proxy seems to be answer a hello, so that it can answer alike.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chappe_net::Stream;
use chappe_proto::transport::fake_tls::{Group, RECORD_HEADER, RECORD_MAX};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tracing::{info, warn};

use crate::config::Domain;
use crate::mask;
use crate::shared::Shared;
use crate::site::Measured;

/// Tries for each site: what it sends encrypted may differ in length from one to the next.
const TRIES: usize = 20;
/// Pause between two tries, so that no site takes them for an attack.
const PAUSE: Duration = Duration::from_millis(200);
/// Time between two measurements (PRX-30), and after one that failed.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);
const RETRY: Duration = Duration::from_secs(600);
/// Longest time of one try.
const TRY_MAX: Duration = Duration::from_secs(10);
/// Where TLS is spoken.
const HTTPS: u16 = 443;
/// Bytes of an answer that are kept.
const ANSWER_MAX: usize = 64 << 10;

/// Measures all sites, now and each day, and whenever the settings change.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut changes = shared.policy.subscribe();
    loop {
        let policy = Arc::clone(&changes.borrow_and_update());
        let mut next = INTERVAL;
        if policy.config.modes.tls && policy.config.strangers.measure {
            for domain in &policy.config.domains {
                let wait_max = policy.config.strangers.connect_wait_max;
                if !learn(&shared, domain, wait_max).await {
                    next = RETRY;
                }
            }
        }
        drop(policy);
        tokio::select! {
            () = sleep(next) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Measures one site; whether anything was learnt.
async fn learn(shared: &Shared, domain: &Domain, wait_max: Duration) -> bool {
    let mut found: Option<Measured> = None;
    for attempt in 0..TRIES {
        if attempt > 0 {
            sleep(PAUSE).await;
        }
        let answer = match timeout(TRY_MAX, answer(domain, wait_max)).await {
            Ok(Ok(answer)) => read(&answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        match (answer, &mut found) {
            (Ok(answer), Some(measured)) => measured.encrypted.extend(answer.encrypted),
            (Ok(answer), none) => *none = Some(answer),
            (Err(error), _) => {
                warn!(site = domain.name, %error, "the site cannot be measured; hellos are answered as many sites would");
                break;
            }
        }
    }
    let Some(measured) = found else { return false };
    let (min, max) = (measured.encrypted.iter().min(), measured.encrypted.iter().max());
    info!(site = domain.name, ?min, ?max, "the site was measured");
    shared.sites.learn(&domain.name, measured);
    true
}

/// What the site answers to a hello, as it came.
async fn answer(domain: &Domain, wait_max: Duration) -> io::Result<Vec<u8>> {
    let stream = mask::dial(domain, HTTPS, wait_max).await.map_err(io::Error::other)?;
    let name = ServerName::try_from(domain.name.clone()).map_err(io::Error::other)?;
    let provider = CryptoProvider {
        // As the hellos of our clients have it.
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let verifier = Anyone(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listening = Listening { stream, heard: Vec::new() };
    let connected = TlsConnector::from(Arc::new(config)).connect(name, listening).await?;
    Ok(connected.into_inner().0.heard)
}

/// What an answer is like, of which every record counts that came before the client had to speak
/// again.
fn read(answer: &[u8]) -> Result<Measured, String> {
    let mut records = Records(answer);
    let Some((0x16, hello)) = records.next() else { return Err("no hello".to_owned()) };
    let (suite, group, version_first) = read_hello(hello).ok_or("a hello of another version")?;
    let encrypted = records.filter(|(kind, _)| *kind == 0x17).map(|(_, content)| content.len());
    let total: usize = encrypted.map(|len| len + RECORD_HEADER).sum();
    // One record stands for all of them, as long as they are together.
    let len = total.saturating_sub(RECORD_HEADER).min(RECORD_MAX);
    if len < ENCRYPTED_MIN {
        return Err("too little comes encrypted".to_owned());
    }
    Ok(Measured { suite, group, version_first, encrypted: vec![len as u16] })
}

/// Fewest bytes that hide in the answer of a proxy (FTL-10).
const ENCRYPTED_MIN: usize = 64;

/// Suite, group and the order of the two extensions of a ServerHello; `None` where it is none of
/// TLS 1.3, or wants another hello.
fn read_hello(message: &[u8]) -> Option<(u16, Group, bool)> {
    let u16_at = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]))
    };
    let session_len = usize::from(*message.get(38)?);
    let rest = message.get(39 + session_len..)?;
    let suite = u16_at(rest, 0)?;
    let mut extensions = rest.get(5..)?;
    let (mut group, mut version_first) = (None, None);
    while let (Some(kind), Some(len)) = (u16_at(extensions, 0), u16_at(extensions, 2)) {
        let content = extensions.get(4..4 + usize::from(len))?;
        match kind {
            0x002b => version_first = version_first.or(Some(true)),
            // That of a hello which wants another one has no key.
            0x0033 if content.len() > 4 => {
                version_first = version_first.or(Some(false));
                group = Some(match u16_at(content, 0)? {
                    0x001d => Group::X25519,
                    0x11ec => Group::X25519MlKem768,
                    _ => return None,
                });
            }
            _ => {}
        }
        extensions = &extensions[4 + content.len()..];
    }
    Some((suite, group?, version_first?))
}

/// Type and content of each whole record.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.0.split_first_chunk::<RECORD_HEADER>()?;
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((header[0], content))
    }
}

/// Keeps what is read.
struct Listening {
    stream: Stream,
    heard: Vec<u8>,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let room = ANSWER_MAX.saturating_sub(self.heard.len());
        let new = &buffer.filled()[before..];
        self.heard.extend_from_slice(&new[..new.len().min(room)]);
        polled
    }
}

impl AsyncWrite for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Believes every certificate: nothing is said to the site, and nothing is believed of what it says
/// but how long it is.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
