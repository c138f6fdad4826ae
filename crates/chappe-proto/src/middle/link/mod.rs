//! A whole link: [`ProxyLink`] is the end that dials, [`MiddleLink`] the one that is dialled.
//!
//! Either holds no socket, clock or task. The caller
//!
//! 1. feeds what happened: `handle_bytes`, `handle_timeout`, or a verb such as `send`;
//! 2. drains `poll_event` until it gives `None`, and writes what `poll_transmit` appends;
//! 3. waits for input, at most until `poll_timeout`, and begins again.
//!
//! A link that is over says so once by its last event, and does nothing more. What is still to be
//! sent then should be sent.

mod line;
mod middle;
mod proxy;
mod recent;

use std::time::Duration;

pub use self::middle::{MiddleEvent, MiddleLink};
pub use self::proxy::{NotSent, ProxyEvent, ProxyLink};
use super::frames::Checksum;
use super::greeting::GreetingError;
use super::messages::MessageError;
use crate::transport::FrameError;

/// Limits and timers of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Longest wait for the peer's greeting. Default: 10 s (MPX-07).
    pub greeting_max: Duration,
    /// The peer is asked whether it is there after this silence. Default: 5 s (MPX-07).
    pub ping_after: Duration,
    /// A link that was asked and silent for this long takes no new clients. Default: 10 s (MPX-07).
    pub suspect_after: Duration,
    /// It is given up after this silence. Default: 100 s (MPX-07).
    pub silent_max: Duration,
    /// Clients at once. Default: 50 000. One costs about 200 bytes here, and what its owner keeps.
    pub clients_max: usize,
    /// The best checksum that is offered. Default: CRC-32 (MPX-04).
    pub checksum: Checksum,
    /// To a middle server: greet proxies that mean another process. Default: true, for many write the
    /// same in the place of every process, and where addresses are translated nobody can know
    /// (MPX-03, QRK-60).
    pub any_process: bool,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            greeting_max: Duration::from_secs(10),
            ping_after: Duration::from_secs(5),
            suspect_after: Duration::from_secs(10),
            silent_max: Duration::from_secs(100),
            clients_max: 50_000,
            checksum: Checksum::Crc32,
            any_process: true,
        }
    }
}

/// Why a link is over. Its clients are to be closed with it (MPX-05, MPX-14).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkEnd {
    /// What comes is not in frames any more.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer is not one that may be here.
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    /// A message that nobody can have meant.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The peer has said nothing for too long.
    #[error("nothing came in time")]
    Silent,
    /// The owner wanted it so.
    #[error("closed by its owner")]
    Owner,
}
