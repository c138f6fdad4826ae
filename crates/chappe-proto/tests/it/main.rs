//! Tests of the public interface, one module for each chapter of the rules.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod pair;
mod raw;
mod session_pair;
mod transport_control;
mod transport_detect;
mod transport_ends;
mod transport_framing;
mod transport_obfuscated;
mod transport_streams;
