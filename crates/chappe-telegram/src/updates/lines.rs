//! Telling the devices of an account what happened to it, in the order of its pts.
//!
//! The log in the database is the truth and this is a hint: what is not pushed, because nobody is
//! there or the server ends in between, is found by `updates.getDifference` (UPD-14). What is owed
//! to whom [`Telling`] knows; here it is done.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chappe_api::types;
use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;
use chappe_server::{Caller, Mark, Pusher};
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
        let mut begin = Vec::new();
        for news in change.commit().await? {
            let answered = (answered == Some(news.account)).then_some(session);
            self.prune_now_and_then(news, caller.now.unix_seconds());
            let step = Step { pts: news.pts, count: news.count };
            let now = caller.now.unix_seconds();
            if self.lines.told().note(news.account, step, answered, now) {
                begin.push(news.account);
            }
        }
        drop(turn);
        if !begin.is_empty() {
            let (service, pusher) = (self.clone(), pusher.clone());
            tokio::spawn(async move { service.push_lines(&pusher, begin).await });
        }
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

    /// Begins to tell accounts what happened to them, where anybody listens: most members of a
    /// large group are away, and most people have one device: who wrote.
    async fn push_lines(&self, pusher: &Pusher, accounts: Vec<i64>) {
        // What is pushed is known before it is who listens: whoever comes later asks.
        let stretches: Vec<(i64, Stretch)> = accounts
            .iter()
            .filter_map(|account| Some((*account, self.lines.next(*account)?)))
            .collect();
        let mut keys = self.store.keys_of_all(&accounts).await.unwrap_or_else(|error| {
            // Clients find out by the gap, or by what they ask for now and then.
            warn!(%error, "updates cannot be pushed: who listens is not known");
            BTreeMap::new()
        });
        for (account, mut stretch) in stretches {
            let mut keys = Some(keys.remove(&account).unwrap_or_default());
            if !self.is_heard(pusher, account, keys.as_deref().unwrap_or_default()) {
                self.lines.told().reach(account, stretch.up_to);
                let Some(next) = self.lines.next(account) else { continue };
                (stretch, keys) = (next, None);
            }
            let (service, pusher) = (self.clone(), pusher.clone());
            tokio::spawn(async move { service.push_line(&pusher, account, stretch, keys).await });
        }
    }

    /// Whether anybody has yet to hear of what happened to an account.
    fn is_heard(&self, pusher: &Pusher, account: i64, keys: &[AuthKeyId]) -> bool {
        let maker = self.lines.told().maker(account);
        pusher.hearers(keys).into_iter().any(|session| Some(session) != maker)
    }

    /// Pushes what the log has for an account until there is nothing more. `keys` are its own,
    /// where they were read since this stretch was known.
    async fn push_line(
        &self,
        pusher: &Pusher,
        account: i64,
        mut stretch: Stretch,
        mut keys: Option<Vec<AuthKeyId>>,
    ) {
        loop {
            let reached = self.push_events(pusher, account, stretch, keys.take()).await;
            let reached = reached.unwrap_or_else(|failure| {
                // Clients find out by the gap, or by what they ask for now and then.
                warn!(?failure, account, "updates cannot be pushed");
                stretch.up_to
            });
            self.lines.told().reach(account, reached);
            let Some(next) = self.lines.next(account) else { return };
            stretch = next;
        }
    }

    /// Pushes what the log has of a stretch to those who listen when it begins; the pts up to which
    /// there is nothing left to push.
    async fn push_events(
        &self,
        pusher: &Pusher,
        account: i64,
        Stretch { mut after, up_to, now }: Stretch,
        keys: Option<Vec<AuthKeyId>>,
    ) -> Result<i32, Failure> {
        let mut keys = match keys {
            Some(keys) => keys,
            None => self.store.keys_of(account).await?,
        };
        if !self.is_heard(pusher, account, &keys) {
            return Ok(up_to);
        }
        // Who comes later hears of what happens then (UPD-09), and not of the rest of this.
        let hearers: HashSet<_> = pusher.hearers(&keys).into_iter().collect();
        loop {
            let mut events = self.store.events(account, after, BATCH).await?;
            events.retain(|event| event.pts <= up_to);
            after = events.last().map_or(up_to, |event| event.pts);
            let subjects = self.subjects(account, &events).await?;
            for event in &events {
                let but = self.lines.told().has(account, event.pts);
                let mark = Mark { line: account, at: event.pts };
                let event = std::slice::from_ref(event);
                let updates = self.updates_about(account, event, &subjects, now).await?;
                let Ok(body) = chappe_tl::to_bytes(&updates) else { continue };
                let is_meant = |session| Some(session) != but && hearers.contains(&session);
                pusher.to_keys_in_line(keys.iter().copied(), is_meant, mark, body).await;
            }
            if after >= up_to {
                return Ok(up_to);
            }
            // Who was signed out hears no more.
            keys = self.store.keys_of(account).await?;
        }
    }

    /// Sends something to every session of these accounts.
    pub(crate) async fn push_to_all(
        &self,
        pusher: &Pusher,
        accounts: &[i64],
        updates: &types::Updates,
    ) -> Result<(), Failure> {
        let Ok(body) = chappe_tl::to_bytes(updates) else { return Ok(()) };
        let keys = self.store.keys_of_all(accounts).await?;
        pusher.to_keys(keys.into_values().flatten(), None, body).await;
        Ok(())
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
