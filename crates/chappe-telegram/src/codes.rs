//! How login codes reach people.

use futures_util::future::BoxFuture;
use tracing::warn;

/// Delivers login codes: by text message, e-mail, or whatever an operator has.
pub trait CodeSender: Send + Sync + 'static {
    /// Sends a code to a number (digits with the country code).
    ///
    /// # Errors
    ///
    /// What to log; the person is told to try again.
    fn send(&self, phone: &str, code: &str) -> BoxFuture<'_, Result<(), CodeError>>;
}

/// Why a code was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodeError(pub String);

/// Writes codes to the log, for an operator who passes them on.
#[derive(Clone, Copy, Debug, Default)]
pub struct CodeLog;

impl CodeSender for CodeLog {
    fn send(&self, phone: &str, code: &str) -> BoxFuture<'_, Result<(), CodeError>> {
        warn!(phone, code, "login code: tell it to whoever has this number");
        Box::pin(std::future::ready(Ok(())))
    }
}
