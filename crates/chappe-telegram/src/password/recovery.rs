//! Ways back to an account whose password is forgotten. There is none: nothing is sent by mail here.

use chappe_api::functions::account::{ConfirmPasswordEmail, GetTmpPassword};
use chappe_api::functions::auth::{
    CheckRecoveryPassword, RecoverPassword, RequestPasswordRecovery,
};
use chappe_api::types;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};

/// Seconds for which a temporary password may count.
const PERIOD: std::ops::RangeInclusive<i32> = 60..=86_400;

pub(crate) async fn request_password_recovery(
    State(service): State<Service>,
    caller: Caller,
    _call: RequestPasswordRecovery,
) -> Result<types::auth::PasswordRecovery, Failure> {
    Err(service.no_recovery(&caller).await)
}

pub(crate) async fn check_recovery_password(
    State(service): State<Service>,
    caller: Caller,
    _call: CheckRecoveryPassword,
) -> Result<bool, Failure> {
    Err(service.no_recovery(&caller).await)
}

pub(crate) async fn recover_password(
    State(service): State<Service>,
    caller: Caller,
    _call: RecoverPassword,
) -> Result<types::auth::Authorization, Failure> {
    Err(service.no_recovery(&caller).await)
}

/// No address waits to be confirmed, so no code is right.
pub(crate) async fn confirm_password_email(
    State(service): State<Service>,
    caller: Caller,
    _call: ConfirmPasswordEmail,
) -> Result<bool, Failure> {
    service.me(&caller).await?;
    Err(bad("CODE_INVALID"))
}

/// A password for payments. Nothing here takes one, so it is not kept.
pub(crate) async fn get_tmp_password(
    State(service): State<Service>,
    caller: Caller,
    call: GetTmpPassword,
) -> Result<types::account::TmpPassword, Failure> {
    let me = service.me(&caller).await?;
    if service.store.password(me).await?.is_none() {
        return Err(bad("PASSWORD_HASH_INVALID"));
    }
    service.check_knowledge(me, &call.password, caller.now).await?;
    let period = call.period.clamp(*PERIOD.start(), *PERIOD.end());
    let until = caller.now.unix_seconds() + i64::from(period);
    Ok(types::account::TmpPassword {
        tmp_password: service.rng().bytes::<32>().to_vec().into(),
        valid_until: i32::try_from(until).unwrap_or(i32::MAX),
    })
}

impl Service {
    /// Who has forgotten a password asks while it is asked for (API-05).
    async fn no_recovery(&self, caller: &Caller) -> Failure {
        match self.whoever(caller).await {
            Ok(_) => bad("PASSWORD_RECOVERY_NA"),
            Err(failure) => failure,
        }
    }
}
