//! What can go wrong with a connection of the bench.

use std::io;

/// Why a connection did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The proxy cannot be reached, or reset the connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The proxy closed it.
    #[error("closed by the proxy")]
    Closed,
    /// The proxy does not take up fake TLS.
    #[error("a hello is not answered as by a proxy")]
    Hello,
    /// Other bytes arrive than were sent.
    #[error("bytes arrive that were not sent")]
    Changed,
    /// Nothing comes any more, though there is more.
    #[error("nothing comes any more")]
    Silent,
}
