//! Links whose packets come whole, one for each request of HTTP, without any framing.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKeyId, Rng};

use super::{CloseReason, Hearing, Held, Link, LinkConfig, LinkEvent, NOT_FOUND, Outgoing};
use crate::envelope::version::Version;
use crate::ids::Side;
use crate::now::Now;
use crate::transport::{FrameError, HANDSHAKE_LIMIT};

/// What answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// A packet.
    Packet(Bytes),
    /// A transport error, a positive code.
    Error(i32),
}

/// Smallest body of a request (HTP-06).
const REQUEST_MIN: usize = 24;

impl Link {
    /// The server's end of a connection whose packets come whole. Its input goes to
    /// [`handle_request`](Self::handle_request), its output comes from
    /// [`poll_response`](Self::poll_response); the rest is as with streams.
    ///
    /// Until something was heard it closes at `silent_at`, on the monotonic clock.
    pub fn of_requests(config: impl Into<Arc<LinkConfig>>, silent_at: Duration, rng: Rng) -> Self {
        let link = Self::new(Side::Server, config.into(), Hearing::Nothing, None, rng);
        Self { silent_at: Some(silent_at), ..link }
    }

    /// The head of a request came: its packet has to follow before the link closes.
    pub fn expect_request(&mut self, now: Now, within: Duration) {
        self.silent_at = Some(now.mono + within);
        // What was late for the request before is no answer to this one.
        self.drop_outgoing();
    }

    /// The largest request accepted as yet (TRN-38).
    pub fn request_max_bytes(&self) -> usize {
        if self.proved { self.config.packet_max_bytes } else { HANDSHAKE_LIMIT }
    }

    /// The largest request accepted from a peer that has proved a key.
    pub fn packet_max_bytes(&self) -> usize {
        self.config.packet_max_bytes
    }

    /// A request of `got` bytes begins, more than a stranger's may have, and names this key: if
    /// there is such a key it may come, otherwise it is answered -404 (TRN-38).
    pub fn announce_request(&mut self, got: usize, id: AuthKeyId) {
        if self.closed {
            return;
        }
        if id.0 == 0 {
            let limit = self.request_max_bytes();
            return self.close(CloseReason::Frame(FrameError::TooLong { limit, got }));
        }
        self.held = Some(Box::new((id, Held::Announced)));
        self.queues.events.push_back(LinkEvent::KeyWanted(id));
    }

    /// Takes the packet of a request. Each request shows anew which MTProto it speaks (MSG-34).
    pub fn handle_request(&mut self, now: Now, packet: BytesMut) {
        if self.closed {
            return;
        }
        self.version = (!self.config.mtproto1).then_some(Version::V2);
        self.note_heard(now);
        if packet.len() < REQUEST_MIN || !packet.len().is_multiple_of(4) {
            return self.fail(now, NOT_FOUND);
        }
        let mut batch = Vec::new();
        // Quick acknowledgements do not exist here (HTP-12).
        self.handle_packet(now, packet, false, &mut batch);
        self.open_batch(&mut batch);
    }

    /// What answers the request, once it is there. More than one is given only where more was
    /// sent than a request can take.
    pub fn poll_response(&mut self) -> Option<Response> {
        Some(match self.queues.if_any()?.outgoing.pop_front()? {
            Outgoing::Message { key, message, .. } => {
                let version = self.version.unwrap_or(Version::V2);
                let sealed = version.seal(&[(&*key, &message)], self.side, &mut self.rng);
                Response::Packet(sealed.into_iter().next()?.packet.freeze())
            }
            Outgoing::Plain(packet) => Response::Packet(packet),
            Outgoing::Error(code) => Response::Error(code),
            // Nobody can ask for one.
            Outgoing::QuickAck(_) => return None,
        })
    }
}
