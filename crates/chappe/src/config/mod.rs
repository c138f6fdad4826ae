//! Settings from files: every key checked, every error with its line.

pub(crate) mod accounts;
pub(crate) mod api;
pub(crate) mod blobs;
pub(crate) mod clock;
pub(crate) mod database;
pub(crate) mod expiry;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod lists;
pub(crate) mod middle;
pub(crate) mod proxy;
pub(crate) mod serve;
pub(crate) mod upstream;
