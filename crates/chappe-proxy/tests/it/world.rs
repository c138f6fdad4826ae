//! What stands around a proxy: data centres that echo, and the proxy itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chappe_crypto::Ctr;
use chappe_net::connect::Endpoint;
use chappe_net::listen::{Listener, bind};
use chappe_proto::transport::Secret;
use chappe_proxy::{Centres, Domain, Handle, Modes, Proxy, ProxyConfig, SiteAddress, UserConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Secret of the user `alice`.
pub(crate) const ALICE: [u8; 16] = *b"alice's secret.!";
/// Secret of the user `bob`.
pub(crate) const BOB: [u8; 16] = *b"bob has another.";
/// The site that proxies here seem to be.
pub(crate) const SITE: &str = "www.example.org";

/// A data centre that sends back whatever it is sent.
pub(crate) struct Centre {
    pub(crate) address: SocketAddr,
    pub(crate) headers: Arc<Mutex<Vec<[u8; 64]>>>,
}

impl Centre {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let headers: Arc<Mutex<Vec<_>>> = Arc::default();
        let seen = Arc::clone(&headers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(echo(stream, seen));
            }
        });
        Self { address, headers }
    }

    /// Framing and data centre that the last client asked for.
    pub(crate) fn asked(&self) -> ([u8; 4], i16) {
        let headers = self.headers.lock().unwrap();
        let mut header = *headers.last().unwrap();
        from_client(&header).apply(&mut header);
        (header[56..60].try_into().unwrap(), i16::from_le_bytes([header[60], header[61]]))
    }
}

async fn echo(mut stream: TcpStream, seen: Arc<Mutex<Vec<[u8; 64]>>>) {
    stream.set_nodelay(true).unwrap();
    let mut header = [0; 64];
    if stream.read_exact(&mut header).await.is_err() {
        return;
    }
    seen.lock().unwrap().push(header);
    let (mut inbound, mut outbound) = (from_client(&header), to_client(&header));
    inbound.apply(&mut header.clone());
    let mut bytes = vec![0; 64 << 10];
    while let Ok(len @ 1..) = stream.read(&mut bytes).await {
        inbound.apply(&mut bytes[..len]);
        outbound.apply(&mut bytes[..len]);
        if stream.write_all(&bytes[..len]).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// The stream of a header without a secret, from who made it.
pub(crate) fn from_client(header: &[u8; 64]) -> Ctr {
    Ctr::new(header[8..40].try_into().unwrap(), header[40..56].try_into().unwrap())
}

/// The stream to who made it.
pub(crate) fn to_client(header: &[u8; 64]) -> Ctr {
    let mut reversed = *header;
    reversed.reverse();
    from_client(&reversed)
}

/// A running proxy, stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// Settings of a proxy for `alice` and `bob` to one data centre, of every form, without a site.
pub(crate) fn config(centre: SocketAddr) -> ProxyConfig {
    let mut config = ProxyConfig::default();
    config.users =
        vec![UserConfig::new("alice", ALICE.into()), UserConfig::new("bob", Secret::from(BOB))];
    config.modes = Modes { plain: true, padded: true, tls: false };
    config.centres = Centres::none();
    config.centres.set(2, vec![Endpoint::from(centre)]);
    config.access.per_address_per_second = 10_000;
    config.strangers.measure = false;
    config
}

/// The same in fake TLS only, as the site at `site`.
pub(crate) fn tls_config(centre: SocketAddr, site: SocketAddr) -> ProxyConfig {
    let mut config = config(centre);
    config.modes = Modes { plain: false, padded: false, tls: true };
    config.domains = vec![domain(SITE, site)];
    config
}

pub(crate) fn domain(name: &str, at: SocketAddr) -> Domain {
    let mut domain = Domain::new(name);
    domain.at = Some(SiteAddress::Tcp(at.into()));
    domain
}

impl Running {
    pub(crate) async fn start(config: ProxyConfig) -> Self {
        Self::start_draining(config, Duration::ZERO).await
    }

    pub(crate) async fn start_draining(config: ProxyConfig, drain_max: Duration) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        Self::serve(config, listener.into(), address, drain_max)
    }

    fn serve(
        config: ProxyConfig,
        listener: Listener,
        address: SocketAddr,
        drain_max: Duration,
    ) -> Self {
        let proxy = Proxy::new(config).unwrap();
        let handle = proxy.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let serving = proxy.serve_all([listener]).with_graceful_shutdown(stopped, drain_max);
        Self { address, handle, stop: Some(stop), serving: tokio::spawn(serving.into_future()) }
    }

    /// Tells it to stop; waits until it has.
    pub(crate) async fn stop(mut self) {
        self.begin_stop();
        (&mut self.serving).await.unwrap();
    }

    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Waits until something holds, for at most ten seconds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
