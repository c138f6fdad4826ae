//! How packets travel on a stream of bytes: framing, obfuscation, and telling which a peer speaks.
//!
//! A [`Codec`] is one side of one connection. A client makes it with [`Codec::client`], a server
//! gets it from [`Detect`]. Bytes come in as a `BytesMut` the caller reads into; packets go out as
//! bytes appended to another. What a packet holds is the concern of `handshake` and `envelope`.

mod abridged;
mod codec;
mod control;
mod dc_field;
mod detect;
mod error;
pub mod fake_tls;
mod full;
mod intermediate;
mod obfuscated;
mod payload;
mod proxied;
mod replay;
mod secret;

use std::fmt;
use std::str::FromStr;

pub use self::codec::{
    CLIENT_LIMIT, ClientOptions, Codec, Frame, HANDSHAKE_LIMIT, OpenFrame, PACKET_MAX, PacketSize,
    SERVER_LIMIT,
};
pub use self::dc_field::DcField;
pub use self::detect::{Carrier, Detect, DetectConfig, Detected};
pub use self::error::FrameError;
pub use self::payload::{PayloadError, payload_len};
pub use self::proxied::{ClientLeg, DOWN_KEYS, Downward, HEADER_LEN, Leg, Upward};
pub use self::secret::{EndpointSecret, EndpointSecretError, Secret};

/// How the packets of a connection are told apart, for its whole life and in both directions.
///
/// Source: MTProto transports, "Abridged", "Intermediate", "Padded intermediate", "Full".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Length in words, in one byte or four: the smallest.
    Abridged,
    /// Length in bytes, in four bytes.
    Intermediate,
    /// As intermediate, with random bytes after the packet that hide its length.
    Padded,
    /// Length, sequence number and CRC-32.
    Full,
}

impl Framing {
    /// The name in settings and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abridged => "abridged",
            Self::Intermediate => "intermediate",
            Self::Padded => "padded",
            Self::Full => "full",
        }
    }

    /// Whether a client can ask that the receipt of a packet be acknowledged quickly (10-transports
    /// §4).
    pub const fn has_quick_acks(self) -> bool {
        !matches!(self, Self::Full)
    }

    /// What a client sends first, or hides in its obfuscation header; full has no tag.
    const fn tag(self) -> Option<[u8; 4]> {
        match self {
            Self::Abridged => Some([0xef; 4]),
            Self::Intermediate => Some([0xee; 4]),
            Self::Padded => Some([0xdd; 4]),
            Self::Full => None,
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A framing, and whether obfuscation hides it.
///
/// The full framing cannot be obfuscated: the header has no tag for it, so the server could not
/// recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transport {
    framing: Framing,
    obfuscated: bool,
}

impl Transport {
    /// Every transport there is.
    pub const ALL: [Self; 7] = [
        Self::plain(Framing::Abridged),
        Self::plain(Framing::Intermediate),
        Self::plain(Framing::Padded),
        Self::plain(Framing::Full),
        Self { framing: Framing::Abridged, obfuscated: true },
        Self { framing: Framing::Intermediate, obfuscated: true },
        Self { framing: Framing::Padded, obfuscated: true },
    ];

    /// The framing as it is.
    pub const fn plain(framing: Framing) -> Self {
        Self { framing, obfuscated: false }
    }

    /// The framing behind obfuscation; `None` for [`Framing::Full`].
    pub const fn obfuscated(framing: Framing) -> Option<Self> {
        match framing.tag() {
            Some(_) => Some(Self { framing, obfuscated: true }),
            None => None,
        }
    }

    /// How packets are framed.
    pub const fn framing(self) -> Framing {
        self.framing
    }

    /// Whether the frames are hidden.
    pub const fn is_obfuscated(self) -> bool {
        self.obfuscated
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.obfuscated { OBFUSCATED } else { "" })?;
        self.framing.fmt(f)
    }
}

/// No transport has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown transport `{0}`, expected abridged, intermediate, padded or full, \
     the first three also as obfuscated-abridged and so on"
)]
pub struct UnknownTransport(String);

impl FromStr for Framing {
    type Err = UnknownTransport;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Abridged, Self::Intermediate, Self::Padded, Self::Full]
            .into_iter()
            .find(|framing| framing.name() == name)
            .ok_or_else(|| UnknownTransport(name.to_owned()))
    }
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let transport = match name.strip_prefix(OBFUSCATED) {
            Some(framing) => framing.parse().ok().and_then(Self::obfuscated),
            None => name.parse().ok().map(Self::plain),
        };
        transport.ok_or_else(|| UnknownTransport(name.to_owned()))
    }
}

/// The side of a connection a codec speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

/// What the first bytes of the input announce.
enum Head {
    /// The length field is not complete.
    Short,
    /// A frame of `header + body + trailer` bytes, whose length is acceptable.
    Frame { header: usize, body: usize, trailer: usize, quick_ack_wanted: bool },
    /// A word that stands alone, without a frame around it.
    Word(Frame),
}

const WORD: usize = 4;
const OBFUSCATED: &str = "obfuscated-";
