//! `help.getSupport`: who tells people of their account.

use chappe_api::functions::help::GetSupport;
use chappe_api::types;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};
use crate::store::SERVICE_ACCOUNT;

/// The number that clients know that account by; nobody can have it here.
const NUMBER: &str = "42777";

pub(crate) async fn get_support(
    State(service): State<Service>,
    caller: Caller,
    _call: GetSupport,
) -> Result<types::help::Support, Failure> {
    // API-05: a password that is not yet told is no hindrance.
    let me = service.whoever(&caller).await?;
    let account = service.store.account(SERVICE_ACCOUNT).await?;
    let account = account.ok_or_else(|| bad("METHOD_INVALID"))?;
    let user = service.seen(caller.now.unix_seconds(), me, &account).await?;
    Ok(types::help::Support { phone_number: NUMBER.into(), user })
}
