//! One connection: bytes to messages, messages to bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, AuthKeyId, Rng};

use crate::envelope::encrypted::{self, Message, Opened, PacketError};
use crate::envelope::plain::{self, PlainError, PlainMessage};
use crate::ids::Side;
use crate::now::Now;
use crate::session::msg_id::{MsgIds, Origin};
use crate::transport::{
    CLIENT_LIMIT, ClientOptions, Codec, Detect, Detected, Frame, FrameError, HANDSHAKE_LIMIT,
    PacketSize, SERVER_LIMIT, Transport, payload_len,
};

/// Limits and timers of a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Largest packet accepted from a peer that has proved a key. Default: 1 MiB − 4 KiB on a
    /// server (MSG-04), 4 MiB + 1 KiB on a client (MSG-05). A peer can make us hold this much.
    pub packet_max_bytes: usize,
    /// A server closes a link that has sent no complete packet after this. Default: 10 s (TRN-22).
    pub first_packet_wait_max: Duration,
    /// A server closes a link that has sent no complete packet for this long. Default: 10 min
    /// (TRN-42).
    pub idle_max: Duration,
    /// Transport errors sent in one second before the link is closed. Default: 10 (TRN-33).
    pub errors_per_second_max: u32,
}

impl LinkConfig {
    /// Defaults of a server.
    pub fn server() -> Self {
        Self {
            packet_max_bytes: SERVER_LIMIT,
            first_packet_wait_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(600),
            errors_per_second_max: 10,
        }
    }

    /// Defaults of a client.
    pub fn client() -> Self {
        Self { packet_max_bytes: CLIENT_LIMIT, ..Self::server() }
    }
}

/// What came over a link, or became of it.
#[derive(Debug)]
pub enum LinkEvent {
    /// A message of the key exchange.
    Plain(PlainMessage),
    /// A packet names this key: answer with [`Link::provide_key`]. Nothing more is read until then.
    KeyWanted(AuthKeyId),
    /// An encrypted message that is what its sender wrote.
    Message(AuthKeyId, Opened),
    /// To a client: a transport error, as a positive code. Nothing proves who sent it (SEC-50).
    TransportError(i32),
    /// To a client: the packet of this token arrived. No proof either.
    QuickAck(u32),
    /// The link is over: close the socket once everything is written.
    Closed(CloseReason),
}

/// Why a link is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The stream is not in frames any more.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A packet could not be what a peer of ours sends (MSG-R03 to MSG-R06).
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// An unencrypted message broke its form.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// To a client: a packet under a key that is not ours.
    #[error("packet under auth key {0}, which is not ours")]
    ForeignKey(AuthKeyId),
    /// Nothing, or nothing known, was said in time.
    #[error("no complete packet came in time")]
    Silent,
    /// The client asked to be disconnected unless it pings.
    #[error("no ping came in the time the client had set")]
    NoPing,
    /// A transport error was sent that ends the link.
    #[error("transport error -{0}")]
    Error(i32),
    /// The owner wanted it so.
    #[error("closed by its owner")]
    Owner,
}

/// One connection, seen from one side.
///
/// Holds no socket, clock or task. The caller
///
/// 1. feeds what happened: [`handle_bytes`](Self::handle_bytes),
///    [`handle_timeout`](Self::handle_timeout), or a command such as [`send`](Self::send);
/// 2. drains [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit);
/// 3. waits for input, at most until [`poll_timeout`](Self::poll_timeout), and begins again; it
///    reads from the socket only while [`wants_bytes`](Self::wants_bytes).
#[derive(Debug)]
pub struct Link {
    side: Side,
    config: LinkConfig,
    hearing: Hearing,
    /// Present once it is known what the peer speaks.
    codec: Option<Codec>,
    /// The peer has shown that it holds a key, or finished an exchange: full limits apply.
    proved: bool,
    closed: bool,
    rng: Rng,
    /// The key in use, and the one before: a link may change over (TRN-41).
    keys: Vec<Arc<AuthKey>>,
    /// A packet whose key the owner is looking up.
    held: Option<(AuthKeyId, Held)>,
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<LinkEvent>,
    plain_ids: MsgIds,
    /// When silence ends the link.
    silent_at: Option<Duration>,
    disconnect_at: Option<Duration>,
    errors: ErrorRate,
}

