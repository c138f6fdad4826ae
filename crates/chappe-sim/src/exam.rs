//! stub
use crate::model::Broken;
/// Runs.
pub fn run(_seed: u64) -> Option<Broken> {
    None
}
