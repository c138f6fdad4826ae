//! Any TL value.

use std::sync::Arc;

use bytes::Bytes;

use crate::wire::Str;

/// Any TL value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `double`
    Double(f64),
    /// `#` that no other field depends on.
    Nat(u32),
    /// `Bool`
    Bool(bool),
    /// Bare `true`, the value of a flag that is set. A flag that is not set is absent.
    True,
    /// `string`
    String(Str),
    /// `bytes`
    Bytes(Bytes),
    /// `int128`, bytes in order.
    Int128([u8; 16]),
    /// `int256`, bytes in order.
    Int256([u8; 32]),
    /// A vector, boxed or bare, or a repetition `n*[ … ]`.
    Vector(Vec<Value>),
    /// A value of a type with constructors, or a call.
    Object(Object),
}

/// A constructor or function with its fields.
///
/// The order of fields does not matter for encoding; decoding keeps that of the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    name: Arc<str>,
    fields: Vec<(Arc<str>, Value)>,
}

impl Object {
    /// An object without fields. `name` is the full name of its constructor or function; the
    /// elements of a repetition of several fields have none.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), fields: Vec::new() }
    }

    pub(super) fn from_parts(name: Arc<str>, fields: Vec<(Arc<str>, Value)>) -> Self {
        Self { name, fields }
    }

    /// The same object with that field. An anonymous field is named by its place, from `"0"`.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.retain(|(name, _)| **name != *field);
        self.fields.push((field.into(), value.into()));
        self
    }

    /// Full name of the constructor or function.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The field of that name; `None` when it is absent.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| **name == *field).map(|(_, value)| value)
    }

    /// The fields that are present.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (&**name, value))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Long(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Bytes(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::Vector(values)
    }
}
