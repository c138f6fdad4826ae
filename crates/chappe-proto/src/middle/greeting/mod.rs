//! How the two ends of a link recognise each other: a nonce and a handshake from either.
//!
//! ```text
//! proxy   nonce ──▶        middle     in clear
//!               ◀── nonce
//!     handshake ──▶                   from here on encrypted; who decrypts it knows the secret
//!               ◀── handshake
//! ```
//!
//! One type for each state, and steps consume the old one: [`proxy`], [`middle`].

pub mod middle;
pub mod proxy;

use std::net::{IpAddr, SocketAddr};

use super::frames::Checksum;
use super::keys::number;
use crate::now::Now;

/// One process, as the ends of a link call each other.
///
/// Shape: `ip:u32 port:u16 pid:u16 start:u32`, 12 bytes; an IPv4 address as a number, 0 where there
///        is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessId {
    /// Its IPv4 address as a number.
    pub ip: u32,
    /// Where it listens.
    pub port: u16,
    /// The low bits of what its system calls it.
    pub pid: u16,
    /// Unix seconds of its start.
    pub start: u32,
}

impl ProcessId {
    /// A process of which no more than an address is known. Those that only mean this machine are
    /// left out, for every process writes its own otherwise.
    pub fn at(address: SocketAddr) -> Self {
        let ip = match address.ip().to_canonical() {
            IpAddr::V4(ip) if !ip.is_loopback() => number(ip),
            _ => 0,
        };
        Self { ip, port: address.port(), ..Self::default() }
    }

    /// Whether this is the process that `pattern` means, where 0 stands for anything.
    pub fn matches(&self, pattern: &Self) -> bool {
        let agree = |got: u32, pattern: u32| pattern == 0 || got == pattern;
        agree(self.ip, pattern.ip)
            && agree(self.port.into(), pattern.port.into())
            && agree(self.pid.into(), pattern.pid.into())
            && agree(self.start, pattern.start)
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ip.to_le_bytes());
        out.extend_from_slice(&self.port.to_le_bytes());
        out.extend_from_slice(&self.pid.to_le_bytes());
        out.extend_from_slice(&self.start.to_le_bytes());
    }

    fn decode(bytes: &[u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, start @ ..] = *bytes;
        Self {
            ip: u32::from_le_bytes([a, b, c, d]),
            port: u16::from_le_bytes([e, f]),
            pid: u16::from_le_bytes([g, h]),
            start: u32::from_le_bytes(start),
        }
    }
}

/// Why a greeting fails, and with it the link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GreetingError {
    /// Neither a nonce nor a handshake, whichever was due.
    #[error("greeting of type {got:08x}, expected {expected:08x}")]
    Type {
        /// What was due.
        expected: u32,
        /// What came.
        got: u32,
    },
    /// Both have one length.
    #[error("greeting of {0} bytes, expected 32")]
    Length(usize),
    /// The peer means a secret that we do not know.
    #[error("proxy secret {0:08x} is not ours")]
    UnknownSecret(u32),
    /// The peer asks for something other than AES by the secret alone.
    #[error("encryption schema {0}, expected 1")]
    Schema(u32),
    /// The clocks differ by more than 30 s.
    #[error("the peer's clock differs by {0} s, 30 are allowed")]
    Clock(i64),
    /// The peer means another process.
    #[error("the greeting is for another process")]
    Process,
    /// Flags that are not known.
    #[error("flags {0:08x} in the handshake")]
    Flags(u32),
    /// The peer chose a checksum that was not offered.
    #[error("the peer chose a checksum that it was not offered")]
    Checksum,
    /// The peer refuses our greeting, with this code.
    #[error("the peer refuses the greeting with code {0}")]
    Refused(i32),
}

impl GreetingError {
    /// What the peer is told, once what it is told is encrypted.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Length(_) => Some(-3),
            Self::Process => Some(-4),
            Self::Clock(_) => Some(-6),
            Self::Flags(_) => Some(-7),
            Self::Checksum => Some(-8),
            Self::Type { .. } | Self::UnknownSecret(_) | Self::Schema(_) | Self::Refused(_) => None,
        }
    }
}

