//! The numbers that name things on the wire, each with the rule that makes it valid.

use std::fmt;
use std::time::Duration;

/// Which end of a link or session we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that opened the connection and asks.
    Client,
    /// The end that accepted it and answers.
    Server,
}

/// Identifier of one message, unique within its session and rising.
///
/// Shape:  `long`; the high 32 bits are Unix seconds, the low 32 bits the fraction.
/// Origin: the two lowest bits are 0 from a client; 1 in an answer, 3 otherwise, from a server.
/// Source: MSG-07, MSG-08, MSG-09.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsgId(pub i64);

impl MsgId {
    /// Creation time that the id states, since the Unix epoch.
    pub fn time(self) -> Duration {
        let raw = self.0 as u64;
        let nanos = ((raw & 0xffff_ffff) * 1_000_000_000) >> 32;
        Duration::new(raw >> 32, nanos as u32)
    }

    /// Whether `from` may have written this id.
    ///
    /// A negative one is of no time before 2038. A server refuses it for that; a client, whose
    /// clock follows the server's ids, must not follow this one, for its own ids cannot.
    pub fn may_come_from(self, from: Side) -> bool {
        match from {
            Side::Client => self.0 & 3 == 0,
            Side::Server => self.0 & 1 == 1 && self.0 > 0,
        }
    }

    /// Whether the low 32 bits are a real fraction of a second (MSG-10).
    pub fn has_fraction(self) -> bool {
        self.0 & 0xffff_ffff != 0
    }
}

impl fmt::Debug for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MsgId({:016x})", self.0)
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Identifier of a session: random, chosen by the client, never 0 (MSG-R07).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:016x})", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One connection, numbered by whoever drives it; never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);
