//! The end of a link that a proxy holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;

use super::line::Line;
use super::recent::Recent;
use super::{LinkConfig, LinkEnd};
use crate::middle::greeting::ProcessId;
use crate::middle::greeting::proxy::{AwaitHandshake, AwaitNonce, Greeted};
use crate::middle::keys::{Path, ProxySecret};
use crate::middle::messages::{Answer, ConnId, Message, Note, Origin, Request};
use crate::middle::packet::{Implausible, Kind, judge};
use crate::now::Now;

/// A link to a middle server.
#[derive(Debug)]
pub struct ProxyLink {
    line: Line,
    state: State,
    own: ProcessId,
    clients: BTreeMap<ConnId, Origin>,
    /// Those that the middle server has been told are gone.
    gone: Recent,
    events: VecDeque<ProxyEvent>,
    rng: Rng,
}

#[derive(Debug)]
enum State {
    AwaitNonce(AwaitNonce),
    AwaitHandshake(AwaitHandshake),
    /// Greeted, or over.
    Settled,
}

/// What a proxy hears over a link.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyEvent {
    /// Clients may use the link.
    Ready,
    /// A packet for a client: one frame of its transport.
    Packet {
        /// Which client.
        client: ConnId,
        /// It is not to wait for more.
        flush: bool,
        /// The packet.
        packet: BytesMut,
    },
    /// A transport error for a client, a positive code: a control frame of its transport.
    Error(ConnId, i32),
    /// A quick acknowledgement for a client.
    QuickAck(ConnId, u32),
    /// The client is to be closed once it has all that came for it.
    Closed(ConnId),
    /// The link is over, and all its clients with it.
    Over(LinkEnd),
}

/// A packet that did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The client is not one of this link, or no more.
    #[error("the client is none of this link")]
    NoClient,
    /// It is left out, as it should be; the client may go on.
    #[error(transparent)]
    Implausible(#[from] Implausible),
}

impl ProxyLink {
    /// A link over a connection that has just been made along `path`. `own` is this process.
    pub fn new(
        now: Now,
        config: LinkConfig,
        secret: Arc<ProxySecret>,
        path: Path,
        own: ProcessId,
        mut rng: Rng,
    ) -> Self {
        let (state, nonce) = AwaitNonce::new(now, secret, path, own, config.checksum, &mut rng);
        let mut line = Line::new(now, config);
        line.greet(&nonce);
        Self {
            line,
            state: State::AwaitNonce(state),
            own,
            clients: BTreeMap::new(),
            gone: Recent::default(),
            events: VecDeque::new(),
            rng,
        }
    }

    /// Takes what came. `input` only grows at its end between calls; what is left in it is the
    /// beginning of a frame.
    pub fn handle_bytes(&mut self, now: Now, input: &mut BytesMut) {
        loop {
            let handled = match self.line.next(now, input) {
                Ok(None) => return,
                Ok(Some(payload)) => self.handle_payload(now, payload),
                Err(end) => Err(end),
            };
            if let Err(end) = handled {
                return self.end(end);
            }
        }
    }

