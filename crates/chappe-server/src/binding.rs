//! Temporary keys and the permanent keys behind them: binding, dropping, destroying; and which
//! calls each kind may make (07-pfs).

use std::sync::Arc;

use bytes::Bytes;
use chappe_backend::{Bound, KeyBinding, StoreError};
use chappe_crypto::AuthKeyId;
use chappe_proto::handshake::bind::{self, BindError, CameWith};
use chappe_proto::rpc::{RpcError, Unwrapped};
use chappe_proto::schema::functions::auth::DropTempAuthKeys;
use chappe_proto::session::server::KeyDestroyed;
use chappe_proto::{MsgId, SessionId};
use tokio::sync::{Mutex, MutexGuard};
use tracing::{debug, warn};

use crate::keys::{KeyRecord, Standing};
use crate::lookup::find_key;
use crate::shared::Shared;

/// The key in whose name a call is made, if the key it came under may make it.
pub(crate) fn authorise(
    shared: &Shared,
    key: &Arc<KeyRecord>,
    call: &Unwrapped,
) -> Result<Arc<KeyRecord>, RpcError> {
    let is_open = shared.policy.unbound.contains(&call.id());
    match key.standing() {
        Standing::Permanent if shared.config.pfs_only && !is_open => {
            Err(RpcError::bad_request("TEMP_AUTH_KEY_EMPTY"))
        }
        Standing::Unbound if !is_open => Err(RpcError::unauthorized("AUTH_KEY_PERM_EMPTY")),
        Standing::Permanent | Standing::Unbound => Ok(Arc::clone(key)),
        Standing::Bound { permanent, initialised } => {
            // A client that never said what it is has nothing to say again.
            let is_known = initialised || call.client.is_some() || permanent.connection().is_none();
            if is_known || is_open {
                Ok(permanent)
            } else {
                Err(RpcError::bad_request("CONNECTION_NOT_INITED"))
            }
        }
    }
}

/// Answers `auth.bindTempAuthKey`, by the checks of 07-pfs §3 in their order.
pub(crate) async fn bind(
    shared: &Shared,
    key: &Arc<KeyRecord>,
    session_id: SessionId,
    msg_id: MsgId,
    query: &Bytes,
) -> Result<Bytes, RpcError> {
    let came_with = CameWith { temporary: key.id(), session_id, msg_id };
    match try_bind(shared, key, came_with, query).await {
        Ok(permanent) => {
            debug!(auth_key_id = %key.id(), %permanent, "temporary key bound");
            Ok(yes())
        }
        Err(Failure::Refused(error)) => {
            debug!(auth_key_id = %key.id(), %error, "temporary key not bound");
            Err(error.to_rpc())
        }
        Err(Failure::Store(error)) => {
            warn!(auth_key_id = %key.id(), %error, "a temporary key cannot be bound");
            Err(RpcError::internal())
        }
    }
}

