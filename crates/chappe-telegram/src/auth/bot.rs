//! `auth.importBotAuthorization`: bots sign in by a token, `<id>:<secret>`.

use chappe_api::functions::auth::ImportBotAuthorization;
use chappe_api::types;
use chappe_crypto::{equal, sha256};
use chappe_server::{Caller, State};
use tracing::info;

use crate::Service;
use crate::error::{Failure, bad, text};

pub(crate) async fn import_bot_authorization(
    State(service): State<Service>,
    caller: Caller,
    call: ImportBotAuthorization,
) -> Result<types::auth::Authorization, Failure> {
    service.check_api_id(call.api_id)?;
    service.check_guesses(&caller, None)?;
    let invalid = || {
        service.note_wrong(&caller, None);
        bad("ACCESS_TOKEN_INVALID")
    };
    let (id, secret) = text(&call.bot_auth_token)?.split_once(':').ok_or_else(invalid)?;
    let id: i64 = id.parse().map_err(|_| invalid())?;
    let kept = service.store.bot_secret(id).await?.ok_or_else(invalid)?;
    if !equal(&kept, &sha256(&[secret.as_bytes()])) {
        return Err(invalid());
    }
    let account = service.store.account(id).await?.ok_or_else(invalid)?;
    service.store.sign_in(id, service.session_of(&caller)).await?;
    info!(account = id, auth_key_id = %caller.auth_key_id, "bot signed in");
    Ok(service.authorization(&caller, &account))
}
