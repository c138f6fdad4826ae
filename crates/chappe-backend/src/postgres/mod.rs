//! The engine for a server with a database beside it: PostgreSQL.

mod config;
mod database;
mod error;
mod hold;
mod transaction;

pub use self::config::PostgresConfig;
pub use self::database::PostgresDatabase;
pub(crate) use self::transaction::PostgresTransaction;
