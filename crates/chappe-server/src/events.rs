//! What a server tells the program it is part of.

use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;
use futures_util::future::BoxFuture;

/// Hears what becomes of keys and sessions. Every method does nothing unless written.
///
/// A session is of the key that its messages travel under: the temporary one, if there is one.
///
/// They are called within the server's tasks, some under its locks: they must be quick and must
/// not call the server back; a program with more to do sends itself a note.
pub trait Events: Send + Sync {
    /// A key was made and stored.
    fn key_created(&self, _key: AuthKeyId) {}
    /// A temporary key was bound to a permanent one, in whose name its calls are made from now on,
    /// and which had been bound to no other (07-pfs).
    fn key_bound(&self, _temporary: AuthKeyId, _permanent: AuthKeyId) {}
    /// The client wants its permanent key destroyed. `false` refuses: it gets
    /// `destroy_auth_key_fail`, as a server may answer that still has a user signed in with the key
    /// (SVC-37). Nothing else waits while this is awaited.
    fn may_destroy_key(&self, _key: AuthKeyId) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
    /// A permanent key was destroyed, with everything saved with it: by its client (SVC-37), or
    /// by [`Revoker`](crate::Revoker).
    fn key_destroyed(&self, _key: AuthKeyId) {}
    /// A session began, or began anew after it had been forgotten.
    fn session_opened(&self, _key: AuthKeyId, _session: SessionId) {}
    /// A session was forgotten: destroyed by its client, idle for long, or one too many.
    fn session_forgotten(&self, _key: AuthKeyId, _session: SessionId) {}
}

/// Hears nothing.
pub(crate) struct Silence;

impl Events for Silence {}
