//! What can go wrong with a connection of the bench.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

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
    /// Nothing moves any more, though there is more.
    #[error("nothing moves any more")]
    Silent,
}

/// Silence after which nothing moves any more.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What is said or heard, unless nothing is for too long: a proxy that strands bytes is a fault, and
/// none to wait for.
pub(super) async fn in_time<T>(passing: impl Future<Output = io::Result<T>>) -> Result<T, Fault> {
    let passed = timeout(SILENCE_MAX, passing).await.map_err(|_| Fault::Silent)?;
    passed.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::Closed,
        _ => error.into(),
    })
}
