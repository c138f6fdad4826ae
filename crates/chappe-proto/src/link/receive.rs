//! What becomes of a frame: which key it names, and what it holds under that.

use std::sync::Arc;

use bytes::BytesMut;
use chappe_crypto::{AuthKey, AuthKeyId};

use super::{CloseReason, Held, Link, LinkEvent, NOT_FOUND, Received};
use crate::envelope::encrypted::{self, Opened, PacketError};
use crate::envelope::plain;
use crate::envelope::version::Version;
use crate::ids::Side;
use crate::now::Now;
use crate::transport::{Frame, FrameError, payload_len};

/// An encrypted packet that waits to be opened.
#[derive(Debug)]
pub(super) struct Packet {
    /// The key that it names.
    pub(super) key: AuthKeyId,
    bytes: BytesMut,
    quick_ack_wanted: bool,
}

impl Link {
    pub(super) fn handle_frame(&mut self, now: Now, frame: Frame, batch: &mut Vec<Packet>) {
        let event = match frame {
            Frame::Packet { bytes, quick_ack_wanted } => {
                self.note_heard(now);
                return self.handle_packet(now, bytes, quick_ack_wanted, batch);
            }
            Frame::QuickAck(token) => {
                match self.quick_acks.if_any().and_then(|acks| acks.take(token)) {
                    Some(message) => LinkEvent::QuickAck(message),
                    None => return,
                }
            }
            Frame::Error(code) => LinkEvent::TransportError(code),
            Frame::Noop => return,
        };
        self.open_batch(batch);
        if !self.closed {
            self.queues.events.push_back(event);
        }
    }

    pub(super) fn note_heard(&mut self, now: Now) {
        if self.side == Side::Server {
            self.silent_at = Some(now.mono + self.config.idle_max);
        }
    }

    /// Packets under known keys gather in `batch`; whatever else comes waits until they are opened.
    pub(super) fn handle_packet(
        &mut self,
        now: Now,
        mut packet: BytesMut,
        quick_ack_wanted: bool,
        batch: &mut Vec<Packet>,
    ) {
        let len = payload_len(&packet);
        let id = encrypted::key_id(&packet);
        if let (Ok(len), Some(id)) = (&len, id)
            && self.keys.iter().flatten().any(|key| key.id() == id)
        {
            packet.truncate(*len);
            return batch.push(Packet { key: id, bytes: packet, quick_ack_wanted });
        }
        self.open_batch(batch);
        if self.closed {
            return;
        }
        match (len, id) {
            (Ok(len), Some(id)) => {
                packet.truncate(len);
                if id.0 == 0 {
                    self.handle_plain(packet);
                } else {
                    self.want_key(Packet { key: id, bytes: packet, quick_ack_wanted });
                }
            }
            (Err(_), Some(id)) if self.side == Side::Server => {
                self.fail(now, NOT_FOUND);
                if id.0 != 0 {
                    self.close(CloseReason::Packet(PacketError::Size(packet.len())));
                }
            }
            _ => self.close(CloseReason::Packet(PacketError::Size(packet.len()))),
        }
    }

    fn handle_plain(&mut self, packet: BytesMut) {
        if self.side == Side::Client && self.keys.iter().any(Option::is_some) {
            return self.close(CloseReason::Unencrypted);
        }
        match plain::open(packet.freeze(), self.peer()) {
            Ok(message) => self.queues.events.push_back(LinkEvent::Plain(message)),
            Err(error) => self.close(CloseReason::Plain(error)),
        }
    }

    /// A packet names a key that this link has not used: a server asks for it, a client knows
    /// all that may come.
    fn want_key(&mut self, packet: Packet) {
        match self.side {
            Side::Client => self.close(CloseReason::ForeignKey(packet.key)),
            Side::Server => {
                self.queues.events.push_back(LinkEvent::KeyWanted(packet.key));
                self.held = Some(Box::new((packet.key, Held::Packet(packet))));
            }
        }
    }

    /// A frame larger than strangers may send begins: if it names a key, that decides (TRN-38).
    ///
    /// Whether there was enough of it to tell; the link is closed or waits for the key then.
    pub(super) fn hold_announced(&mut self, input: &BytesMut, error: FrameError) -> bool {
        let Some(codec) = &self.codec else { return false };
        let head = match codec.begun(input) {
            Ok(head) => head,
            Err(error) => {
                self.close(CloseReason::Frame(error));
                return true;
            }
        };
        let Some(id) = encrypted::key_id(head) else { return false };
        if id.0 == 0 {
            self.close(CloseReason::Frame(error));
        } else {
            self.held = Some(Box::new((id, Held::Announced)));
            self.queues.events.push_back(LinkEvent::KeyWanted(id));
        }
        true
    }

    /// Opens the packets gathered so far, all at once for each key.
    pub(super) fn open_batch(&mut self, batch: &mut Vec<Packet>) {
        while let Some(id) = batch.first().map(|packet| packet.key) {
            let count = batch.iter().take_while(|packet| packet.key == id).count();
            let sealed = batch[..count].iter_mut();
            let sealed = sealed.map(|packet| std::mem::take(&mut packet.bytes)).collect();
            let key = self.keys.iter().flatten().find(|key| key.id() == id).map(Arc::clone);
            let opened = key.map_or_else(Vec::new, |key| self.open_packets(&key, sealed));
            for (at, opened) in opened.into_iter().enumerate() {
                match opened {
                    Ok(Opened { message, token }) => {
                        if !self.proved {
                            self.lift_limits();
                        }
                        let quick_ack = batch[at].quick_ack_wanted.then_some(token);
                        let received = Received { message, quick_ack };
                        self.queues.events.push_back(LinkEvent::Message(id, received));
                    }
                    // Silence, whatever it was (SEC-48); nothing after it is believed either.
                    Err(error) => {
                        batch.clear();
                        return self.close(CloseReason::Packet(error));
                    }
                }
            }
            batch.drain(..count);
        }
    }

    /// Opens packets under one key; the first ever tells which version the peer speaks.
    fn open_packets(
        &mut self,
        key: &AuthKey,
        packets: Vec<BytesMut>,
    ) -> Vec<Result<Opened, PacketError>> {
        let peer = self.peer();
        if let Some(version) = self.version {
            return version.open(key, packets, peer);
        }
        let mut packets = packets.into_iter();
        let Some(first) = packets.next() else { return Vec::new() };
        match Version::recognise(key, first, peer) {
            Ok((version, opened)) => {
                self.version = Some(version);
                let later = version.open(key, packets.collect(), peer);
                std::iter::once(Ok(opened)).chain(later).collect()
            }
            Err(error) => vec![Err(error)],
        }
    }
}
