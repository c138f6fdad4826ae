//! Who is there: `contacts.getStatuses`, and telling those who know somebody what has changed.

use chappe_api::functions::contacts::GetStatuses;
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::error::Failure;
use crate::messages::Named;

/// Those who are told at once that somebody whom they know is there, or is called something else;
/// the rest see it when they look.
const TOLD_MAX: i64 = 1000;

pub(crate) async fn get_statuses(
    State(service): State<Service>,
    caller: Caller,
    _call: GetStatuses,
) -> Result<Vec<types::ContactStatus>, Failure> {
    let me = service.me(&caller).await?;
    let mut statuses = Vec::new();
    let known = service.store.contacts(me).await?;
    let known: Vec<i64> = known.into_iter().map(|contact| contact.account).collect();
    for (account, _) in service.store.accounts_seen(me, &known).await? {
        if let Some(status) = service.status(caller.now.unix_seconds(), &account) {
            statuses.push(types::ContactStatus { user_id: account.id, status });
        }
    }
    Ok(statuses)
}

impl Service {
    /// Tells those who know `me`, and its own other devices.
    pub(crate) async fn tell_acquaintances(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        me: i64,
        update: types::Update,
    ) -> Result<(), Failure> {
        let now = caller.now.unix_seconds();
        let mut told = self.store.who_knows(me, TOLD_MAX).await?;
        told.push(me);
        for account in told {
            let mut named = Named::default();
            named.account(me);
            let update = self.as_called_by(account, update.clone()).await?;
            let updates = self.updates(account, vec![update], named, now).await?;
            let but = (account == me).then_some((caller.auth_key_id, caller.session_id));
            self.push(pusher, account, &updates, but).await?;
        }
        Ok(())
    }
}
