//! `auth.checkPassword`, and the check itself.

use chappe_api::functions::auth::CheckPassword;
use chappe_api::types;
use chappe_crypto::srp::{Challenge, SrpError};
use chappe_proto::Now;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};
use tracing::info;

use super::computed;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::Password;

pub(crate) async fn check_password(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: CheckPassword,
) -> Result<types::auth::Authorization, Failure> {
    let me = service.whoever(&caller).await?;
    if service.store.password(me).await?.is_none() {
        return Err(bad("PASSWORD_HASH_INVALID"));
    }
    service.check_guesses(&caller, None)?;
    if let Err(failure) = service.check_knowledge(me, &call.password, caller.now).await {
        service.note_wrong(&caller, None);
        return Err(failure);
    }
    // The challenge is used up.
    let is_in = service.until_done(|| service.store.end_waiting(caller.auth_key_id, me)).await?;
    if !is_in {
        return Err(Service::signed_out());
    }
    info!(account = me, auth_key_id = %caller.auth_key_id, "signed in with a password");
    let account = service.store.account(me).await?.ok_or_else(Service::signed_out)?;
    service.tell_of_sign_in(&caller, &pusher, &account);
    Ok(service.authorization(&caller, &account))
}

impl Service {
    /// A fresh challenge: its `srp_id` and the value B.
    pub(super) async fn challenge(
        &self,
        account: i64,
        password: Password,
        now: Now,
    ) -> Result<(i64, [u8; 256]), Failure> {
        let mut rng = self.rng().fork();
        let id = rng.u64().cast_signed();
        // Milliseconds of arithmetic: not among what others wait for.
        let made = tokio::task::spawn_blocking(move || {
            Challenge::new(computed(&password), &password.verifier, &mut rng)
        });
        let challenge = made.await.map_err(|_| RpcError::internal())?;
        let b = *challenge.b();
        self.challenges.keep(id, account, challenge, now.mono);
        Ok((id, b))
    }

    /// Sees whether somebody knows the password of an account.
    pub(crate) async fn check_knowledge(
        &self,
        account: i64,
        said: &types::InputCheckPasswordSrp,
        now: Now,
    ) -> Result<(), Failure> {
        let types::InputCheckPasswordSrp::InputCheckPasswordSrp(said) = said else {
            return Err(bad("PASSWORD_HASH_INVALID"));
        };
        if let Err(wait) = self.challenges.try_once(account, now.mono) {
            return Err(Failure::Rpc(RpcError::new(420, format!("FLOOD_WAIT_{wait}"))));
        }
        let challenge = self.challenges.take(said.srp_id, account, now.mono);
        let challenge = challenge.ok_or_else(|| bad("SRP_ID_INVALID"))?;
        let (a, m1) = (said.a.clone(), said.m1.clone());
        let checked = tokio::task::spawn_blocking(move || challenge.verify(&a, &m1));
        match checked.await.map_err(|_| RpcError::internal())? {
            Ok(()) => {
                self.challenges.forgive(account);
                Ok(())
            }
            Err(SrpError::A) => Err(bad("SRP_A_INVALID")),
            Err(_) => Err(bad("PASSWORD_HASH_INVALID")),
        }
    }
}
