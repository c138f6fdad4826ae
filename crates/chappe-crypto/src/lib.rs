//! The cipher suite of MTProto and nothing more.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ige`], [`ctr`], [`cbc`] | AES-256 in the three modes the protocol uses, in place |
//! | [`msg_key`] | message keys and the AES keys derived from them, 2.0 and 1.0 |
//! | [`packet`] | whole encrypted packets, one or a batch |
//! | [`rsa`] | server keys: encryption both ways, fingerprints, PEM |
//! | [`dh`], [`exchange`] | Diffie-Hellman with its checks; what else a key exchange derives |
//! | [`pq`] | the small factoring puzzle that opens a key exchange |
//! | [`srp`] | two-step verification by password, both sides |
//! | [`stored_key`] | an auth key protected by a password |
//! | [`x25519_public`] | keys that look as those of TLS do, for connections that imitate it |
//!
//! Nothing here reads a clock, a file or the entropy of the system: whoever needs randomness
//! passes an [`Rng`]. Secrets are wiped on drop, compared in constant time and never printed.

mod auth_key;
pub mod cbc;
pub mod ctr;
pub mod dh;
mod direction;
pub mod exchange;
mod hash;
pub mod ige;
mod modexp;
pub mod msg_key;
pub mod packet;
pub mod pq;
mod prime;
mod rng;
pub mod rsa;
mod simd;
pub mod srp;
pub mod stored_key;
mod x25519;

pub use auth_key::{AuthKey, AuthKeyId};
pub use ctr::Ctr;
pub use direction::Direction;
pub use hash::{equal, hmac_sha256, md5, sha1, sha256};
pub use rng::Rng;
pub use x25519::x25519_public;
