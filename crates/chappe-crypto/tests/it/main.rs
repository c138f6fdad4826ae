//! Tests of the public interface, against the project's vectors and by rule.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod aes;
mod auth_key;
mod dh;
mod exchange;
mod packets;
mod pq;
mod rng;
mod rsa;
mod srp;
mod stored_key;
mod vectors;
