//! The proxy between clients, data centres, sites and strangers, over sockets.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod access;
mod centres;
mod changes;
mod client;
mod greetings;
mod handover;
mod limits;
mod measure;
mod middle;
mod middle_world;
mod persisted;
mod pressure;
mod probes;
#[path = "../../../chappe-net/tests/it/proxies.rs"]
mod proxies;
mod relay;
mod site;
mod world;
