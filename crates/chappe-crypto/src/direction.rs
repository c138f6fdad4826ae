//! Which way a message travels.

/// Direction of a message, which selects the bytes of the auth key that protect it.
///
/// It belongs to the message, never to whoever created the key or opened the connection.
/// Source: MTProto 2.0, "Defining AES Key and Initialization Vector", parameter x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// x = 0.
    ClientToServer,
    /// x = 8.
    ServerToClient,
}

impl Direction {
    /// The other direction.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }

    /// Offset x into the auth key.
    pub(crate) const fn x(self) -> usize {
        match self {
            Self::ClientToServer => 0,
            Self::ServerToClient => 8,
        }
    }
}
