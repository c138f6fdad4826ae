//! The data centre a client asks for in its obfuscation header.

/// Where a client wants its connection to end, as two bytes of the obfuscation header say it.
///
/// Shape:  `n` for production data centre n, `10000 + n` for a test one; negative for the
///         endpoint that serves media only.
/// Errors: an endpoint with a secret answers 444 to a data centre it does not serve.
/// Source: MTProto transports, "Transport obfuscation", the dc id field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DcField {
    /// Number of the data centre, from 1 on; content networks are about 200.
    pub id: u16,
    /// The test network.
    pub test: bool,
    /// The endpoint for media only; never set for a content network.
    pub media_only: bool,
}

impl DcField {
    /// Reads the field; `None` where it names no data centre, as 0 does.
    pub fn decode(field: i16) -> Option<Self> {
        let number = field.unsigned_abs();
        let test = number >= TEST;
        let id = if test { number - TEST } else { number };
        (id != 0).then_some(Self { id, test, media_only: field < 0 })
    }

    /// Writes the field; `None` for an id that does not fit.
    pub fn encode(self) -> Option<i16> {
        let offset = if self.test { TEST } else { 0 };
        let number = i16::try_from(self.id.checked_add(offset)?).ok()?;
        let field = if self.media_only { -number } else { number };
        (Self::decode(field) == Some(self)).then_some(field)
    }
}

/// Added to the number of a data centre of the test network.
const TEST: u16 = 10_000;
