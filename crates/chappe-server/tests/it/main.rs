//! A server on a real socket, and a client made of the core's parts.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod binding;
mod cancel;
mod client;
mod crowd;
mod front;
mod functions;
mod holder;
mod hostile;
mod http;
mod http_sessions;
mod keys;
mod limits;
mod log;
mod metrics;
mod middle;
mod middle_proxy;
mod mtproto1;
mod proxied;
mod push;
mod quick_acks;
mod router;
mod sessions;
mod shutdown;
mod stale;
mod temporary;
mod tls;
mod udp;
mod web;
mod world;
mod ws;
