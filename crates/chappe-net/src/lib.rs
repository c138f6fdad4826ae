//! Sockets, clock and entropy for MTProto, and the loop that drives a link.
//!
//! Everything outside the process that client and server need has one door here: time in
//! [`clock`], randomness in [`entropy`], connections in [`listen`] and [`connect`]. [`driver`]
//! moves bytes between a connection and a [`Link`](chappe_proto::link::Link).

pub mod clock;
pub mod connect;
pub mod driver;
pub mod entropy;
pub mod fake_tls;
pub mod http;
pub mod limits;
pub mod listen;
mod prefixed;
pub mod proxy_protocol;
pub mod shutdown;
mod stream;
pub mod tls;
pub mod udp;
mod wire;
pub mod ws;

pub use clock::Clock;
pub use driver::{DriveConfig, End, Owner, drive, ignore};
pub use prefixed::{BoxedIo, Io, Prefixed};
pub use stream::Stream;
pub use wire::Wire;
pub use ws::WebSocket;
