//! Messages nobody asked for.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;

use crate::revoke::Revoker;
use crate::session::Input;
use crate::shared::Shared;

/// Sends updates to sessions. Clones send to the same server.
///
/// A push is kept until the client acknowledges it, also while the session has no connection; a
/// session that acknowledges nothing loses the oldest ones (SES-07).
#[derive(Clone, Debug)]
pub struct Pusher(Weak<Shared>);

/// Why a push went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such session")]
pub struct PushError;

impl Pusher {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    pub(crate) fn revoker(&self) -> Revoker {
        Revoker::new(Weak::clone(&self.0))
    }

    /// Sends a boxed object to one session of a key, or of the temporary keys bound to it; waits while that session has much to do.
    ///
    /// # Errors
    ///
    /// [`PushError`] if the session is not open.
    pub async fn to_session(
        &self,
        key: AuthKeyId,
        session: SessionId,
        body: Bytes,
    ) -> Result<(), PushError> {
        let shared = self.0.upgrade().ok_or(PushError)?;
        let handle = shared.directory.session(key, session).ok_or(PushError)?;
        handle.tell_in_turn(Input::Push(body)).await.map_err(|_| PushError)
    }

    /// Sends a boxed object to every session of a key and of the temporary keys bound to it that
    /// hears of updates (API-13, SVC-50). Gives how many that were.
    pub async fn to_key(&self, key: AuthKeyId, body: Bytes) -> usize {
        self.to_key_but(key, None, body).await
    }

    /// The same, but for one session: what it made happen it has as the answer to its call.
    pub async fn to_key_but(
        &self,
        key: AuthKeyId,
        session: Option<SessionId>,
        body: Bytes,
    ) -> usize {
        let Some(shared) = self.0.upgrade() else { return 0 };
        let mut sent = 0;
        for handle in shared.directory.hearers(key) {
            if Some(handle.id()) != session
                && handle.tell_in_turn(Input::Push(body.clone())).await.is_ok()
            {
                sent += 1;
            }
        }
        sent
    }
}
