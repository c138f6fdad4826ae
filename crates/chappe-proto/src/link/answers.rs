//! Links of a client whose packets go whole, one in each request of HTTP.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chappe_crypto::Rng;

use super::{Hearing, Link, LinkConfig, Outgoing};
use crate::envelope::version::Version;
use crate::ids::Side;
use crate::now::Now;

impl Link {
    /// The client's end of connections whose packets come whole. What it sends comes from
    /// [`poll_request`](Self::poll_request), the answers go to
    /// [`handle_answer`](Self::handle_answer); the rest is as with streams.
    pub fn by_requests(config: impl Into<Arc<LinkConfig>>, rng: Rng) -> Self {
        let config = config.into();
        let version = Some(if config.mtproto1 { Version::V1 } else { Version::V2 });
        let link = Self::new(Side::Client, config, Hearing::Nothing, None, rng);
        Self { proved: true, version, ..link }
    }

    /// Takes the packet that answers a request.
    pub fn handle_answer(&mut self, now: Now, packet: BytesMut) {
        if self.closed {
            return;
        }
        let mut batch = Vec::new();
        // Quick acknowledgements do not exist here (HTP-12).
        self.handle_packet(now, packet, false, &mut batch);
        self.open_batch(&mut batch);
    }

    /// The packet of the next request.
    pub fn poll_request(&mut self) -> Option<Bytes> {
        Some(match self.queues.if_any()?.outgoing.pop_front()? {
            Outgoing::Message { key, message, .. } => {
                let version = self.version.unwrap_or(Version::V2);
                let sealed = version.seal(&[(&*key, &message)], self.side, &mut self.rng);
                sealed.into_iter().next()?.packet.freeze()
            }
            Outgoing::Plain(packet) => packet,
            // Clients send none.
            Outgoing::Error(_) | Outgoing::QuickAck(_) => return None,
        })
    }
}
