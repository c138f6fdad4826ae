//! Telling the devices of an account what happened to it, in the order of its pts.
//!
//! The log in the database is the truth and this is a hint: what is not pushed, because nobody is
//! there or the server ends in between, is found by `updates.getDifference` (UPD-14).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chappe_api::types;
use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;
use chappe_server::{Caller, Pusher};
use tokio::sync::{Mutex as Turns, MutexGuard};
use tracing::warn;

use crate::Service;
use crate::error::Failure;
use crate::store::{Change, News};

/// Who hears of what, and in which order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    /// Held from before a change is begun until it is announced: announcements come in the order
    /// of commits. SQLite has one writer anyway.
    turns: Arc<Turns<()>>,
    lines: Arc<Mutex<HashMap<i64, Line>>>,
}

/// An account to which something has happened that was not pushed yet.
#[derive(Debug)]
struct Line {
    /// Pushed, or told otherwise.
    done: i32,
    /// Committed.
    known: i32,
    /// Unix second of the latest.
    now: i64,
    /// Events that a session had as the answer to its call (UPD-03).
    answered: HashMap<i32, (AuthKeyId, SessionId)>,
}

impl Lines {
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turns.lock().await
    }

    /// Notes what happened; whether somebody has to begin pushing it.
    fn note(&self, news: News, answered: Option<(AuthKeyId, SessionId)>, now: i64) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !lines.contains_key(&news.account);
        let done = news.pts - news.count;
        let line = lines.entry(news.account).or_insert_with(|| Line {
            done,
            known: done,
            now,
            answered: HashMap::new(),
        });
        (line.known, line.now) = (news.pts, now);
        if let Some(session) = answered {
            line.answered.insert(news.pts, session);
        }
        is_new
    }

    /// After which pts to push, and what time it is; the line is over when there is nothing.
    fn next(&self, account: i64) -> Option<(i32, i64)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.get(&account)?;
        if line.done >= line.known {
            lines.remove(&account);
            return None;
        }
        Some((line.done, line.now))
    }

    /// Notes that events up to `pts` were pushed; who has that one already.
    fn answered(&self, account: i64, pts: i32) -> Option<(AuthKeyId, SessionId)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.get_mut(&account)?;
        line.done = line.done.max(pts);
        line.answered.remove(&pts)
    }

    fn give_up(&self, account: i64) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
    }
}

/// Events read from the log at once.
const BATCH: i64 = 100;
/// Events of an account after which its log is looked at. Fewer than one look takes out.
const PRUNE_EVERY: i32 = 100;

impl Service {
    /// Makes a change and sees to it that everybody hears of it. The session of `caller` has its
    /// own part of it as the answer to its call.
    pub(crate) async fn announce(
        &self,
        turn: MutexGuard<'_, ()>,
        change: Change<'_>,
        pusher: &Pusher,
        (me, caller): (i64, &Caller),
    ) -> Result<(), Failure> {
        let session = (caller.auth_key_id, caller.session_id);
        for news in change.commit().await? {
            let answered = (news.account == me).then_some(session);
            self.prune_now_and_then(news, caller.now.unix_seconds());
            if self.lines.note(news, answered, caller.now.unix_seconds()) {
                let (service, pusher) = (self.clone(), pusher.clone());
                tokio::spawn(async move { service.push_line(&pusher, news.account).await });
            }
        }
        drop(turn);
        Ok(())
    }

    /// Takes the oldest events out of the log of an account once a hundred have come to it.
    fn prune_now_and_then(&self, News { account, pts, count }: News, now: i64) {
        if pts / PRUNE_EVERY == (pts - count) / PRUNE_EVERY {
            return;
        }
        let (service, before) = (self.clone(), now - i64::from(self.config.log_life));
        tokio::spawn(async move {
            let pruned = service.store.prune(account, before, service.config.log_max).await;
            if let Err(error) = pruned {
                warn!(%error, account, "the log cannot be pruned");
            }
        });
    }

    /// Pushes what the log has for an account until there is nothing more.
    async fn push_line(&self, pusher: &Pusher, account: i64) {
        while let Some((done, now)) = self.lines.next(account) {
            match self.push_events(pusher, account, done, now).await {
                Ok(true) => {}
                Ok(false) => self.lines.give_up(account),
                // Clients find out by the gap, or by what they ask for now and then.
                Err(failure) => {
                    warn!(?failure, account, "updates cannot be pushed");
                    self.lines.give_up(account);
                }
            }
        }
    }

    /// Whether there was anything.
    async fn push_events(
        &self,
        pusher: &Pusher,
        account: i64,
        done: i32,
        now: i64,
    ) -> Result<bool, Failure> {
        // Most members of a large group are away.
        if !self.store.has_session(account).await? {
            return Ok(false);
        }
        let events = self.store.events(account, done, BATCH).await?;
        for event in &events {
            let but = self.lines.answered(account, event.pts);
            let updates = self.updates_of(account, std::slice::from_ref(event), now).await?;
            self.push(pusher, account, &updates, but).await?;
        }
        Ok(!events.is_empty())
    }

    /// Sends something to every session of an account, but one.
    pub(crate) async fn push(
        &self,
        pusher: &Pusher,
        account: i64,
        updates: &types::Updates,
        but: Option<(AuthKeyId, SessionId)>,
    ) -> Result<(), Failure> {
        let Ok(body) = chappe_tl::to_bytes(updates) else { return Ok(()) };
        for key in self.store.keys_of(account).await? {
            let but = but.filter(|(own, _)| *own == key).map(|(_, session)| session);
            pusher.to_key_but(key, but, body.clone()).await;
        }
        Ok(())
    }
}
