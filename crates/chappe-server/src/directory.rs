//! Which keys are in use, and where each session lives.
//!
//! Looked at when a link opens a session or leaves it, not with every message; its lock is never
//! held while anyone waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chappe_crypto::AuthKeyId;
use chappe_proto::{LinkId, SessionId};
use metrics::Gauge;

use crate::config::SessionLimits;
use crate::keys::KeyRecord;
use crate::metrics::Gauged;
use crate::registry::LinkSender;
use crate::session::{Hearing, Input, SessionHandle};

mod few;
mod keys;

use few::Few;

pub(crate) struct Directory {
    limits: SessionLimits,
    keys_unused_max: usize,
    /// How many keys there are.
    cached: Gauge,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Boxed, since a map has room for more entries than there are.
    keys: HashMap<AuthKeyId, Box<KeyEntry>>,
    /// Keys that no session or link uses, the one unused for longest first.
    unused: BTreeMap<u64, AuthKeyId>,
    /// `(end, id)` of the temporary keys here, the next to die first.
    expiring: BTreeSet<(i64, AuthKeyId)>,
    /// Sessions without a link, the one left longest ago first.
    idle: BTreeMap<u64, (AuthKeyId, SessionId)>,
    sessions: usize,
    /// Keys destroyed or bound so far: what was read from the store before that may be of one of
    /// them.
    changes: u64,
    /// Sessions at this place among the idle ones, and before, are forgotten.
    forgotten: u64,
    ticks: u64,
}

struct KeyEntry {
    record: Arc<KeyRecord>,
    sessions: Few<SessionId, SessionEntry>,
    links: Few<LinkId, LinkSender>,
    /// Temporary keys here that are bound to it: one for media, one for the rest (PFS-12).
    bound: Vec<AuthKeyId>,
    /// Its place in [`State::unused`].
    unused: Option<u64>,
    _counted: Gauged,
}

/// What a key read from the store is bound to.
pub(crate) struct ReadBond {
    pub(crate) permanent: Arc<KeyRecord>,
    /// Unix second at which the key dies.
    pub(crate) end: i64,
    /// See [`KeyRecord::bind`].
    pub(crate) initialised: bool,
}

struct SessionEntry {
    handle: Arc<SessionHandle>,
    links: usize,
    /// Its place in [`State::idle`], and since when.
    idle: Option<(u64, Duration)>,
}

/// Why a link gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key was destroyed.
    NoKey,
    /// Too many links or sessions of this key, or sessions in all.
    TooMany,
}

/// Forgotten sessions of a key whose ids are still remembered, for each living one.
const FORGOTTEN_RATIO: usize = 4;

impl Directory {
    /// Nothing is known yet; `cached` follows the number of keys.
    pub(crate) fn new(limits: SessionLimits, keys_unused_max: usize, cached: Gauge) -> Self {
        Self { limits, keys_unused_max, cached, state: Mutex::default() }
    }

    /// A key in use or recently so.
    pub(crate) fn key(&self, id: AuthKeyId) -> Option<Arc<KeyRecord>> {
        self.lock().keys.get(&id).map(|entry| Arc::clone(&entry.record))
    }

    /// Keys destroyed or bound so far; see [`insert_read_key`](Self::insert_read_key).
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Remembers a key just made.
    pub(crate) fn insert_key(&self, record: Arc<KeyRecord>) {
        self.lock().insert_key(record, self.keys_unused_max, &self.cached);
    }

    /// Remembers a key read from the store, and what it is bound to, when there had been `changes`
    /// changes; `None` if there was one since, for it may be of this key. Gives the record that
    /// is in use.
    pub(crate) fn insert_read_key(
        &self,
        record: Arc<KeyRecord>,
        bond: Option<ReadBond>,
        changes: u64,
    ) -> Option<Arc<KeyRecord>> {
        let mut state = self.lock();
        if state.changes != changes {
            return None;
        }
        let record = state.place_key(record, &self.cached);
        if let Some(ReadBond { permanent, end, initialised }) = bond
            && record.permanent().is_none()
        {
            let permanent = state.place_key(permanent, &self.cached);
            state.bind(&record, &permanent, end, initialised);
        }
        state.drop_unused(self.keys_unused_max);
        Some(record)
    }