/// What becomes of bytes that come.
#[derive(Debug)]
enum Hearing {
    /// A server waits for the first ones.
    Detecting(Arc<Detect>),
    /// They are frames.
    Frames,
    /// A stranger: heard, not answered, closed at the deadline (TRN-21).
    Nothing,
}

#[derive(Debug)]
enum Held {
    /// A whole packet.
    Packet(BytesMut),
    /// The beginning of one too large for a peer that has proved nothing (TRN-38).
    Announced,
}

#[derive(Debug)]
enum Outgoing {
    Message(Arc<AuthKey>, Message),
    Plain(Bytes),
    Error(i32),
}

/// Transport errors sent within the current second.
#[derive(Debug, Default)]
struct ErrorRate {
    second: u64,
    count: u32,
}

/// Keys remembered per link.
const KEYS_MAX: usize = 2;
/// Transport errors after which a link may go on (TRN-32).
const NOT_FOUND: i32 = 404;

impl Link {
    /// The server's end of a connection just accepted.
    pub fn server(now: Now, config: LinkConfig, detect: Arc<Detect>, rng: Rng) -> Self {
        let silent_at = Some(now.mono + config.first_packet_wait_max);
        let link = Self::new(Side::Server, config, Hearing::Detecting(detect), None, rng);
        Self { silent_at, ..link }
    }

    /// The client's end of a connection just opened.
    pub fn client(
        config: LinkConfig,
        transport: Transport,
        options: &ClientOptions,
        mut rng: Rng,
    ) -> Self {
        let codec = Codec::client(transport, options, config.packet_max_bytes, &mut rng);
        let link = Self::new(Side::Client, config, Hearing::Frames, Some(codec), rng);
        Self { proved: true, ..link }
    }

    fn new(
        side: Side,
        config: LinkConfig,
        hearing: Hearing,
        codec: Option<Codec>,
        rng: Rng,
    ) -> Self {
        Self {
            side,
            config,
            hearing,
            codec,
            proved: false,
            closed: false,
            rng,
            keys: Vec::new(),
            held: None,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            plain_ids: MsgIds::default(),
            silent_at: None,
            disconnect_at: None,
            errors: ErrorRate::default(),
        }
    }

    /// Takes every complete packet off `input`, the inbound buffer of the connection: between
    /// calls it only grows at its end.
    pub fn handle_bytes(&mut self, now: Now, input: &mut BytesMut) {
        let mut batch = Vec::new();
        while self.held.is_none() && !self.closed {
            match &self.hearing {
                Hearing::Nothing => break,
                Hearing::Detecting(detect) => match detect.handle(input) {
                    Detected::NeedMore => break,
                    Detected::Codec(codec, _) => {
                        self.codec = Some(codec);
                        self.hearing = Hearing::Frames;
                    }
                    _ => self.hearing = Hearing::Nothing,
                },
                Hearing::Frames => {
                    let Some(codec) = &mut self.codec else { break };
                    match codec.next(input) {
                        Ok(Some(frame)) => self.handle_frame(now, frame, &mut batch),
                        Ok(None) => break,
                        Err(FrameError::TooLong { .. }) if !self.proved => {
                            if !self.hold_announced(input) {
                                break;
                            }
                        }
                        Err(error) => {
                            self.open_batch(&mut batch);
                            self.close(CloseReason::Frame(error));
                        }
                    }
                }
            }
        }
        self.open_batch(&mut batch);
        if self.closed || matches!(self.hearing, Hearing::Nothing) {
            input.clear();
        }
    }

    /// Answers [`LinkEvent::KeyWanted`]; `None` when there is no such key. Afterwards call
    /// [`handle_bytes`](Self::handle_bytes) again for what has come meanwhile.
    pub fn provide_key(&mut self, now: Now, id: AuthKeyId, key: Option<Arc<AuthKey>>) {
        let Some((_, held)) = self.held.take_if(|(wanted, _)| *wanted == id) else { return };
        let Some(key) = key else {
            self.fail(now, NOT_FOUND);
            if matches!(held, Held::Announced) {
                self.close(CloseReason::Error(NOT_FOUND));
            }
            return;
        };
        self.use_key(key);
        match held {
            Held::Packet(packet) => self.open_batch(&mut vec![(id, packet)]),
            Held::Announced => self.lift_limits(),
        }
    }

