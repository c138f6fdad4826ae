//! Challenges that were given out, and how often somebody has tried.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chappe_crypto::srp::Challenge;

/// Given out and not answered. In memory: who asked before a restart asks again.
#[derive(Default)]
pub(crate) struct Challenges(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By `srp_id`.
    open: HashMap<i64, Open>,
    /// Which are the oldest.
    order: BTreeMap<u64, i64>,
    last: u64,
    /// When an account was tried, on the monotonic clock.
    tries: HashMap<i64, VecDeque<Duration>>,
}

struct Open {
    account: i64,
    challenge: Challenge,
    until: Duration,
    place: u64,
}

/// Challenges kept; the oldest goes for one more. Each is about a kilobyte.
const OPEN_MAX: usize = 10_000;
/// How long one counts.
const LIFE: Duration = Duration::from_secs(300);
/// Wrong answers of an account within a minute (ACC-11).
const TRIES_MAX: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

impl Challenges {
    pub(super) fn keep(&self, id: i64, account: i64, challenge: Challenge, now: Duration) {
        let mut table = self.lock();
        table.last += 1;
        let place = table.last;
        if table.order.len() >= OPEN_MAX
            && let Some((_, oldest)) = table.order.pop_first()
        {
            table.open.remove(&oldest);
        }
        table.order.insert(place, id);
        table.open.insert(id, Open { account, challenge, until: now + LIFE, place });
    }

    /// The challenge of an account, which is used up by that.
    pub(super) fn take(&self, id: i64, account: i64, now: Duration) -> Option<Challenge> {
        let mut table = self.lock();
        if table.open.get(&id)?.account != account {
            return None;
        }
        let open = table.open.remove(&id)?;
        table.order.remove(&open.place);
        (open.until > now).then_some(open.challenge)
    }

    /// Counts a try of an account; the wait in seconds where it was one too many.
    pub(super) fn try_once(&self, account: i64, now: Duration) -> Result<(), u64> {
        let mut table = self.lock();
        let is_old = |at: &Duration| now.saturating_sub(*at) >= MINUTE;
        table.tries.retain(|_, tries| tries.back().is_some_and(|last| !is_old(last)));
        let tries = table.tries.entry(account).or_default();
        while tries.front().is_some_and(is_old) {
            tries.pop_front();
        }
        match tries.front() {
            Some(first) if tries.len() >= TRIES_MAX => {
                Err((MINUTE - now.saturating_sub(*first)).as_secs().max(1))
            }
            _ => {
                tries.push_back(now);
                Ok(())
            }
        }
    }

    /// Somebody knows the password: what was tried before does not count against them.
    pub(super) fn forgive(&self, account: i64) {
        self.lock().tries.remove(&account);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
