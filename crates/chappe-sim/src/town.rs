//! The service of a node: accounts, the log of each, and tellers that push what happens.
//!
//! It mirrors `chappe-telegram` (`updates/lines.rs`) without tasks, locks and a database. Logs
//! outlive the process; what is still to be told, and whose turn it is, does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chappe_crypto::AuthKeyId;
use chappe_proto::{MsgId, SessionId};
use chappe_updates::{Step, Stretch, Telling};

use crate::words::{Event, Events, Token};

/// A session, by the key that it is under.
pub type Session = (AuthKeyId, SessionId);

/// A call that writes, as it runs.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    /// Who called.
    pub session: Session,
    /// The call.
    pub call: MsgId,
    /// What it is known by.
    pub token: Token,
    /// An account into whose log it is written, too.
    pub other: u32,
}

/// An event, and who had it as the answer to his call.
#[derive(Clone, Copy, Debug)]
struct Entry {
    event: Event,
    by: Session,
}

/// What a teller is about to do.
#[derive(Debug)]
enum Teller {
    /// To look whether there is anything.
    Looks,
    /// To read this part of the log.
    Reads(Stretch),
    /// To push these, the rest of a part of the log.
    Pushes(VecDeque<Entry>, Stretch),
}

/// What a teller pushes.
#[derive(Debug)]
pub struct Push {
    /// To the sessions of whom.
    pub account: u32,
    /// What happened.
    pub event: Event,
    /// But not to this session.
    pub but: Option<Session>,
    /// This one must not hear of it: it had the event as its answer.
    pub by: Session,
}

/// A change that everybody may hear of.
#[derive(Debug)]
pub struct Announced {
    /// Whose turn it was.
    pub writer: Writer,
    /// The answer to the call.
    pub events: Events,
    /// Accounts for which a teller begins.
    pub begin: Vec<u32>,
    /// Somebody else has the turn now.
    pub is_next: bool,
}

/// Accounts and their logs.
#[derive(Debug, Default)]
pub struct Town {
    /// Whose a key is.
    accounts: BTreeMap<AuthKeyId, u32>,
    logs: BTreeMap<u32, Vec<Entry>>,
    written: BTreeSet<Token>,
    telling: Telling<Session>,
    tellers: BTreeMap<u32, Teller>,
    /// Those who wait for their turn; the first has it.
    turns: VecDeque<Writer>,
    /// What the first of them has written, of which nobody was told yet.
    committed: Vec<(u32, Step)>,
    /// The last event of each account that was pushed.
    pushed: BTreeMap<u32, i32>,
    /// Events that each device has.
    had: BTreeMap<usize, usize>,
}

/// Events in one answer, and read by a teller at once: few, so that there is more.
const BATCH: usize = 3;

impl Town {
    /// A key is an account's.
    pub fn own(&mut self, key: AuthKeyId, account: u32) {
        self.accounts.insert(key, account);
    }

    /// Whose a key is.
    pub fn account(&self, key: AuthKeyId) -> Option<u32> {
        self.accounts.get(&key).copied()
    }

    /// The process ends.
    pub fn restart(&mut self) {
        self.telling = Telling::default();
        self.tellers.clear();
        self.turns.clear();
        self.committed.clear();
    }

    /// A call wants to write. True if nobody is before it.
    pub fn queue(&mut self, writer: Writer) -> bool {
        self.turns.push_back(writer);
        self.turns.len() == 1
    }

    /// Writes for whoever has the turn. A call that comes a second time changes nothing.
    pub fn commit(&mut self) -> Option<Writer> {
        let writer = *self.turns.front()?;
        if self.written.insert(writer.token) {
            let own = self.account(writer.session.0);
            let other = Some(writer.other).filter(|other| Some(*other) != own);
            for account in own.into_iter().chain(other) {
                let log = self.logs.entry(account).or_default();
                let count = 1 + (writer.token.0 % 3) as i32;
                let pts = log.last().map_or(0, |entry| entry.event.step.pts) + count;
                let event = Event { step: Step { pts, count }, token: writer.token };
                log.push(Entry { event, by: writer.session });
                self.committed.push((account, event.step));
            }
        }
        Some(writer)
    }

