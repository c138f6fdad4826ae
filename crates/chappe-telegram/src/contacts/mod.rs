//! Finding people.

use chappe_api::functions::contacts::ResolvePhone;
use chappe_api::types;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::{Named, peer_of};
use crate::phone::Phone;

pub(crate) async fn resolve_phone(
    State(service): State<Service>,
    caller: Caller,
    call: ResolvePhone,
) -> Result<types::contacts::ResolvedPeer, Failure> {
    let me = service.me(&caller).await?;
    let phone = Phone::parse(text(&call.phone)?)?;
    let account = service.store.account_of_phone(phone.digits()).await?;
    let account = account.ok_or_else(|| bad("PHONE_NOT_OCCUPIED"))?;
    let mut named = Named::default();
    named.account(account.id);
    let users = service.users(&caller, me, named).await?;
    Ok(types::contacts::ResolvedPeer { peer: peer_of(account.id), chats: Vec::new(), users })
}
