//! A database shared by this crate and by services with tables of their own.

use crate::SqliteDatabase;

/// The database behind a store. A service with tables of its own matches the engine, brings its
/// [`Migrations`] in that engine's SQL, and queries through the pools found there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Database {
    /// One SQLite file.
    Sqlite(SqliteDatabase),
}

/// The tables of one component, as the steps that build them.
///
/// The version of a component is the number of steps taken. A step once released is never
/// changed: what must differ becomes another step.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// Whose tables these are; a crate's name. Components share a database and know nothing of
    /// each other.
    pub component: &'static str,
    /// SQL of each step, each run once and in a transaction.
    pub steps: &'static [&'static str],
}
