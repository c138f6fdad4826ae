//! Fuzz targets as functions: each takes bytes, acts on them, and panics if something that must
//! hold whatever comes does not.
//!
//! They are driven in three ways: by libFuzzer (`fuzz/`), by the program of this crate, which needs
//! nothing but stable Rust, and by the tests of this crate, which replay the corpora.

// What a target asserts it says by panicking; so do its helpers.
#![allow(clippy::unwrap_used)]

mod datagrams;
mod detect;
mod envelope;
mod handshake_client;
mod handshake_server;
mod identity;
pub mod inputs;
mod middle;
mod requests;
mod script;
mod session_client;
mod session_server;
mod tl_decode;
mod tl_schema;
mod words;

/// One thing to be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name; also that of its folder below `fuzz/corpus`.
    pub name: &'static str,
    /// Acts on one input.
    pub run: fn(&[u8]),
    /// Longest input of use, in bytes.
    pub len_max: usize,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "tl_decode", run: tl_decode::run, len_max: 4096 },
    Target { name: "tl_schema", run: tl_schema::run, len_max: 2048 },
    Target { name: "detect", run: detect::run, len_max: 2048 },
    Target { name: "requests", run: requests::run, len_max: 1024 },
    Target { name: "datagrams", run: datagrams::run, len_max: 2048 },
    Target { name: "middle", run: middle::run, len_max: 2048 },
    Target { name: "envelope", run: envelope::run, len_max: 2048 },
    Target { name: "handshake_client", run: handshake_client::run, len_max: 1024 },
    Target { name: "handshake_server", run: handshake_server::run, len_max: 1024 },
    Target { name: "session_client", run: session_client::run, len_max: 2048 },
    Target { name: "session_server", run: session_server::run, len_max: 2048 },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
