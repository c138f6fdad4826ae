//! What another process was told of each user, and what it told: so that each byte is booked once
//! in either.
//!
//! Either end says increments. What one end heard from the other it counts as its own, and as told:
//! it goes on to a third process, and never back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::LinkId;
use super::wire::{Presence, Report, Told};
use crate::users::{Passed, Register, Used};

/// The books of one link.
#[derive(Debug)]
pub(crate) struct Ledger {
    link: LinkId,
    told: BTreeMap<String, Account>,
}

/// What the other end knows of a user.
#[derive(Debug, Default)]
struct Account {
    used: Used,
    totals: Passed,
    revoked: u64,
    presence: Presence,
}

impl Ledger {
    /// The other end knows nothing.
    pub(crate) fn new(link: LinkId) -> Self {
        Self { link, told: BTreeMap::new() }
    }

    /// The other end knows nothing, and counts what passes from here on: what passed before counts
    /// for the quotas alone.
    pub(crate) fn from_here_on(link: LinkId, register: &Register) -> Self {
        let told = register.users().map(|user| {
            let (totals, revoked) = (user.totals(), user.revoked());
            let account = Account { totals, revoked, ..Account::default() };
            (user.name().to_owned(), account)
        });
        Self { link, told: told.collect() }
    }

    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    /// What the other end does not know yet; from then on it counts as known.
    pub(crate) fn report(&mut self, register: &Register, unix: Duration) -> Report {
        let mut report = Report::new();
        for (name, used) in register.used(unix) {
            let known = self.told.entry(name.clone()).or_default();
            let (totals, revoked, presence) = register
                .find(&name)
                .map(|user| (user.totals(), user.revoked(), user.presence_without(self.link)))
                .unwrap_or_default();
            let told = Told {
                quota: used.since(known.used),
                month: used.month,
                up: totals.up.saturating_sub(known.totals.up),
                down: totals.down.saturating_sub(known.totals.down),
                revoked: revoked.saturating_sub(known.revoked),
                presence,
            };
            let has_more =
                [told.quota, told.up, told.down, told.revoked].iter().any(|more| *more > 0);
            let is_new = has_more || told.presence != known.presence;
            *known = Account { used, totals, revoked, presence: told.presence.clone() };
            if is_new {
                report.insert(name, told);
            }
        }
        report
    }

    /// Books what the other end says; whether it has given up connections of anybody.
    #[must_use]
    pub(crate) fn enter(
        &mut self,
        report: Report,
        register: &mut Register,
        unix: Duration,
    ) -> bool {
        let mut has_revoked = false;
        for (name, told) in report {
            let known = self.told.entry(name.clone()).or_default();
            let more = Used { bytes: told.quota, month: told.month };
            let (added, used) = register.add(&name, more, unix);
            known.used = match known.used.month == used.month {
                true => Used { bytes: known.used.bytes.saturating_add(added), ..used },
                false => Used { bytes: added, ..used },
            };
            if let Some(user) = register.find(&name) {
                user.add_totals(Passed { up: told.up, down: told.down });
                known.totals.up += told.up;
                known.totals.down += told.down;
                user.set_elsewhere(self.link, told.presence);
                user.revoke(told.revoked);
                known.revoked += told.revoked;
                has_revoked |= told.revoked > 0;
            }
        }
        has_revoked
    }

    /// The other end is gone, and its connections with it.
    pub(crate) fn close(&self, register: &Register) {
        for user in register.users() {
            user.set_elsewhere(self.link, Presence::default());
        }
    }
}
