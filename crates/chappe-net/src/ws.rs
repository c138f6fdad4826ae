//! WebSocket as a carrier of links (RFC 6455, after its handshake): one message for each frame
//! outwards, a stream of bytes inwards.
//!
//! Messages are taken apart while they come, so that nothing is held but what the link waits for:
//! a stranger that announces a large one costs nothing.

use std::io::Cursor;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::Rng;
use chappe_proto::link::CloseReason;
use chappe_proto::transport::CLIENT_LIMIT;
use tokio::io::{AsyncRead, AsyncWrite};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::driver::End;
use crate::wire::Wire;

/// What a WebSocket takes and sends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebSocketConfig {
    /// Largest message accepted, which may hold several frames and a part of one. Default: 4 MiB +
    /// 1 KiB, as much as a client accepts in a frame, and 80 bytes (WSK-13). It costs nothing: a
    /// message is not gathered.
    pub message_max_bytes: usize,
    /// Time between pings that we send, so that nothing on the way takes the connection for dead.
    /// Default: none (WSK-14).
    pub ping_interval: Option<Duration>,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self { message_max_bytes: CLIENT_LIMIT + HEADERS, ping_interval: None }
    }
}

/// What may come with a frame in its message: an obfuscation header, and what frames it (WSK-13).
pub const HEADERS: usize = 80;

/// How a peer broke the rules of WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// Text, where only bytes are spoken (WSK-08).
    #[error("a text message came")]
    Text,
    /// Bits of an extension, and none was agreed upon (WSK-05).
    #[error("a frame has reserved bits set")]
    Reserved,
    /// A client that does not mask, or a server that does (WSK-12).
    #[error("a frame is masked by the wrong side")]
    Masking,
    /// An unknown kind of frame, a control frame that is too long or in pieces (WSK-12), or a
    /// message begun inside another.
    #[error("a frame is malformed")]
    Malformed,
    /// A message longer than accepted (WSK-13).
    #[error("a message of at least {0} bytes")]
    TooLong(u64),
}

impl WebSocketError {
    /// What the peer is told.
    fn code(self) -> CloseCode {
        match self {
            Self::Text => CloseCode::Unsupported,
            Self::Reserved | Self::Masking | Self::Malformed => CloseCode::Protocol,
            Self::TooLong(_) => CloseCode::Normal,
        }
    }
}

/// A WebSocket whose handshake is done.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    config: WebSocketConfig,
    side: Side,
    hearing: Hearing,
    /// The last ping that is not answered yet; older ones need no answer.
    ping: Option<Bytes>,
    /// When we ping next, once it is known what time it is.
    ping_at: Option<Duration>,
    peer_closed: bool,
}

#[derive(Debug)]
enum Side {
    /// With what frames are masked.
    Client(Box<Rng>),
    Server,
}

/// Where in the stream of frames the next byte belongs.
#[derive(Debug, Default)]
struct Hearing {
    /// The header that has begun, and how much of it.
    head: [u8; HEAD_MAX],
    head_len: usize,
    /// The frame whose payload comes.
    frame: Option<OpenFrame>,
    /// Bytes of the message that has begun and will go on; its frames announced them.
    message: Option<u64>,
    /// Payload of the control frame that has begun.
    control: Vec<u8>,
}

#[derive(Debug)]
struct OpenFrame {
    kind: OpCode,
    is_final: bool,
    mask: [u8; 4],
    left: u64,
}

/// The longest header of a frame, and the longest payload of a control frame.
const HEAD_MAX: usize = 14;
const CONTROL_MAX: u64 = 125;
/// Bytes that wait to be written above which pings are left unanswered.
const PONG_ROOM: usize = 4 << 10;

impl<S> WebSocket<S> {
    /// The server's end.
    pub fn server(stream: S, config: WebSocketConfig) -> Self {
        Self::new(stream, config, Side::Server)
    }

    /// The client's end, with a generator for masks.
    pub fn client(stream: S, config: WebSocketConfig, rng: Rng) -> Self {
        Self::new(stream, config, Side::Client(Box::new(rng)))
    }

    fn new(stream: S, config: WebSocketConfig, side: Side) -> Self {
        let hearing = Hearing::default();
        Self { stream, config, side, hearing, ping: None, ping_at: None, peer_closed: false }
    }

