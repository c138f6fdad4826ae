//! `Debug` of generated types: one routine for all, since a derived one for each of some thousand
//! types would be a large part of what it costs to compile them.

use std::fmt::{self, Formatter};
use std::sync::OnceLock;

use bytes::Bytes;

use super::Schema;
use super::walk::{Stop, Walk};
use crate::wire::{Encode, to_bytes};

/// Writes a value as its schema names it: `inputPeerUser { user_id: 1, access_hash: 2 }`.
#[doc(hidden)]
pub fn fmt<T: Encode>(schema: &Schema, value: &T, f: &mut Formatter<'_>) -> fmt::Result {
    match to_bytes(value) {
        Ok(bytes) => print(schema, bytes, f),
        Err(error) => write!(f, "({error})"),
    }
}

fn print(schema: &Schema, bytes: Bytes, f: &mut Formatter<'_>) -> fmt::Result {
    match Walk::new(schema, bytes).object(f) {
        Ok(()) => Ok(()),
        // What another schema made, inside an `Object` or a wrapped query.
        Err(Stop::Fault) => f.write_str("…"),
        Err(Stop::Sink) => Err(fmt::Error),
    }
}

/// A schema text, parsed on first use.
#[doc(hidden)]
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
