//! What a server tells the program it is part of.

use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;

/// Hears what becomes of keys and sessions. Every method does nothing unless written.
///
/// They are called within the server's tasks, some under its locks: they must be quick and must
/// not call the server back; a program with more to do sends itself a note.
pub trait Events: Send + Sync {
    /// A key was made and stored.
    fn key_created(&self, _key: AuthKeyId) {}
    /// A key was destroyed by its client, with everything saved with it (SVC-37).
    fn key_destroyed(&self, _key: AuthKeyId) {}
    /// A session began, or began anew after it had been forgotten.
    fn session_opened(&self, _key: AuthKeyId, _session: SessionId) {}
    /// A session was forgotten: destroyed by its client, idle for long, or one too many.
    fn session_forgotten(&self, _key: AuthKeyId, _session: SessionId) {}
    /// So many pushes were given up because the client acknowledged too little: what it was told
    /// has a gap (SES-07). A service that numbers its updates tells it to ask for the difference.
    fn pushes_dropped(&self, _key: AuthKeyId, _session: SessionId, _count: u64) {}
}

/// Hears nothing.
pub(crate) struct Silence;

impl Events for Silence {}
