//! `users.getUsers`.

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
    let mut users = Vec::with_capacity(call.id.len());
    for user in &call.id {
        users.push(match service.meant(me, user).await? {
            Some(account) => service.seen(caller.now.unix_seconds(), me, &account).await?,
            None => types::User::UserEmpty(ctors::UserEmpty { id: id_of(user) }),
        });
    }
    Ok(users)
}

fn id_of(user: &types::InputUser) -> i64 {
    match user {
        types::InputUser::InputUser(user) => user.user_id,
        types::InputUser::InputUserFromMessage(user) => user.user_id,
        types::InputUser::InputUserEmpty | types::InputUser::InputUserSelf => 0,
    }
}
