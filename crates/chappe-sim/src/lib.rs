//! A deterministic world in which clients and servers of MTProto meet every fault, from one seed.
//!
//! A seed decides everything: who calls what and when, how long bytes travel, what breaks, who
//! meddles, whose clock is wrong. [`run_seed`] plays one world and one exam of each end:
//!
//! - in a [`world`] real links and sessions of `chappe-proto`, coupled as the tasks of server and
//!   client couple them ([`node`], [`peer`]), live through the faults of a [`fault::Plan`]; the
//!   [`model`] judges every step; in some of them clients are [`device`]s of accounts whose logs a
//!   [`town`] keeps, and have to end up with them;
//! - in an [`exam`] one end is written by hand, down to an envelope of its own ([`wire`]), says
//!   what no honest peer would, and knows from the specification how it has to be judged.
//!
//! Time is virtual, and nothing depends on threads, addresses or the order of a hash map: a seed
//! gives the same [`trace`], byte for byte, wherever it runs.

pub mod clock;
pub mod device;
pub mod exam;
pub mod fault;
pub mod identity;
pub mod model;
pub mod network;
pub mod node;
pub mod peer;
mod play;
pub mod town;
pub mod trace;
pub mod wire;
pub mod words;
pub mod world;

pub use play::{examine, run_seed};
