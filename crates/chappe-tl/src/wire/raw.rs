//! A value somebody else has encoded, or will decode.

use bytes::Bytes;

use super::reader::Reader;
use super::traits::{Encode, Read};
use super::writer::Writer;

/// The encoding of one boxed value: TL `Object`, or a query whose type does not matter here.
///
/// Reads everything that is left and writes it as it is, so it comes last wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Raw(pub Bytes);

impl Raw {
    /// Encodes `value` now.
    ///
    /// # Errors
    /// A part of the value has no encoding.
    pub fn new<T: Encode + ?Sized>(value: &T) -> Result<Self, super::EncodeError> {
        super::to_bytes(value).map(Self)
    }

    /// Constructor id of the value; `None` when it is too short to have one.
    pub fn id(&self) -> Option<u32> {
        self.0.first_chunk().map(|id| u32::from_le_bytes(*id))
    }
}

impl Read for Raw {
    const MIN: usize = 4;
    fn read(r: &mut Reader) -> Self {
        if r.peek_id().is_none() {
            r.fail(super::DecodeErrorKind::UnexpectedEnd);
        }
        Self(r.rest())
    }
}

impl Encode for Raw {
    fn encode(&self, w: &mut Writer) {
        w.raw(&self.0);
    }
}
