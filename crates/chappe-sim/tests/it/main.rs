//! The simulation itself, and scenarios by rule.

mod model;
mod program;
mod scenarios;
mod seeds;
