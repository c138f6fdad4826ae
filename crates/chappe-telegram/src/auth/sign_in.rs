//! `auth.signIn` and `auth.signUp`.

use chappe_api::functions::auth::{SignIn, SignUp};
use chappe_api::{ctors, types};
use chappe_crypto::equal;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};
use chappe_tl::Str;
use tracing::info;

use super::code::{CODE_LEN, code_hash};
use crate::Service;
use crate::config;
use crate::error::{Failure, bad, text};
use crate::phone::Phone;
use crate::store::{Account, CodeJudgement, SignedIn};

/// Longest name, in characters.
pub(crate) const NAME_MAX: usize = 64;

pub(crate) async fn sign_in(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SignIn,
) -> Result<types::auth::Authorization, Failure> {
    let phone = Phone::parse(text(&call.phone_number)?)?;
    let name = (phone.digits(), code_hash(&call.phone_code_hash)?);
    let said = call.phone_code.as_ref().map_or(Ok(""), text)?;
    if said.is_empty() {
        return Err(bad("PHONE_CODE_EMPTY"));
    }
    service.check_guesses(&caller, Some(&phone))?;
    let is_test = service.is_test(&phone);
    // Tools for test numbers say six digits as well as five (ACC-03).
    let is_right = |code: &str| {
        let is_long = is_test && said.len() == CODE_LEN + 1 && said.ends_with(&code[..1]);
        let said = if is_long { &said[..CODE_LEN] } else { said };
        equal(said.as_bytes(), code.as_bytes())
    };
    match service.store.judge_code(name, is_right, caller.now.unix_seconds()).await? {
        CodeJudgement::Right => {}
        CodeJudgement::Wrong => {
            service.note_wrong(&caller, Some(&phone));
            return Err(bad("PHONE_CODE_INVALID"));
        }
        CodeJudgement::Expired => return Err(bad("PHONE_CODE_EXPIRED")),
    }
    if let Some(account) = service.store.account_of_phone(phone.digits()).await? {
        let session = service.session_of(&caller);
        let waits = service.store.sign_in_by_code(name, account.id, session).await?;
        if waits.ok_or_else(|| bad("PHONE_CODE_EXPIRED"))? {
            return Err(Failure::Rpc(RpcError::unauthorized("SESSION_PASSWORD_NEEDED")));
        }
        info!(account = account.id, auth_key_id = %caller.auth_key_id, "signed in");
        service.tell_of_sign_in(&caller, &pusher, &account);
        return Ok(service.authorization(&caller, &account));
    }
    match service.config.sign_up {
        config::SignUp::Automatic => {
            service.register(&caller, &phone, ("User", phone.last_digits())).await
        }
        config::SignUp::Explicit => {
            let required = ctors::auth::AuthorizationSignUpRequired { terms_of_service: None };
            Ok(types::auth::Authorization::AuthorizationSignUpRequired(required))
        }
        config::SignUp::Closed => Err(bad("PHONE_NUMBER_UNOCCUPIED")),
    }
}

pub(crate) async fn sign_up(
    State(service): State<Service>,
    caller: Caller,
    call: SignUp,
) -> Result<types::auth::Authorization, Failure> {
    let phone = Phone::parse(text(&call.phone_number)?)?;
    let hash = code_hash(&call.phone_code_hash)?;
    if service.store.account_of_phone(phone.digits()).await?.is_some() {
        return Err(bad("PHONE_NUMBER_OCCUPIED"));
    }
    if service.config.sign_up == config::SignUp::Closed {
        return Err(bad("PHONE_NUMBER_UNOCCUPIED"));
    }
    let now = caller.now.unix_seconds();
    if !service.store.is_proved(phone.digits(), hash, now).await? {
        return Err(bad("PHONE_CODE_EXPIRED"));
    }
    let (first_name, last_name) = (text(&call.first_name)?.trim(), text(&call.last_name)?.trim());
    if first_name.is_empty() || first_name.chars().count() > NAME_MAX {
        return Err(bad("FIRSTNAME_INVALID"));
    }
    if last_name.chars().count() > NAME_MAX {
        return Err(bad("LASTNAME_INVALID"));
    }
    service.register(&caller, &phone, (first_name, last_name)).await
}

impl Service {
    /// Makes an account and signs its key in.
    async fn register(
        &self,
        caller: &Caller,
        phone: &Phone,
        name: (&str, &str),
    ) -> Result<types::auth::Authorization, Failure> {
        let session = self.session_of(caller);
        let made = self.store.sign_up(phone.digits(), name, session).await?;
        let id = made.ok_or_else(|| bad("PHONE_NUMBER_OCCUPIED"))?;
        info!(account = id, auth_key_id = %caller.auth_key_id, "signed up");
        let account =
            self.store.account(id).await?.ok_or_else(|| bad("PHONE_NUMBER_UNOCCUPIED"))?;
        Ok(self.authorization(caller, &account))
    }

    pub(super) fn session_of(&self, caller: &Caller) -> SignedIn {
        let client = caller.client.as_deref();
        let text = |said: Option<&Str>| {
            said.map(|said| said.to_string_lossy().into_owned()).unwrap_or_default()
        };
        SignedIn {
            key: caller.auth_key_id,
            hash: self.rng().u64().cast_signed(),
            api_id: client.map_or(0, |client| client.api_id),
            device_model: text(client.map(|client| &client.device_model)),
            system_version: text(client.map(|client| &client.system_version)),
            app_version: text(client.map(|client| &client.app_version)),
            ip: caller.peer.ip().to_string(),
            created: caller.now.unix_seconds(),
        }
    }

    pub(crate) fn authorization(
        &self,
        caller: &Caller,
        account: &Account,
    ) -> types::auth::Authorization {
        types::auth::Authorization::Authorization(ctors::auth::Authorization {
            otherwise_relogin_days: None,
            tmp_sessions: None,
            future_auth_token: None,
            user: self.user(caller, account.id, account),
        })
    }
}