    /// Binds a temporary key to a permanent one until `end` (Unix), over the key that had its
    /// place, as the store has done (PFS-11). Whether it was not so before.
    pub(crate) fn bind(&self, key: &Arc<KeyRecord>, permanent: &Arc<KeyRecord>, end: i64) -> bool {
        let mut state = self.lock();
        state.changes += 1;
        let permanent = state.place_key(Arc::clone(permanent), &self.cached);
        let is_news = state.bind(key, &permanent, end, false);
        state.drop_unused(self.keys_unused_max);
        is_news
    }

    /// Binds a link to a session of a key, opening the session if there is none: `open` starts
    /// its task. Refuses the link where the key has `links_max` already.
    pub(crate) fn attach(
        &self,
        record: &Arc<KeyRecord>,
        session: SessionId,
        (link, sender, links_max): (LinkId, &LinkSender, usize),
        now: Duration,
        open: impl FnOnce() -> Arc<SessionHandle>,
    ) -> Result<Arc<SessionHandle>, Refusal> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let key = record.id();
        state.insert_key(Arc::clone(record), self.keys_unused_max, &self.cached);
        let entry = state.keys.get(&key).ok_or(Refusal::NoKey)?;
        if !entry.links.contains_key(&link) && entry.links.len() >= links_max {
            return Err(Refusal::TooMany);
        }
        if entry.sessions.get(&session).is_some_and(|entry| entry.handle.has_ended()) {
            state.remove_session(key, session);
        }
        let entry = state.keys.get(&key).ok_or(Refusal::NoKey)?;
        let is_open = entry.sessions.get(&session).is_some_and(|entry| entry.handle.is_alive());
        if !is_open {
            self.make_room(state, key, entry.sessions.contains_key(&session), now)?;
        }
        let entry = state.keys.get_mut(&key).ok_or(Refusal::NoKey)?;
        if let Some(place) = entry.unused.take() {
            state.unused.remove(&place);
        }
        entry.links.get_or_insert_with(link, || sender.clone());
        let session = entry.sessions.get_or_insert_with(session, || {
            state.sessions += 1;
            SessionEntry { handle: open(), links: 0, idle: None }
        });
        session.handle.revive();
        session.links += 1;
        if let Some((place, _)) = session.idle.take() {
            state.idle.remove(&place);
        }
        Ok(Arc::clone(&session.handle))
    }

    /// Unbinds a link from its session. `stays` where it goes on with another of the same key.
    pub(crate) fn detach(
        &self,
        key: AuthKeyId,
        handle: &Arc<SessionHandle>,
        link: LinkId,
        stays: bool,
        now: Duration,
    ) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(entry) = state.keys.get_mut(&key) else { return };
        if !stays {
            entry.links.remove(&link);
        }
        // Another session may have taken the place of one that was removed meanwhile.
        let session = entry
            .sessions
            .get_mut(&handle.id())
            .filter(|session| Arc::ptr_eq(&session.handle, handle));
        if let Some(session) = session {
            session.links -= 1;
            if session.links == 0 {
                state.ticks += 1;
                session.idle = Some((state.ticks, now));
                state.idle.insert(state.ticks, (key, handle.id()));
            }
        }
        state.note_unused(key, self.keys_unused_max);
    }

    /// Forgets a session because its client asked (SVC-36); whether there was one.
    pub(crate) fn destroy_session(&self, key: AuthKeyId, session: SessionId) -> bool {
        let state = self.lock();
        let entry = state.keys.get(&key).and_then(|entry| entry.sessions.get(&session));
        entry.is_some_and(|entry| entry.handle.forget())
    }

    /// Ends everything of a key (SVC-37); keys that are bound to it are unbound (PFS-14).
    pub(crate) fn remove_key(&self, key: AuthKeyId) {
        self.lock().remove_key(key, self.keys_unused_max);
    }

    /// Ends everything of the temporary keys whose time is over at this Unix second (PFS-03), and
    /// names them.
    pub(crate) fn expire(&self, unix: i64) -> Vec<AuthKeyId> {
        let mut state = self.lock();
        let mut expired = Vec::new();
        while let Some(&(end, key)) = state.expiring.first()
            && end <= unix
        {
            state.remove_key(key, self.keys_unused_max);
            expired.push(key);
        }
        expired
    }

    /// When the next temporary key dies, in Unix seconds.
    pub(crate) fn next_end(&self) -> Option<i64> {
        self.lock().expiring.first().map(|(end, _)| *end)
    }

    /// Forgets sessions that had no link for long (SES-06).
    pub(crate) fn reap(&self, now: Duration) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let gone_after = self.limits.idle_max.max(self.limits.ids_kept);
        let mut gone = Vec::new();
        for (key, session) in state.idle.values() {
            let Some(entry) = state.keys.get(key).and_then(|entry| entry.sessions.get(session))
            else {
                continue;
            };
            let Some((_, since)) = entry.idle else { continue };
            let idle = now.saturating_sub(since);
            if idle < self.limits.idle_max {
                break;
            }
            if idle >= gone_after {
                gone.push((*key, *session));
            } else {
                entry.handle.forget();
            }
        }
        for (key, session) in gone {
            state.remove_session(key, session);
            state.note_unused(key, self.keys_unused_max);
        }
    }

    /// Forgets the session that had no link for longest; whether there was one.
    pub(crate) fn forget_idlest(&self) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        while let Some((place, (key, session))) = state.idle.range(state.forgotten + 1..).next() {
            state.forgotten = *place;
            let entry = state.keys.get(key).and_then(|entry| entry.sessions.get(session));
            if entry.is_some_and(|entry| entry.handle.forget()) {
                return true;
            }
        }
        false
    }

    /// The session of a key, or of a temporary key that is bound to it, if it is open. A client
    /// may keep its session's id when it begins to use a bound key, which then counts.
    pub(crate) fn session(&self, key: AuthKeyId, session: SessionId) -> Option<Arc<SessionHandle>> {
        let state = self.lock();
        let mut handles = state.entries_of(key).filter_map(|entry| entry.sessions.get(&session));
        handles.find(|entry| entry.handle.is_alive()).map(|entry| Arc::clone(&entry.handle))
    }

    /// The sessions of a key, and of the temporary keys that are bound to it, that are pushed to:
    /// those that hear, and those that have made no call yet if none that hears is connected
    /// (API-13).
    pub(crate) fn hearers(&self, key: AuthKeyId) -> Vec<Arc<SessionHandle>> {
        let state = self.lock();
        let sessions = state.entries_of(key).flat_map(|entry| entry.sessions.values());
        let alive: Vec<_> = sessions.filter(|session| session.handle.is_alive()).collect();
        let has = |session: &SessionEntry, hearing| session.handle.hears(hearing);
        let has_heard = alive.iter().any(|entry| entry.links > 0 && has(entry, Hearing::Yes));
        let is_meant = |entry: &&SessionEntry| {
            has(entry, Hearing::Yes) || (!has_heard && has(entry, Hearing::Undecided))
        };
        alive.into_iter().filter(is_meant).map(|entry| Arc::clone(&entry.handle)).collect()
    }

    /// Says something to every session.
    pub(crate) fn broadcast(&self, input: impl Fn() -> Input) {
        let state = self.lock();
        for session in state.keys.values().flat_map(|entry| entry.sessions.values()) {
            session.handle.tell(input());
        }
    }

    /// Makes sure that one more session of a key may live (SES-07).
    fn make_room(
        &self,
        state: &mut State,
        key: AuthKeyId,
        is_known: bool,
        now: Duration,
    ) -> Result<(), Refusal> {
        let Some(entry) = state.keys.get(&key) else { return Err(Refusal::NoKey) };
        if !is_known && entry.sessions.len() >= self.limits.per_key_max * FORGOTTEN_RATIO {
            return Err(Refusal::TooMany);
        }
        let alive = || entry.sessions.values().filter(|session| session.handle.is_alive());
        if alive().count() >= self.limits.per_key_max {
            let oldest = alive()
                .filter_map(|session| session.idle.map(|(place, _)| (place, &session.handle)))
                .min_by_key(|(place, _)| *place);
            let Some((_, handle)) = oldest else { return Err(Refusal::TooMany) };
            handle.forget();
        }
        if !is_known && state.sessions >= self.limits.total_max {
            let Some((_, (key, session))) = state.idle.first_key_value() else {
                return Err(Refusal::TooMany);
            };
            let (key, session) = (*key, *session);
            let idle = state.keys.get(&key).and_then(|entry| entry.sessions.get(&session)?.idle);
            // Its ids have to be remembered for a while; there is no room even for that.
            if idle.is_none_or(|(_, since)| now.saturating_sub(since) < self.limits.ids_kept) {
                return Err(Refusal::TooMany);
            }
            state.remove_session(key, session);
            state.note_unused(key, self.keys_unused_max);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove_session(&mut self, key: AuthKeyId, session: SessionId) {
        let Some(entry) = self.keys.get_mut(&key) else { return };
        let Some(session) = entry.sessions.remove(&session) else { return };
        if let Some((place, _)) = session.idle {
            self.idle.remove(&place);
        }
        self.sessions -= 1;
        session.handle.end();
    }
}