    /// Makes known what was committed, and passes the turn on.
    pub fn announce(&mut self, now: i64) -> Option<Announced> {
        let writer = self.turns.pop_front()?;
        let own = self.account(writer.session.0);
        let mut begin = Vec::new();
        for (account, step) in std::mem::take(&mut self.committed) {
            let answered = (own == Some(account)).then_some(writer.session);
            if self.telling.note(i64::from(account), step, answered, now) {
                self.tellers.insert(account, Teller::Looks);
                begin.push(account);
            }
        }
        let log = own.and_then(|own| self.logs.get(&own)).map_or(&[][..], Vec::as_slice);
        let written = log.iter().map(|entry| entry.event).find(|event| event.token == writer.token);
        let pts = written.map_or(0, |event| event.step.pts);
        let events = Events { pts, is_whole: true, events: written.into_iter().collect() };
        Some(Announced { writer, events, begin, is_next: !self.turns.is_empty() })
    }

    /// What the log of an account has after a pts.
    pub fn difference(&self, account: u32, pts: i32) -> Events {
        let log = self.logs.get(&account).map_or(&[][..], Vec::as_slice);
        let mut rest = log.iter().map(|entry| entry.event).filter(|event| event.step.pts > pts);
        let events: Vec<Event> = rest.by_ref().take(BATCH).collect();
        let pts = events.last().map_or(pts, |event| event.step.pts);
        Events { pts, is_whole: rest.next().is_none(), events }
    }

    /// One step of the teller of an account: whether it goes on, and what it pushes. The log is
    /// not to be read if it `fails`.
    pub fn tell(&mut self, account: u32, fails: bool) -> (bool, Option<Push>) {
        let Some(teller) = self.tellers.remove(&account) else { return (false, None) };
        let line = i64::from(account);
        let mut push = None;
        let next = match teller {
            Teller::Looks => self.telling.next(line).map(Teller::Reads),
            Teller::Reads(stretch) if fails => {
                self.telling.reach(line, stretch.up_to);
                Some(Teller::Looks)
            }
            Teller::Reads(stretch) => {
                let log = self.logs.get(&account).map_or(&[][..], Vec::as_slice);
                let is_in = |entry: &&Entry| {
                    (stretch.after + 1..=stretch.up_to).contains(&entry.event.step.pts)
                };
                let entries: VecDeque<Entry> =
                    log.iter().filter(is_in).take(BATCH).copied().collect();
                let last = entries.back().map(|entry| entry.event.step.pts);
                let up_to = last.unwrap_or(stretch.up_to);
                Some(Teller::Pushes(entries, Stretch { up_to, ..stretch }))
            }
            Teller::Pushes(mut entries, stretch) => {
                push = entries.pop_front().map(|Entry { event, by }| {
                    let but = self.telling.has(line, event.step.pts);
                    Push { account, event, but, by }
                });
                if entries.is_empty() {
                    self.telling.reach(line, stretch.up_to);
                    Some(Teller::Looks)
                } else {
                    Some(Teller::Pushes(entries, stretch))
                }
            }
        };
        let goes_on = next.is_some();
        self.tellers.extend(next.map(|teller| (account, teller)));
        (goes_on, push)
    }

    /// Whether a push comes after all that was pushed to its account before.
    pub fn is_in_order(&mut self, push: &Push) -> bool {
        let pts = push.event.step.pts;
        self.pushed.insert(push.account, pts).is_none_or(|last| last < pts)
    }

    /// A device has one event more. Whether it is the next of the log.
    pub fn is_next(&mut self, client: usize, account: u32, event: Event) -> bool {
        let had = self.had.entry(client).or_default();
        let entry = self.logs.get(&account).and_then(|log| log.get(*had));
        *had += 1;
        entry.is_some_and(|entry| entry.event == event)
    }

    /// How many events a device misses.
    pub fn missed(&self, client: usize, account: u32) -> usize {
        let all = self.logs.get(&account).map_or(0, Vec::len);
        all - self.had.get(&client).copied().unwrap_or(0).min(all)
    }
}
