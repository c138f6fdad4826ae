//! Recognising what a peer speaks from its first bytes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BytesMut};

use super::obfuscated::{HEADER, Streams};
use super::replay::Headers;
use super::{Codec, Framing, Secret, Transport};

/// What a listener accepts. Everything else is a stranger, whom it does not answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DetectConfig {
    /// The transports served. Default: all. Fewer rows make a port harder to find by probing.
    pub transports: Vec<Transport>,
    /// Secrets of which an obfuscated peer has to know one. Default: none, and none is asked for.
    /// Each costs every obfuscated connection a hash and an AES key.
    pub secrets: Vec<Secret>,
    /// Accepted headers that are remembered where there are secrets: who sends one of them again
    /// is a stranger. Default: 65 536 (PRX-24); each costs up to 100 bytes.
    pub headers_kept: usize,
    /// Report requests of HTTP. Default: no.
    pub http: bool,
    /// Report such as may ask for a WebSocket. Default: no.
    pub websocket: bool,
    /// Report TLS. Default: no; one obfuscated peer in 2²⁴ that ignores our
    /// advice looks like it.
    pub tls: bool,
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            transports: Transport::ALL.to_vec(),
            secrets: Vec::new(),
            headers_kept: 65_536,
            http: false,
            websocket: false,
            tls: false,
        }
    }
}

/// Recognises peers by the first bytes of their connections.
///
/// One serves all connections of a listener, and clones share what it remembers: the headers of
/// those who knew a secret. The deadline for the first bytes is the caller's.
#[derive(Clone, Debug, Default)]
pub struct Detect {
    config: DetectConfig,
    /// The last row of the table alone: whatever comes is an obfuscation header.
    is_obfuscated: bool,
    seen: Option<Arc<Mutex<Headers>>>,
}

/// What the first bytes say.
#[derive(Debug)]
pub enum Detected {
    /// Not enough yet; nothing was consumed.
    NeedMore,
    /// A transport, whose tag or header was consumed: the rest of the input is the codec's, at
    /// first with [`HANDSHAKE_LIMIT`](super::HANDSHAKE_LIMIT).
    ///
    /// With it the dc field of the header, if the peer knew a secret; without one many clients
    /// fill the field with chance.
    Codec(Codec, Option<i16>),
    /// Another protocol, inside which one of the transports may travel. Nothing was consumed.
    Carrier(Carrier),
    /// None of what is served. Nothing was consumed. To be read and discarded without an answer
    /// until the deadline, for both an answer and a close would help who looks for us.
    Unknown,
}

/// A protocol of others that carries ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// Requests of HTTP, one of which may ask for a WebSocket.
    Http,
    /// TLS, with anything inside.
    Tls,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
        })
    }
}

impl Detect {
    /// For a listener that serves what `config` names.
    pub fn new(config: DetectConfig) -> Self {
        let seen = (!config.secrets.is_empty()).then(|| Headers::new(config.headers_kept));
        let seen = seen.map(|headers| Arc::new(Mutex::new(headers)));
        Self { config, is_obfuscated: false, seen }
    }

    /// For what is inside the TLS of this listener: everything but TLS.
    pub fn inside_tls(&self) -> Self {
        let mut inside = self.clone();
        inside.config.tls = false;
        inside
    }

    /// For what is inside a WebSocket: obfuscated streams, of any framing and without a secret,
    /// whatever bytes they begin with, for some browser clients avoid none (WSK-09, WSK-20).
    pub fn inside_websocket() -> Self {
        Self { config: DetectConfig::default(), is_obfuscated: true, seen: None }
    }

    /// Decides what the peer speaks. The order of the tests is part of the protocol: a client
    /// avoids exactly these openings when it draws an obfuscation header. An opening cut short
    /// reaches the last test, which needs more than any other.
    pub fn handle(&self, input: &mut BytesMut) -> Detected {
        match input[..] {
            _ if self.is_obfuscated => self.obfuscated(input),
            [0xef, ..] => self.plain(Framing::Abridged, 1, input),
            [0xee, 0xee, 0xee, 0xee, ..] => self.plain(Framing::Intermediate, 4, input),
            [0xdd, 0xdd, 0xdd, 0xdd, ..] => self.plain(Framing::Padded, 4, input),
            [b'P', b'O', b'S', b'T', ..]
            | [b'H', b'E', b'A', b'D', ..]
            | [b'O', b'P', b'T', b'I', ..] => served(self.config.http, Carrier::Http),
            [b'G', b'E', b'T', b' ', ..] => {
                served(self.config.http || self.config.websocket, Carrier::Http)
            }
            // Three bytes: the fourth is the high half of a length that may be anything.
            [0x16, 0x03, 0x01, ..] if self.config.tls => Detected::Carrier(Carrier::Tls),
            [_, _, _, _, 0, 0, 0, 0, ..] => self.plain(Framing::Full, 0, input),
            _ => self.obfuscated(input),
        }
    }

    fn plain(&self, framing: Framing, tag_len: usize, input: &mut BytesMut) -> Detected {
        if !self.config.transports.contains(&Transport::plain(framing)) {
            return Detected::Unknown;
        }
        input.advance(tag_len);
        Detected::Codec(Codec::server(framing, None), None)
    }

    fn obfuscated(&self, input: &mut BytesMut) -> Detected {
        let Some(header) = input.first_chunk::<HEADER>() else { return Detected::NeedMore };
        let Some((streams, framing, dc)) = Streams::server(header, &self.config.secrets) else {
            return Detected::Unknown;
        };
        let codec = Codec::server(framing, Some(streams));
        if !self.config.transports.contains(&codec.transport()) {
            return Detected::Unknown;
        }
        if let Some(seen) = &self.seen
            && !seen.lock().unwrap_or_else(PoisonError::into_inner).insert(&header[8..56])
        {
            return Detected::Unknown;
        }
        input.advance(HEADER);
        Detected::Codec(codec, (!self.config.secrets.is_empty()).then_some(dc))
    }
}

fn served(enabled: bool, carrier: Carrier) -> Detected {
    if enabled { Detected::Carrier(carrier) } else { Detected::Unknown }
}
