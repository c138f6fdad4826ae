//! One connection: bytes to messages, messages to bytes.
//!
//! | file | holds |
//! | --- | --- |
//! | `receive` | what becomes of a frame |
//! | `transmit` | what is to be sent, and how it leaves |
//! | `packet`, `answers` | links over HTTP, whose packets come and go whole: of a server, of a client |
//! | `event` | what a link tells its owner |
//! | `quick_acks`, `error_rate` | quick acknowledgements that a client waits for; how many errors a link may draw |
//! | `config` | how much a link takes from its peer, and how long it waits |

mod answers;
mod config;
mod error_rate;
mod event;
mod packet;
mod quick_acks;
mod receive;
mod transmit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_crypto::{AuthKey, AuthKeyId, Rng};

use self::error_rate::ErrorRate;
use self::quick_acks::QuickAcks;
use self::receive::Packet;
use self::transmit::Outgoing;
use crate::envelope::version::Version;
use crate::ids::Side;
use crate::now::Now;
use crate::session::msg_id::MsgIds;
use crate::spare::{OnDemand, Part, Spare};
use crate::transport::{ClientOptions, Codec, Detect, Detected, FrameError, Transport};

pub use self::config::LinkConfig;
pub use self::event::{CloseReason, LinkEvent, Received};
pub use self::packet::Response;

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
    config: Arc<LinkConfig>,
    hearing: Hearing,
    /// Present once it is known what the peer speaks.
    codec: Option<Codec>,
    /// Absent while a server waits for the packet that settles it (MSG-33).
    version: Option<Version>,
    /// The peer has shown that it holds a key, or finished an exchange: full limits apply.
    proved: bool,
    closed: bool,
    rng: Rng,
    /// The key in use, and the one before: a link may change over (TRN-41).
    keys: [Option<Arc<AuthKey>>; 2],
    /// A packet whose key the owner is looking up.
    held: Option<Box<(AuthKeyId, Held)>>,
    queues: OnDemand<Queues>,
    quick_acks: OnDemand<QuickAcks>,
    plain_ids: MsgIds,
    /// When silence ends the link.
    silent_at: Option<Duration>,
    disconnect_at: Option<Duration>,
    errors: OnDemand<ErrorRate>,
    /// Whether every transport error ends the link.
    errors_end: bool,
}

/// What waits for the connection, and what for the owner.
#[derive(Debug, Default)]
struct Queues {
    outgoing: VecDeque<Outgoing>,
    events: VecDeque<LinkEvent>,
}

impl Part for Queues {
    const EMPTY: &'static Self = &Self { outgoing: VecDeque::new(), events: VecDeque::new() };

    fn rest(&mut self) -> bool {
        self.outgoing.give_back();
        self.events.give_back();
        self.outgoing.is_empty() && self.events.is_empty()
    }
}

/// What becomes of bytes that come.
#[derive(Debug)]
enum Hearing {
    /// A server waits for the first ones.
    Detecting(Arc<Detect>),
    /// They are frames.
    Frames,
    /// A stranger: heard, not answered, closed at the deadline (TRN-21). Or they do not come here
    /// at all, but as requests.
    Nothing,
    /// Not our protocol: they stay where they are, for whoever speaks it.
    HandedOver,
}

#[derive(Debug)]
enum Held {
    /// A whole packet.
    Packet(Packet),
    /// The beginning of one too large for a peer that has proved nothing (TRN-38).
    Announced,
}

/// The transport error after which a link may go on (TRN-32).
const NOT_FOUND: i32 = 404;

impl Link {
    /// The server's end of a connection just accepted.
    pub fn server(
        now: Now,
        config: impl Into<Arc<LinkConfig>>,
        detect: Arc<Detect>,
        rng: Rng,
    ) -> Self {
        let config = config.into();
        let silent_at = Some(now.mono + config.first_packet_wait_max);
        let version = (!config.mtproto1).then_some(Version::V2);
        let link = Self::new(Side::Server, config, Hearing::Detecting(detect), None, rng);
        Self { silent_at, version, ..link }
    }

    /// The client's end of a connection just opened.
    pub fn client(
        config: impl Into<Arc<LinkConfig>>,
        transport: Transport,
        options: &ClientOptions,
        mut rng: Rng,
    ) -> Self {
        let config = config.into();
        let codec = Codec::client(transport, options, config.packet_max_bytes, &mut rng);
        let version = Some(if config.mtproto1 { Version::V1 } else { Version::V2 });
        let link = Self::new(Side::Client, config, Hearing::Frames, Some(codec), rng);
        Self { proved: true, version, ..link }
    }

    fn new(
        side: Side,
        config: Arc<LinkConfig>,
        hearing: Hearing,
        codec: Option<Codec>,
        rng: Rng,
    ) -> Self {
        Self {
            side,
            errors_end: config.errors_end,
            config,
            hearing,
            codec,
            version: None,
            proved: false,
            closed: false,
            rng,
            keys: [None, None],
            held: None,
            queues: OnDemand::default(),
            quick_acks: OnDemand::default(),
            plain_ids: MsgIds::default(),
            silent_at: None,
            disconnect_at: None,
            errors: OnDemand::default(),
        }
    }

