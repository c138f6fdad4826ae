//! Who is there: `contacts.getStatuses`.

use chappe_api::functions::contacts::GetStatuses;
use chappe_api::types;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::Failure;

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
