//! Why there is no connection: which address failed with what.

use std::fmt;
use std::io;
use std::time::Duration;

use super::proxy::ProxyError;

/// No endpoint answered.
#[derive(Debug)]
pub struct ConnectError {
    /// What became of each address, in the order in which that was known. Empty if there was none.
    pub failed: Vec<Failed>,
}

/// What became of one address.
#[derive(Debug)]
pub struct Failed {
    /// The address, or the name where that led to none; and by which proxy.
    pub address: String,
    /// What hindered.
    pub why: AttemptError,
}

/// What hindered one attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The name has no address.
    #[error("name not resolved: {0}")]
    Resolve(#[source] io::Error),
    /// Nobody accepts connections there.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// The proxy does not lead there.
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    /// Nothing came of it in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failed.is_empty() {
            return f.write_str("there is no address to connect to");
        }
        for (at, Failed { address, why }) in self.failed.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{address}: {why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}
