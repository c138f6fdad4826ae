//! What the process counts, for Prometheus, and perhaps users in JSON: pages over HTTP.
//!
//! The protocol is as much of HTTP/1.1 as that takes: a GET, an answer, the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep, timeout};
use tracing::warn;

/// The page, about to be served.
pub(crate) struct Page {
    listener: TcpListener,
    prometheus: PrometheusHandle,
    /// What is known of users, in JSON.
    users: Option<Users>,
}

/// Says what is known of users at the moment, in JSON.
type Users = Arc<dyn Fn() -> String + Send + Sync>;

/// Upper bounds of the classes that durations are sorted into, in seconds.
const CLASSES: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];
/// The same for what may last for hours, and how its name ends.
const LONG_CLASSES: [f64; 12] =
    [0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 600.0, 1800.0, 7200.0, 43200.0];
const LONG: &str = "connection_duration_seconds";
/// Time between two looks at what was recorded, which waits in memory until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Connections served at once; more wait.
const CONNECTIONS_MAX: usize = 8;
/// Longest request.
const REQUEST_MAX: usize = 8 << 10;
/// Longest time that one connection takes.
const LIFE_MAX: Duration = Duration::from_secs(10);
/// Wait before another try when there are no descriptors.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

impl Page {
    /// Installs the recorder of the process, to be called before anything is counted, and binds
    /// the address.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        Self::on(bind(address).await?)
    }

    /// The same, at a socket that listens.
    pub(crate) fn on(listener: TcpListener) -> Result<Self> {
        let prometheus = PrometheusBuilder::new()
            .set_buckets(&CLASSES)?
            .set_buckets_for_metric(Matcher::Suffix(LONG.to_owned()), &LONG_CLASSES)?
            .install_recorder()?;
        Ok(Self { listener, prometheus, users: None })
    }

    /// The same, with another page at `/users`.
    pub(crate) fn with_users(self, users: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { users: Some(Arc::new(users)), ..self }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves it for ever.
    pub(crate) async fn serve(self) {
        let Self { listener, prometheus, users } = self;
        let upkeep = prometheus.clone();
        tokio::spawn(async move {
            let mut ticks = interval(UPKEEP_INTERVAL);
            loop {
                ticks.tick().await;
                upkeep.run_upkeep();
            }
        });
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // Never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (prometheus, users) = (prometheus.clone(), users.clone());
                    tokio::spawn(async move {
                        // A scraper that fails will come again.
                        let _ = timeout(LIFE_MAX, answer(stream, prometheus, users)).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection for metrics; trying again");
                    sleep(EXHAUSTED_WAIT).await;
                }
            }
        }
    }
}

/// Listens where the page is to be.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("metrics: cannot listen on {address}"))
}

/// Takes one request and answers it.
async fn answer(
    mut stream: TcpStream,
    prometheus: PrometheusHandle,
    users: Option<Users>,
) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() >= REQUEST_MAX || stream.read_buf(&mut request).await? == 0 {
            return respond(&mut stream, "400 Bad Request", TEXT, "").await;
        }
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match (method, target.split(|byte| *byte == b'?').next().unwrap_or_default()) {
        (b"GET", b"/metrics") => {
            let page = tokio::task::spawn_blocking(move || prometheus.render()).await?;
            respond(&mut stream, "200 OK", PROMETHEUS, &page).await
        }
        (b"GET", b"/users") if let Some(users) = users => {
            respond(&mut stream, "200 OK", JSON, &users()).await
        }
        (b"GET", _) => respond(&mut stream, "404 Not Found", TEXT, "see /metrics\n").await,
        _ => respond(&mut stream, "405 Method Not Allowed\r\nAllow: GET", TEXT, "").await,
    }
}

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

async fn respond(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\
         Content-Length: {len}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
