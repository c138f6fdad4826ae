//! One seed, from its number to what it brought to light.

use std::panic::{self, AssertUnwindSafe};

use crate::model::{Broken, Rule};
use crate::{exam, world};

/// Plays everything that follows from a seed; the first invariant that did not hold.
pub fn run_seed(seed: u64) -> Option<Broken> {
    examine(seed, false).1
}

/// The same, with the hash of all that happened; `prints` shows it on standard output.
pub fn examine(seed: u64, prints: bool) -> (u64, Option<Broken>) {
    let play = || {
        let outcome = world::run(seed, prints);
        (outcome.hash, outcome.broken.or_else(|| exam::run(seed)))
    };
    // A panic is one more broken invariant; where it happened, the panic itself has said.
    panic::catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        (0, Some(Broken { rule: Rule::NoPanic, details: text.unwrap_or_default() }))
    })
}
