//! What devices are told, and what they make of it.

mod follower;
mod telling;
