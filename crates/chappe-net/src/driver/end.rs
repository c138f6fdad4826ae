//! How a link came to its end.

use std::io;

use bytes::BytesMut;
use chappe_proto::link::CloseReason;
use chappe_proto::transport::fake_tls::RecordError;
use chappe_proto::transport::{Carrier, PacketSize};

use crate::ws::WebSocketError;

/// How a link came to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// By the rules of the protocol, or the wish of its owner.
    #[error(transparent)]
    Closed(CloseReason),
    /// The peer speaks a protocol that carries ours. The connection is as it was, but for these
    /// bytes that were read: [`Prefixed`](crate::Prefixed) puts them back.
    #[error("the peer speaks {0}")]
    HandOver(Carrier, BytesMut),
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    Eof,
    /// The peer closed the connection in the middle of a request of HTTP.
    #[error("the peer closed the connection after {got} of {len} bytes of a request's body")]
    Cut {
        /// Bytes of the body that came.
        got: usize,
        /// What its head announced.
        len: usize,
    },
    /// The peer broke the rules of HTTP.
    #[error("the peer breaks the rules of HTTP: {0}")]
    Http(hyper::Error),
    /// The peer broke the rules of WebSocket.
    #[error(transparent)]
    WebSocket(WebSocketError),
    /// The peer sent something else than records of fake TLS.
    #[error(transparent)]
    FakeTls(RecordError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The peer reads too slowly, or not at all.
    #[error("{waiting} bytes wait for a peer that does not read them")]
    Stalled {
        /// Bytes not written.
        waiting: usize,
    },
    /// The owner wanted to send what no frame can hold.
    #[error(transparent)]
    Oversize(#[from] PacketSize),
}

impl End {
    /// Every [`cause`](Self::cause).
    pub const CAUSES: [&str; 17] = [
        "eof",
        "http",
        "websocket",
        "fake_tls",
        "io",
        "stalled",
        "oversize",
        "frame",
        "packet",
        "plain",
        "foreign_key",
        "unencrypted",
        "silent",
        "no_ping",
        "error",
        "owner",
        "other",
    ];

    /// The cause in a word, for counters.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Eof | Self::Cut { .. } => "eof",
            Self::Http(_) => "http",
            Self::Io(_) => "io",
            Self::Stalled { .. } => "stalled",
            Self::Oversize(_) => "oversize",
            Self::WebSocket(_) => "websocket",
            Self::FakeTls(_) => "fake_tls",
            Self::HandOver(..) => "other",
            Self::Closed(reason) => match reason {
                CloseReason::Frame(_) => "frame",
                CloseReason::Packet(_) => "packet",
                CloseReason::Plain(_) => "plain",
                CloseReason::ForeignKey(_) => "foreign_key",
                CloseReason::Unencrypted => "unencrypted",
                CloseReason::Silent => "silent",
                CloseReason::NoPing => "no_ping",
                CloseReason::Error(_) => "error",
                CloseReason::Owner => "owner",
                _ => "other",
            },
        }
    }
}
