//! What people have asked of bots and wait to hear.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Questions without an answer, by their `query_id`.
pub(crate) struct Queries<Q, A>(Mutex<HashMap<i64, Open<Q, A>>>);

struct Open<Q, A> {
    bot: i64,
    question: Q,
    answer: oneshot::Sender<A>,
}

/// A question while somebody waits for its answer. It is forgotten with whoever waits.
pub(crate) struct Waiting<'q, Q, A> {
    queries: &'q Queries<Q, A>,
    id: i64,
    answer: oneshot::Receiver<A>,
}

/// Questions that one bot, and all bots, may leave without an answer at once; one more counts as
/// not answered.
const OF_BOT_MAX: usize = 1000;
const ALL_MAX: usize = 20_000;

impl<Q, A> Default for Queries<Q, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Q, A> Queries<Q, A> {
    /// Notes a question; `None` where there are too many.
    pub(super) fn ask(&self, bot: i64, id: i64, question: Q) -> Option<Waiting<'_, Q, A>> {
        let mut open = self.lock();
        let of_bot = open.values().filter(|query| query.bot == bot).count();
        if open.len() >= ALL_MAX || of_bot >= OF_BOT_MAX || open.contains_key(&id) {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        open.insert(id, Open { bot, question, answer: sender });
        drop(open);
        Some(Waiting { queries: self, id, answer })
    }

    /// Takes up a question that `bot` was asked, and nobody else; what was asked, and the way to
    /// who waits.
    pub(super) fn take(&self, bot: i64, id: i64) -> Option<(Q, oneshot::Sender<A>)> {
        let mut open = self.lock();
        open.get(&id).filter(|query| query.bot == bot)?;
        let Open { question, answer, .. } = open.remove(&id)?;
        Some((question, answer))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Open<Q, A>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> Waiting<'_, Q, A> {
    /// The answer, if it comes in time.
    pub(super) async fn answer(mut self, wait: Duration) -> Option<A> {
        timeout(wait, &mut self.answer).await.ok()?.ok()
    }
}

impl<Q, A> Drop for Waiting<'_, Q, A> {
    fn drop(&mut self) {
        self.queries.lock().remove(&self.id);
    }
}
