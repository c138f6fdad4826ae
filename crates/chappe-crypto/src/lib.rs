//! The cipher suite of MTProto and nothing more.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ige`], [`ctr`], [`cbc`] | AES-256 in the three modes the protocol uses, in place |
//! | [`msg_key`] | message keys and the AES keys derived from them, 2.0 and 1.0 |
//! | [`packet`] | whole encrypted packets, one or a batch |
//!
//! Nothing here reads a clock, a file or the entropy of the system: whoever needs randomness
//! passes an [`Rng`]. Secrets are wiped on drop, compared in constant time and never printed.

mod auth_key;
pub mod cbc;
pub mod ctr;
mod direction;
mod hash;
pub mod ige;
pub mod msg_key;
pub mod packet;
mod rng;
mod simd;

pub use auth_key::{AuthKey, AuthKeyId};
pub use ctr::Ctr;
pub use direction::Direction;
pub use hash::{equal, sha1, sha256};
pub use rng::Rng;
