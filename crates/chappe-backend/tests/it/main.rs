//! The engines against the suite, and what only an engine with a disk can break.

mod durability;
mod files;
mod memory;
mod postgres;
mod sqlite;
mod tls;
mod trouble;
