//! What a link tells its owner.

use chappe_crypto::AuthKeyId;

use crate::envelope::encrypted::{Opened, PacketError};
use crate::envelope::plain::{PlainError, PlainMessage};
use crate::transport::{Carrier, FrameError};

/// What came over a link, or became of it.
#[derive(Debug)]
pub enum LinkEvent {
    /// To a server with a secret: the data centre that the client means, which is served or
    /// answered with 444 (OBF-14). The first of all events, if it comes.
    Dc(i16),
    /// A message of the key exchange.
    Plain(PlainMessage),
    /// A packet names this key: answer with [`provide_key`](super::Link::provide_key). Nothing more is read until then.
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
    /// To a client that has a key: an unencrypted message, which nobody has to say any more.
    #[error("unencrypted message while a key is in use")]
    Unencrypted,
    /// The peer speaks a protocol that carries ours: whoever serves that goes on with the
    /// connection, from the bytes that were heard.
    #[error("the peer speaks {0}")]
    HandOver(Carrier),
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
