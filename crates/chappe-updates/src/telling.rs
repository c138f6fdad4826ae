//! What was committed and not pushed yet, for each account, and who has it anyway.

use std::collections::HashMap;

use crate::Step;

/// The accounts to which something has happened that was not pushed yet; `S` names a session.
///
/// Whoever commits a change [notes](Self::note) it, for each account in the order of commits. That
/// may ask for a teller: it takes the [next](Self::next) stretch of the log, pushes each event but
/// to whom [has](Self::has) it, says how far it [has come](Self::reach), whatever failed on the way,
/// and ends when there is no further stretch. An account has one teller at a time.
#[derive(Debug)]
pub struct Telling<S> {
    lines: HashMap<i64, Line<S>>,
}

#[derive(Debug)]
struct Line<S> {
    /// Pushed, or told otherwise.
    done: i32,
    /// Committed, and noted here.
    known: i32,
    /// Unix second of the latest.
    now: i64,
    /// Events that a session had as the answer to its call (UPD-03).
    answered: HashMap<i32, S>,
}

/// A part of the log of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The pts before it.
    pub after: i32,
    /// The last pts of it. The log may have more by now, of which is not known yet who has it.
    pub up_to: i32,
    /// Unix second.
    pub now: i64,
}

impl<S> Default for Telling<S> {
    fn default() -> Self {
        Self { lines: HashMap::new() }
    }
}

impl<S> Telling<S> {
    /// Notes what happened to an account at the Unix second `now`, and the session that has it as
    /// the answer to its call; whether a teller has to begin.
    pub fn note(&mut self, account: i64, step: Step, answered: Option<S>, now: i64) -> bool {
        let is_new = !self.lines.contains_key(&account);
        let done = step.pts - step.count;
        let line = self.lines.entry(account).or_insert_with(|| Line {
            done,
            known: done,
            now,
            answered: HashMap::new(),
        });
        (line.known, line.now) = (step.pts, now);
        if let Some(session) = answered {
            line.answered.insert(step.pts, session);
        }
        is_new
    }

    /// What to push; `None` ends the teller.
    pub fn next(&mut self, account: i64) -> Option<Stretch> {
        let line = self.lines.get(&account)?;
        if line.done >= line.known {
            self.lines.remove(&account);
            return None;
        }
        Some(Stretch { after: line.done, up_to: line.known, now: line.now })
    }

    /// The session that has an event already, as the answer to its call.
    pub fn has(&mut self, account: i64, pts: i32) -> Option<S> {
        self.lines.get_mut(&account)?.answered.remove(&pts)
    }

    /// Notes that everything up to a pts was pushed, or will not be.
    pub fn reach(&mut self, account: i64, pts: i32) {
        if let Some(line) = self.lines.get_mut(&account) {
            line.done = line.done.max(pts);
            // Of what will not be pushed nobody asks who has it.
            line.answered.retain(|answered, _| *answered > pts);
        }
    }
}
