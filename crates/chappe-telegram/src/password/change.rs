//! `account.updatePasswordSettings`: a password is set, replaced or taken away.

use chappe_api::functions::account::{GetPasswordSettings, UpdatePasswordSettings};
use chappe_api::types;
use chappe_server::{Caller, State};
use tracing::info;
use zeroize::Zeroizing;

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::Password;

/// What a client has to add to the first salt, in bytes.
const OWN_SALT_MIN: usize = 32;
const OWN_SALT_MAX: usize = 256;
/// Longest hint, in characters.
const HINT_MAX: usize = 128;

pub(crate) async fn get_password_settings(
    State(service): State<Service>,
    caller: Caller,
    call: GetPasswordSettings,
) -> Result<types::account::PasswordSettings, Failure> {
    let me = service.me(&caller).await?;
    service.check_if_any(me, &call.password, &caller).await?;
    Ok(types::account::PasswordSettings { email: None, secure_settings: None })
}

pub(crate) async fn update_password_settings(
    State(service): State<Service>,
    caller: Caller,
    call: UpdatePasswordSettings,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let new = call.new_settings.new_algo_and_new_password_hash_and_hint;
    let new = new.ok_or_else(|| bad("NEW_SETTINGS_INVALID"))?;
    // Nothing is sent by mail here, so that no address can be shown to be somebody's.
    if call.new_settings.email.is_some_and(|email| !email.is_empty()) {
        return Err(bad("EMAIL_INVALID"));
    }
    let password = service.read_password(me, new)?;
    service.check_if_any(me, &call.password, &caller).await?;
    info!(account = me, is_set = password.is_some(), "second factor changed");
    let now = caller.now.unix_seconds();
    // The challenge is used up.
    service.until_done(|| service.store.set_password(me, password.clone(), now)).await?;
    Ok(true)
}

impl Service {
    async fn check_if_any(
        &self,
        me: i64,
        said: &types::InputCheckPasswordSrp,
        caller: &Caller,
    ) -> Result<(), Failure> {
        match self.store.password(me).await? {
            Some(_) => self.check_knowledge(me, said, caller.now).await,
            None => Ok(()),
        }
    }

    /// What a client wants to be known by; `None` to be known by nothing.
    fn read_password(
        &self,
        account: i64,
        (algorithm, hash, hint): (types::PasswordKdfAlgo, chappe_tl::Bytes, chappe_tl::Str),
    ) -> Result<Option<Password>, Failure> {
        use types::PasswordKdfAlgo as A;
        let A::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(algorithm) =
            algorithm
        else {
            return if hash.is_empty() { Ok(None) } else { Err(bad("NEW_SETTINGS_INVALID")) };
        };
        if hash.is_empty() {
            return Ok(None);
        }
        let (salt1, salt2) = self.new_salts(account);
        let own = algorithm.salt1.strip_prefix(&salt1[..]).map_or(0, <[u8]>::len);
        if !(OWN_SALT_MIN..=OWN_SALT_MAX).contains(&own) || algorithm.salt2[..] != salt2 {
            return Err(bad("NEW_SALT_INVALID"));
        }
        let verifier = hash.as_array().ok_or_else(|| bad("NEW_SETTINGS_INVALID"))?;
        let hint = text(&hint)?;
        if hint.chars().count() > HINT_MAX {
            return Err(bad("NEW_SETTINGS_INVALID"));
        }
        Ok(Some(Password {
            salt1: algorithm.salt1.to_vec(),
            salt2,
            verifier: Zeroizing::new(*verifier),
            hint: hint.to_owned(),
        }))
    }
}
