//! Tests of the public interface, in one binary.
#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic as the test does")]

#[cfg(feature = "codegen")]
mod codegen;
mod dynamic;
mod flags;
mod functions;
#[cfg(feature = "gzip")]
mod gzip;
mod hostile;
mod roundtrip;
mod schema;
#[cfg(feature = "layers")]
mod transcode;
mod vectors;