    fn handle_bytes(
        &mut self,
        mut bytes: &mut [u8],
        inbound: &mut BytesMut,
    ) -> Result<(), WebSocketError> {
        while !self.peer_closed {
            let Some(frame) = &mut self.hearing.frame else {
                if bytes.is_empty() {
                    break;
                }
                let Some((header, len, used)) = self.hearing.header(bytes)? else { break };
                bytes = &mut bytes[used..];
                self.handle_header(&header, len)?;
                continue;
            };
            if frame.left > 0 && bytes.is_empty() {
                break;
            }
            let len = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, rest) = bytes.split_at_mut(len);
            bytes = rest;
            frame.unmask(payload);
            match frame.kind {
                OpCode::Data(_) => inbound.extend_from_slice(payload),
                OpCode::Control(_) => self.hearing.control.extend_from_slice(payload),
            }
            self.end_frame();
        }
        Ok(())
    }

    /// Judges a header; the payload follows.
    fn handle_header(&mut self, header: &FrameHeader, len: u64) -> Result<(), WebSocketError> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(WebSocketError::Reserved);
        }
        if header.mask.is_some() != matches!(self.side, Side::Server) {
            return Err(WebSocketError::Masking);
        }
        let begun = self.hearing.message;
        match header.opcode {
            OpCode::Data(Data::Text) => return Err(WebSocketError::Text),
            OpCode::Data(kind) => {
                if (kind == Data::Continue) != begun.is_some() {
                    return Err(WebSocketError::Malformed);
                }
                let message = begun.unwrap_or(0).saturating_add(len);
                if message > self.config.message_max_bytes as u64 {
                    return Err(WebSocketError::TooLong(message));
                }
                self.hearing.message = Some(message);
            }
            OpCode::Control(_) if len > CONTROL_MAX || !header.is_final => {
                return Err(WebSocketError::Malformed);
            }
            OpCode::Control(_) => {}
        }
        self.hearing.frame = Some(OpenFrame {
            kind: header.opcode,
            is_final: header.is_final,
            mask: header.mask.unwrap_or_default(),
            left: len,
        });
        Ok(())
    }

    /// Ends the frame if its payload is complete.
    fn end_frame(&mut self) {
        let Some(frame) = self.hearing.frame.take_if(|frame| frame.left == 0) else { return };
        match frame.kind {
            OpCode::Data(_) if frame.is_final => self.hearing.message = None,
            OpCode::Data(_) => {}
            OpCode::Control(kind) => {
                let payload = std::mem::take(&mut self.hearing.control);
                match kind {
                    Control::Ping => self.ping = Some(payload.into()),
                    Control::Close => self.peer_closed = true,
                    _ => {}
                }
            }
        }
    }

    /// Inserts the header of a frame before its payload, the end of `outbound` from `start` on.
    fn put_header(&mut self, outbound: &mut BytesMut, start: usize, opcode: OpCode) {
        let mut header = FrameHeader { opcode, ..FrameHeader::default() };
        if let Side::Client(rng) = &mut self.side {
            let mask = rng.bytes();
            header.mask = Some(mask);
            unmask(&mut outbound[start..], mask);
        }
        let len = outbound.len() - start;
        let mut head = Vec::with_capacity(HEAD_MAX);
        header.format(len as u64, &mut head).expect("nothing fails to be written to memory");
        outbound.extend_from_slice(&head);
        outbound[start..].rotate_right(head.len());
    }

    fn put_control(&mut self, outbound: &mut BytesMut, kind: Control, payload: &[u8]) {
        let start = outbound.len();
        outbound.extend_from_slice(payload);
        self.put_header(outbound, start, OpCode::Control(kind));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for WebSocket<S> {
    type Stream = S;

    fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    fn receive(&mut self, bytes: &mut [u8], inbound: &mut BytesMut) -> Result<(), End> {
        self.handle_bytes(bytes, inbound).map_err(End::WebSocket)?;
        if self.peer_closed { Err(End::Eof) } else { Ok(()) }
    }

    fn wrap(&mut self, outbound: &mut BytesMut, start: usize) {
        self.put_header(outbound, start, OpCode::Data(Data::Binary));
    }

    fn poll_transmit(&mut self, now: Duration, outbound: &mut BytesMut) {
        // A peer that pings without reading gets no more answers than it reads.
        if outbound.len() < PONG_ROOM
            && let Some(payload) = self.ping.take()
        {
            self.put_control(outbound, Control::Pong, &payload);
        }
        let Some(interval) = self.config.ping_interval else { return };
        if self.ping_at.is_some_and(|at| at <= now) {
            self.ping_at = None;
            // What waits to be written keeps the connection open as well.
            if outbound.is_empty() {
                self.put_control(outbound, Control::Ping, &[]);
            }
        }
        self.ping_at.get_or_insert(now + interval);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.ping_at
    }

    fn close(&mut self, end: &End, outbound: &mut BytesMut) -> bool {
        let (code, error) = match end {
            End::Closed(CloseReason::Error(code)) => (CloseCode::Normal, *code),
            End::WebSocket(error) => (error.code(), 0),
            End::Closed(_) | End::Oversize(_) => (CloseCode::Normal, 0),
            End::Eof if self.peer_closed => (CloseCode::Normal, 0),
            _ => return false,
        };
        let mut payload = u16::from(code).to_be_bytes().to_vec();
        // As long for every error: nobody can tell by the length which one it is (WSK-17).
        payload.extend_from_slice(format!("{error:>10}").as_bytes());
        self.put_control(outbound, Control::Close, &payload);
        true
    }
}

impl Hearing {
    /// The header of the next frame, the length of its payload, and how many of `bytes` that took.
    fn header(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(FrameHeader, u64, usize)>, WebSocketError> {
        let before = self.head_len;
        let len = bytes.len().min(HEAD_MAX - before);
        self.head[before..before + len].copy_from_slice(&bytes[..len]);
        self.head_len += len;
        let mut cursor = Cursor::new(&self.head[..self.head_len]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| WebSocketError::Malformed)?;
        let Some((header, len)) = parsed else { return Ok(None) };
        self.head_len = 0;
        Ok(Some((header, len, cursor.position() as usize - before)))
    }
}

impl OpenFrame {
    /// Takes the mask off the next bytes of the payload.
    fn unmask(&mut self, payload: &mut [u8]) {
        unmask(payload, self.mask);
        self.mask.rotate_left(payload.len() % 4);
        self.left -= payload.len() as u64;
    }
}

/// Masks, or takes the mask off.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    let word = u32::from_ne_bytes(mask);
    for chunk in words {
        *chunk = (u32::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}
