//! Messages nobody asked for.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;
use chappe_proto::session::outbox::Mark;

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

    /// Sends a boxed object to one session of a key, or of the temporary keys bound to it; waits
    /// while that session has much to do.
    ///
    /// # Errors
    ///
    /// [`PushError`] if the session is not open, or its layer has no words for the object.
    pub async fn to_session(
        &self,
        key: AuthKeyId,
        session: SessionId,
        body: Bytes,
    ) -> Result<(), PushError> {
        let shared = self.0.upgrade().ok_or(PushError)?;
        let handle = shared.directory.session(key, session).ok_or(PushError)?;
        let body = Said::new(body).to(&shared, key).ok_or(PushError)?;
        handle.tell_in_turn(Input::Push(body, None)).await.map_err(|_| PushError)
    }

    /// Sends a boxed object to every session of a key and of the temporary keys bound to it that
    /// hears of updates (API-13, SVC-50). Gives how many that were.
    pub async fn to_key(&self, key: AuthKeyId, body: Bytes) -> usize {
        self.to_keys([key], None, body).await
    }

    /// The same, but for one session: what it made happen it has as the answer to its call.
    pub async fn to_key_but(
        &self,
        key: AuthKeyId,
        session: Option<SessionId>,
        body: Bytes,
    ) -> usize {
        self.to_keys([key], session.map(|session| (key, session)), body).await
    }

    /// The sessions that a push to these keys would reach, each by its key.
    pub fn hearers(&self, keys: &[AuthKeyId]) -> Vec<(AuthKeyId, SessionId)> {
        let Some(shared) = self.0.upgrade() else { return Vec::new() };
        let of = |key: &AuthKeyId| {
            let key = *key;
            shared.directory.hearers(key).into_iter().map(move |handle| (key, handle.id()))
        };
        keys.iter().flat_map(of).collect()
    }

    /// The same to several keys, but for one session of one of them; written once for each layer
    /// that is spoken among them.
    pub async fn to_keys(
        &self,
        keys: impl IntoIterator<Item = AuthKeyId>,
        but: Option<(AuthKeyId, SessionId)>,
        body: Bytes,
    ) -> usize {
        self.say(keys, |session| Some(session) != but, body, None).await
    }

    /// Sends an event of a line to those sessions of these keys that are meant. One that was told
    /// of it by the answer to a question does not get it, and one that is about to be told gets it
    /// after the answer: see [`Question`](crate::Question).
    pub async fn to_keys_in_line(
        &self,
        keys: impl IntoIterator<Item = AuthKeyId>,
        is_meant: impl Fn((AuthKeyId, SessionId)) -> bool,
        mark: Mark,
        body: Bytes,
    ) -> usize {
        self.say(keys, is_meant, body, Some(mark)).await
    }

    async fn say(
        &self,
        keys: impl IntoIterator<Item = AuthKeyId>,
        is_meant: impl Fn((AuthKeyId, SessionId)) -> bool,
        body: Bytes,
        mark: Option<Mark>,
    ) -> usize {
        let Some(shared) = self.0.upgrade() else { return 0 };
        let mut said = Said::new(body);
        let mut sent = 0;
        for key in keys {
            let handles = shared.directory.hearers(key);
            if handles.is_empty() {
                continue;
            }
            let Some(body) = said.to(&shared, key) else { continue };
            for handle in handles {
                let push = || Input::Push(body.clone(), mark);
                if is_meant((key, handle.id())) && handle.tell_in_turn(push()).await.is_ok() {
                    sent += 1;
                }
            }
        }
        sent
    }
}

/// One push in the words of each layer that it was needed in.
struct Said {
    body: Bytes,
    by_layer: Vec<(Option<i32>, Option<Bytes>)>,
}

impl Said {
    fn new(body: Bytes) -> Self {
        Self { body, by_layer: Vec::new() }
    }

    /// As the layer that was saved with a key has it.
    fn to(&mut self, shared: &Shared, key: AuthKeyId) -> Option<Bytes> {
        let Some(translate) = &shared.pushes else { return Some(self.body.clone()) };
        let connection = shared.directory.key(key).and_then(|record| record.connection());
        let layer = connection.map(|connection| connection.layer);
        if let Some((_, said)) = self.by_layer.iter().find(|(of, _)| *of == layer) {
            return said.clone();
        }
        let said = translate(layer, &self.body);
        self.by_layer.push((layer, said.clone()));
        said
    }
}
