//! The authorization key and its identifiers.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hash::{equal, part, sha1};

/// Bytes of an auth key that a server may keep. Messages need fewer: the first 128, and 136 in 1.0.
const STORED_LEN: usize = 192;

/// Identifier of an auth key: the last 8 bytes of its SHA-1, read as a little-endian number.
///
/// Zero marks an unencrypted message and never names a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuthKeyId(pub u64);

impl AuthKeyId {
    /// The identifier from its 8 bytes on the wire.
    #[must_use]
    pub const fn from_le_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// The 8 bytes as they stand on the wire.
    #[must_use]
    pub const fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl fmt::Debug for AuthKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKeyId({:016x})", self.0)
    }
}

impl fmt::Display for AuthKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The secret that a client and a server share after a key exchange.
///
/// Shape:  256 bytes, a big-endian number padded with zeros on the left. A server forgets bytes
///         192..256 ([`forget_client_part`](Self::forget_client_part)), so that it cannot read what
///         a client protects with them.
/// Source: MTProto, "Creating an Authorization Key", "Mobile Protocol: Detailed Description".
///
/// Wiped on drop. `Debug` shows the identifier only, and `==` takes constant time.
#[derive(Clone)]
pub struct AuthKey {
    id: AuthKeyId,
    aux_hash: [u8; 8],
    bytes: Box<[u8; 256]>,
    complete: bool,
}

impl AuthKey {
    /// The key from all its bytes, as a client holds it and as both sides compute it.
    #[must_use]
    pub fn new(mut bytes: [u8; 256]) -> Self {
        let hash = sha1(&[&bytes]);
        let key = Self {
            id: AuthKeyId::from_le_bytes(part(&hash, 12)),
            aux_hash: part(&hash, 0),
            bytes: Box::new(bytes),
            complete: true,
        };
        bytes.zeroize();
        key
    }

    /// The key as a server stored it: without the last 64 bytes, and so with its hashes beside it.
    #[must_use]
    pub fn from_stored(id: AuthKeyId, aux_hash: [u8; 8], stored: &[u8; STORED_LEN]) -> Self {
        let mut bytes = Box::new([0; 256]);
        bytes[..STORED_LEN].copy_from_slice(stored);
        Self { id, aux_hash, bytes, complete: false }
    }

    /// The identifier that stands in front of every packet under this key.
    #[must_use]
    pub fn id(&self) -> AuthKeyId {
        self.id
    }

    /// The first 8 bytes of the key's SHA-1, used in the hashes that end the key exchange.
    #[must_use]
    pub fn aux_hash(&self) -> [u8; 8] {
        self.aux_hash
    }

    /// All bytes, unless this key went through a server's store.
    #[must_use]
    pub fn full(&self) -> Option<&[u8; 256]> {
        self.complete.then_some(&*self.bytes)
    }

    /// The bytes a server may keep, and all that messages ever need.
    #[must_use]
    pub fn stored(&self) -> &[u8; STORED_LEN] {
        self.bytes.first_chunk().expect("192 is less than 256")
    }

    /// Wipes the last 64 bytes, as a server must once the exchange is done.
    pub fn forget_client_part(&mut self) {
        self.bytes[STORED_LEN..].zeroize();
        self.complete = false;
    }
}

impl From<[u8; 256]> for AuthKey {
    fn from(bytes: [u8; 256]) -> Self {
        Self::new(bytes)
    }
}

impl PartialEq for AuthKey {
    fn eq(&self, other: &Self) -> bool {
        self.complete == other.complete && equal(&*self.bytes, &*other.bytes)
    }
}

impl Eq for AuthKey {}

impl Zeroize for AuthKey {
    /// Wipes the key; the identifiers, which are no secret, stay.
    fn zeroize(&mut self) {
        self.bytes.zeroize();
        self.complete = false;
    }
}

impl Drop for AuthKey {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for AuthKey {}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({})", self.id)
    }
}
