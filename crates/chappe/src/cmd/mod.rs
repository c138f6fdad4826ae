//! One file for each command; each only assembles libraries.

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

pub(crate) mod accounts;
pub(crate) mod bench;
pub(crate) mod call;
pub(crate) mod connect;
pub(crate) mod files;
mod import;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod proxy;
pub(crate) mod serve;
mod succession;
pub(crate) mod tl;

/// Logs to standard error what the filter lets through.
fn start_logging(filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("log: `{filter}` is no level or list of directives"))?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    Ok(())
}
