//! The end of a link that a middle server holds.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::Rng;

use super::line::Line;
use super::recent::Recent;
use super::{LinkConfig, LinkEnd};
use crate::middle::greeting::ProcessId;
use crate::middle::greeting::middle::{Agreed, AwaitHandshake, AwaitNonce, Greeted};
use crate::middle::keys::{Path, ProxySecret};
use crate::middle::messages::{Answer, ConnId, Message, Note, Origin, Request};
use crate::now::Now;

/// A link from a proxy.
#[derive(Debug)]
pub struct MiddleLink {
    line: Line,
    state: State,
    own: ProcessId,
    clients: BTreeSet<ConnId>,
    /// Those that are no more: what comes of them nevertheless opens no new ones.
    closed: Recent,
    events: VecDeque<MiddleEvent>,
    rng: Rng,
}

#[derive(Debug)]
enum State {
    AwaitNonce(AwaitNonce),
    AwaitHandshake(AwaitHandshake),
    /// Greeted, or over.
    Settled,
}

/// What a middle server hears over a link.
#[derive(Debug, PartialEq, Eq)]
pub enum MiddleEvent {
    /// The peer knows the secret.
    Ready,
    /// A client, of which the first packet follows (MPX-16).
    Opened(ConnId, Origin),
    /// A packet of a client.
    Packet {
        /// Which client.
        client: ConnId,
        /// It wants to hear at once that the packet was received.
        quick_ack_wanted: bool,
        /// The packet, perhaps with padding after it.
        packet: BytesMut,
    },
    /// The client is gone.
    Closed(ConnId),
    /// The link is over, and all its clients with it.
    Over(LinkEnd),
}

impl MiddleLink {
    /// A link over a connection that has just come along `path`. `own` is this process.
    pub fn new(
        now: Now,
        config: LinkConfig,
        secrets: Arc<[ProxySecret]>,
        path: Path,
        own: ProcessId,
        rng: Rng,
    ) -> Self {
        let state = AwaitNonce::new(secrets, path, own, config.checksum);
        Self {
            line: Line::new(now, config),
            state: State::AwaitNonce(state),
            own,
            clients: BTreeSet::new(),
            closed: Recent::default(),
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
                let (next, Greeted { nonce, keys }) = state.handle(now, &payload, &mut self.rng)?;
                self.line.greet(&nonce);
                self.line.begin_cipher(keys.of_middle());
                State::AwaitHandshake(next)
            }
            State::AwaitHandshake(state) => {
                let any_process = self.line.config.any_process;
                let Agreed { handshake, checksum } = state.handle(&payload, any_process)?;
                self.line.greet(&handshake);
                self.line.agree(checksum);
                self.events.push_back(MiddleEvent::Ready);
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
            Message::Request(request, packet) => self.handle_request(&request, packet),
            Message::Note(Note::Ping(id)) => self.line.say(Note::Pong(id)),
            Message::Note(Note::Gone(client) | Note::Drop(client)) => {
                if self.clients.remove(&client) {
                    self.closed.insert(client);
                    self.events.push_back(MiddleEvent::Closed(client));
                }
            }
            // The rest a middle server says, or nobody we know.
            Message::Note(_) | Message::Answer(..) | Message::Unknown(_) => {}
        }
    }

    fn handle_request(&mut self, request: &Request, packet: BytesMut) {
        let client = request.client;
        if self.closed.contains(client) {
            return;
        }
        let is_new = !self.clients.contains(&client);
        if is_new && self.clients.len() >= self.line.config.clients_max {
            self.closed.insert(client);
            return self.line.say(Note::Drop(client));
        }
        // Whoever waits for the answer to a lost packet waits for ever (MPX-14).
        if request.follows_loss {
            if is_new {
                self.clients.insert(client);
            } else {
                self.events.push_back(MiddleEvent::Closed(client));
            }
            return self.close(client);
        }
        if is_new {
            self.clients.insert(client);
            self.events.push_back(MiddleEvent::Opened(client, request.origin));
        }
        let quick_ack_wanted = request.quick_ack_wanted;
        self.events.push_back(MiddleEvent::Packet { client, quick_ack_wanted, packet });
    }

    /// Sends a packet to a client; `false` if that is no more, or no frame can carry it.
    pub fn send(&mut self, client: ConnId, packet: &[u8]) -> bool {
        let head = Answer { client, flush: false }.encode();
        self.has(client) && self.line.send(&head, packet).is_ok()
    }

    /// Sends a transport error to a client.
    pub fn fail(&mut self, client: ConnId, code: i32) {
        if self.has(client) {
            self.line.say(Note::Error(client, code));
        }
    }

    /// Tells a client that the packet with that token was received.
    pub fn acknowledge(&mut self, client: ConnId, token: u32) {
        if self.has(client) {
            self.line.say(Note::QuickAck(client, token));
        }
    }

    /// Has the proxy close a client.
    pub fn close(&mut self, client: ConnId) {
        if self.clients.remove(&client) {
            self.closed.insert(client);
            self.line.say(Note::Drop(client));
        }
    }

    fn has(&self, client: ConnId) -> bool {
        self.clients.contains(&client)
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
            self.events.push_back(MiddleEvent::Over(end));
        }
    }

    /// Clients at the moment.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.line.waiting()
    }

    /// The next thing that came.
    pub fn poll_event(&mut self) -> Option<MiddleEvent> {
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
