//! What people say of themselves, and where they are signed in.

mod devices;
mod profile;

use chappe_api::functions::account::UpdateStatus;
use chappe_server::{Caller, Pusher, State};

pub(crate) use devices::{get_authorizations, reset_authorization, reset_authorizations};
pub(crate) use profile::{check as check_name, check_username, update_profile, update_username};

use crate::Service;
use crate::contacts::Tidings;
use crate::error::Failure;

/// Seconds for which a client is online after it said so: what it is told in `help.getConfig` to
/// repeat that after, and a little more.
const ONLINE: i64 = 240;

pub(crate) async fn update_status(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: UpdateStatus,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let now = caller.now.unix_seconds();
    service.store.set_online(me, if call.offline { now } else { now + ONLINE }).await?;
    service.tell_acquaintances(&caller, &pusher, me, Tidings::Status);
    Ok(true)
}
