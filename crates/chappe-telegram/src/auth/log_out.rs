//! `auth.logOut`.

use chappe_api::functions::auth::LogOut;
use chappe_api::types;
use chappe_server::{Caller, State};
use tracing::info;

use crate::Service;
use crate::error::Failure;

pub(crate) async fn log_out(
    State(service): State<Service>,
    caller: Caller,
    _call: LogOut,
) -> Result<types::auth::LoggedOut, Failure> {
    let me = service.whoever(&caller).await?;
    service.store.sign_out(caller.auth_key_id).await?;
    info!(account = me, auth_key_id = %caller.auth_key_id, "signed out");
    Ok(types::auth::LoggedOut { future_auth_token: None })
}
