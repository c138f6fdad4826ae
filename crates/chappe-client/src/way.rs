//! How a server is spoken to, and what to try when a network lets one way not pass.

use std::fmt;

/// What carries packets to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Way {
    /// TCP, in the transport that [`Builder::transport`](crate::Builder::transport) sets.
    Tcp,
    /// TCP, in that framing behind obfuscation, so that it looks like nothing in particular.
    Obfuscated,
}

/// What to try when the first way is blocked: when nobody accepts connections, or takes one and
/// says not a byte.
///
/// What has worked is used from then on, and left only when it fails twice in a row. Each further
/// way costs the time in which the one before it turns out to be blocked: that of a connection, and
/// 5 s in which nothing comes on one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fallback(Vec<Way>);

impl Fallback {
    /// Nothing else: a blocked way is tried until it is free.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything there is, what costs least first.
    pub fn all() -> Self {
        Self(vec![Way::Tcp, Way::Obfuscated])
    }

    /// These, in this order.
    pub fn to(ways: impl IntoIterator<Item = Way>) -> Self {
        Self(ways.into_iter().collect())
    }

    /// The first way and those to try after it.
    pub(crate) fn after(&self, first: Way) -> Vec<Way> {
        let mut ways = vec![first];
        for way in &self.0 {
            if !ways.contains(way) {
                ways.push(*way);
            }
        }
        ways
    }
}

impl Way {
    /// The name in settings and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Obfuscated => "obfuscated",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