    /// As a server: the first packet has to come by then, on the monotonic clock, whatever the
    /// settings say; the peer may have been waited for before there was a link.
    pub fn expect_packet(&mut self, by: Duration) {
        self.silent_at = Some(by);
    }

    /// Every transport error ends the link, whatever the settings say (WSK-16).
    pub fn end_with_errors(&mut self) {
        self.errors_end = true;
    }

    /// Takes every complete packet off `input`, the inbound buffer of the connection: between
    /// calls it only grows at its end. A link that closes with [`CloseReason::HandOver`] leaves
    /// there all that has come.
    pub fn handle_bytes(&mut self, now: Now, input: &mut BytesMut) {
        let mut batch = Vec::new();
        while self.held.is_none() && !self.closed {
            match &self.hearing {
                Hearing::Nothing | Hearing::HandedOver => break,
                Hearing::Detecting(detect) => match detect.handle(input) {
                    Detected::NeedMore => break,
                    Detected::Codec(codec, dc) => {
                        self.queues.events.extend(dc.map(LinkEvent::Dc));
                        self.codec = Some(codec);
                        self.hearing = Hearing::Frames;
                    }
                    Detected::Carrier(carrier) => {
                        self.hearing = Hearing::HandedOver;
                        self.close(CloseReason::HandOver(carrier));
                    }
                    Detected::Unknown => self.hearing = Hearing::Nothing,
                },
                Hearing::Frames => {
                    let Some(codec) = &mut self.codec else { break };
                    match codec.next(input) {
                        Ok(Some(frame)) => self.handle_frame(now, frame, &mut batch),
                        Ok(None) => break,
                        // What waits to be opened may prove the peer, and end these limits.
                        Err(_) if !batch.is_empty() => self.open_batch(&mut batch),
                        Err(error @ FrameError::TooLong { .. }) if !self.proved => {
                            if !self.hold_announced(input, error) {
                                break;
                            }
                        }
                        Err(error) => self.close(CloseReason::Frame(error)),
                    }
                }
            }
        }
        self.open_batch(&mut batch);
        let is_of_use = match self.hearing {
            Hearing::HandedOver => true,
            Hearing::Nothing => false,
            _ => !self.closed,
        };
        if !is_of_use {
            input.clear();
        }
    }

    /// Answers [`LinkEvent::KeyWanted`]; `None` when there is no such key. Afterwards call
    /// [`handle_bytes`](Self::handle_bytes) again for what has come meanwhile.
    pub fn provide_key(&mut self, now: Now, id: AuthKeyId, key: Option<Arc<AuthKey>>) {
        let Some(held) = self.held.take_if(|held| held.0 == id) else { return };
        let (_, held) = *held;
        let Some(key) = key else {
            self.fail(now, NOT_FOUND);
            if matches!(held, Held::Announced) {
                self.close(CloseReason::Error(NOT_FOUND));
            }
            return;
        };
        self.use_key(key);
        match held {
            Held::Packet(packet) => self.open_batch(&mut vec![packet]),
            Held::Announced => self.lift_limits(),
        }
    }

    /// The key that packets are expected under; a client says it before it sends. From then on it
    /// takes nothing unencrypted (SEC-45).
    pub fn use_key(&mut self, key: Arc<AuthKey>) {
        self.forget_key(key.id());
        let [newest, older] = &mut self.keys;
        self.keys = [Some(key), newest.take().or_else(|| older.take())];
    }

    /// The key is no more: its next packet is asked for again.
    pub fn forget_key(&mut self, id: AuthKeyId) {
        for place in &mut self.keys {
            place.take_if(|key| key.id() == id);
        }
    }

    /// The peer has proved itself by other means than a packet, such as a finished key exchange:
    /// the limits for strangers end.
    pub fn lift_limits(&mut self) {
        self.proved = true;
        if let Some(codec) = &mut self.codec {
            codec.set_limit(self.config.packet_max_bytes);
        }
    }

    /// (Re)starts the timer that closes the link unless it is started again (SVC-34).
    pub fn disconnect_after(&mut self, now: Now, delay: Duration) {
        self.disconnect_at = Some(now.mono + delay);
    }

    /// Ends the link. What was to be sent still is; nothing is added to it.
    pub fn close(&mut self, reason: CloseReason) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.held = None;
        self.silent_at = None;
        self.disconnect_at = None;
        self.queues.events.push_back(LinkEvent::Closed(reason));
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

    /// Which MTProto the link speaks, once that is settled.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The next thing that came.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.queues.if_any()?.events.pop_front()
    }

    /// Gives back the memory of what is done; worth its while before the caller waits.
    pub fn rest(&mut self) {
        self.rng.rest();
        if let Some(codec) = &mut self.codec {
            codec.rest();
        }
        self.queues.rest();
        self.quick_acks.rest();
        self.errors.rest();
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

    fn peer(&self) -> Side {
        match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}
