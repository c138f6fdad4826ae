//! What generated code refers to; not for people.

#[cfg(feature = "schema")]
pub use crate::schema::print::{Parsed, fmt};
pub use crate::wire::fixed::Head;
pub use crate::wire::{
    About, Call, Constructor, Decode, Encode, Fields, Function, FunctionInfo, Raw, Read, Reader,
    Str, Writer, blank, same,
};
pub use bytes::Bytes;

/// What reading a wrapper gives.
pub type Decoded<T> = Result<T, crate::DecodeError>;

/// Writes the fields of a wrapper, which are known before it is known that they can be read.
pub trait WriteFields {
    /// Appends the fields, with the id in front if `BOXED`.
    fn write_fields<const BOXED: bool>(&self, w: &mut Writer);
}

/// A constructor's id, name and the least number of bytes of its fields.
pub const fn about(id: u32, name: &'static str, min: usize) -> About {
    About { id, name, min }
}

/// The bits of a word of flags.
#[derive(Debug, Clone, Copy)]
pub struct Bits(pub u32);

impl Bits {
    /// Whether a bit is set.
    #[inline]
    pub fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// With the value of a `true` field.
    #[inline]
    pub fn flag(self, bit: u32, value: bool) -> Self {
        Self(self.0 | u32::from(value) << bit)
    }

    /// Sets a bit.
    #[inline]
    pub fn set(&mut self, bit: u32) {
        self.0 |= 1 << bit;
    }
}

impl Read for Bits {
    const MIN: usize = 4;
    #[inline]
    fn read(r: &mut Reader) -> Self {
        Self(r.get())
    }
}

/// A row of the table of functions.
pub const fn function(id: u32, name: &'static str) -> FunctionInfo {
    FunctionInfo { id, name }
}

/// Reads a wrapper with its id: one level of nesting.
pub fn wrapper<T: Constructor>(r: &mut Reader) -> Decoded<T> {
    let id = r.begin();
    if id != T::ID {
        r.unknown(id, T::NAME);
    }
    let value = T::decode_bare(r)?;
    r.end();
    Ok(value)
}
