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
/// [next](Self::next) stretch of the log, [says of each event](Self::pushing) that it pushes it, and
/// ends when there is no further stretch, or once it has [given up](Self::give_up). An account has
/// one teller at a time.
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
        });
        (line.known, line.now) = (news.pts, now);
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
        Some(Stretch { after: line.done, up_to: line.known, now: line.now })
    }

    /// Notes that an event is pushed; the session that has it already.
    pub(crate) fn pushing(&mut self, account: i64, pts: i32) -> Option<Session> {
        let line = self.lines.get_mut(&account)?;
        line.done = line.done.max(pts);
        line.answered.remove(&pts)
    }

    /// Forgets an account whose log cannot be read. Its clients find out by the gap.
    pub(crate) fn give_up(&mut self, account: i64) {
        self.lines.remove(&account);
    }
}
