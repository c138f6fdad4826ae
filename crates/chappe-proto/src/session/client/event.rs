//! What a client's session tells its owner.

use bytes::Bytes;
use chappe_tl::Raw;

use super::{CallError, CallId};
use crate::ids::SessionId;

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The answer to a call: each call gets exactly one.
    Answer(CallId, Result<Raw, CallError>),
    /// The server says that it has a call, sent with
    /// [`CallOptions::quick_ack`](super::CallOptions::quick_ack). Nothing proves who says so, and
    /// nothing follows from it: it is for whoever watches the call.
    QuickAck(CallId),
    /// A message nobody asked for: an update, or whatever else the server's schema pushes.
    Pushed(Bytes),
    /// The server began this session anew: what was pushed before may be lost (SVC-40).
    PushesMayBeLost,
    /// The server's salt changed; worth storing with the key (SES-25).
    Salt(i64),
    /// We began a new session, with this id (06 §4).
    Restarted(SessionId),
    /// The link is of no use: close it and open another.
    LinkIsDead(DeadLink),
}

/// Why a link is of no use, though nobody closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLink {
    /// No pong came in time, or nothing at all while calls wait (SES-14, SVC-35).
    Silent,
    /// It brings pongs, and no word of calls that were sent long ago (SES-14).
    Deaf,
    /// What came on it was too old or too new to be heeded (MSG-R09).
    Untimely,
    /// The server refuses every salt that it gave us itself (SES-27).
    Saltless,
}
