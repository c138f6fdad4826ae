//! MTProto as a sans-IO core: links, sessions and key exchange for both ends.

pub mod transport;
