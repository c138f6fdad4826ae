//! What was committed and not pushed yet, for each account, and who has it anyway.
//!
//! Holds no lock, task or database: `lines.rs` does what is said here, and the tests play with it.

use std::collections::HashMap;

use chappe_crypto::AuthKeyId;
use chappe_proto::SessionId;

use crate::store::News;

/// A session that made a call.
pub(crate) type Session = (AuthKeyId, SessionId);

/// The accounts to which something has happened that was not pushed yet.
///
/// Whoever commits a change [notes](Self::note) it. That may ask for a teller: it takes the
/// [next](Self::next) stretch of the log, pushes each event but to whom [has](Self::has) it, says how
/// far it [has come](Self::reach), whatever failed on the way, and ends when there is no further
/// stretch. An account has one teller at a time.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    lines: HashMap<i64, Line>,
}

#[derive(Debug)]
struct Line {
    /// Pushed, or told otherwise.
    done: i32,
    /// Committed, and noted here.
    known: i32,
    /// Unix second of the latest.
    now: i64,
    /// Events that a session had as the answer to its call (UPD-03).
    answered: HashMap<i32, Session>,
    /// The session that had all of them, if it was one.
    maker: Option<Session>,
}

/// A part of the log of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The pts before it.
    pub(crate) after: i32,
    /// The last pts of it. The log may have more by now, of which is not known yet who has it.
    pub(crate) up_to: i32,
    /// Unix second.
    pub(crate) now: i64,
    /// The session that has all of it, as answers to its calls.
    pub(crate) maker: Option<Session>,
}

impl Telling {
    /// Notes what happened; whether a teller has to begin.
    pub(crate) fn note(&mut self, news: News, answered: Option<Session>, now: i64) -> bool {
        let is_new = !self.lines.contains_key(&news.account);
        let done = news.pts - news.count;
        let line = self.lines.entry(news.account).or_insert_with(|| Line {
            done,
            known: done,
            now,
            answered: HashMap::new(),
            maker: answered,
        });
        (line.known, line.now) = (news.pts, now);
        line.maker = line.maker.filter(|maker| Some(*maker) == answered);
        if let Some(session) = answered {
            line.answered.insert(news.pts, session);
        }
        is_new
    }

    /// What to push; `None` ends the teller.
    pub(crate) fn next(&mut self, account: i64) -> Option<Stretch> {
        let line = self.lines.get(&account)?;
        if line.done >= line.known {
            self.lines.remove(&account);
            return None;
        }
        Some(Stretch { after: line.done, up_to: line.known, now: line.now, maker: line.maker })
    }

    /// The session that has an event already, as the answer to its call.
    pub(crate) fn has(&mut self, account: i64, pts: i32) -> Option<Session> {
        self.lines.get_mut(&account)?.answered.remove(&pts)
    }

    /// Notes that everything up to a pts was pushed, or will not be.
    pub(crate) fn reach(&mut self, account: i64, pts: i32) {
        if let Some(line) = self.lines.get_mut(&account) {
            line.done = line.done.max(pts);
            line.answered.retain(|of, _| *of > pts);
        }
    }
}
