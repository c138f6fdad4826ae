//! What is said on a link once its ends know each other.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use bytes::{Buf, BufMut, BytesMut};

use crate::transport::Framing;

/// One client of a proxy, as both ends of the link call it: never 0, and never used again on the
/// same link.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub i64);

/// What a proxy calls the account that it advertises for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdTag(pub [u8; 16]);

/// No ad tag is written so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ad tag, which has 32 hexadecimal digits")]
pub struct NoAdTag(String);

impl FromStr for AdTag {
    type Err = NoAdTag;

    fn from_str(text: &str) -> Result<Self, NoAdTag> {
        let mut tag = [0; 16];
        hex::decode_to_slice(text, &mut tag).map_err(|_| NoAdTag(text.to_owned()))?;
        Ok(Self(tag))
    }
}

/// Who a client of a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it is.
    pub client: SocketAddr,
    /// What it is connected to, as others see it.
    pub proxy: SocketAddr,
    /// What it speaks with the proxy; a client of HTTP counts as [`Framing::Full`], for neither asks
    /// for quick acknowledgements.
    pub framing: Framing,
    /// For whom the proxy advertises.
    pub ad_tag: Option<AdTag>,
}

/// A packet of a client, from the proxy to the middle server.
///
/// Shape:  type, flags, id, both addresses of 20 bytes, then, if a flag says so, length and bytes of
///         more; then the packet.
/// Source: 15-proxy.md, 8.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which client's.
    pub client: ConnId,
    /// Who that is.
    pub origin: Origin,
    /// The packet is a step of a key exchange.
    pub is_plain: bool,
    /// The client wants to hear at once that it was received.
    pub quick_ack_wanted: bool,
    /// An earlier packet of the client was lost on its way here.
    pub follows_loss: bool,
}

/// What heads a packet for a client, from the middle server to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whose.
    pub client: ConnId,
    /// It is not to wait for more.
    pub flush: bool,
}

/// What is said without a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Are you there?
    Ping(i64),
    /// Yes.
    Pong(i64),
    /// To the proxy: a transport error for a client, a positive code.
    Error(ConnId, i32),
    /// To the proxy: a packet of the client was received, by its token.
    QuickAck(ConnId, u32),
    /// To the proxy: drop the client.
    Drop(ConnId),
    /// The client is gone.
    Gone(ConnId),
}

/// Anything that is said on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Something short.
    Note(Note),
    /// To the middle server: a packet of a client.
    Request(Box<Request>, BytesMut),
    /// To the proxy: a packet for a client.
    Answer(Answer, BytesMut),
    /// Something newer than we are.
    Unknown(u32),
}

/// A message that its sender cannot have meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It has the wrong length for its type, or for what it says of itself.
    #[error("message {kind:08x} of {got} bytes ends before it is complete, or after")]
    Length {
        /// Its type.
        kind: u32,
        /// Its length, in bytes.
        got: usize,
    },
    /// More than anybody has to say of a client.
    #[error("{0} bytes about a client, at most 16384 are allowed")]
    Extra(usize),
}

