//! What strangers see: the site that the proxy seems to be, or nothing at all.
//!
//! A stranger's connection becomes one to the site, with all that he sent from its first byte. What
//! he sees from then on is the site's own, its certificate, its errors and its manner of closing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_net::connect;
use chappe_net::listen::Ends;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_net::{Stream, proxy_protocol};
use metrics::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use crate::coding::Coding;
use crate::config::{Domain, ProxyConfig, SiteAddress};
use crate::metrics::Gauged;
use crate::policy::Policy;
use crate::relay::{Bounds, End, Flow, Relay, Toll};
use crate::shared::Shared;
use crate::users::Direction;

/// A stranger at the site's door.
pub(crate) struct Visit<'a> {
    pub(crate) ends: Ends,
    /// All that he sent.
    pub(crate) input: BytesMut,
    pub(crate) domain: &'a Domain,
}

/// Why a site cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoSite {
    /// The domain has no address of its own, and a name that is no host.
    #[error("its name is no host")]
    Name,
    /// Its name leads here.
    #[error("it is this proxy itself")]
    Loop,
    /// Nobody is there.
    #[error("{0}")]
    Unreachable(#[from] connect::ConnectError),
    /// Nobody is at the socket in the file system.
    #[error("{0}")]
    Unix(#[from] io::Error),
    /// Nobody was there in time.
    #[error("no answer in time")]
    TimedOut,
}

impl Visit<'_> {
    /// Shows him the site to the end; gives the connection back where there is no place for him.
    pub(crate) async fn show(
        self,
        shared: &Arc<Shared>,
        policy: &Policy,
        near: Stream,
        mut watcher: Watcher,
    ) -> Result<(), Stream> {
        let config = &policy.config.strangers;
        let Some(_place) = shared.masked.admit(self.ends.peer.ip()) else {
            shared.metrics.masked_refused.increment(1);
            return Err(near);
        };
        let _gauged = Gauged::new(&shared.metrics.masked);
        let far = match self.dial(&policy.config).await {
            Ok(far) => far,
            Err(error) => {
                shared.metrics.masked_failed.increment(1);
                if let Some(left_out) = shared.seldom.admit("site", shared.clock.now().mono) {
                    let site = &self.domain.name;
                    warn!(site, %error, left_out, "strangers cannot be shown the site");
                }
                return Ok(());
            }
        };
        shared.metrics.masked_total.increment(1);
        let mut first = match self.domain.proxy_protocol {
            Some(version) => proxy_protocol::header(version, self.ends),
            None => Vec::new(),
        };
        first.extend_from_slice(&self.input);
        let memory = &shared.memory;
        let relay = Relay {
            near,
            far,
            up: Flow::new(Direction::Up, Coding::Copied, first, memory),
            down: Flow::new(Direction::Down, Coding::Copied, Vec::new(), memory),
            toll: StrangerToll {
                left: [config.bytes_max.unwrap_or(u64::MAX); 2],
                passed: &shared.metrics.masked_bytes,
            },
            bounds: Bounds {
                buffer_bytes: policy.config.relay.buffer_bytes,
                idle_max: config.idle_max,
                stalled_max: config.idle_max,
                memory: Arc::clone(memory),
            },
        };
        tokio::select! {
            end = Box::pin(relay.run()) => debug!(?end, "a stranger is gone"),
            () = watcher.reached(Stage::Draining) => {}
        }
        Ok(())
    }

    async fn dial(&self, config: &ProxyConfig) -> Result<Stream, NoSite> {
        let wait_max = config.strangers.connect_wait_max;
        let far = dial(self.domain, self.ends.local.port(), wait_max).await?;
        // A name that leads here: each connection would make another.
        let is_here = |peer| is_at(peer, self.ends.local) || config.public == Some(peer);
        match far.peer() {
            Some(peer) if is_here(peer) => Err(NoSite::Loop),
            _ => Ok(far),
        }
    }
}

/// Connects to a site, for who came to `port` of ours.
pub(crate) async fn dial(domain: &Domain, port: u16, wait_max: Duration) -> Result<Stream, NoSite> {
    match domain.address(port).ok_or(NoSite::Name)? {
        SiteAddress::Tcp(endpoint) => {
            Ok(Stream::Tcp(connect::connect(&[endpoint], None, wait_max).await?.stream))
        }
        SiteAddress::Unix(path) => {
            let connected = timeout(wait_max, UnixStream::connect(path)).await;
            Ok(Stream::Unix(connected.map_err(|_| NoSite::TimedOut)??))
        }
    }
}

/// Connects to a site for ourselves, where TLS is spoken, and says so if the site wants to be told
/// on whose behalf connections come.
///
/// # Errors
///
/// It cannot be shown to strangers either.
pub async fn visit(domain: &Domain, wait_max: Duration) -> Result<Stream, NoSite> {
    let mut stream = dial(domain, HTTPS, wait_max).await?;
    if let Some(version) = domain.proxy_protocol {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTPS));
        let header = proxy_protocol::header(version, Ends { peer: here, local: here });
        stream.write_all(&header).await?;
    }
    Ok(stream)
}

/// Where TLS is spoken.
const HTTPS: u16 = 443;

/// Whether an address is where a stranger came to.
fn is_at(address: SocketAddr, local: SocketAddr) -> bool {
    address.port() == local.port() && address.ip().to_canonical() == local.ip()
}

/// Reads what a stranger sends, where there is no site to show, and says nothing; until a moment
/// that tells nothing of us (PRX-36).
pub(crate) async fn discard(
    mut stream: Stream,
    deadline: Instant,
    rng: &mut Rng,
    mut watcher: Watcher,
) {
    let deadline = deadline + Duration::from_millis(rng.below(LINGER_MAX_MS).into());
    let all = async {
        let mut bytes = [0; 1 << 10];
        while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
    };
    tokio::select! {
        // Whether he leaves or stays, nothing is said.
        _ = timeout_at(deadline, all) => {}
        () = watcher.reached(Stage::Draining) => {}
    }
}

/// Longest stay beyond the time in which others have been recognised, in milliseconds.
const LINGER_MAX_MS: u32 = 20_000;

/// Bytes that a stranger may still pass, each way, and what counts those that pass.
struct StrangerToll<'a> {
    left: [u64; 2],
    passed: &'a [Counter; 2],
}

impl Toll for StrangerToll<'_> {
    fn pass(&mut self, direction: Direction, bytes: usize) -> Result<Duration, End> {
        let way = usize::from(direction == Direction::Down);
        self.passed[way].increment(bytes as u64);
        let left = &mut self.left[way];
        *left = left.checked_sub(bytes as u64).ok_or(End::UsedUp)?;
        Ok(Duration::ZERO)
    }
}
