//! The doors and the loop, against real sockets and in-memory pipes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod connect;
mod driver;
mod fake_tls;
mod limits;
mod proxies;
mod proxy_protocol;
mod shutdown;
mod sockets;
mod ws;
