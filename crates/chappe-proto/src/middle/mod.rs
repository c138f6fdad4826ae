//! The link between a proxy and a middle server, both ends: many clients of the proxy on one
//! encrypted connection.
//!
//! ```text
//! clients ══▶ proxy ── packets of all of them, each under a number ──▶ middle server ──▶ sessions
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`frames`] | length, number, checksum; the chain of cipher blocks around them |
//! | [`keys`] | the secret both ends know, and the keys of one link |
//! | [`greeting`] | how the two ends recognise each other |
//! | [`messages`] | what is said on a link |
//! | [`packet`] | which packets of clients a proxy passes on |
//! | [`link`] | a whole link, as the proxy and as the middle server sees it |
//! | [`config`] | the published list of middle servers |
//!
//! Source: 15-proxy.md, section 8.

pub mod config;
pub mod frames;
pub mod greeting;
pub mod keys;
pub mod link;
pub mod messages;
pub mod packet;
