//! The living key of an id: from memory, else from the store.

use std::sync::Arc;

use chappe_backend::{ConnectionInfo, StoreError};
use chappe_crypto::AuthKeyId;
use chappe_proto::Now;
use tracing::warn;

use crate::directory::ReadBond;
use crate::keys::{Connection, KeyRecord, seconds};
use crate::shared::Shared;

/// The living key of this id, with what it is bound to.
pub(crate) async fn find_key(
    shared: &Shared,
    id: AuthKeyId,
    now: Now,
) -> Result<Option<Arc<KeyRecord>>, StoreError> {
    let store = shared.backend.store();
    let unix = now.unix.as_secs();
    loop {
        if let Some(record) = shared.directory.key(id) {
            return Ok(record.is_alive(now.unix_seconds()).then_some(record));
        }
        let changes = shared.directory.changes();
        let Some(stored) = store.key(id, unix).await? else { return Ok(None) };
        let is_temporary = stored.expires.is_some();
        // Another node may have made the key, and serve media (PFS-05).
        if is_temporary && stored.dc < 0 && !shared.config.handshake.dc.admits(stored.dc) {
            return Ok(None);
        }
        let saved = store.connection(id).await?;
        let binding = if is_temporary { store.binding(id, unix).await? } else { None };
        let (record, bond) = match binding {
            None => (KeyRecord::new(stored, saved.and_then(|info| read(id, &info))), None),
            Some(binding) => {
                // Boxed, since the future would hold itself; a permanent key is bound to none.
                let permanent = Box::pin(find_key(shared, binding.permanent, now)).await?;
                let bond = permanent.map(|permanent| ReadBond {
                    permanent,
                    end: seconds(binding.expires),
                    initialised: saved.is_some(),
                });
                (KeyRecord::new(stored, None), bond)
            }
        };
        if let Some(record) = shared.directory.insert_read_key(Arc::new(record), bond, changes) {
            return Ok(Some(record));
        }
    }
}

fn read(id: AuthKeyId, info: &ConnectionInfo) -> Option<Connection> {
    Connection::from_stored(info)
        .map_err(|error| warn!(auth_key_id = %id, %error, "connection data unreadable"))
        .ok()
}
