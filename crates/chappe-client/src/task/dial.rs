//! Getting a connection by the way that the routes say, to the first of its stops that answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::Rng;
use chappe_net::WebSocket;
use chappe_net::connect::{self, Connected, Endpoint, HttpConnection, Proxy};
use chappe_net::fake_tls::{FakeTls, FakeTlsError};
use chappe_net::ws::WebSocketConfig;
use chappe_net::{BoxedIo, Io};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::error::DialError;
use crate::routes::{Disguise, Route, Stop};
use crate::web::Web;

/// What a connection needs to know to be made.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    pub(super) route: Route,
    pub(super) proxy: Option<Proxy>,
    pub(super) web: Arc<Web>,
    /// What the server's clock is thought to say, since 1970.
    pub(super) server_time: Duration,
}

/// A connection.
pub(super) struct Reached {
    /// Which stop of the route it leads to.
    pub(super) stop: usize,
    /// The other end, which may be a proxy.
    pub(super) peer: Option<SocketAddr>,
    pub(super) carrier: Carrier,
}

/// What packets travel in.
pub(super) enum Carrier {
    Stream(TcpStream),
    FakeTls(FakeTls<TcpStream>),
    WebSocket(WebSocket<BoxedIo>),
    Http(HttpConnection),
}

/// Longest wait for a connection, all stages together.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// The same, and the longest wait for a first byte on it, where another way may be free.
pub(super) const DOUBT_WAIT_MAX: Duration = Duration::from_secs(5);

impl Dialler {
    pub(super) async fn dial(&self, rng: &mut Rng) -> Result<Reached, DialError> {
        let way = self.route.way;
        let wait_max = if self.route.is_doubtful { DOUBT_WAIT_MAX } else { CONNECT_WAIT_MAX };
        let deadline = Instant::now() + wait_max;
        let stops: Vec<Endpoint> =
            self.route.stops.iter().map(|stop| stop.endpoint.clone()).collect();
        // An HTTP proxy passes requests on itself where it can read them (HTP-33).
        let asked = self.proxy.as_ref().filter(|proxy| proxy.is_http() && way == crate::Way::Http);
        let Connected { stream, at } = match asked {
            Some(proxy) => {
                let there = [proxy.endpoint().clone()];
                connect::connect(&there, None, wait_max).await?
            }
            None => connect::connect(&stops, self.proxy.as_ref(), wait_max).await?,
        };
        let peer = stream.peer_addr().ok();
        let begun = timeout_at(deadline, self.begin(stream, at, asked, rng));
        let carrier = match begun.await {
            Ok(begun) => begun.map_err(|why| why.at(&stops[at]))?,
            Err(_) => return Err(Stage::TimedOut(wait_max).at(&stops[at])),
        };
        Ok(Reached { stop: at, peer, carrier })
    }

    /// Whatever comes before packets can travel.
    async fn begin(
        &self,
        stream: TcpStream,
        at: usize,
        asked: Option<&Proxy>,
        rng: &mut Rng,
    ) -> Result<Carrier, Stage> {
        let (way, Stop { endpoint: stop, disguise, .. }) = (self.route.way, &self.route.stops[at]);
        if let Some(Disguise { secret, domain: Some(domain) }) = disguise {
            // The digest has room for 32 bits of it.
            let unix = self.server_time.as_secs() as u32;
            let begun = FakeTls::begin(stream, domain, secret, unix, rng).await;
            return begun.map(Carrier::FakeTls).map_err(Stage::FakeTls);
        }
        if !way.is_web() {
            return Ok(Carrier::Stream(stream));
        }
        let stream: BoxedIo = match way.has_tls() {
            true => self.encrypt(stream, stop).await?,
            false => Box::new(stream),
        };
        let mut site = self.web.site(way, stop);
        if let Some(proxy) = asked {
            site = site.through(proxy.clone());
        }
        if way.is_http() {
            let connection = HttpConnection::begin(stream, site).await.map_err(Stage::Web)?;
            return Ok(Carrier::Http(connection));
        }
        let upgraded = connect::upgrade(stream, &site, rng).await.map_err(Stage::Web)?;
        let socket = WebSocket::client(
            Box::new(upgraded) as BoxedIo,
            WebSocketConfig::default(),
            rng.fork(),
        );
        Ok(Carrier::WebSocket(socket))
    }

    async fn encrypt(&self, stream: impl Io + 'static, stop: &Endpoint) -> Result<BoxedIo, Stage> {
        let name = self.web.name(stop);
        let encrypted = self.web.authorities().connect(name, stream).await.map_err(Stage::Tls)?;
        Ok(Box::new(encrypted))
    }
}

/// What failed once there was a connection.
enum Stage {
    FakeTls(FakeTlsError),
    Tls(connect::TlsError),
    Web(connect::WebError),
    TimedOut(Duration),
}

impl Stage {
    fn at(self, endpoint: &Endpoint) -> DialError {
        let address = endpoint.to_string();
        match self {
            Self::FakeTls(error) => DialError::FakeTls { address, error },
            Self::Tls(error) => DialError::Tls { address, error },
            Self::Web(error) => DialError::Web { address, error },
            Self::TimedOut(after) => DialError::TimedOut { address, after },
        }
    }
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        Self::other(error)
    }
}
