//! `users.getFullUser`.

use chappe_api::functions::users::GetFullUser;
use chappe_api::types;
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};

pub(crate) async fn get_full_user(
    State(service): State<Service>,
    caller: Caller,
    call: GetFullUser,
) -> Result<types::users::UserFull, Failure> {
    let me = service.me(&caller).await?;
    let account = service.meant(me, &call.id).await?.ok_or_else(|| bad("USER_ID_INVALID"))?;
    let bot_info = match account.is_bot {
        true => Some(Box::new(service.bot_info(&caller, me, &account).await?)),
        false => None,
    };
    let full_user = types::UserFull {
        bot_info,
        blocked: service.store.is_blocked(me, account.id).await?,
        can_pin_message: true,
        id: account.id,
        about: Some(&*account.about).filter(|about| !about.is_empty()).map(Into::into),
        profile_photo: account
            .photo
            .as_ref()
            .map(|photo| Box::new(service.shown_photo(caller.now.unix_seconds(), me, photo))),
        ..chappe_tl::blank()
    };
    let users = vec![service.seen(caller.now.unix_seconds(), me, &account).await?];
    Ok(types::users::UserFull { full_user, chats: Vec::new(), users })
}
