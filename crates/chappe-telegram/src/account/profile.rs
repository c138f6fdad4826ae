//! Names: `account.updateProfile`, `account.updateUsername`, `account.checkUsername`.

use chappe_api::functions::account::{CheckUsername, UpdateProfile, UpdateUsername};
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};
use chappe_tl::Str;

use crate::Service;
use crate::auth::NAME_MAX;
use crate::contacts::Tidings;
use crate::error::{Failure, bad, text};

/// Longest text about oneself, in characters.
const ABOUT_MAX: usize = 140;
/// Characters of a username.
const USERNAME: std::ops::RangeInclusive<usize> = 4..=32;

pub(crate) async fn update_profile(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: UpdateProfile,
) -> Result<types::User, Failure> {
    let me = service.me(&caller).await?;
    let (first_name, last_name) = (trimmed(&call.first_name)?, trimmed(&call.last_name)?);
    let about = trimmed(&call.about)?;
    let length = |said: Option<&str>| said.map(|said| said.chars().count());
    if length(first_name).is_some_and(|length| length == 0 || length > NAME_MAX) {
        return Err(bad("FIRSTNAME_INVALID"));
    }
    if length(last_name).is_some_and(|length| length > NAME_MAX) {
        return Err(bad("LASTNAME_INVALID"));
    }
    if length(about).is_some_and(|length| length > ABOUT_MAX) {
        return Err(bad("ABOUT_TOO_LONG"));
    }
    service.store.set_profile(me, (first_name, last_name, about)).await?;
    service.renamed(&caller, &pusher, me).await
}

pub(crate) async fn update_username(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: UpdateUsername,
) -> Result<types::User, Failure> {
    let me = service.me(&caller).await?;
    let username = text(&call.username)?;
    if !username.is_empty() {
        check(username)?;
    }
    let account = service.store.account(me).await?.ok_or_else(Service::signed_out)?;
    if account.username.as_deref().unwrap_or_default() == username {
        return Err(bad("USERNAME_NOT_MODIFIED"));
    }
    if !service.store.set_username(me, username).await? {
        return Err(bad("USERNAME_OCCUPIED"));
    }
    service.renamed(&caller, &pusher, me).await
}

pub(crate) async fn check_username(
    State(service): State<Service>,
    caller: Caller,
    call: CheckUsername,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let username = text(&call.username)?;
    check(username)?;
    let found = service.store.account_of_username(username).await?;
    Ok(found.is_none_or(|account| account.id == me))
}

fn trimmed(said: &Option<Str>) -> Result<Option<&str>, Failure> {
    Ok(said.as_ref().map(text).transpose()?.map(str::trim))
}

/// Letters, digits and single underscores between them, with a letter first.
pub(crate) fn check(username: &str) -> Result<(), Failure> {
    let is_of_them = username.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_well_begun = username.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_well_ended = !username.ends_with('_') && !username.contains("__");
    if is_of_them && is_well_begun && is_well_ended && USERNAME.contains(&username.len()) {
        Ok(())
    } else {
        Err(bad("USERNAME_INVALID"))
    }
}

impl Service {
    pub(crate) async fn myself(&self, caller: &Caller, me: i64) -> Result<types::User, Failure> {
        let account = self.store.account(me).await?.ok_or_else(Self::signed_out)?;
        Ok(self.user(caller, me, &account))
    }

    /// What somebody is told of a name: their contacts have those that they gave them, whatever
    /// these call themselves.
    pub(crate) async fn as_called_by(
        &self,
        viewer: i64,
        mut update: types::Update,
    ) -> Result<types::Update, Failure> {
        if let types::Update::UpdateUserName(name) = &mut update
            && name.user_id != viewer
            && let Some((_, Some(known))) =
                self.store.accounts_seen(viewer, &[name.user_id]).await?.pop()
        {
            name.first_name = known.first_name.into();
            name.last_name = known.last_name.into();
        }
        Ok(update)
    }

    /// Tells those who know somebody what they are called now; the answer to who did that.
    async fn renamed(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        me: i64,
    ) -> Result<types::User, Failure> {
        let account = self.store.account(me).await?.ok_or_else(Self::signed_out)?;
        self.tell_acquaintances(caller, pusher, me, Tidings::Name);
        Ok(self.user(caller, me, &account))
    }
}
