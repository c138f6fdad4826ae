//! Tests of the public interface, against the project's vectors and by rule.

mod aes;
mod auth_key;
mod packets;
mod rng;
mod vectors;