/// The first frame of either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nonce {
    selector: u32,
    time: u32,
    nonce: [u8; 16],
}

impl Nonce {
    fn encode(&self) -> Vec<u8> {
        let words = [NONCE, self.selector, AES, self.time];
        let mut out: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        out.extend_from_slice(&self.nonce);
        out
    }

    /// Reads and judges what does not depend on who reads it.
    fn decode(now: Now, payload: &[u8]) -> Result<Self, GreetingError> {
        expect_type(payload, NONCE)?;
        let schema = word(payload, 8);
        // Who prefers an exchange of keys sends a longer frame.
        if schema.is_some_and(|schema| schema != AES) {
            return Err(GreetingError::Schema(schema.unwrap_or_default()));
        }
        let (Some(selector), Some(time), LENGTH) =
            (word(payload, 4), word(payload, 12), payload.len())
        else {
            return Err(GreetingError::Length(payload.len()));
        };
        let ahead = i64::from(time).saturating_sub(now.unix_seconds());
        if ahead.abs() > SKEW_MAX {
            return Err(GreetingError::Clock(ahead));
        }
        let nonce = payload[16..].try_into().expect("the length was checked");
        Ok(Self { selector, time, nonce })
    }
}

/// The second frame of either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Handshake {
    flags: u32,
    sender: ProcessId,
    peer: ProcessId,
}

impl Handshake {
    fn encode(&self) -> Vec<u8> {
        let mut out = [HANDSHAKE.to_le_bytes(), self.flags.to_le_bytes()].concat();
        self.sender.encode(&mut out);
        self.peer.encode(&mut out);
        out
    }

    fn decode(payload: &[u8]) -> Result<Self, GreetingError> {
        if let (Some(HANDSHAKE_ERROR), Some(code)) = (word(payload, 0), word(payload, 4)) {
            return Err(GreetingError::Refused(code as i32));
        }
        expect_type(payload, HANDSHAKE)?;
        let (Some(flags), LENGTH) = (word(payload, 4), payload.len()) else {
            return Err(GreetingError::Length(payload.len()));
        };
        let process = |at| {
            let bytes: &[u8; 12] = payload[at..].first_chunk().expect("the length was checked");
            ProcessId::decode(bytes)
        };
        Ok(Self { flags, sender: process(8), peer: process(20) })
    }

    /// Refuses flags that nobody knows; the checksum that is asked for.
    fn checksum(&self) -> Result<Checksum, GreetingError> {
        if self.flags & 0xff != 0 {
            return Err(GreetingError::Flags(self.flags));
        }
        Ok(if self.flags & CRC32C != 0 { Checksum::Crc32c } else { Checksum::Crc32 })
    }
}

/// What ends a link whose greeting failed, for the peer (MPX-03).
pub(super) fn refusal(code: i32, sender: ProcessId) -> Vec<u8> {
    let mut out = [HANDSHAKE_ERROR.to_le_bytes(), code.to_le_bytes()].concat();
    sender.encode(&mut out);
    out
}

fn flags(checksum: Checksum) -> u32 {
    if checksum == Checksum::Crc32c { CRC32C } else { 0 }
}

fn expect_type(payload: &[u8], expected: u32) -> Result<(), GreetingError> {
    match word(payload, 0) {
        Some(got) if got != expected => Err(GreetingError::Type { expected, got }),
        _ => Ok(()),
    }
}

fn word(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*payload.get(at..)?.first_chunk()?))
}

const NONCE: u32 = 0x7acb_87aa;
const HANDSHAKE: u32 = 0x7682_eef5;
const HANDSHAKE_ERROR: u32 = 0x6a27_beda;
/// Encryption by the secret alone.
const AES: u32 = 1;
/// Length of both frames.
const LENGTH: usize = 32;
/// Seconds by which the clocks may differ.
const SKEW_MAX: i64 = 30;
/// The flag that offers CRC-32C, and takes it.
const CRC32C: u32 = 0x800;
