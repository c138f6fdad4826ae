//! `contacts.resolvePhone` and `contacts.resolveUsername`.

use chappe_api::functions::contacts::{ResolvePhone, ResolveUsername};
use chappe_api::types;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::{Named, peer_of};
use crate::phone::Phone;
use crate::store::{Account, Peer};

pub(crate) async fn resolve_phone(
    State(service): State<Service>,
    caller: Caller,
    call: ResolvePhone,
) -> Result<types::contacts::ResolvedPeer, Failure> {
    let me = service.me(&caller).await?;
    let phone = Phone::parse(text(&call.phone)?)?;
    service.count_lookups(&caller, me, 1)?;
    let account = service.store.account_of_phone(phone.digits()).await?;
    service.resolved(&caller, me, account.ok_or_else(|| bad("PHONE_NOT_OCCUPIED"))?).await
}

pub(crate) async fn resolve_username(
    State(service): State<Service>,
    caller: Caller,
    call: ResolveUsername,
) -> Result<types::contacts::ResolvedPeer, Failure> {
    let me = service.me(&caller).await?;
    let username = text(&call.username)?.trim_start_matches('@');
    if username.is_empty() {
        return Err(bad("USERNAME_INVALID"));
    }
    let account = service.store.account_of_username(username).await?;
    service.resolved(&caller, me, account.ok_or_else(|| bad("USERNAME_NOT_OCCUPIED"))?).await
}

impl Service {
    async fn resolved(
        &self,
        caller: &Caller,
        me: i64,
        account: Account,
    ) -> Result<types::contacts::ResolvedPeer, Failure> {
        let mut named = Named::default();
        named.account(account.id);
        let users = self.users(caller, me, named).await?;
        let peer = peer_of(Peer::Account(account.id));
        Ok(types::contacts::ResolvedPeer { peer, chats: Vec::new(), users })
    }
}
