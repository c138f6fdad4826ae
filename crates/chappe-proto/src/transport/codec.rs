//! [`Codec`]: frames in, packets out, and back.

use std::fmt;
use std::mem;

use bytes::{Buf, BufMut, BytesMut};
use chappe_crypto::Rng;

use super::obfuscated::Streams;
use super::{
    End, FrameError, Framing, Head, Secret, Transport, WORD, abridged, control, full, intermediate,
};

/// One side of one connection: its framing, and the obfuscation where there is one.
///
/// The caller reads from its stream into one buffer and gives that to [`next`](Self::next) until
/// it yields nothing; packets are split off that buffer, and nothing is copied. To send, it calls
/// [`put`](Self::put), or [`begin`](Self::begin) and [`finish`](Self::finish) where it can write
/// the packet in its place, and writes the grown buffer to its stream.
///
/// A codec that has given an error has lost its place, and so has one whose output was cut short:
/// the connection is to be closed. A frame half received at the close is nothing.
pub struct Codec {
    end: End,
    framing: Framing,
    limit: usize,
    /// Frames of the full framing received and sent.
    received: u32,
    sent: u32,
    streams: Option<Box<Streams>>,
    /// Bytes at the start of the inbound buffer that are deobfuscated already.
    clear: usize,
    /// What a client sends before its first frame, until it has.
    opening: Vec<u8>,
}

/// What a client tells in the header of an obfuscated transport; the others have no room for it.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// The secret of the endpoint, where it has one. Default: none.
    pub secret: Option<Secret>,
    /// The data centre meant, as [`DcField`](super::DcField) encodes it. Default: 0, unspecified.
    pub dc: i16,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A packet, perhaps with padding after it: see [`payload_len`](super::payload_len).
    Packet {
        /// The content of the frame, alone in its part of the inbound buffer.
        bytes: BytesMut,
        /// A client wants to hear at once that its packet was received and opened.
        quick_ack_wanted: bool,
    },
    /// From a server: the packet with this token was received and opened.
    QuickAck(u32),
    /// From a server: the transport error of this code, such as 404 or 429. Nothing proves that
    /// the server sent it.
    Error(i32),
    /// Nothing.
    Noop,
}

/// A frame that [`Codec::begin`] has begun and [`Codec::finish`] will end.
#[derive(Debug)]
#[must_use = "the frame has no length before it is finished"]
pub struct OpenFrame {
    start: usize,
    quick_ack: bool,
}

impl OpenFrame {
    /// Asks the server for a quick acknowledgement, where the framing has room for the question.
    pub fn with_quick_ack(self) -> Self {
        Self { quick_ack: true, ..self }
    }
}

/// A packet no frame can carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet of {0} bytes, expected a multiple of 4 from 4 to {PACKET_MAX}")]
pub struct PacketSize(pub usize);

impl Codec {
    /// The client's side of a new connection. The server may send frames of up to `limit` bytes.
    ///
    /// The tag or header that has to come first is kept back and goes out together with the first
    /// frame, for a header that travels alone is easily told from other traffic.
    pub fn client(
        transport: Transport,
        options: &ClientOptions,
        limit: usize,
        rng: &mut Rng,
    ) -> Self {
        let framing = transport.framing();
        let mut codec = Self::new(End::Client, framing, limit, None);
        codec.opening = match framing.tag() {
            Some(tag) if transport.is_obfuscated() => {
                let secret = options.secret.as_ref();
                let (streams, header) = Streams::client(tag, options.dc, secret, rng);
                codec.streams = Some(Box::new(streams));
                header.to_vec()
            }
            Some(tag) if framing == Framing::Abridged => tag[..1].to_vec(),
            Some(tag) => tag.to_vec(),
            None => Vec::new(),
        };
        codec
    }

    /// The server's side of a connection whose first bytes [`Detect`](super::Detect) has read.
    pub(super) fn server(framing: Framing, streams: Option<Streams>) -> Self {
        Self::new(End::Server, framing, HANDSHAKE_LIMIT, streams)
    }

    fn new(end: End, framing: Framing, limit: usize, streams: Option<Streams>) -> Self {
        Self {
            end,
            framing,
            limit,
            received: 0,
            sent: 0,
            streams: streams.map(Box::new),
            clear: 0,
            opening: Vec::new(),
        }
    }