    /// The key that packets are expected under; a client says it before it sends.
    pub fn use_key(&mut self, key: Arc<AuthKey>) {
        self.forget_key(key.id());
        self.keys.insert(0, key);
        self.keys.truncate(KEYS_MAX);
    }

    /// The key is no more: its next packet is asked for again.
    pub fn forget_key(&mut self, id: AuthKeyId) {
        self.keys.retain(|key| key.id() != id);
    }

    /// The peer has proved itself by other means than a packet, such as a finished key exchange:
    /// the limits for strangers end.
    pub fn lift_limits(&mut self) {
        self.proved = true;
        if let Some(codec) = &mut self.codec {
            codec.set_limit(self.config.packet_max_bytes);
        }
    }

    /// Sends a message of a session under its key.
    pub fn send(&mut self, key: Arc<AuthKey>, message: Message) {
        self.outgoing.push_back(Outgoing::Message(key, message));
    }

    /// Sends a message of the key exchange. `server_time` is the clock that ids go by.
    pub fn send_plain(&mut self, server_time: Duration, body: &[u8]) {
        let origin = match self.side {
            Side::Client => Origin::Client,
            Side::Server => Origin::Answer,
        };
        let msg_id = self.plain_ids.next(server_time, origin, &mut self.rng);
        let mut packet = BytesMut::new();
        plain::seal(msg_id, body, &mut packet);
        self.outgoing.push_back(Outgoing::Plain(packet.freeze()));
    }

    /// Sends a transport error, as a positive code; all but 404 end the link (TRN-32).
    pub fn fail(&mut self, now: Now, code: i32) {
        if self.errors.admit(now, self.config.errors_per_second_max) {
            self.outgoing.push_back(Outgoing::Error(code));
            if code == NOT_FOUND {
                return;
            }
        }
        self.close(CloseReason::Error(code));
    }

    /// (Re)starts the timer that closes the link unless it is started again (SVC-34).
    pub fn disconnect_after(&mut self, now: Now, delay: Duration) {
        self.disconnect_at = Some(now.mono + delay);
    }

