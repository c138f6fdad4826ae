//! What a Chappe server keeps: auth keys, and the data saved with them.
//!
//! [`Store`] says what can be kept; an engine keeps it. Two stores come with the crate:
//! [`MemoryStore`], which forgets everything at exit, and [`SqlStore`], in one SQLite file (feature
//! `sqlite`, on by default) or a PostgreSQL database (feature `postgres`).
//! An engine of your own needs this crate without its default features, and passes
//! `conformance::all` (feature `conformance`).
//!
//! The crate reads no clock and no system entropy: callers pass the time and fresh random bytes,
//! so that a server in a simulated world behaves the same each time.

mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "sql")]
mod database;
#[cfg(feature = "sql")]
mod hold;
#[cfg(feature = "sql")]
mod key_store;
mod key_table;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "scratch")]
pub mod scratch;
#[cfg(feature = "sql")]
pub mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod temporary;

pub use backend::Backend;
#[cfg(feature = "sql")]
pub use database::{Database, Migrations};
#[cfg(feature = "sql")]
pub use hold::Hold;
#[cfg(feature = "sql")]
pub use key_store::SqlStore;
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresConfig, PostgresDatabase};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteConfig, SqliteDatabase};
/// The SQL library, for crates with tables of their own: its types stand in this crate's interface.
#[cfg(feature = "sql")]
pub use sqlx;
pub use store::{
    Bound, BoxFuture, CONNECTION_DATA_MAX_BYTES, ConnectionInfo, Inserted, KeyBinding, Store,
    StoreError, StoredKey,
};
pub use temporary::{Claim, TemporaryKeys};