enum Failure {
    Refused(BindError),
    Store(StoreError),
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Refused(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn try_bind(
    shared: &Shared,
    key: &Arc<KeyRecord>,
    came_with: CameWith,
    query: &Bytes,
) -> Result<AuthKeyId, Failure> {
    let expires = key.expires().ok_or(BindError::NotTemporary)?;
    let request = bind::read_request(query)?;
    let named = bind::permanent_id(&request);
    let now = shared.clock.now();
    let permanent = find_key(shared, named, now).await?.filter(|key| key.expires().is_none());
    bind::verify(&request, came_with, permanent.as_ref().map(|permanent| &*permanent.key))?;
    let permanent = permanent.ok_or(BindError::Message)?;
    let end = match bind::expiry(request.expires_at, now.unix_seconds(), expires) {
        Err(BindError::Expired) if !shared.config.expiry_errors => Err(BindError::Message),
        judged => judged,
    }?;
    let _turn = shared.turns.take(named).await;
    let binding = KeyBinding { permanent: named, expires: end.unsigned_abs() };
    match shared.backend.store().bind_key(key.id(), binding, now.unix.as_secs()).await? {
        Bound::Done => {
            if shared.directory.bind(key, &permanent, end) {
                shared.events.key_bound(key.id(), named);
            }
            Ok(named)
        }
        Bound::ToAnother => Err(BindError::AlreadyBound.into()),
        Bound::NoTemporaryKey => Err(BindError::NotTemporary.into()),
        Bound::NoPermanentKey => Err(BindError::Message.into()),
    }
}

/// Does what `auth.dropTempAuthKeys` asks for in the store (PFS-16). The keys that it gives are to
/// be forgotten once the call is answered: one of them may be the caller's own.
pub(crate) async fn drop_keys(
    shared: &Shared,
    permanent: AuthKeyId,
    query: Bytes,
) -> Result<Vec<AuthKeyId>, RpcError> {
    let request: DropTempAuthKeys =
        chappe_tl::from_bytes(query).map_err(|error| RpcError::from(&error))?;
    let kept = |key: &AuthKeyId| request.except_auth_keys.contains(&key.0.cast_signed());
    let dropped = async {
        let _turn = shared.turns.take(permanent).await;
        let mut keys = bound_keys(shared, permanent).await?;
        keys.retain(|key| !kept(key));
        for key in &keys {
            shared.backend.store().delete_key(*key).await?;
        }
        Ok(keys)
    };
    dropped.await.map_err(|error: StoreError| {
        warn!(auth_key_id = %permanent, %error, "temporary keys cannot be dropped");
        RpcError::internal()
    })
}

/// Does what `destroy_auth_key` asks for in the store (SVC-37), with the permanent key that is
/// meant. The keys that it gives are to be forgotten once the message is answered.
pub(crate) async fn destroy(shared: &Shared, key: &KeyRecord) -> (KeyDestroyed, Vec<AuthKeyId>) {
    let permanent = match key.standing() {
        Standing::Permanent => key.id(),
        Standing::Bound { permanent, .. } => permanent.id(),
        Standing::Unbound => return (KeyDestroyed::None, Vec::new()),
    };
    if !shared.events.may_destroy_key(permanent).await {
        return (KeyDestroyed::Fail, Vec::new());
    }
    let destroyed = async {
        let _turn = shared.turns.take(permanent).await;
        let mut keys = bound_keys(shared, permanent).await?;
        if !shared.backend.store().delete_key(permanent).await? {
            return Ok(None);
        }
        for key in &keys {
            shared.backend.store().delete_key(*key).await?;
        }
        keys.push(permanent);
        Ok(Some(keys))
    };
    match destroyed.await {
        Ok(Some(keys)) => {
            debug!(auth_key_id = %permanent, "key destroyed");
            shared.metrics.keys_destroyed.increment(1);
            shared.events.key_destroyed(permanent);
            (KeyDestroyed::Ok, keys)
        }
        Ok(None) => (KeyDestroyed::None, Vec::new()),
        Err::<_, StoreError>(error) => {
            warn!(auth_key_id = %permanent, %error, "a key cannot be destroyed");
            (KeyDestroyed::Fail, Vec::new())
        }
    }
}

async fn bound_keys(shared: &Shared, permanent: AuthKeyId) -> Result<Vec<AuthKeyId>, StoreError> {
    let now = shared.clock.now().unix.as_secs();
    shared.backend.store().bound_keys(permanent, now).await
}

/// `boolTrue`.
pub(crate) fn yes() -> Bytes {
    chappe_tl::to_bytes(&true).expect("a Bool has an encoding")
}

/// Lets changes to what is bound to one permanent key happen one after another, in the store and
/// in the directory alike, so that the two never disagree on who came last.
pub(crate) struct Turns([Mutex<()>; TURNS]);

/// Keys that share a turn wait for each other; there are enough turns for that to be rare.
const TURNS: usize = 64;

impl Turns {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::const_new(())))
    }

    /// Waits for the turn of a permanent key.
    pub(crate) async fn take(&self, permanent: AuthKeyId) -> MutexGuard<'_, ()> {
        self.0[(permanent.0 % TURNS as u64) as usize].lock().await
    }
}
