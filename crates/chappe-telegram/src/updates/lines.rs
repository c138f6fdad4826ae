//! Telling the devices of an account what happened to it, in the order of its pts.
//!
//! The log in the database is the truth and this is a hint: what is not pushed, because nobody is
//! there or the server ends in between, is found by `updates.getDifference` (UPD-14). What is owed
//! to whom [`Telling`] knows; here it is done.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chappe_api::types;
use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;
use chappe_server::{Caller, Pusher};
use chappe_updates::{Step, Stretch, Telling};
use tracing::warn;

use crate::Service;
use crate::error::Failure;
use crate::store::{Change, News};
use crate::updates::turns::{Gate, Turn, Turns};

/// Who hears of what, and in which order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    turns: Turns,
    telling: Arc<Mutex<Telling<(AuthKeyId, SessionId)>>>,
}

impl Lines {
    /// A turn in which nobody else changes anything that is news.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.turns.alone().await
    }

    /// What a turn beside others begins with: groups stay as they are from here on.
    pub(crate) async fn gate(&self) -> Gate<'_> {
        self.turns.gate().await
    }

    /// A turn in which nobody else changes anything of these accounts that is news.
    pub(crate) async fn turn_of<'l>(
        &'l self,
        gate: Gate<'l>,
        accounts: &BTreeSet<i64>,
    ) -> Turn<'l> {
        self.turns.of(gate, accounts).await
    }

    /// Not in the head of a loop, which would hold the lock for all of it.
    fn next(&self, account: i64) -> Option<Stretch> {
        self.told().next(account)
    }

    fn told(&self) -> MutexGuard<'_, Telling<(AuthKeyId, SessionId)>> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events read from the log at once.
const BATCH: i64 = 100;
/// Events of an account after which its log is looked at. Fewer than one look takes out.
const PRUNE_EVERY: i32 = 100;
/// Times that this is tried before the next hundred.
const PRUNE_TRIES: u32 = 5;

impl Service {
    /// Makes a change and sees to it that everybody hears of it. The session of `caller` has its
    /// own part of it as the answer to its call.
    pub(crate) async fn announce(
        &self,
        turn: Turn<'_>,
        change: Change<'_>,
        pusher: &Pusher,
        (me, caller): (i64, &Caller),
    ) -> Result<(), Failure> {
        self.announce_but(turn, change, pusher, (Some(me), caller)).await
    }

    /// The same of a call whose answer says nothing of what has happened: its session hears of it
    /// like any other.
    pub(crate) async fn announce_to_all(
        &self,
        turn: Turn<'_>,
        change: Change<'_>,
        pusher: &Pusher,
        caller: &Caller,
    ) -> Result<(), Failure> {
        self.announce_but(turn, change, pusher, (None, caller)).await
    }

    async fn announce_but(
        &self,
        turn: Turn<'_>,
        change: Change<'_>,
        pusher: &Pusher,
        (answered, caller): (Option<i64>, &Caller),
    ) -> Result<(), Failure> {
        let session = (caller.auth_key_id, caller.session_id);
        for news in change.commit().await? {
            let answered = (answered == Some(news.account)).then_some(session);
            self.prune_now_and_then(news, caller.now.unix_seconds());
            let step = Step { pts: news.pts, count: news.count };
            let now = caller.now.unix_seconds();
            if self.lines.told().note(news.account, step, answered, now) {
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
            for tries_left in (0..PRUNE_TRIES).rev() {
                match service.store.prune(account, before, service.config.log_max).await {
                    Ok(()) => return,
                    // Another transaction of the account has undone it, most likely.
                    Err(_) if tries_left > 0 => {}
                    Err(error) => warn!(%error, account, "the log cannot be pruned"),
                }
            }
        });
    }

    /// Pushes what the log has for an account until there is nothing more.
    async fn push_line(&self, pusher: &Pusher, account: i64) {
        while let Some(stretch) = self.lines.next(account) {
            let reached = self.push_events(pusher, account, stretch).await;
            let reached = reached.unwrap_or_else(|failure| {
                // Clients find out by the gap, or by what they ask for now and then.
                warn!(?failure, account, "updates cannot be pushed");
                stretch.up_to
            });
            self.lines.told().reach(account, reached);
        }
    }

    /// The pts up to which there is nothing left to push.
    async fn push_events(
        &self,
        pusher: &Pusher,
        account: i64,
        Stretch { after, up_to, now }: Stretch,
    ) -> Result<i32, Failure> {
        // Most members of a large group are away, and most people have one device: who wrote.
        let keys = self.store.keys_of(account).await?;
        let maker = self.lines.told().maker(account);
        if !pusher.has_hearers(&keys, maker) {
            return Ok(up_to);
        }
        let mut events = self.store.events(account, after, BATCH).await?;
        events.retain(|event| event.pts <= up_to);
        for event in &events {
            let but = self.lines.told().has(account, event.pts);
            let updates = self.updates_of(account, std::slice::from_ref(event), now).await?;
            let Ok(body) = chappe_tl::to_bytes(&updates) else { continue };
            pusher.to_keys(keys.iter().copied(), but, body).await;
        }
        Ok(events.last().map_or(up_to, |event| event.pts))
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
        pusher.to_keys(self.store.keys_of(account).await?, but, body).await;
        Ok(())
    }
}
