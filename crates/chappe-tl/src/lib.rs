//! TL: its text, its bytes, its Rust.
//!
//! - [`Reader`] and [`Writer`] with the traits [`Encode`], [`Decode`], [`Constructor`] and
//!   [`Function`]: values ⇄ bytes. Reading is bounded in depth and size and shares the input.
//! - `schema` (feature, on by default): the text of a schema → definitions, checked.
//! - [`dynamic`] (feature, on by default): values by schema at run time; JSON with the feature
//!   `json`.
//! - `history` and `transcode` (feature `layers`): a schema through its layers; an object of one
//!   layer as another layer has it.
//! - `codegen` (feature): definitions → Rust, for a `build.rs`:
//!
//! ```ignore
//! // build.rs
//! fn main() {
//!     chappe_tl::codegen::build("schema/weather.tl");
//! }
//! // lib.rs
//! pub mod weather {
//!     chappe_tl::include_schema!("weather");
//! }
//! ```

#[cfg(feature = "codegen")]
pub mod codegen;
#[cfg(feature = "dynamic")]
pub mod dynamic;
#[doc(hidden)]
pub mod generated;
#[cfg(feature = "layers")]
pub mod history;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "layers")]
pub mod transcode;
mod wire;

pub use bytes::Bytes;
#[cfg(feature = "gzip")]
pub use wire::gzip;
pub use wire::{
    BOOL_FALSE_ID, BOOL_TRUE_ID, Constructor, Decode, DecodeError, DecodeErrorKind, Encode,
    EncodeError, Function, FunctionInfo, Limits, Raw, Read, Reader, Str, VECTOR_ID, Writer, blank,
    from_bytes, to_bytes,
};

/// Includes the Rust that `codegen::build` made of `<name>.tl`.
#[macro_export]
macro_rules! include_schema {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
    };
}
