//! One accepted connection: what it speaks, layer by layer, until it has come to its end.

use std::sync::Arc;
use std::time::Duration;

use chappe_net::limits::Permit;
use chappe_net::shutdown::{Stage, Watcher};
use chappe_net::{BoxedIo, End, Prefixed};
use chappe_proto::transport::Carrier;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::session::Ends;
use crate::shared::Shared;
use crate::{http, link};

/// What is known of a connection, whatever it carries.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ends: Ends,
    pub(crate) watcher: Watcher,
    /// When the peer is given up unless it has said something whole by then, on the monotonic
    /// clock: a packet, or the head of a request (TRN-22). Counted from accept, whatever wraps it.
    pub(crate) deadline: Duration,
    /// Counts the connection while it lasts.
    _permit: Permit,
}

impl Connection {
    /// A connection just accepted; `None` if the server is about to stop.
    pub(crate) fn new(
        shared: Arc<Shared>,
        ends: Ends,
        permit: Permit,
        watcher: Watcher,
    ) -> Option<Self> {
        let deadline = shared.clock.now().mono + shared.config.link.first_packet_wait_max;
        let runs = watcher.stage() == Stage::Running;
        runs.then_some(Self { shared, ends, watcher, deadline, _permit: permit })
    }

    /// Serves what comes to its end.
    pub(crate) async fn serve<S>(self, mut stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        shared.metrics.links_opened.increment(1);
        let reason = match link::serve(&self, &mut stream).await {
            (End::HandOver(carrier, read), _) => {
                let io = Prefixed::new(read, Box::new(stream) as BoxedIo);
                // Boxed, lest every connection has room for what few of them are.
                Box::pin(self.serve_carrier(carrier, io)).await
            }
            (_, reason) => reason,
        };
        shared.metrics.links_closed.add(reason, 1);
    }

    /// Why it ended, for the counter.
    async fn serve_carrier(self, carrier: Carrier, io: Prefixed<BoxedIo>) -> &'static str {
        match carrier {
            Carrier::Http => http::serve(self, io).await,
            Carrier::Tls => {
                chappe_net::ignore(io, self.shared.clock.instant(self.deadline)).await.cause()
            }
        }
    }
}
