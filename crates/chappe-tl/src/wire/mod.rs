//! Bytes ⇄ values: the bounded reader, the writer, and the traits that every TL type has.

mod error;
pub(crate) mod fixed;
#[cfg(feature = "gzip")]
pub mod gzip;
mod raw;
mod reader;
mod string;
mod traits;
mod writer;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use raw::Raw;
pub use reader::{Limits, Reader};
pub use string::Str;
pub use traits::{
    About, Call, Constructor, Decode, Encode, Fields, Function, FunctionInfo, Read, blank,
    from_bytes, same, to_bytes,
};
pub use writer::Writer;

/// Id of the boxed vector, `vector {t:Type} # [ t ] = Vector t`.
pub const VECTOR_ID: u32 = 0x1cb5_c415;
/// Id of `boolTrue = Bool`.
pub const BOOL_TRUE_ID: u32 = 0x9972_75b5;
/// Id of `boolFalse = Bool`.
pub const BOOL_FALSE_ID: u32 = 0xbc79_9737;
