//! What both ends of a link do alike: frames, and whether the peer is still there.

use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::cbc::{Decrypt, Encrypt};

use super::{LinkConfig, LinkEnd};
use crate::middle::frames::{Checksum, FRAME_MAX, Inbound, Outbound, PayloadSize};
use crate::middle::greeting::{ProcessId, refusal};
use crate::middle::messages::Note;
use crate::now::Now;

/// The frames of a link and its timers, on the monotonic clock.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) config: LinkConfig,
    inbound: Inbound,
    outbound: Outbound,
    is_encrypted: bool,
    is_greeted: bool,
    is_over: bool,
    heard_at: Duration,
    /// When the peer was last asked whether it is there, unless it has been heard since.
    asked_at: Option<Duration>,
    asked: i64,
}

impl Line {
    pub(super) fn new(now: Now, config: LinkConfig) -> Self {
        Self {
            config,
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            is_encrypted: false,
            is_greeted: false,
            is_over: false,
            heard_at: now.mono,
            asked_at: None,
            asked: 0,
        }
    }

    /// The payload of the next frame; `None` as well once the link is over.
    pub(super) fn next(
        &mut self,
        now: Now,
        input: &mut BytesMut,
    ) -> Result<Option<BytesMut>, LinkEnd> {
        if self.is_over {
            return Ok(None);
        }
        let payload = self.inbound.next(input)?;
        if payload.is_some() {
            self.heard_at = now.mono;
            self.asked_at = None;
        }
        Ok(payload)
    }

    pub(super) fn begin_cipher(&mut self, (encrypt, decrypt): (Encrypt, Decrypt)) {
        self.outbound.begin_cipher(encrypt);
        self.inbound.begin_cipher(decrypt);
        self.is_encrypted = true;
    }

    /// The greeting is done.
    pub(super) fn agree(&mut self, checksum: Checksum) {
        self.inbound.agree(checksum, FRAME_MAX);
        self.outbound.agree(checksum);
        self.is_greeted = true;
    }

    /// Sends a frame of the greeting.
    pub(super) fn greet(&mut self, payload: &[u8]) {
        self.outbound.put(&[payload]).expect("greetings are short and in whole words");
    }

    /// Sends what heads a message, and the packet that it is about.
    pub(super) fn send(&mut self, head: &[u8], packet: &[u8]) -> Result<(), PayloadSize> {
        self.outbound.put(&[head, packet])
    }

    /// Sends a message without a packet.
    pub(super) fn say(&mut self, note: Note) {
        let note = note.encode();
        self.outbound.put(&[&note]).expect("notes are short and in whole words");
    }

    /// The link is over; the peer is told why, if that is for it to know and no secret.
    pub(super) fn end(&mut self, end: &LinkEnd, own: ProcessId) {
        self.is_over = true;
        let code = match end {
            LinkEnd::Greeting(error) => error.code(),
            _ => None,
        };
        if let Some(code) = code.filter(|_| self.is_encrypted) {
            self.greet(&refusal(code, own));
        }
    }

    /// The greeting is done, and the link not over.
    pub(super) fn is_ready(&self) -> bool {
        self.is_greeted && !self.is_over
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Was asked whether it is there, and should have answered by now (MPX-07).
    pub(super) fn is_suspect(&self, now: Now) -> bool {
        self.asked_at.is_some() && now.mono >= self.heard_at + self.config.suspect_after
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        if self.is_over {
            return None;
        }
        if !self.is_greeted {
            return Some(self.heard_at + self.config.greeting_max);
        }
        Some(self.ask_at().min(self.heard_at + self.config.silent_max))
    }

    fn ask_at(&self) -> Duration {
        self.asked_at.unwrap_or(self.heard_at) + self.config.ping_after
    }

    pub(super) fn handle_timeout(&mut self, now: Now) -> Result<(), LinkEnd> {
        if self.is_over {
            return Ok(());
        }
        let silent_max = match self.is_greeted {
            true => self.config.silent_max,
            false => self.config.greeting_max,
        };
        if now.mono >= self.heard_at + silent_max {
            return Err(LinkEnd::Silent);
        }
        if self.is_greeted && now.mono >= self.ask_at() {
            self.asked = self.asked.wrapping_add(1);
            self.asked_at = Some(now.mono);
            self.say(Note::Ping(self.asked));
        }
        Ok(())
    }

    pub(super) fn poll_transmit(&mut self, out: &mut BytesMut) {
        self.outbound.poll_transmit(out);
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbound.len()
    }
}
