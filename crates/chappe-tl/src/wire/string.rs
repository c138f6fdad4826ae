//! TL `string`: bytes that should be UTF-8, short ones without an allocation.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

use super::writer::Writer;

/// A TL `string`. Keeps whatever bytes came; whoever needs text asks for it.
///
/// Up to 23 bytes live in the value itself; longer ones share the buffer they were read from.
#[derive(Clone)]
pub struct Str(Repr);

#[derive(Clone)]
enum Repr {
    Inline { length: u8, bytes: [u8; INLINE_MAX] },
    Shared(Bytes),
}

const INLINE_MAX: usize = 23;

impl Str {
    /// The text, when it is UTF-8.
    ///
    /// # Errors
    /// It is not; the peer is at fault.
    pub fn as_str(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self)
    }

    /// The text, with a replacement character for each part that is not UTF-8.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self)
    }

    /// The bytes as a shared buffer; copies short strings only.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Repr::Inline { .. } => Bytes::copy_from_slice(self),
            Repr::Shared(bytes) => bytes.clone(),
        }
    }

    #[inline]
    pub(crate) fn write(&self, w: &mut Writer) {
        match &self.0 {
            Repr::Inline { length, bytes } => w.short_bytes(*length, bytes),
            Repr::Shared(bytes) => w.bytes(bytes),
        }
    }

    #[inline]
    pub(crate) fn slice_of(data: &Bytes, start: usize, end: usize) -> Self {
        let length = end - start;
        if length > INLINE_MAX {
            return Self(Repr::Shared(data.slice(start..end)));
        }
        let mut bytes = [0; INLINE_MAX];
        // A copy of fixed size is a few instructions; it may take what follows along.
        match data[start..].first_chunk::<INLINE_MAX>() {
            Some(chunk) => bytes = *chunk,
            None => bytes[..length].copy_from_slice(&data[start..end]),
        }
        Self(Repr::Inline { length: length as u8, bytes })
    }

    #[inline]
    fn short(value: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE_MAX];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self(Repr::Inline { length: value.len() as u8, bytes }))
    }
}

impl Deref for Str {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => &bytes[..usize::from(*length).min(INLINE_MAX)],
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl Default for Str {
    fn default() -> Self {
        Self(Repr::Inline { length: 0, bytes: [0; INLINE_MAX] })
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        Self::short(bytes).unwrap_or_else(|| Self(Repr::Shared(Bytes::copy_from_slice(bytes))))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<Bytes> for Str {
    fn from(bytes: Bytes) -> Self {
        Self::short(&bytes).unwrap_or(Self(Repr::Shared(bytes)))
    }
}

impl AsRef<[u8]> for Str {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Str {}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        **self == *other.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        **self == *other.as_bytes()
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_string_lossy().fmt(f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::Str;

    /// A string costs no more memory than the shared slice inside it.
    #[test]
    fn string_is_four_words() {
        assert_eq!(size_of::<Str>(), 32);
    }
}
