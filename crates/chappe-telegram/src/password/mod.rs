//! The second factor: a password that only its owner knows, checked by SRP (ACC-11).

mod challenges;
mod change;
mod check;
mod recovery;

use chappe_api::functions::account::GetPassword;
use chappe_api::{ctors, types};
use chappe_crypto::dh::Group;
use chappe_crypto::sha256;
use chappe_crypto::srp::Algorithm;
use chappe_server::{Caller, State};

pub(crate) use challenges::Challenges;
pub(crate) use change::{get_password_settings, update_password_settings};
pub(crate) use check::check_password;
pub(crate) use recovery::{
    check_recovery_password, confirm_password_email, get_tmp_password, recover_password,
    request_password_recovery,
};

use crate::Service;
use crate::error::Failure;
use crate::store::Password;

pub(crate) async fn get_password(
    State(service): State<Service>,
    caller: Caller,
    _call: GetPassword,
) -> Result<types::account::Password, Failure> {
    let me = service.whoever(&caller).await?;
    let password = service.store.password(me).await?;
    let hint = password.as_ref().map(|password| password.hint.clone());
    let current = match password {
        Some(password) => {
            let shown = algorithm(&password.salt1, &password.salt2);
            let (id, b) = service.challenge(me, password, caller.now).await?;
            Some((shown, b.to_vec().into(), id))
        }
        None => None,
    };
    let (salt1, salt2) = service.new_salts(me);
    let secure = ctors::SecurePasswordKdfAlgoPbkdf2Hmacsha512iter100000 {
        salt: service.rng().bytes::<8>().to_vec().into(),
    };
    Ok(types::account::Password {
        current_algo_and_srp_b_and_srp_id: current,
        hint: hint.filter(|hint| !hint.is_empty()).map(Into::into),
        new_algo: algorithm(&salt1, &salt2),
        new_secure_algo:
            types::SecurePasswordKdfAlgo::SecurePasswordKdfAlgoPbkdf2Hmacsha512iter100000(secure),
        secure_random: service.rng().bytes::<256>().to_vec().into(),
        ..chappe_tl::blank()
    })
}

/// The one algorithm there is, over the group that clients know.
fn algorithm(salt1: &[u8], salt2: &[u8]) -> types::PasswordKdfAlgo {
    let group = Group::known();
    types::PasswordKdfAlgo::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(
        ctors::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
            salt1: salt1.to_vec().into(),
            salt2: salt2.to_vec().into(),
            g: i32::try_from(group.generator()).unwrap_or(3),
            p: group.prime().to_vec().into(),
        },
    )
}

fn computed(password: &Password) -> Algorithm {
    Algorithm::new(Group::known(), password.salt1.clone(), password.salt2.clone())
}

impl Service {
    /// The salts for a new password of an account: the first is to be lengthened by the client.
    /// They follow from our secret, so that nothing is kept of whoever only asks.
    fn new_salts(&self, account: i64) -> (Vec<u8>, Vec<u8>) {
        let hash = sha256(&[&self.secret[..], b"password", &account.to_le_bytes()]);
        (hash[..8].to_vec(), hash[8..24].to_vec())
    }
}
