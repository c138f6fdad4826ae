//! Which keys are in use, and where each session lives.
//!
//! Looked at when a link opens a session or leaves it, not with every message; its lock is never
//! held while anyone waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chappe_crypto::AuthKeyId;
use chappe_proto::{LinkId, SessionId};
use metrics::Gauge;

use crate::config::SessionLimits;
use crate::keys::KeyRecord;
use crate::metrics::Gauged;
use crate::registry::{LinkCommand, LinkSender};
use crate::session::{Input, SessionHandle};

pub(crate) struct Directory {
    limits: SessionLimits,
    keys_unused_max: usize,
    /// How many keys there are.
    cached: Gauge,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: HashMap<AuthKeyId, KeyEntry>,
    /// Keys that no session or link uses, the one unused for longest first.
    unused: BTreeMap<u64, AuthKeyId>,
    /// Sessions without a link, the one left longest ago first.
    idle: BTreeMap<u64, (AuthKeyId, SessionId)>,
    sessions: usize,
    /// Keys destroyed so far: a key read from the store before that may be one of them.
    destroyed: u64,
    /// Sessions at this place among the idle ones, and before, are forgotten.
    forgotten: u64,
    ticks: u64,
}

struct KeyEntry {
    record: Arc<KeyRecord>,
    sessions: HashMap<SessionId, SessionEntry>,
    links: HashMap<LinkId, LinkSender>,
    /// Its place in [`State::unused`].
    unused: Option<u64>,
    _counted: Gauged,
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

    /// Keys destroyed so far; see [`insert_read_key`](Self::insert_read_key).
    pub(crate) fn destroyed(&self) -> u64 {
        self.lock().destroyed
    }

    /// Remembers a key just made.
    pub(crate) fn insert_key(&self, record: Arc<KeyRecord>) {
        self.lock().insert_key(record, self.keys_unused_max, &self.cached);
    }

    /// Remembers a key read from the store when `destroyed` keys were destroyed; `None` if one
    /// was since, for it may be this one. Gives the record that is in use.
    pub(crate) fn insert_read_key(
        &self,
        record: Arc<KeyRecord>,
        destroyed: u64,
    ) -> Option<Arc<KeyRecord>> {
        let mut state = self.lock();
        (state.destroyed == destroyed)
            .then(|| state.insert_key(record, self.keys_unused_max, &self.cached))
    }

    /// Binds a link to a session of a key, opening the session if there is none: `open` starts
    /// its task.
    pub(crate) fn attach(
        &self,
        record: &Arc<KeyRecord>,
        session: SessionId,
        link: (LinkId, &LinkSender),
        now: Duration,
        open: impl FnOnce() -> Arc<SessionHandle>,
    ) -> Result<Arc<SessionHandle>, Refusal> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let key = record.id();
        state.insert_key(Arc::clone(record), self.keys_unused_max, &self.cached);
        let entry = state.keys.get(&key).ok_or(Refusal::NoKey)?;
        if !entry.links.contains_key(&link.0) && entry.links.len() >= self.limits.links_per_key_max
        {
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
        entry.links.insert(link.0, link.1.clone());
        let session = entry.sessions.entry(session).or_insert_with(|| {
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

    /// Ends everything of a key (SVC-37).
    pub(crate) fn remove_key(&self, key: AuthKeyId) {
        let mut state = self.lock();
        state.destroyed += 1;
        let Some(entry) = state.keys.remove(&key) else { return };
        entry.record.destroy();
        if let Some(place) = entry.unused {
            state.unused.remove(&place);
        }
        state.sessions -= entry.sessions.len();
        for session in entry.sessions.values() {
            if let Some((place, _)) = session.idle {
                state.idle.remove(&place);
            }
            session.handle.end();
        }
        for link in entry.links.values() {
            link.send(LinkCommand::ForgetKey(key));
        }
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

    /// The session, if it is open.
    pub(crate) fn session(&self, key: AuthKeyId, session: SessionId) -> Option<Arc<SessionHandle>> {
        let state = self.lock();
        let entry = state.keys.get(&key)?.sessions.get(&session)?;
        entry.handle.is_alive().then(|| Arc::clone(&entry.handle))
    }

    /// All open sessions of a key.
    pub(crate) fn sessions(&self, key: AuthKeyId) -> Vec<Arc<SessionHandle>> {
        let state = self.lock();
        let Some(entry) = state.keys.get(&key) else { return Vec::new() };
        let handles = entry.sessions.values().map(|session| &session.handle);
        handles.filter(|handle| handle.is_alive()).cloned().collect()
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
        let alive = entry.sessions.values().filter(|session| session.handle.is_alive());
        if alive.clone().count() >= self.limits.per_key_max {
            let oldest = alive
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
    fn insert_key(
        &mut self,
        record: Arc<KeyRecord>,
        unused_max: usize,
        cached: &Gauge,
    ) -> Arc<KeyRecord> {
        let id = record.id();
        if let Some(entry) = self.keys.get(&id) {
            return Arc::clone(&entry.record);
        }
        if record.is_destroyed() {
            return record;
        }
        let entry = KeyEntry {
            record: Arc::clone(&record),
            sessions: HashMap::new(),
            links: HashMap::new(),
            unused: None,
            _counted: Gauged::new(cached),
        };
        self.keys.insert(id, entry);
        self.note_unused(id, unused_max);
        record
    }

    /// Lines a key up for being dropped from memory, if nothing uses it.
    fn note_unused(&mut self, key: AuthKeyId, unused_max: usize) {
        let Some(entry) = self.keys.get_mut(&key) else { return };
        if entry.unused.is_some() || !entry.sessions.is_empty() || !entry.links.is_empty() {
            return;
        }
        self.ticks += 1;
        entry.unused = Some(self.ticks);
        self.unused.insert(self.ticks, key);
        while self.unused.len() > unused_max.max(1) {
            let Some((_, oldest)) = self.unused.pop_first() else { break };
            self.keys.remove(&oldest);
        }
    }

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
