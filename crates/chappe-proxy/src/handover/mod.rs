//! Handing a running proxy over to another process: the sockets it listens at, what it knows, and
//! what it goes on counting.
//!
//! ```text
//!  new                                    old
//!   │ Ask ───────────────────────────────▶ │   at the socket `control` in the state folder
//!   │ ◀──── sockets, traffic, greetings ── │
//!   │ binds what is new, accepts           │   accepts as well: nobody is refused
//!   │ Commit ────────────────────────────▶ │   accepts no more, writes no file any more
//!   │ ◀────────────────────────────── Yours│
//!   │ ◀─── reports, greetings ───────────▶ │   until its connections have ended
//!   │ ◀─────────────────────────────── Done│
//!   │ Bye ───────────────────────────────▶ │   ends
//! ```
//!
//! A new process that fails before it says `Commit` is forgotten, and the old one goes on. Both tell
//! each other what users pass from the first offer on, as increments that each end books once
//! ([`ledger`]); so a third process may take over while the first still has connections, and what
//! the first counts comes to the third through the second.
//!
//! | file | holds |
//! | --- | --- |
//! | `wire` | frames, and descriptors beside them |
//! | `ledger` | what the other process was told of each user, and what it told |
//! | `link` | the connection of the two, either end |
//! | `desk` | where a successor asks |
//! | `predecessor` | asking |

mod desk;
mod ledger;
mod link;
mod predecessor;
mod wire;

pub(crate) use self::desk::Desk;
pub(crate) use self::ledger::Ledger;
pub(crate) use self::link::{Link, Links, Turn};
pub use self::predecessor::{HandoverError, Predecessor};
pub(crate) use self::wire::Presence;

use std::os::fd::OwnedFd;

/// A listening socket that outlives the process that opened it.
#[derive(Debug)]
pub struct Socket {
    /// What it is for, such as `listen`: whoever opened it knows.
    pub role: String,
    /// The address as the settings have it. A successor whose settings have the same takes it.
    pub asked: String,
    /// The socket, or a duplicate of it.
    pub socket: OwnedFd,
}

/// Whether a process is the one that accepts connections and keeps the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Charge {
    /// Not yet: another one still is.
    Asked,
    /// It is.
    Held,
    /// Not any more: it serves the connections that it has.
    HandedOver,
}

/// Which link something came by; each process counts its own.
pub(crate) type LinkId = u64;
/// What came by none.
pub(crate) const HERE: LinkId = LinkId::MAX;
/// The link to the predecessor.
pub(crate) const TO_PREDECESSOR: LinkId = 0;

/// Name of the socket in the state folder.
const CONTROL: &str = "control";
