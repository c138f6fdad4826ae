//! What is to be sent: it waits here, and leaves sealed and framed.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::AuthKey;

use super::{CloseReason, Link, NOT_FOUND};
use crate::envelope::encrypted::{Message, Sealed};
use crate::envelope::plain;
use crate::envelope::version::Version;
use crate::ids::Side;
use crate::now::Now;
use crate::session::msg_id::Origin;
use crate::transport::PacketSize;

#[derive(Debug)]
pub(super) enum Outgoing {
    Message { key: Arc<AuthKey>, message: Message, asks_quick_ack: bool },
    QuickAck(u32),
    Plain(Bytes),
    Error(i32),
}

impl Link {
    /// Sends a message of a session under its key; a link that is over drops it.
    pub fn send(&mut self, key: Arc<AuthKey>, message: Message) {
        self.send_message(key, message, false);
    }

    /// The same as a client, and asks the server to say at once that it has the message:
    /// [`LinkEvent::QuickAck`](super::LinkEvent::QuickAck). It need not say so, and cannot in the
    /// full transport.
    pub fn send_with_quick_ack(&mut self, key: Arc<AuthKey>, message: Message) {
        self.send_message(key, message, true);
    }

    fn send_message(&mut self, key: Arc<AuthKey>, message: Message, asks_quick_ack: bool) {
        if self.closed {
            return;
        }
        self.queues.outgoing.push_back(Outgoing::Message { key, message, asks_quick_ack });
    }

    /// As a server: tells the client that the message which came with this token was taken
    /// (TRN-26); a link that is over tells nothing.
    pub fn acknowledge_quickly(&mut self, token: u32) {
        if self.closed {
            return;
        }
        self.queues.outgoing.push_back(Outgoing::QuickAck(token));
    }

    /// Sends a message of the key exchange; a link that is over drops it. `server_time` is the
    /// clock that ids go by.
    pub fn send_plain(&mut self, server_time: Duration, body: &[u8]) {
        if self.closed {
            return;
        }
        let origin = match self.side {
            Side::Client => Origin::Client,
            Side::Server => Origin::Answer,
        };
        let msg_id = self.plain_ids.next(server_time, origin, &mut self.rng);
        let mut packet = BytesMut::new();
        plain::seal(msg_id, body, &mut packet);
        self.queues.outgoing.push_back(Outgoing::Plain(packet.freeze()));
    }

    /// Sends a transport error; all but 404 end the link (TRN-32), or all, as the settings say. A
    /// positive and a negative `code` mean the same.
    pub fn fail(&mut self, now: Now, code: i32) {
        if self.closed {
            return;
        }
        let code = code.saturating_abs();
        if self.errors.admit(now, self.config.errors_per_second_max) {
            self.queues.outgoing.push_back(Outgoing::Error(code));
            if code == NOT_FOUND && !self.errors_end {
                return;
            }
        }
        self.close(CloseReason::Error(code));
    }

    /// Appends everything that waits to be sent to `out`; whether that was anything.
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> Result<bool, PacketSize> {
        self.poll_transmit_each(out, |_, _| {})
    }

    /// The same for a connection that wraps each frame: `wrap` is told where the frame begins that
    /// `out` ends with.
    pub fn poll_transmit_each(
        &mut self,
        out: &mut BytesMut,
        mut wrap: impl FnMut(&mut BytesMut, usize),
    ) -> Result<bool, PacketSize> {
        let Some(codec) = &mut self.codec else {
            self.drop_outgoing();
            return Ok(false);
        };
        if self.queues.outgoing.is_empty() {
            return Ok(false);
        }
        let outgoing = std::mem::take(&mut self.queues.outgoing);
        let messages: Vec<(&AuthKey, &Message)> = outgoing
            .iter()
            .filter_map(|outgoing| match outgoing {
                Outgoing::Message { key, message, .. } => Some((&**key, message)),
                _ => None,
            })
            .collect();
        // Before a client has said anything encrypted nobody has anything to tell it.
        let version = self.version.unwrap_or(Version::V2);
        let mut packets = version.seal(&messages, self.side, &mut self.rng).into_iter();
        for outgoing in &outgoing {
            let start = out.len();
            match outgoing {
                Outgoing::Message { message, asks_quick_ack, .. } => {
                    let Some(Sealed { packet, token }) = packets.next() else { continue };
                    if *asks_quick_ack
                        && codec.transport().framing().has_quick_acks()
                        && self.quick_acks.ask(token, message.header.msg_id)
                    {
                        let frame = codec.begin(out).with_quick_ack();
                        out.extend_from_slice(&packet);
                        codec.finish(frame, out, &mut self.rng)?;
                    } else {
                        codec.put(&[&packet], out, &mut self.rng)?;
                    }
                }
                Outgoing::QuickAck(token) => codec.put_quick_ack(*token, out, &mut self.rng),
                Outgoing::Plain(packet) => codec.put(&[packet], out, &mut self.rng)?,
                Outgoing::Error(code) => codec.put_error(*code, out),
            }
            wrap(out, start);
        }
        Ok(true)
    }

    /// What was to be sent is of no use any more.
    pub(super) fn drop_outgoing(&mut self) {
        if let Some(queues) = self.queues.if_any() {
            queues.outgoing.clear();
        }
    }
}
