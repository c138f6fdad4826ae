//! `users.getUsers`.

use std::collections::{BTreeMap, BTreeSet};

use chappe_api::functions::users::GetUsers;
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};

/// Users asked for at once.
const USERS_MAX: usize = 200;

/// One entry for each that is asked for, in their order; `userEmpty` for who is not known.
pub(crate) async fn get_users(
    State(service): State<Service>,
    caller: Caller,
    call: GetUsers,
) -> Result<Vec<types::User>, Failure> {
    let me = service.me(&caller).await?;
    if call.id.len() > USERS_MAX {
        return Err(bad("LIMIT_INVALID"));
    }
    let mut asked = Vec::with_capacity(call.id.len());
    for user in &call.id {
        asked.push((service.named_as(me, user).await?, id_of(user)));
    }
    let ids: BTreeSet<i64> = asked.iter().filter_map(|(named, _)| *named).collect();
    let seen = service.store.accounts_seen(me, &Vec::from_iter(ids)).await?;
    let now = caller.now.unix_seconds();
    let seen: BTreeMap<i64, types::User> = seen
        .into_iter()
        .map(|(account, known)| (account.id, service.seen_as(now, me, &account, known)))
        .collect();
    let shown = |(named, id): (Option<i64>, i64)| match named.and_then(|named| seen.get(&named)) {
        Some(user) => user.clone(),
        None => types::User::UserEmpty(ctors::UserEmpty { id }),
    };
    Ok(asked.into_iter().map(shown).collect())
}

fn id_of(user: &types::InputUser) -> i64 {
    match user {
        types::InputUser::InputUser(user) => user.user_id,
        types::InputUser::InputUserFromMessage(user) => user.user_id,
        types::InputUser::InputUserEmpty | types::InputUser::InputUserSelf => 0,
    }
}
