//! An account as a `user`, and whom an `inputUser` means.

use chappe_api::{ctors, types};
use chappe_crypto::{equal, sha256};
use chappe_server::Caller;
use chappe_tl::Str;

use crate::Service;
use crate::error::Failure;
use crate::store::{Account, KnownAs, SERVICE_ACCOUNT};

impl Service {
    /// An account as it sees itself.
    pub(crate) fn user(&self, caller: &Caller, me: i64, account: &Account) -> types::User {
        types::User::User(Box::new(self.shown(caller.now.unix_seconds(), me, account)))
    }

    /// An account as `viewer` sees it at a Unix second: under the name that the viewer gave it.
    pub(crate) async fn seen(
        &self,
        now: i64,
        viewer: i64,
        account: &Account,
    ) -> Result<types::User, Failure> {
        let known = match self.store.accounts_seen(viewer, &[account.id]).await?.pop() {
            Some((_, known)) => known,
            None => None,
        };
        Ok(self.seen_as(now, viewer, account, known))
    }

    /// The same where it is known what the viewer calls it.
    pub(crate) fn seen_as(
        &self,
        now: i64,
        viewer: i64,
        account: &Account,
        known: Option<KnownAs>,
    ) -> types::User {
        let mut user = self.shown(now, viewer, account);
        if viewer != account.id
            && let Some(KnownAs { first_name, last_name, is_mutual }) = known
        {
            (user.contact, user.mutual_contact) = (true, is_mutual);
            user.first_name = some(&first_name);
            user.last_name = some(&last_name);
            // Whoever knows each other may call each other.
            user.phone = account.phone.as_deref().filter(|_| is_mutual).map(Into::into);
        }
        types::User::User(Box::new(user))
    }

    fn shown(&self, now: i64, viewer: i64, account: &Account) -> ctors::User {
        let is_self = viewer == account.id;
        let phone = account.phone.as_deref().filter(|_| is_self);
        ctors::User {
            self_: is_self,
            id: account.id,
            access_hash: Some(self.access_hash(viewer, account.id)),
            first_name: Some(account.first_name.as_str().into()),
            last_name: some(&account.last_name),
            username: account.username.as_deref().map(Into::into),
            phone: phone.map(Into::into),
            photo: account.photo.as_ref().map(|photo| self.shown_profile_photo(photo)),
            status: self.status(now, account),
            bot_info_version: account.info_version,
            bot_inline_placeholder: account.inline_placeholder.as_deref().map(Into::into),
            verified: account.id == SERVICE_ACCOUNT,
            support: account.id == SERVICE_ACCOUNT,
            ..chappe_tl::blank()
        }
    }

    /// Whether somebody is there, and since when not. Bots are always.
    pub(crate) fn status(&self, now: i64, account: &Account) -> Option<types::UserStatus> {
        if account.is_bot || account.id == SERVICE_ACCOUNT {
            return None;
        }
        let until = clamp(account.online_until);
        Some(if account.online_until > now {
            types::UserStatus::UserStatusOnline(ctors::UserStatusOnline { expires: until })
        } else {
            types::UserStatus::UserStatusOffline(ctors::UserStatusOffline { was_online: until })
        })
    }

    /// What a viewer has to know of an account to name it (UPD-30): another for each viewer, so
    /// that nobody finds people by trying ids.
    pub(crate) fn access_hash(&self, viewer: i64, account: i64) -> i64 {
        let (viewer, account) = (viewer.to_le_bytes(), account.to_le_bytes());
        let hash = sha256(&[&self.secret[..], b"user", &viewer, &account]);
        let hash = hash.first_chunk().map_or(1, |bytes| i64::from_le_bytes(*bytes));
        if hash == 0 { 1 } else { hash }
    }

    /// Whether a bot may name somebody without a hash: whom it has met (API-10).
    async fn knows_as_bot(&self, viewer: i64, account: i64) -> Result<bool, Failure> {
        Ok(self.store.is_bot(viewer).await? && self.store.has_met(viewer, account).await?)
    }

    /// The account that `viewer` means; `None` where there is none that it may name.
    pub(crate) async fn meant(
        &self,
        viewer: i64,
        user: &types::InputUser,
    ) -> Result<Option<Account>, Failure> {
        match self.named_as(viewer, user).await? {
            Some(id) => Ok(self.store.account(id).await?),
            None => Ok(None),
        }
    }

    /// The number that `viewer` means, if it may name that.
    pub(crate) async fn named_as(
        &self,
        viewer: i64,
        user: &types::InputUser,
    ) -> Result<Option<i64>, Failure> {
        Ok(match user {
            types::InputUser::InputUserSelf => Some(viewer),
            types::InputUser::InputUser(user) => {
                let hash = self.access_hash(viewer, user.user_id);
                let is_known = equal(&hash.to_le_bytes(), &user.access_hash.to_le_bytes());
                if !is_known
                    && user.user_id != viewer
                    && !(user.access_hash == 0 && self.knows_as_bot(viewer, user.user_id).await?)
                {
                    return Ok(None);
                }
                Some(user.user_id)
            }
            // Whom a message shows: there are no messages to look at.
            types::InputUser::InputUserEmpty | types::InputUser::InputUserFromMessage(_) => None,
        })
    }
}

fn some(name: &str) -> Option<Str> {
    Some(name).filter(|name| !name.is_empty()).map(Into::into)
}

/// A Unix second as the API has it.
fn clamp(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