impl Request {
    /// What comes before the packet (MPX-17, MPX-18).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + 28);
        let Origin { client, proxy, framing, ad_tag } = &self.origin;
        let mut flags = TCP | OBFUSCATED | framing_flags(*framing);
        for (set, flag) in [
            (self.is_plain, PLAIN),
            (ad_tag.is_some(), AD_TAG),
            (self.quick_ack_wanted, QUICK_ACK),
            (self.follows_loss, LOSS),
        ] {
            flags |= if set { flag } else { 0 };
        }
        out.put_u32_le(REQUEST);
        out.put_u32_le(flags);
        out.put_i64_le(self.client.0);
        put_address(*client, &mut out);
        put_address(*proxy, &mut out);
        if let Some(AdTag(tag)) = ad_tag {
            out.put_u32_le(24);
            out.put_u32_le(EXTRA_AD_TAG);
            out.put_u8(16);
            out.put_slice(tag);
            out.put_bytes(0, 3);
        }
        out
    }

    /// Takes what comes before the packet off `payload`.
    fn decode(payload: &mut BytesMut) -> Result<Self, MessageError> {
        let error = MessageError::Length { kind: REQUEST, got: payload.len() };
        let mut rest = &payload[..];
        if rest.len() < HEADER {
            return Err(error);
        }
        rest.advance(4);
        let (flags, client) = (rest.get_u32_le(), ConnId(rest.get_i64_le()));
        let (from, to) = (take_address(&mut rest), take_address(&mut rest));
        let mut ad_tag = None;
        if flags & (AD_TAG | HTTP_INFO) != 0 {
            let len = rest.try_get_u32_le().map_err(|_| error.clone())? as usize;
            if len > EXTRA_MAX {
                return Err(MessageError::Extra(len));
            }
            if len > rest.len() || !len.is_multiple_of(4) {
                return Err(error);
            }
            let (extra, packet) = rest.split_at(len);
            ad_tag = find_ad_tag(extra);
            rest = packet;
        }
        if rest.is_empty() {
            return Err(error);
        }
        let before = payload.len() - rest.len();
        payload.advance(before);
        let origin = Origin { client: from, proxy: to, framing: framing(flags), ad_tag };
        Ok(Self {
            client,
            origin,
            is_plain: flags & PLAIN != 0,
            quick_ack_wanted: flags & QUICK_ACK != 0,
            follows_loss: flags & LOSS != 0,
        })
    }
}

impl Answer {
    /// What comes before the packet.
    pub fn encode(self) -> Vec<u8> {
        put_answer(if self.flush { FLUSH } else { 0 }, self.client)
    }
}

impl Note {
    /// The payload of its frame.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Ping(id) => put_id(PING, id),
            Self::Pong(id) => put_id(PONG, id),
            Self::Drop(client) => put_id(CLOSE_EXT, client.0),
            Self::Gone(client) => put_id(CLOSE_CONN, client.0),
            Self::QuickAck(client, token) => {
                let mut out = put_id(SIMPLE_ACK, client.0);
                out.put_u32_le(token);
                out
            }
            Self::Error(client, code) => {
                let mut out = put_answer(FLUSH | ERROR, client);
                out.put_i32_le(code.saturating_abs().wrapping_neg());
                out
            }
        }
    }
}

impl Message {
    /// Reads the payload of a frame.
    ///
    /// # Errors
    ///
    /// The link has to be closed: its ends do not speak the same language.
    pub fn decode(mut payload: BytesMut) -> Result<Self, MessageError> {
        let got = payload.len();
        let mut rest = &payload[..];
        let kind = rest.try_get_u32_le().map_err(|_| MessageError::Length { kind: 0, got })?;
        let id = rest.try_get_i64_le().unwrap_or_default();
        let client = ConnId(id);
        Ok(match (kind, got) {
            (PING, 12) => Self::Note(Note::Ping(id)),
            (PONG, 12) => Self::Note(Note::Pong(id)),
            (CLOSE_EXT, 12) => Self::Note(Note::Drop(client)),
            (CLOSE_CONN, 12) => Self::Note(Note::Gone(client)),
            (SIMPLE_ACK, 16) => Self::Note(Note::QuickAck(client, rest.get_u32_le())),
            (REQUEST, _) => Self::Request(Box::new(Request::decode(&mut payload)?), payload),
            (ANSWER, 16..) => {
                payload.advance(4);
                let flags = payload.get_u32_le();
                let client = ConnId(payload.get_i64_le());
                match payload.len() {
                    4 if flags & ERROR != 0 => {
                        Self::Note(Note::Error(client, payload.get_i32_le().saturating_abs()))
                    }
                    _ => Self::Answer(Answer { client, flush: flags & FLUSH != 0 }, payload),
                }
            }
            (PING | PONG | CLOSE_EXT | CLOSE_CONN | SIMPLE_ACK | ANSWER, _) => {
                return Err(MessageError::Length { kind, got });
            }
            (kind, _) => Self::Unknown(kind),
        })
    }
}

