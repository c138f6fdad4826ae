//! Where an account is signed in: `account.getAuthorizations` and how to end that.

use chappe_api::functions::account::{GetAuthorizations, ResetAuthorization};
use chappe_api::functions::auth::ResetAuthorizations;
use chappe_api::types;
use chappe_crypto::AuthKeyId;
use chappe_server::{Caller, Pusher, State};
use tracing::info;

use crate::Service;
use crate::error::{Failure, bad};

pub(crate) async fn get_authorizations(
    State(service): State<Service>,
    caller: Caller,
    _call: GetAuthorizations,
) -> Result<types::account::Authorizations, Failure> {
    let me = service.me(&caller).await?;
    let mut authorizations = Vec::new();
    for session in service.store.sessions_of(me).await? {
        let current = session.key == caller.auth_key_id;
        let created = i32::try_from(session.created).unwrap_or(i32::MAX);
        authorizations.push(types::Authorization {
            current,
            // One's own has none, so that nobody ends it by mistake.
            hash: if current { 0 } else { session.hash },
            device_model: session.device_model.into(),
            system_version: session.system_version.into(),
            api_id: session.api_id,
            app_version: session.app_version.into(),
            date_created: created,
            date_active: if current {
                i32::try_from(caller.now.unix_seconds()).unwrap_or(i32::MAX)
            } else {
                created
            },
            ip: session.ip.into(),
            ..chappe_tl::blank()
        });
    }
    Ok(types::account::Authorizations { authorization_ttl_days: 365, authorizations })
}

pub(crate) async fn reset_authorization(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ResetAuthorization,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let ended = service.store.end_session(me, call.hash, caller.auth_key_id).await?;
    let key = ended.ok_or_else(|| bad("HASH_INVALID"))?;
    info!(account = me, auth_key_id = %key, "signed out by another device");
    tell(&pusher, key).await;
    Ok(true)
}

pub(crate) async fn reset_authorizations(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    _call: ResetAuthorizations,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    for key in service.store.end_other_sessions(me, caller.auth_key_id).await? {
        info!(account = me, auth_key_id = %key, "signed out by another device");
        tell(&pusher, key).await;
    }
    Ok(true)
}

/// Makes a device that was signed out ask, and so learn it (UPD-11).
async fn tell(pusher: &Pusher, key: AuthKeyId) {
    if let Ok(body) = chappe_tl::to_bytes(&types::Updates::UpdatesTooLong) {
        pusher.to_key(key, body).await;
    }
}