    /// Gives back the memory of streams that wait.
    pub fn rest(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.inbound.rest();
            streams.outbound.rest();
        }
    }

    /// What is spoken, for as long as the connection lasts.
    pub fn transport(&self) -> Transport {
        Transport { framing: self.framing, obfuscated: self.streams.is_some() }
    }

    /// The largest length a frame may announce, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit, from the next frame on and for one that has not come whole.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes the next frame off `input`; `None` when the rest has yet to come.
    ///
    /// `input` is the inbound buffer of the connection: between calls it only grows at its end.
    /// A length is judged as soon as it is there, so the caller never holds more than one frame
    /// within the limit plus what one read brought; no space is reserved on the peer's word.
    ///
    /// # Errors
    ///
    /// The connection has to be closed: `input` keeps its place and gives the same error again.
    /// Only [`FrameError::TooLong`] can be mended, by a limit the frame is within.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if let Some(streams) = &mut self.streams {
            streams.inbound.apply(&mut input[self.clear..]);
            self.clear = input.len();
        }
        match self.head(input, self.limit)? {
            Head::Short => Ok(None),
            Head::Word(word) => {
                self.take(input, WORD);
                Ok(Some(word))
            }
            Head::Frame { header, body, trailer, quick_ack_wanted } => {
                let len = header + body + trailer;
                let Some(frame) = input.get(..len) else { return Ok(None) };
                if self.framing == Framing::Full {
                    full::check(frame)?;
                }
                let content = &frame[header..header + body];
                let control = self.end == End::Client && body < control::MESSAGE_MIN;
                let control = control.then(|| control::decode(content)).transpose()?;
                let mut bytes = self.take(input, len);
                self.received = self.received.wrapping_add(1);
                bytes.advance(header);
                bytes.truncate(body);
                Ok(Some(control.unwrap_or(Frame::Packet { bytes, quick_ack_wanted })))
            }
        }
    }

    /// What has come of the content of the frame that [`next`](Self::next) waits for, or has
    /// refused for its length alone; empty while its header is not there.
    ///
    /// A server learns from it which key the packet is for, before it decides to hold the rest.
    ///
    /// # Errors
    ///
    /// The frame is wrong whatever the limit: to wait for more of it would be to wait for ever.
    pub fn begun<'a>(&self, input: &'a [u8]) -> Result<&'a [u8], FrameError> {
        let clear = if self.streams.is_some() { self.clear } else { input.len() };
        Ok(match self.head(&input[..clear], usize::MAX)? {
            Head::Frame { header, body, .. } => &input[header..clear.min(header + body)],
            Head::Short | Head::Word(_) => &[],
        })
    }

    fn head(&self, input: &[u8], limit: usize) -> Result<Head, FrameError> {
        match self.framing {
            Framing::Abridged => abridged::head(input, self.end, limit),
            Framing::Intermediate => intermediate::head(input, self.end, limit, false),
            Framing::Padded => intermediate::head(input, self.end, limit, true),
            Framing::Full => full::head(input, self.end, limit, self.received),
        }
    }

    fn take(&mut self, input: &mut BytesMut, len: usize) -> BytesMut {
        self.clear = self.clear.saturating_sub(len);
        input.split_to(len)
    }

    /// Appends one packet, given in parts, to `out`.
    ///
    /// # Errors
    ///
    /// `out` is as it was if the packet is too large for a frame.
    pub fn put(
        &mut self,
        parts: &[&[u8]],
        out: &mut BytesMut,
        rng: &mut Rng,
    ) -> Result<(), PacketSize> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        out.reserve(self.opening.len() + len + FRAME_OVERHEAD);
        let frame = self.begin(out);
        for part in parts {
            out.put_slice(part);
        }
        self.finish(frame, out, rng)
    }

    /// Opens a frame at the end of `out`: the caller appends the packet, then calls
    /// [`finish`](Self::finish). One frame is open at a time.
    pub fn begin(&mut self, out: &mut BytesMut) -> OpenFrame {
        out.put_slice(&mem::take(&mut self.opening));
        let start = out.len();
        out.put_bytes(0, self.header_len());
        OpenFrame { start, quick_ack: false }
    }

    /// Closes the frame around all that was appended to `out` since it was begun.
    ///
    /// # Errors
    ///
    /// The frame is taken back if what it holds is empty, too large or not in whole words.
    pub fn finish(
        &mut self,
        frame: OpenFrame,
        out: &mut BytesMut,
        rng: &mut Rng,
    ) -> Result<(), PacketSize> {
        let mut padding = [0; PADDING_MAX];
        let padding = match self.framing {
            Framing::Padded => &mut padding[..self.padding_len(rng)],
            _ => &mut [],
        };
        rng.fill(padding);
        self.close_frame(frame, padding, out)
    }

    fn close_frame(
        &mut self,
        frame: OpenFrame,
        padding: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), PacketSize> {
        let OpenFrame { start, quick_ack } = frame;
        let packet = start + self.header_len();
        let len = out.len() - packet;
        if len == 0 || len > PACKET_MAX || !len.is_multiple_of(WORD) {
            out.truncate(start);
            return Err(PacketSize(len));
        }
        match self.framing {
            Framing::Abridged => {
                let (header, used) = abridged::encode(len, quick_ack);
                out[start..start + used].copy_from_slice(&header[..used]);
                if used < WORD {
                    // A short header leaves a gap; at most 126 words move up to close it.
                    out.copy_within(packet.., start + used);
                    out.truncate(start + used + len);
                }
            }
            Framing::Intermediate => {
                let header = intermediate::encode(len as u32, quick_ack);
                out[start..packet].copy_from_slice(&header);
            }
            Framing::Padded => {
                out.put_slice(padding);
                let header = intermediate::encode((len + padding.len()) as u32, quick_ack);
                out[start..packet].copy_from_slice(&header);
            }
            Framing::Full => {
                let len = (len + full::HEADER + full::TRAILER) as u32;
                out[start..start + WORD].copy_from_slice(&len.to_le_bytes());
                out[start + WORD..packet].copy_from_slice(&self.sent.to_le_bytes());
                out.put_u32_le(crc32fast::hash(&out[start..]));
                self.sent = self.sent.wrapping_add(1);
            }
        }
        self.hide(start, out);
        Ok(())
    }

    /// Appends a transport error, 404 for instance, as a server.
    ///
    /// In the padded framing it goes without padding: several clients know an error only by the
    /// 4 bytes that are left after they cut the packet, and some of them cut nothing.
    pub fn put_error(&mut self, code: i32, out: &mut BytesMut) {
        let frame = self.begin(out);
        out.put_slice(&control::error(code));
        self.close_frame(frame, &[], out).expect("an error is one word");
    }

    /// Appends a quick acknowledgement, as a server; nothing in the full framing, where no client
    /// can ask for one.
    ///
    /// In the padded framing it takes the form of a frame, whose length says nothing.
    pub fn put_quick_ack(&mut self, token: u32, out: &mut BytesMut, rng: &mut Rng) {
        let token = token | 1 << 31;
        let start = out.len();
        match self.framing {
            Framing::Abridged => out.put_u32(token),
            Framing::Intermediate => out.put_u32_le(token),
            Framing::Padded => {
                let content = control::quick_ack(token);
                return self.put(&[&content], out, rng).expect("a token frame holds two words");
            }
            Framing::Full => return,
        }
        self.hide(start, out);
    }

    /// Obfuscates what stands in `out` from `start` on.
    fn hide(&mut self, start: usize, out: &mut BytesMut) {
        if let Some(streams) = &mut self.streams {
            streams.outbound.apply(&mut out[start..]);
        }
    }

    fn header_len(&self) -> usize {
        if self.framing == Framing::Full { full::HEADER } else { WORD }
    }

    /// A server pads by at most 3 bytes: some clients cut no more than `len mod 4` off a packet.
    fn padding_len(&self, rng: &mut Rng) -> usize {
        let lengths = match self.end {
            End::Client => PADDING_MAX + 1,
            End::Server => WORD,
        };
        rng.below(lengths as u32) as usize
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec")
            .field("end", &self.end)
            .field("transport", &format_args!("{}", self.transport()))
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Longest frame from a peer that has not shown a key, in bytes.
pub const HANDSHAKE_LIMIT: usize = 4096;
/// Longest frame a server takes from a client it knows, in bytes, unless it is told otherwise.
pub const SERVER_LIMIT: usize = (1 << 20) - 4096;
/// Longest frame a client takes, in bytes, unless it is told otherwise.
pub const CLIENT_LIMIT: usize = (1 << 22) + 1024;
/// Longest packet that can be sent, in bytes.
pub const PACKET_MAX: usize = (1 << 24) - 4;

const PADDING_MAX: usize = 15;
/// More than any framing adds to a packet.
const FRAME_OVERHEAD: usize = WORD + PADDING_MAX;
