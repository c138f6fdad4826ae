//! Exams: one end is written by hand, says what no honest peer would, and knows from the
//! specification alone how it has to be judged.
//!
//! Worlds show that honest ends survive everything; they hardly ever come to the edges of what is
//! allowed. Here the edges are drawn on purpose: the last second of an age or a salt, the one
//! message too many, the container with a fault behind its third message.

use chappe_crypto::Rng;

use crate::model::{Broken, Rule};

mod client;
mod server;

/// What an exam comes to: what was wrong with the answer.
type Verdict = Result<(), String>;

/// Puts one question to a server and one to a client, chosen by the seed.
pub fn run(seed: u64) -> Option<Broken> {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = Rng::from_seed(bytes);
    server::run(&mut rng).or_else(|| client::run(&mut rng))
}

fn judged(name: &str, verdict: Verdict) -> Option<Broken> {
    let details = verdict.err().map(|fault| format!("{name}: {fault}"))?;
    Some(Broken { rule: Rule::Judgement, details })
}

/// Fails an exam unless `left` is `right`.
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, left: T, right: T) -> Verdict {
    if left == right { Ok(()) } else { Err(format!("{what}: {left:?}, not {right:?}")) }
}

/// Fails an exam unless something holds.
fn require(what: &str, holds: bool) -> Verdict {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
