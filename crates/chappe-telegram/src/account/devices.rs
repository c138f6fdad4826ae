//! Where an account is signed in: `account.getAuthorizations` and how to end that.

use chappe_api::functions::account::{GetAuthorizations, ResetAuthorization};
use chappe_api::functions::auth::ResetAuthorizations;
use chappe_api::types;
use chappe_crypto::AuthKeyId;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};
use tracing::info;

use crate::Service;
use crate::error::{Failure, bad};
use crate::phone::Phone;
use crate::store::SignedIn;

pub(crate) async fn get_authorizations(
    State(service): State<Service>,
    caller: Caller,
    _call: GetAuthorizations,
) -> Result<types::account::Authorizations, Failure> {
    let me = service.me(&caller).await?;
    let own = service.store.root_of(caller.auth_key_id).await?;
    let mut authorizations = Vec::new();
    for session in service.store.sessions_of(me).await? {
        let current = session.key == own;
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
    let mut others = service.others(&caller, me).await?;
    others.retain(|other| other.session.hash == call.hash);
    if others.is_empty() {
        return Err(bad("HASH_INVALID"));
    }
    service.end(&caller, &pusher, me, &others).await
}

pub(crate) async fn reset_authorizations(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    _call: ResetAuthorizations,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let others = service.others(&caller, me).await?;
    service.end(&caller, &pusher, me, &others).await
}

/// Another device of the account that calls.
struct Other {
    session: SignedIn,
    /// The one that calls has signed in lately, and later: whoever has found a way in is not to end
    /// those whose owner would see it.
    is_kept: bool,
}

impl Service {
    async fn others(&self, caller: &Caller, me: i64) -> Result<Vec<Other>, Failure> {
        let own = self.store.root_of(caller.auth_key_id).await?;
        let sessions = self.store.sessions_of(me).await?;
        let signed_in = sessions.iter().find(|session| session.key == own);
        let created = signed_in.ok_or_else(Self::signed_out)?.created;
        let age = caller.now.unix_seconds() - created;
        let is_fresh =
            age < i64::from(self.config.fresh_session) && !self.is_test_account(me).await?;
        let others = sessions.into_iter().filter(|session| session.key != own);
        let other = |session: SignedIn| {
            let is_kept = is_fresh && session.created <= created;
            Other { session, is_kept }
        };
        Ok(others.map(other).collect())
    }

    /// The code of a test account is known to everybody: nobody has more of a right to it.
    async fn is_test_account(&self, account: i64) -> Result<bool, Failure> {
        let account = self.store.account(account).await?;
        let phone = account.and_then(|account| Phone::parse(account.phone.as_deref()?).ok());
        Ok(phone.is_some_and(|phone| self.is_test(&phone)))
    }

    async fn end(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        me: i64,
        others: &[Other],
    ) -> Result<bool, Failure> {
        if others.iter().any(|other| other.is_kept) {
            let forbidden = RpcError::new(406, "FRESH_RESET_AUTHORISATION_FORBIDDEN");
            return Err(Failure::Rpc(forbidden));
        }
        let roots: Vec<_> = others.iter().map(|other| other.session.key).collect();
        for key in self.store.end_sessions(me, &roots, caller.now.unix_seconds()).await? {
            info!(account = me, auth_key_id = %key, "signed out by another device");
            tell(pusher, key).await;
        }
        Ok(true)
    }
}

/// Makes a device that was signed out ask, and so learn it (UPD-11).
async fn tell(pusher: &Pusher, key: AuthKeyId) {
    if let Ok(body) = chappe_tl::to_bytes(&types::Updates::UpdatesTooLong) {
        pusher.to_key(key, body).await;
    }
}
