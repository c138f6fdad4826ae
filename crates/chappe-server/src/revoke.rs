//! Taking keys away from their clients.

use std::sync::Weak;

use chappe_backend::StoreError;
use chappe_crypto::AuthKeyId;

use crate::shared::Shared;

/// Destroys keys that their clients shall use no longer. Clones work on the same server.
#[derive(Clone, Debug)]
pub struct Revoker(Weak<Shared>);

impl Revoker {
    pub(crate) fn new(shared: Weak<Shared>) -> Self {
        Self(shared)
    }

    /// Destroys a key with everything saved with it; `false` if there is none.
    ///
    /// Its sessions end, and the next message under it gets -404. Temporary keys that are bound
    /// to it are unbound at once: calls under them get 401 `AUTH_KEY_PERM_EMPTY` (PFS-14). Calls
    /// that run already finish.
    ///
    /// # Errors
    ///
    /// What befell the store; the key may then still be there.
    pub async fn destroy(&self, key: AuthKeyId) -> Result<bool, StoreError> {
        let shared = self.0.upgrade().ok_or(StoreError::Closed)?;
        let _turn = shared.turns.take(key).await;
        let existed = shared.backend.store().delete_key(key).await?;
        shared.directory.remove_key(key);
        if existed {
            shared.events.key_destroyed(key);
        }
        Ok(existed)
    }
}
