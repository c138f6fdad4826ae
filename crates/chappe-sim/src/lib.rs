//! A deterministic world in which clients and servers of MTProto meet every fault, from one seed.
//!
//! A seed decides everything: who calls what and when, how long bytes travel, what breaks, who
//! meddles, whose clock is wrong. [`run_seed`] plays one world and one exam:
//!
//! - in a [`world`] real `Link`s and sessions of `chappe-proto`, coupled as the server's and the
//!   client's tasks couple them ([`node`], [`peer`]), live through the faults of a [`fault::Plan`];
//!   the [`model`] judges every step;
//! - in an [`exam`] a client written by hand sends a node what no honest client would, and knows
//!   from the specification alone how it has to be judged.
//!
//! Time is virtual, and nothing depends on threads, addresses or the order of a hash map: a seed
//! gives the same [`trace`], byte for byte, wherever it runs.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

pub mod clock;
pub mod exam;
pub mod fault;
pub mod identity;
pub mod model;
pub mod network;
pub mod node;
pub mod peer;
pub mod trace;
pub mod wire;
pub mod words;
pub mod world;

use model::{Broken, Rule};

/// What a seed brought to light.
pub type Failure = Broken;

/// Plays everything that follows from a seed.
pub fn run_seed(seed: u64) -> Option<Failure> {
    examine(seed, false).1
}

/// The same, with the hash of all that happened; `prints` shows it on standard output.
pub fn examine(seed: u64, prints: bool) -> (u64, Option<Failure>) {
    guarded(|| {
        let outcome = world::run(seed, prints);
        (outcome.hash, outcome.broken.or_else(|| exam::run(seed)))
    })
}

/// A panic in a world is one more broken invariant, with the place where it happened.
fn guarded(play: impl FnOnce() -> (u64, Option<Failure>)) -> (u64, Option<Failure>) {
    panic::catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        let details = text.unwrap_or_default();
        (0, Some(Broken { rule: Rule::NoPanic, details }))
    })
}

impl fmt::Debug for world::World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
