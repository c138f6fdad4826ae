//! Those who are served: who is here, how fast they may go, what they have passed.
//!
//! | file | holds |
//! | --- | --- |
//! | `user` | one of them: whether he is let in, what passes, what is known of him |
//! | `present` | his connections and their addresses, here and in other processes |
//! | `quota` | what he has used, and whether that is all |

mod present;
mod quota;
mod user;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use user::UserStatistics;

pub(crate) use quota::Used;
pub(crate) use user::{ADDRESSES, BYTES, Direction, OPEN, Passed, Refusal, Seat, User};

/// Everyone who was ever named.
#[derive(Debug)]
pub(crate) struct Register {
    users: HashMap<String, Arc<User>>,
    /// What they passed before this process began.
    before: HashMap<String, Used>,
}

impl Register {
    pub(crate) fn new(before: HashMap<String, Used>) -> Self {
        Self { users: HashMap::new(), before }
    }

    /// The one of that name, who is new perhaps.
    pub(crate) fn enter(&mut self, name: &str) -> Arc<User> {
        let Self { users, before } = self;
        let new = || Arc::new(User::new(name, before.get(name).copied().unwrap_or_default()));
        Arc::clone(users.entry(name.to_owned()).or_insert_with(new))
    }

    /// Those who were named since this process began.
    pub(crate) fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// Counts for the quota of whoever is called so what passed in another process; how much of it
    /// counts, and what counts in all.
    pub(crate) fn add(&mut self, name: &str, more: Used, unix: Duration) -> (u64, Used) {
        if let Some(user) = self.users.get(name) {
            return user.add(more, unix);
        }
        let used = self.before.entry(name.to_owned()).or_default();
        used.add(more);
        (more.bytes, *used)
    }

    /// What counts for the quotas, by name: of those not named any more as well.
    pub(crate) fn used(&self, unix: Duration) -> BTreeMap<String, Used> {
        let now = self.users.iter().map(|(name, user)| (name.clone(), user.used(unix)));
        let before = self.before.iter().map(|(name, used)| (name.clone(), *used));
        before.chain(now).collect()
    }

    /// The one of that name, if there ever was one.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// What is known of each, by name.
    pub(crate) fn statistics(&self, unix: Duration) -> Vec<UserStatistics> {
        let mut all: Vec<_> = self.users.values().map(|user| user.statistics(unix)).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

/// The counts stay true whatever panicked elsewhere while they were held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
