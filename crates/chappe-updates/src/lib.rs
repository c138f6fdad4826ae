//! The order in which the devices of an account learn what happened to it, at both ends
//! (20-telegram-api-service §3).
//!
//! What happens to an account is a line: a log of events, each with the *pts* that the line has
//! after it and the count by which it raised it. The server's log is the truth, what it pushes is a
//! hint. [`Telling`] decides what is pushed to whom, and when; [`Follower`] puts what a device hears
//! in order, and says when it has to ask for the difference.
//!
//! Neither holds a lock, task, clock or database: who drives them brings all of that, and a
//! simulation replays them exactly.

mod follower;
mod telling;

pub use follower::{Follower, Step};
pub use telling::{Stretch, Telling};
