//! What generated code refers to; not for people.

use std::sync::OnceLock;

use crate::schema::Schema;
pub use crate::schema::print::fmt;
pub use crate::wire::{
    Constructor, Decode, Encode, Fields, Function, FunctionInfo, Raw, Read, Reader, Str, Writer,
    blank, same,
};
pub use bytes::Bytes;

/// What reading a wrapper gives.
pub type Decoded<T> = Result<T, crate::DecodeError>;

/// Writes the fields of a wrapper, which are known before it is known that they can be read.
pub trait WriteFields {
    /// Appends the fields without the id.
    fn write_fields(&self, w: &mut Writer);
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

/// A schema text, parsed on first use.
#[derive(Debug)]
pub struct Parsed {
    text: &'static str,
    schema: OnceLock<Schema>,
}

impl Parsed {
    /// Nothing is parsed yet.
    pub const fn new(text: &'static str) -> Self {
        Self { text, schema: OnceLock::new() }
    }

    /// The schema.
    pub fn get(&self) -> &Schema {
        self.schema.get_or_init(|| {
            Schema::parse(self.text).expect("the build script has parsed the same text")
        })
    }
}