fn put_id(kind: u32, id: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    out.put_u32_le(kind);
    out.put_i64_le(id);
    out
}

fn put_answer(flags: u32, client: ConnId) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    out.put_u32_le(ANSWER);
    out.put_u32_le(flags);
    out.put_i64_le(client.0);
    out
}

fn put_address(address: SocketAddr, out: &mut Vec<u8>) {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out.put_slice(&ip.octets());
    out.put_u32_le(address.port().into());
}

/// Takes an address, which is there, off `bytes`.
fn take_address(bytes: &mut &[u8]) -> SocketAddr {
    let mut octets = [0; 16];
    bytes.copy_to_slice(&mut octets);
    let port = bytes.get_u32_le() as u16;
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical(), port)
}

/// The ad tag in what is said of a client. Nothing says how long an unknown part is: it ends the
/// search (MPX-19).
fn find_ad_tag(mut extra: &[u8]) -> Option<AdTag> {
    loop {
        match extra.try_get_u32_le().ok()? {
            EXTRA_AD_TAG => {
                let tag = take_string(&mut extra)?;
                return tag.try_into().ok().map(AdTag);
            }
            EXTRA_HTTP_INFO => {
                for _ in ["origin", "referer", "user agent"] {
                    take_string(&mut extra)?;
                }
            }
            _ => return None,
        }
    }
}

/// Takes a string of TL off `bytes`, with the zeros that fill up its last word.
fn take_string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (header, len) = match *bytes.first_chunk()? {
        [254, a, b, c] => (4, u32::from_le_bytes([a, b, c, 0]) as usize),
        [len, ..] => (1, usize::from(len)),
    };
    let string = bytes.get(header..header + len)?;
    *bytes = bytes.get((header + len).next_multiple_of(4)..)?;
    Some(string)
}

fn framing_flags(framing: Framing) -> u32 {
    match framing {
        Framing::Abridged => ABRIDGED,
        Framing::Intermediate => INTERMEDIATE,
        Framing::Padded => INTERMEDIATE | PADDED,
        Framing::Full => 0,
    }
}

fn framing(flags: u32) -> Framing {
    match flags {
        _ if flags & ABRIDGED != 0 => Framing::Abridged,
        _ if flags & PADDED != 0 => Framing::Padded,
        _ if flags & INTERMEDIATE != 0 => Framing::Intermediate,
        _ => Framing::Full,
    }
}

const PING: u32 = 0x5730_a2df;
const PONG: u32 = 0x8430_eaa7;
const REQUEST: u32 = 0x36ce_f1ee;
const ANSWER: u32 = 0x4403_da0d;
const SIMPLE_ACK: u32 = 0x3bac_409b;
const CLOSE_EXT: u32 = 0x5eb6_34a2;
const CLOSE_CONN: u32 = 0x1fcf_425d;
const EXTRA_AD_TAG: u32 = 0xdb1e_26ae;
const EXTRA_HTTP_INFO: u32 = 0xd45a_b381;

/// Of a request: type, flags, id, two addresses.
const HEADER: usize = 56;
/// Most that may be said of a client.
const EXTRA_MAX: usize = 16_384;

/// Flags of a request.
const PLAIN: u32 = 0x2;
const HTTP_INFO: u32 = 0x4;
const AD_TAG: u32 = 0x8;
const TCP: u32 = 0x1000;
const OBFUSCATED: u32 = 0x2_0000;
const PADDED: u32 = 0x0800_0000;
const LOSS: u32 = 0x1000_0000;
const INTERMEDIATE: u32 = 0x2000_0000;
const ABRIDGED: u32 = 0x4000_0000;
const QUICK_ACK: u32 = 0x8000_0000;

/// Flags of an answer.
const FLUSH: u32 = 0x8;
const ERROR: u32 = 0x10;
