//! MTProto as a sans-IO core: links, sessions and key exchange for both ends.
//!
//! Three things happen to what a peer sends, and the same three, backwards, to what is sent:
//! a [`link::Link`] turns bytes into messages, a session turns messages into calls, and whoever
//! uses this crate turns calls into results.
//!
//! Nothing here touches a socket, a clock, the system's entropy or a task: time and a seed are
//! arguments, so a simulation replays any run exactly.

pub mod backoff;
pub mod datagram;
pub mod dials;
pub mod envelope;
pub mod handshake;
pub mod ids;
pub mod keys;
pub mod link;
pub mod middle;
pub mod now;
pub mod rpc;
pub mod schema;
pub mod session;
mod spare;
pub mod transport;

pub use ids::{LinkId, MsgId, SessionId, Side};
pub use now::Now;
