//! The dates that clients are told, and by which they ask for what moves no pts (UPD-08).
//!
//! A client that names the date of an answer gets everything that changed in that second or later.
//! So a change that an answer does not show yet has to bear a second that is not below the date of
//! that answer, however long its commit takes. Both therefore come from here: a change gets a second
//! that is not below any date given before, and while it is under way its account is given no later
//! date.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Dates of all accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dates(Arc<Mutex<Given>>);

#[derive(Debug, Default)]
struct Given {
    /// The latest that was given to anybody: no clock that is set back takes dates back.
    latest: i64,
    /// Seconds of changes that are not told yet, by account.
    under_way: HashMap<i64, Vec<i64>>,
}

/// A change that moves no pts, from before its transaction until it is pushed.
#[derive(Debug)]
#[must_use = "the change is over when it is dropped"]
pub(crate) struct UnderWay {
    dates: Dates,
    account: i64,
    /// The Unix second in which it is made.
    pub(crate) second: i64,
}

impl Dates {
    /// The Unix second that an answer about an account bears if it is read from here on.
    pub(crate) fn date(&self, account: i64, now: i64) -> i64 {
        let mut given = self.given();
        given.latest = given.latest.max(now);
        let oldest = given.under_way.get(&account).and_then(|seconds| seconds.iter().min());
        oldest.map_or(given.latest, |oldest| given.latest.min(*oldest))
    }

    /// Begins a change of an account.
    pub(crate) fn begin(&self, account: i64, now: i64) -> UnderWay {
        let mut given = self.given();
        given.latest = given.latest.max(now);
        let second = given.latest;
        given.under_way.entry(account).or_default().push(second);
        UnderWay { dates: self.clone(), account, second }
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut given = self.dates.given();
        let Some(seconds) = given.under_way.get_mut(&self.account) else { return };
        if let Some(place) = seconds.iter().position(|second| *second == self.second) {
            seconds.swap_remove(place);
        }
        if seconds.is_empty() {
            given.under_way.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   a change that an answer does not show bears no second below the date of that answer,
    ///         whichever began first and whatever the clock does; dates never go back.
    /// Source: UPD-08, 20-telegram-api-service §3.1.
    #[test]
    fn change_is_not_below_dates_given_before_it_is_told() {
        let dates = Dates::default();
        assert_eq!(dates.date(1, 100), 100);
        let early = dates.begin(1, 101);
        assert_eq!(early.second, 101);
        assert_eq!((dates.date(1, 110), dates.date(2, 110)), (101, 110));
        // The clock was set back, or this call came first and waited.
        let late = dates.begin(1, 90);
        assert_eq!(late.second, 110);
        assert_eq!(dates.date(1, 120), 101);
        drop(early);
        assert_eq!(dates.date(1, 120), 110);
        drop(late);
        assert_eq!((dates.date(1, 90), dates.date(1, 121)), (120, 121));
        assert!(dates.given().under_way.is_empty());
    }
}
