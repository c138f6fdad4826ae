//! Tests of the client against a small server that misbehaves on demand.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod calls;
mod exchange;
mod keys;
mod links;
mod metrics;
mod mtproto1;
mod pfs;
#[path = "../../../chappe-net/tests/it/proxies.rs"]
mod proxies;
mod reach;
mod server;
mod storage;
mod ways;
mod web;
