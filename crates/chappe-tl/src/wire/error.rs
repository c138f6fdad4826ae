//! Why bytes are no value, or a value no bytes.

use std::fmt;

/// Why bytes could not be read as a value: what was met, where, and inside which definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// What was met.
    pub kind: DecodeErrorKind,
    /// Offset in bytes from the beginning of the reader's input.
    pub offset: usize,
    /// Innermost definition being read, by its TL name; empty outside of any.
    ///
    /// The field is found, when somebody asks, by
    /// [`Schema::locate`](crate::schema::Schema::locate).
    pub within: &'static str,
}

/// What a reader met instead of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends before the value does.
    UnexpectedEnd,
    /// An id that is no constructor of the type, or no function that is known.
    UnknownConstructor {
        /// The id as read.
        id: u32,
        /// The TL type that was expected.
        expected: &'static str,
    },
    /// Objects and vectors are nested deeper than [`Limits::depth`](super::Limits::depth).
    TooDeep,
    /// A vector counts more elements than the rest of the input can hold.
    VectorTooLong {
        /// The count as read.
        count: i32,
    },
    /// A string begins with `ff`, or a vector counts less than zero elements.
    BadLength,
    /// A `Bool` that is neither true nor false.
    BadBool {
        /// The id as read.
        id: u32,
    },
    /// The value ended and the input did not.
    TrailingBytes {
        /// How many bytes are left.
        count: usize,
    },
    /// A value of a type that has none (`Empty T;`).
    Uninhabited,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DecodeErrorKind::UnexpectedEnd => write!(f, "unexpected end of input")?,
            DecodeErrorKind::UnknownConstructor { id, expected } => {
                write!(f, "unknown constructor {id:08x} where {expected} is expected")?;
            }
            DecodeErrorKind::TooDeep => write!(f, "objects are nested too deep")?,
            DecodeErrorKind::VectorTooLong { count } => {
                write!(f, "vector of {count} elements does not fit in the input")?;
            }
            DecodeErrorKind::BadLength => write!(f, "malformed length")?,
            DecodeErrorKind::BadBool { id } => write!(f, "{id:08x} is no Bool")?,
            DecodeErrorKind::TrailingBytes { count } => {
                write!(f, "{count} bytes left after the value")?;
            }
            DecodeErrorKind::Uninhabited => write!(f, "the type has no values")?,
        }
        write!(f, " at offset {}", self.offset)?;
        if self.within.is_empty() { Ok(()) } else { write!(f, " in {}", self.within) }
    }
}

impl std::error::Error for DecodeError {}

/// Why a value has no encoding. Always a fault of the caller, never of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// `string` or `bytes` of 2^24 bytes or more.
    StringTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A vector of 2^31 elements or more.
    VectorTooLong {
        /// How many elements it has.
        count: usize,
    },
    /// Fields that one word of the definition ties together do not agree.
    FieldsDisagree {
        /// TL name of the definition.
        within: &'static str,
    },
    /// A value of a type that has none (`Empty T;`).
    Uninhabited,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StringTooLong { length } => {
                write!(f, "string of {length} bytes is longer than 16777215")
            }
            Self::VectorTooLong { count } => {
                write!(f, "vector of {count} elements is longer than 2147483647")
            }
            Self::FieldsDisagree { within } => write!(f, "fields of {within} do not agree"),
            Self::Uninhabited => write!(f, "the type has no values"),
        }
    }
}

impl std::error::Error for EncodeError {}