    /// Ends the link. What was to be sent still is.
    pub fn close(&mut self, reason: CloseReason) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.held = None;
        self.silent_at = None;
        self.disconnect_at = None;
        self.events.push_back(LinkEvent::Closed(reason));
    }

    /// Whether bytes from the socket are of use now. A link that waits for a key is not read
    /// from, so that nothing piles up.
    pub fn wants_bytes(&self) -> bool {
        self.held.is_none() && !self.closed
    }

    /// What the peer speaks, once that is known.
    pub fn transport(&self) -> Option<Transport> {
        self.codec.as_ref().map(Codec::transport)
    }

    /// The next thing that came.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// Appends everything that waits to be sent to `out`; whether that was anything.
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> Result<bool, PacketSize> {
        let Some(codec) = &mut self.codec else {
            self.outgoing.clear();
            return Ok(false);
        };
        if self.outgoing.is_empty() {
            return Ok(false);
        }
        let outgoing = std::mem::take(&mut self.outgoing);
        let messages: Vec<(&AuthKey, &Message)> = outgoing
            .iter()
            .filter_map(|outgoing| match outgoing {
                Outgoing::Message(key, message) => Some((&**key, message)),
                _ => None,
            })
            .collect();
        let mut packets = encrypted::seal(&messages, self.side, &mut self.rng).into_iter();
        for outgoing in &outgoing {
            match outgoing {
                Outgoing::Message(..) => {
                    if let Some(packet) = packets.next() {
                        codec.put(&[&packet], out, &mut self.rng)?;
                    }
                }
                Outgoing::Plain(packet) => codec.put(&[packet], out, &mut self.rng)?,
                Outgoing::Error(code) => codec.put_error(*code, out, &mut self.rng),
            }
        }
        Ok(true)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        [self.silent_at, self.disconnect_at].into_iter().flatten().min()
    }

    /// Closes the link if nothing was heard in time.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.silent_at.is_some_and(|at| at <= now.mono) {
            self.close(CloseReason::Silent);
        } else if self.disconnect_at.is_some_and(|at| at <= now.mono) {
            self.close(CloseReason::NoPing);
        }
    }

    fn handle_frame(&mut self, now: Now, frame: Frame, batch: &mut Vec<(AuthKeyId, BytesMut)>) {
        let packet = match frame {
            Frame::Packet { bytes, .. } => bytes,
            Frame::QuickAck(token) => return self.events.push_back(LinkEvent::QuickAck(token)),
            Frame::Error(code) => return self.events.push_back(LinkEvent::TransportError(code)),
            Frame::Noop => return,
        };
        self.note_heard(now);
        self.handle_packet(now, packet, batch);
    }

    fn note_heard(&mut self, now: Now) {
        if self.side == Side::Server {
            self.silent_at = Some(now.mono + self.config.idle_max);
        }
    }

    fn handle_packet(
        &mut self,
        now: Now,
        mut packet: BytesMut,
        batch: &mut Vec<(AuthKeyId, BytesMut)>,
    ) {
        let Ok(len) = payload_len(&packet) else {
            return match self.side {
                Side::Server => self.fail(now, NOT_FOUND),
                Side::Client => self.close(CloseReason::Packet(PacketError::Size(packet.len()))),
            };
        };
        packet.truncate(len);
        let Some(id) = encrypted::key_id(&packet) else { return };
        if id.0 == 0 {
            self.open_batch(batch);
            return match plain::open(packet.freeze(), self.peer()) {
                Ok(message) => self.events.push_back(LinkEvent::Plain(message)),
                Err(error) => self.close(CloseReason::Plain(error)),
            };
        }
        if self.keys.iter().any(|key| key.id() == id) {
            return batch.push((id, packet));
        }
        self.open_batch(batch);
        match self.side {
            Side::Client => self.close(CloseReason::ForeignKey(id)),
            Side::Server => {
                self.held = Some((id, Held::Packet(packet)));
                self.events.push_back(LinkEvent::KeyWanted(id));
            }
        }
    }

    /// A frame larger than strangers may send begins: if it names a key, that decides (TRN-38).
    ///
    /// Whether there was enough of it to tell; the link is closed or waits for the key then.
    fn hold_announced(&mut self, input: &BytesMut) -> bool {
        let Some(codec) = &self.codec else { return false };
        let head = codec.begun(input);
        let Some(id) = encrypted::key_id(head) else { return false };
        if id.0 == 0 {
            self.close(CloseReason::Frame(FrameError::TooLong {
                got: head.len(),
                limit: HANDSHAKE_LIMIT,
            }));
        } else {
            self.held = Some((id, Held::Announced));
            self.events.push_back(LinkEvent::KeyWanted(id));
        }
        true
    }

    /// Opens the packets gathered so far, all at once for each key.
    fn open_batch(&mut self, batch: &mut Vec<(AuthKeyId, BytesMut)>) {
        let peer = self.peer();
        while let Some((id, _)) = batch.first() {
            let id = *id;
            let count = batch.iter().take_while(|(other, _)| *other == id).count();
            let packets = batch.drain(..count).map(|(_, packet)| packet).collect();
            let Some(key) = self.keys.iter().find(|key| key.id() == id) else { continue };
            for opened in encrypted::open(key, packets, peer) {
                match opened {
                    Ok(opened) => {
                        if !self.proved {
                            self.lift_limits();
                        }
                        self.events.push_back(LinkEvent::Message(id, opened));
                    }
                    // Silence, whatever it was (SEC-48); nothing after it is believed either.
                    Err(error) => {
                        batch.clear();
                        return self.close(CloseReason::Packet(error));
                    }
                }
            }
        }
    }

    fn peer(&self) -> Side {
        match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

impl ErrorRate {
    fn admit(&mut self, now: Now, per_second_max: u32) -> bool {
        let second = now.mono.as_secs();
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count += 1;
        self.count <= per_second_max
    }
}
