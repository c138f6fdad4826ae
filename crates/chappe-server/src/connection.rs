//! One accepted connection: what it speaks, layer by layer, until it has come to its end.

use std::sync::Arc;
use std::time::Duration;

use chappe_net::limits::Permit;
use chappe_net::listen::Ends;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_net::{BoxedIo, End, Prefixed, proxy_protocol};
use chappe_proto::transport::{self, Framing, Transport};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{debug, warn};

use crate::shared::Shared;
use crate::{http, link, metrics};

/// What is known of a connection, whatever it carries.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ends: Arc<Ends>,
    pub(crate) watcher: Watcher,
    /// When the peer is given up unless it has said something whole by then, on the monotonic
    /// clock: a packet, or the head of a request (TRN-22). Counted from accept, whatever wraps it.
    pub(crate) deadline: Duration,
    pub(crate) carrier: Carrier,
    /// Counts the connection while it lasts.
    permit: Permit,
}

/// What links travel in, for counters and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Stream,
    Tls,
    Ws,
    Wss,
    Http,
    Https,
    /// The link of a proxy, with other clients.
    Middle,
}

impl Carrier {
    pub(crate) const ALL: [Self; 7] =
        [Self::Stream, Self::Tls, Self::Ws, Self::Wss, Self::Http, Self::Https, Self::Middle];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Http => "http",
            Self::Https => "https",
            Self::Middle => "middle",
        }
    }

    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Whether `transport` may be spoken in it.
    pub(crate) fn carries(self, transport: Transport) -> bool {
        match self {
            Self::Stream | Self::Tls => true,
            Self::Ws | Self::Wss => transport.is_obfuscated(),
            Self::Http | Self::Https => false,
            Self::Middle => transport == Transport::plain(Framing::Intermediate),
        }
    }
}

impl Connection {
    /// A connection just accepted; `None` if the server is about to stop.
    pub(crate) fn new(
        shared: Arc<Shared>,
        ends: Ends,
        permit: Permit,
        watcher: Watcher,
    ) -> Option<Box<Self>> {
        let deadline = shared.clock.now().mono + shared.config.link.first_packet_wait_max;
        let runs = watcher.stage() == Stage::Running;
        let (carrier, ends) = (Carrier::Stream, Arc::new(ends));
        runs.then(|| Box::new(Self { shared, ends, watcher, deadline, carrier, permit }))
    }

    /// A client of a proxy that is trusted to say who it is.
    pub(crate) fn of_proxy(
        shared: Arc<Shared>,
        ends: Ends,
        permit: Permit,
        watcher: Watcher,
    ) -> Option<Box<Self>> {
        let mut connection = Self::new(shared, ends, permit, watcher)?;
        connection.carrier = Carrier::Middle;
        Some(connection)
    }

    /// What a peer has to do before it is known: `None` if that is not done in time, or the server
    /// stops meanwhile.
    pub(crate) fn in_time<'a, F: Future + Send + 'a>(
        &self,
        future: F,
    ) -> BoxFuture<'a, Option<F::Output>> {
        let deadline = self.shared.clock.instant(self.deadline);
        let mut watcher = self.watcher.clone();
        Box::pin(async move {
            tokio::select! {
                output = future => Some(output),
                () = tokio::time::sleep_until(deadline) => None,
                () = watcher.reached(Stage::Draining) => None,
            }
        })
    }

    /// The connection has become a WebSocket: what its request was waited for is over.
    pub(crate) fn begin_websocket(mut self: Box<Self>) -> Box<Self> {
        self.carrier = match self.carrier {
            Carrier::Stream | Carrier::Ws | Carrier::Http | Carrier::Middle => Carrier::Ws,
            Carrier::Tls | Carrier::Wss | Carrier::Https => Carrier::Wss,
        };
        self.deadline = self.next_deadline();
        self
    }

    /// The connection speaks HTTP.
    pub(crate) fn begin_http(mut self: Box<Self>) -> Box<Self> {
        self.carrier = match self.carrier {
            Carrier::Stream | Carrier::Ws | Carrier::Http | Carrier::Middle => Carrier::Http,
            Carrier::Tls | Carrier::Wss | Carrier::Https => Carrier::Https,
        };
        self
    }

    fn next_deadline(&self) -> Duration {
        self.shared.clock.now().mono + self.shared.config.link.first_packet_wait_max
    }

    /// Serves a connection of somebody who has to say first on whose behalf it is.
    pub(crate) async fn serve_announced(mut self: Box<Self>, mut stream: BoxedIo) {
        let shared = Arc::clone(&self.shared);
        let Some(read) = self.in_time(proxy_protocol::read(&mut stream)).await else { return };
        match read {
            Ok((announced, rest)) => {
                self.ends = announced.map_or(self.ends, Arc::new);
                let peer = self.ends.peer;
                if shared.connections.attribute(&mut self.permit, peer.ip()) {
                    self.serve(Prefixed::new(rest, stream)).await;
                } else {
                    shared.metrics.links_refused.increment(1);
                    debug!(%peer, "too many connections");
                }
            }
            Err(error) => warn!(balancer = %self.ends.peer, %error, "a connection is refused"),
        }
    }

    /// Serves what comes to its end.
    pub(crate) fn serve<S>(self: Box<Self>, mut stream: S) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.shared.metrics.links_opened.increment(1);
        async move {
            match link::serve(&self, &mut stream).await {
                (End::HandOver(carrier, read), _) => {
                    let io = Prefixed::new(read, Box::new(stream) as BoxedIo);
                    // A task of its own, here and wherever a connection turns out to carry more:
                    // the memory of the one before is given back.
                    tokio::spawn(self.serve_carrier(carrier, io));
                }
                (_, reason) => self.closed(reason),
            }
        }
    }

    async fn serve_carrier(
        mut self: Box<Self>,
        carrier: transport::Carrier,
        io: Prefixed<BoxedIo>,
    ) {
        if carrier == transport::Carrier::Http {
            return http::serve(self, io).await;
        }
        let certificate = self.shared.certificate.clone();
        let certificate = certificate.expect("without one nobody looks for TLS");
        let stream: BoxedIo = match self.in_time(certificate.accept(io)).await {
            Some(Ok(stream)) => Box::new(stream),
            Some(Err(error)) => {
                debug!(peer = %self.ends.peer, %error, "TLS handshake failed");
                return self.closed(metrics::TLS);
            }
            None => return self.closed(metrics::SILENT),
        };
        self.carrier = Carrier::Tls;
        tokio::spawn(self.serve_inside_tls(stream));
    }

    async fn serve_inside_tls(self: Box<Self>, mut stream: BoxedIo) {
        match link::serve(&self, &mut stream).await {
            (End::HandOver(_, read), _) => {
                tokio::spawn(http::serve(self, Prefixed::new(read, stream)));
            }
            (_, reason) => self.closed(reason),
        }
    }

    /// Counts its end.
    pub(crate) fn closed(&self, reason: &'static str) {
        self.shared.metrics.links_closed.add(reason, 1);
    }
}
