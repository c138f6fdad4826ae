//! What a Chappe server keeps: auth keys, and the data saved with them.
//!
//! [`Store`] says what can be kept; an engine keeps it. Two engines come with the crate:
//! [`MemoryStore`], which forgets everything at exit, and [`SqliteStore`], one file and no server.
//! An engine of your own needs this crate without its default features, and passes
//! `conformance::all` (feature `conformance`).
//!
//! The crate reads no clock and no system entropy: callers pass the time and fresh random bytes,
//! so that a server in a simulated world behaves the same each time.

mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "sqlite")]
mod database;
mod key_table;
mod memory;
#[cfg(feature = "sqlite")]
pub mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod temporary;

pub use backend::Backend;
#[cfg(feature = "sqlite")]
pub use database::{Database, Migrations};
pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteConfig, SqliteDatabase, SqliteStore};
/// The SQL library, for crates with tables of their own: its types stand in this crate's interface.
#[cfg(feature = "sqlite")]
pub use sqlx;
pub use store::{
    Bound, BoxFuture, CONNECTION_DATA_MAX_BYTES, ConnectionInfo, Inserted, KeyBinding, Store,
    StoreError, StoredKey,
};
pub use temporary::{Claim, TemporaryKeys};
