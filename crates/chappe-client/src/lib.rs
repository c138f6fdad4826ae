//! MTProto client: calls of any schema, over links that come and go.
//!
//! ```no_run
//! # async fn run(key: chappe_crypto::rsa::PublicKey) -> Result<(), Box<dyn std::error::Error>> {
//! use chappe_client::{FileStorage, RawClient};
//!
//! let client = RawClient::builder("127.0.0.1:4430", [key])
//!     .storage(FileStorage::open("me.session")?)
//!     .connect()
//!     .await?;
//! # let call = bytes::Bytes::new();
//! let answer = client.invoke_raw(call).await?;
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`builder`] | how a client connects, with every setting |
//! | [`target`], [`address`] | where a server is |
//! | [`way`], [`web`] | what carries packets, and what to try when that is blocked |
//! | [`client`] | [`RawClient`]: calls, pushes, the end |
//! | [`error`] | what can go wrong, by what the caller can do about it |
//! | [`storage`] | where keys stay between runs |
//!
//! One task holds the keys, their sessions and the open calls; a [`RawClient`] only talks to it.
//! Each link is a task of its own, opened again whenever it must be, and two while a temporary key
//! is replaced. Calls outlive links, sessions and keys.

pub mod address;
pub mod builder;
mod calls;
pub mod client;
pub mod error;
mod exchange;
mod keeper;
mod metrics;
mod push;
mod routes;
pub mod storage;
pub mod target;
mod task;
pub mod way;
pub mod web;

pub use address::Address;
pub use builder::{Builder, KeyLoss};
pub use chappe_net::connect::{Authorities, Endpoint, Proxy};
pub use chappe_proto::keys::PfsConfig;
pub use chappe_proto::session::client::Doubt;
pub use client::{CallOptions, Pending, RawClient, Ticket};
pub use error::{ConnectError, DestroyError, DialError, InvokeError, LinkError};
pub use push::{Push, Pushes};
pub use storage::{FileStorage, KeyRecord, MemoryStorage, ServerId, Storage, StorageError};
pub use target::{MtProxy, Target, TargetError};
pub use way::{Fallback, Way};
pub use web::WebConfig;
