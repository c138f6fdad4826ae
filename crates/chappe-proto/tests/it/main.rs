//! Tests of the public interface, one module for each chapter of the rules.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod backoff;
mod bind;
mod container;
mod datagram_ends;
mod datagram_flight;
mod datagram_sessions;
mod dials;
mod envelope;
mod fake_tls;
mod handshake_client;
mod handshake_ends;
mod handshake_pair;
mod handshake_server;
mod inbox;
mod keys;
mod link;
mod link_requests;
mod middle_config;
mod middle_ends;
mod middle_frames;
mod middle_greeting;
mod middle_link;
mod middle_messages;
mod msg_id;
mod mtproto1;
mod pair;
mod quick_acks;
mod raw;
mod rpc;
mod salts;
mod service;
mod session_calls;
mod session_client;
mod session_client_http;
mod session_edges;
mod session_forgotten;
mod session_http;
mod session_limits;
mod session_pair;
mod session_recovery;
mod session_server;
mod session_withheld;
mod time;
mod transport_control;
mod transport_detect;
mod transport_ends;
mod transport_framing;
mod transport_obfuscated;
mod transport_proxied;
mod transport_streams;
