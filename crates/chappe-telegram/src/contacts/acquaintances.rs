//! Telling those who know somebody what has changed: beside the call that changed it, for one
//! account one after the other, and always what is so by then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chappe_api::{ctors, types};
use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;
use chappe_server::{Caller, Pusher};
use tracing::warn;

use crate::Service;
use crate::error::Failure;
use crate::messages::Named;

/// What is new of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tidings {
    /// They came or went.
    Status,
    /// They are called something else.
    Name,
    /// They look different.
    Looks,
}

/// What is still to be told of whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed(Arc<Mutex<HashMap<i64, BTreeMap<Tidings, Source>>>>);

/// Whose doing it was, who knows of it, and at which Unix second.
#[derive(Clone, Copy, Debug)]
struct Source {
    session: (AuthKeyId, SessionId),
    now: i64,
}

/// People looked up at once.
const PAGE: i64 = 1000;

impl Owed {
    /// Notes what is new of an account, in the place of what was of that kind; whether somebody has
    /// to begin to tell it.
    fn note(&self, account: i64, tidings: Tidings, source: Source) -> bool {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !owed.contains_key(&account);
        owed.entry(account).or_default().insert(tidings, source);
        is_new
    }

    /// What to tell next; `None` ends the telling.
    fn next(&self, account: i64) -> Option<(Tidings, Source)> {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = owed.get_mut(&account)?.pop_first();
        if next.is_none() {
            owed.remove(&account);
        }
        next
    }
}

impl Service {
    /// Sees to it that those who know `me` and have a session are told, and its own other devices.
    pub(crate) fn tell_acquaintances(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        me: i64,
        tidings: Tidings,
    ) {
        let session = (caller.auth_key_id, caller.session_id);
        let source = Source { session, now: caller.now.unix_seconds() };
        if !self.tidings.note(me, tidings, source) {
            return;
        }
        let (service, pusher) = (self.clone(), pusher.clone());
        tokio::spawn(async move {
            while let Some((tidings, source)) = service.tidings.next(me) {
                if let Err(failure) = service.tell_of(&pusher, me, tidings, source).await {
                    // They see it when they look.
                    warn!(?failure, account = me, "acquaintances cannot be told");
                }
            }
        });
    }

    async fn tell_of(
        &self,
        pusher: &Pusher,
        me: i64,
        tidings: Tidings,
        Source { session, now }: Source,
    ) -> Result<(), Failure> {
        let Some(update) = self.news_of(me, tidings, now).await? else { return Ok(()) };
        let own = self.about(me, me, update.clone(), now).await?;
        self.push(pusher, me, &own, Some(session)).await?;
        let mut after = 0;
        loop {
            let page = self.store.who_knows(me, after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            for (other, keys) in page {
                if pusher.hearers(&keys).is_empty() {
                    continue;
                }
                let update = self.as_called_by(other, update.clone()).await?;
                let updates = self.about(other, me, update, now).await?;
                if let Ok(body) = chappe_tl::to_bytes(&updates) {
                    pusher.to_keys(keys, None, body).await;
                }
            }
        }
    }

    /// What is so now, whatever it was when it was noted.
    async fn news_of(
        &self,
        me: i64,
        tidings: Tidings,
        now: i64,
    ) -> Result<Option<types::Update>, Failure> {
        let Some(account) = self.store.account(me).await? else { return Ok(None) };
        Ok(match tidings {
            Tidings::Status => self.status(now, &account).map(|status| {
                let update = ctors::UpdateUserStatus { user_id: me, status };
                types::Update::UpdateUserStatus(update)
            }),
            Tidings::Name => Some(types::Update::UpdateUserName(ctors::UpdateUserName {
                user_id: me,
                first_name: account.first_name.as_str().into(),
                last_name: account.last_name.as_str().into(),
                usernames: account.username.as_deref().map(shown_username).into_iter().collect(),
            })),
            Tidings::Looks => Some(types::Update::UpdateUser(ctors::UpdateUser { user_id: me })),
        })
    }

    /// An update about `me`, to a viewer.
    async fn about(
        &self,
        viewer: i64,
        me: i64,
        update: types::Update,
        now: i64,
    ) -> Result<types::Updates, Failure> {
        let mut named = Named::default();
        named.account(me);
        self.updates(viewer, vec![update], named, now).await
    }
}

fn shown_username(username: &str) -> types::Username {
    types::Username {
        editable: true,
        active: true,
        username: username.into(),
        ..chappe_tl::blank()
    }
}