    fn handle_payload(&mut self, now: Now, payload: BytesMut) -> Result<(), LinkEnd> {
        self.state = match std::mem::replace(&mut self.state, State::Settled) {
            State::AwaitNonce(state) => {
                let (next, Greeted { keys, handshake }) = state.handle(now, &payload)?;
                self.line.begin_cipher(keys.of_proxy());
                self.line.greet(&handshake);
                State::AwaitHandshake(next)
            }
            State::AwaitHandshake(state) => {
                self.line.agree(state.handle(&payload)?);
                self.events.push_back(ProxyEvent::Ready);
                State::Settled
            }
            State::Settled => {
                self.handle_message(Message::decode(payload)?);
                State::Settled
            }
        };
        Ok(())
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Answer(Answer { client, flush }, packet) => {
                // No frame can carry nothing.
                if self.knows(client) && !packet.is_empty() {
                    self.events.push_back(ProxyEvent::Packet { client, flush, packet });
                }
            }
            Message::Note(note) => self.handle_note(note),
            Message::Request(..) | Message::Unknown(_) => {}
        }
    }

    fn handle_note(&mut self, note: Note) {
        match note {
            Note::Ping(id) => self.line.say(Note::Pong(id)),
            Note::Pong(_) => {}
            Note::Error(client, code) => {
                if self.knows(client) {
                    self.events.push_back(ProxyEvent::Error(client, code));
                }
            }
            Note::QuickAck(client, token) => {
                if self.knows(client) {
                    self.events.push_back(ProxyEvent::QuickAck(client, token));
                }
            }
            Note::Drop(client) | Note::Gone(client) => {
                if self.clients.remove(&client).is_some() {
                    // Whoever said so needs not be told when more comes for it.
                    self.gone.insert(client);
                    self.events.push_back(ProxyEvent::Closed(client));
                }
            }
        }
    }

    /// Whether that is a client of this link; if it is none, the middle server is told so, once.
    fn knows(&mut self, client: ConnId) -> bool {
        let is_known = self.clients.contains_key(&client);
        if !is_known && self.gone.insert(client) {
            self.line.say(Note::Gone(client));
        }
        is_known
    }

    /// Adds a client, for as long as it lasts (MPX-08); `None` if the link is full or not ready.
    pub fn open(&mut self, origin: Origin) -> Option<ConnId> {
        if !self.line.is_ready() || self.clients.len() >= self.line.config.clients_max {
            return None;
        }
        let client = loop {
            let drawn = ConnId(self.rng.u64() as i64);
            let is_used = self.clients.contains_key(&drawn) || self.gone.contains(drawn);
            if drawn.0 != 0 && !is_used {
                break drawn;
            }
        };
        self.clients.insert(client, origin);
        Some(client)
    }

    /// Sends the content of one frame of a client, padding included.
    ///
    /// # Errors
    ///
    /// Why it is not sent.
    pub fn send(
        &mut self,
        client: ConnId,
        frame: &[u8],
        quick_ack_wanted: bool,
    ) -> Result<(), NotSent> {
        let origin = *self.clients.get(&client).ok_or(NotSent::NoClient)?;
        let (packet, kind) = judge(frame, origin.framing)?;
        let is_plain = kind == Kind::Plain;
        let request = Request { client, origin, is_plain, quick_ack_wanted, follows_loss: false };
        let sent = self.line.send(&request.encode(), packet);
        sent.expect("a packet that is passed on fits a frame, in whole words");
        Ok(())
    }

    /// The client is gone: the middle server is told, unless it was the one to say so.
    pub fn close(&mut self, client: ConnId) {
        if self.clients.remove(&client).is_some() {
            self.gone.insert(client);
            self.line.say(Note::Gone(client));
        }
    }

    /// Ends the link.
    pub fn shut(&mut self) {
        self.end(LinkEnd::Owner);
    }

    fn end(&mut self, end: LinkEnd) {
        if !self.line.is_over() {
            self.line.end(&end, self.own);
            self.state = State::Settled;
            self.clients.clear();
            self.events.push_back(ProxyEvent::Over(end));
        }
    }

    /// Clients at the moment.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Whether new clients may be given to the link: it is ready, has room, and its peer answers.
    pub fn takes_clients(&self, now: Now) -> bool {
        let has_room = self.clients.len() < self.line.config.clients_max;
        self.line.is_ready() && has_room && !self.line.is_suspect(now)
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.line.waiting()
    }

    /// The next thing that came.
    pub fn poll_event(&mut self) -> Option<ProxyEvent> {
        self.events.pop_front()
    }

    /// Appends what is to be written; all of it in one write is best.
    pub fn poll_transmit(&mut self, out: &mut BytesMut) {
        self.line.poll_transmit(out);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.line.poll_timeout()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if let Err(end) = self.line.handle_timeout(now) {
            self.end(end);
        }
    }
}
