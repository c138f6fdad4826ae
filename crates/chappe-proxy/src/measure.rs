//! Measuring how the sites that the proxy seems to be answer a hello, so that it can answer alike.
//!
//! A site is sent what a client of ours would send, by a secret that nobody has. It takes that for a
//! browser's and answers in full; what it sends encrypted nobody here can read, and its length is
//! all that matters.

use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::{Rng, x25519_public};
use chappe_proto::transport::Secret;
use chappe_proto::transport::fake_tls::{Group, RECORD_HEADER, RECORD_MAX, greeting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use crate::config::Domain;
use crate::mask::{self, NoSite};
use crate::shared::Shared;
use crate::site::Measured;

/// Tries for each site: what it sends encrypted may differ in length from one to the next.
const TRIES: usize = 20;
/// Pause between two tries, so that no site takes them for an attack.
const PAUSE: Duration = Duration::from_millis(200);
/// Time between two measurements (PRX-30), and after one that failed.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);
const RETRY: Duration = Duration::from_secs(600);
/// Longest wait for an answer, and the silence that ends one.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(500);
/// Bytes of an answer that are looked at.
const ANSWER_MAX: usize = 64 << 10;

/// Why a site is of no use as a mask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsuitable {
    /// It cannot be shown to anybody.
    #[error("{0}")]
    Unreachable(#[from] NoSite),
    /// It hung up.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// It speaks no TLS, an older one, or wants another key.
    #[error("it does not answer in TLS 1.3 to a key of X25519")]
    Version,
    /// What it sends encrypted leaves no room for what a proxy has to say.
    #[error("it answers with {0} encrypted bytes, which is no certificate")]
    Short(usize),
}

/// How a site answers a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// The cipher suite that it chose, by its number in TLS.
    pub suite: u16,
    /// Whether its key is one that quantum computers would not help against.
    pub post_quantum: bool,
    /// Bytes that it sent encrypted before the client spoke again.
    pub encrypted_bytes: u16,
}

/// Asks a site once how it answers, as the proxy does many times while it runs (PRX-30).
///
/// # Errors
///
/// It is of no use as a mask.
pub async fn measure(
    domain: &Domain,
    wait_max: Duration,
    rng: &mut Rng,
) -> Result<Site, Unsuitable> {
    let (answer, _) = answer(domain, wait_max, rng).await?;
    let (suite, group, _) = read_hello(&answer).ok_or(Unsuitable::Version)?;
    let encrypted_bytes = encrypted_len(&answer)?;
    Ok(Site { suite, post_quantum: group == Group::X25519MlKem768, encrypted_bytes })
}

/// Measures all sites, now and each day, and those that settings bring anew.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut changes = shared.policy.subscribe();
    let mut measured: Vec<(Domain, Instant)> = Vec::new();
    loop {
        let policy = Arc::clone(&changes.borrow_and_update());
        let is_wanted = policy.config.modes.tls && policy.config.strangers.measure;
        let domains: &[Domain] = if is_wanted { &policy.config.domains } else { &[] };
        measured.retain(|(domain, due)| domains.contains(domain) && *due > Instant::now());
        for domain in domains {
            if measured.iter().any(|(known, _)| known == domain) {
                continue;
            }
            let wait_max = policy.config.strangers.connect_wait_max;
            let wait = match learn(&shared, domain, wait_max).await {
                Ok(()) => INTERVAL,
                Err(error) => {
                    warn!(site = domain.name, %error, "the site is no good mask");
                    RETRY
                }
            };
            measured.push((domain.clone(), Instant::now() + wait));
        }
        drop(policy);
        let next = measured.iter().map(|(_, due)| *due).min();
        tokio::select! {
            () = sleep_until(next.unwrap_or_else(|| Instant::now() + INTERVAL)) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Measures one site.
async fn learn(shared: &Shared, domain: &Domain, wait_max: Duration) -> Result<(), Unsuitable> {
    let (mut lens, mut times) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        let (answer, time) = answer(domain, wait_max, &mut shared.rng()).await?;
        let (suite, group, version_first) = read_hello(&answer).ok_or(Unsuitable::Version)?;
        lens.push(encrypted_len(&answer)?);
        times.push(time);
        let (encrypted, times) = (lens.clone(), times.clone());
        let measured = Measured { suite, group, version_first, encrypted, times };
        shared.sites.learn(&domain.name, measured);
        sleep(PAUSE).await;
    }
    info!(site = domain.name, min = ?lens.iter().min(), max = ?lens.iter().max(), "measured");
    Ok(())
}

/// What the site answers to a hello, as it came, and how long it took from when it was called: a
/// stranger is the reason for a call as well.
async fn answer(
    domain: &Domain,
    wait_max: Duration,
    rng: &mut Rng,
) -> Result<(Vec<u8>, Duration), Unsuitable> {
    let (begun, mut time) = (Instant::now(), Duration::ZERO);
    let mut stream = mask::visit(domain, wait_max).await?;
    let (keys, nobodys) = ([x25519_public(rng), x25519_public(rng)], Secret::from(rng.bytes()));
    let (hello, _) = greeting(&domain.name, &nobodys, rng.u32(), &keys, rng);
    stream.write_all(&hello).await?;
    let mut answer = Vec::new();
    while answer.len() < ANSWER_MAX {
        let wait = if answer.is_empty() { ANSWER_WAIT } else { SILENCE };
        match timeout(wait, stream.read_buf(&mut answer)).await {
            Ok(Ok(1..)) if time.is_zero() => time = begun.elapsed(),
            Ok(Ok(1..)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(0)) | Err(_) => break,
        }
    }
    Ok((answer, time))
}

/// The length of the one record that stands for all that came encrypted.
fn encrypted_len(answer: &[u8]) -> Result<u16, Unsuitable> {
    let encrypted = Records(answer).filter(|(kind, _)| *kind == 0x17);
    let total: usize = encrypted.map(|(_, content)| RECORD_HEADER + content.len()).sum();
    // As long as they are together.
    let len = total.saturating_sub(RECORD_HEADER).min(RECORD_MAX);
    if len < ENCRYPTED_MIN {
        return Err(Unsuitable::Short(len));
    }
    Ok(len as u16)
}

/// Fewest bytes that hide in the answer of a proxy (FTL-10).
const ENCRYPTED_MIN: usize = 64;

/// Suite, group and the order of the two extensions of the hello that an answer begins with; `None`
/// where it is none of TLS 1.3, or wants another hello.
fn read_hello(answer: &[u8]) -> Option<(u16, Group, bool)> {
    let (0x16, message) = Records(answer).next()? else { return None };
    let session_len = usize::from(*message.get(38)?);
    let rest = message.get(39 + session_len..)?;
    let suite = u16_at(rest, 0)?;
    let mut extensions = rest.get(5..)?;
    let (mut group, mut version_first) = (None, None);
    while let (Some(kind), Some(len)) = (u16_at(extensions, 0), u16_at(extensions, 2)) {
        let content = extensions.get(4..4 + usize::from(len))?;
        match kind {
            SUPPORTED_VERSIONS => version_first = version_first.or(Some(true)),
            // That of a hello which wants another one has no key.
            KEY_SHARE if content.len() > 4 => {
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

const SUPPORTED_VERSIONS: u16 = 0x002b;
const KEY_SHARE: u16 = 0x0033;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]))
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
