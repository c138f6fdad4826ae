//! What the server says unasked.

use bytes::Bytes;
use tokio::sync::broadcast;

/// Something that came without a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// A boxed object: an update, or whatever else the server's schema pushes.
    Message(Bytes),
    /// The server began the session anew; what it pushed before may be lost (SVC-40).
    MayBeLost,
    /// So many were dropped because this receiver did not take them in time.
    Missed(u64),
    /// The old key was lost and a new one made: the server knows nobody here (SES-18).
    NewKey,
}

/// Receives pushes from the moment it was made.
///
/// At most as many wait as [`Builder::pushes_max`](crate::Builder::pushes_max) says; then the
/// oldest go, and [`Push::Missed`] tells how many. While there is no receiver, pushes are dropped.
#[derive(Debug)]
pub struct Pushes(broadcast::Receiver<Push>);

impl Pushes {
    pub(crate) fn new(receiver: broadcast::Receiver<Push>) -> Self {
        Self(receiver)
    }

    /// The next one; `None` after the end of the client. The future may be dropped without loss.
    pub async fn next(&mut self) -> Option<Push> {
        match self.0.recv().await {
            Ok(push) => Some(push),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Push::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
