//! The keys of the directory: bound, unused, dying, destroyed.

use std::sync::Arc;

use chappe_crypto::AuthKeyId;
use metrics::Gauge;

use super::{Few, KeyEntry, State};
use crate::keys::KeyRecord;
use crate::metrics::Gauged;
use crate::registry::LinkCommand;

impl State {
    pub(super) fn insert_key(&mut self, record: Arc<KeyRecord>, unused_max: usize, cached: &Gauge) {
        self.place_key(record, cached);
        self.drop_unused(unused_max);
    }

    /// Gives the record in use, which is this one where there was none.
    pub(super) fn place_key(&mut self, record: Arc<KeyRecord>, cached: &Gauge) -> Arc<KeyRecord> {
        let id = record.id();
        if let Some(entry) = self.keys.get(&id) {
            return Arc::clone(&entry.record);
        }
        if record.is_destroyed() {
            return record;
        }
        let entry = KeyEntry {
            record: Arc::clone(&record),
            sessions: Few::default(),
            links: Few::default(),
            bound: Vec::new(),
            unused: None,
            _counted: Gauged::new(cached),
        };
        self.keys.insert(id, Box::new(entry));
        if let Some(end) = record.end() {
            self.expiring.insert((end, id));
        }
        self.line_up(id);
        record
    }

    /// See [`Directory::bind`](super::Directory::bind) and [`KeyRecord::bind`].
    pub(super) fn bind(
        &mut self,
        key: &Arc<KeyRecord>,
        permanent: &Arc<KeyRecord>,
        end: i64,
        initialised: bool,
    ) -> bool {
        let id = key.id();
        if key.is_destroyed() || !self.keys.contains_key(&id) {
            return false;
        }
        let Some(entry) = self.keys.get_mut(&permanent.id()) else { return false };
        let is_news = !entry.bound.contains(&id);
        if is_news {
            entry.bound.push(id);
        }
        if let Some(place) = entry.unused.take() {
            self.unused.remove(&place);
        }
        let bound = entry.bound.clone();
        let rivals = bound.iter().filter(|other| **other != id).filter_map(|id| self.keys.get(id));
        let rival =
            rivals.map(|entry| &entry.record).find(|rival| rival.is_media() == key.is_media());
        if let Some(rival) = rival.cloned() {
            rival.unbind();
            self.forget_bound(permanent.id(), rival.id());
        }
        if let Some(old) = key.end() {
            self.expiring.remove(&(old, id));
        }
        key.bind(permanent, end, initialised);
        self.expiring.insert((end, id));
        is_news
    }

    fn forget_bound(&mut self, permanent: AuthKeyId, key: AuthKeyId) {
        if let Some(entry) = self.keys.get_mut(&permanent) {
            entry.bound.retain(|bound| *bound != key);
        }
    }

    /// A key, and before it the temporary keys that are bound to it.
    pub(super) fn entries_of(&self, key: AuthKeyId) -> impl Iterator<Item = &KeyEntry> {
        let entry = self.keys.get(&key);
        let bound = entry.into_iter().flat_map(|entry| &entry.bound);
        bound.filter_map(|key| self.keys.get(key)).chain(entry).map(|entry| &**entry)
    }

    /// See [`Directory::remove_key`](super::Directory::remove_key).
    pub(super) fn remove_key(&mut self, key: AuthKeyId, unused_max: usize) {
        self.changes += 1;
        let Some(entry) = self.take_entry(key) else { return };
        for bound in &entry.bound {
            if let Some(bound) = self.keys.get(bound) {
                bound.record.unbind();
            }
        }
        let permanent = entry.record.permanent();
        entry.record.destroy();
        self.sessions -= entry.sessions.len();
        for session in entry.sessions.values() {
            if let Some((place, _)) = session.idle {
                self.idle.remove(&place);
            }
            session.handle.end();
        }
        for link in entry.links.values() {
            let _ = link.send(LinkCommand::ForgetKey(key));
        }
        if let Some(permanent) = permanent {
            self.note_unused(permanent.id(), unused_max);
        }
    }

    /// Takes a key out of all lists but those of its sessions.
    fn take_entry(&mut self, key: AuthKeyId) -> Option<Box<KeyEntry>> {
        let entry = self.keys.remove(&key)?;
        if let Some(place) = entry.unused {
            self.unused.remove(&place);
        }
        if let Some(end) = entry.record.end() {
            self.expiring.remove(&(end, key));
        }
        if let Some(permanent) = entry.record.permanent() {
            self.forget_bound(permanent.id(), key);
        }
        Some(entry)
    }

    pub(super) fn note_unused(&mut self, key: AuthKeyId, unused_max: usize) {
        self.line_up(key);
        self.drop_unused(unused_max);
    }

    /// Lines a key up for being dropped from memory, if nothing uses it.
    fn line_up(&mut self, key: AuthKeyId) {
        let Some(entry) = self.keys.get_mut(&key) else { return };
        let is_used =
            !(entry.sessions.is_empty() && entry.links.is_empty() && entry.bound.is_empty());
        if entry.unused.is_some() || is_used {
            return;
        }
        self.ticks += 1;
        entry.unused = Some(self.ticks);
        self.unused.insert(self.ticks, key);
    }

    /// Drops what has been unused for longest, and what only that was using.
    pub(super) fn drop_unused(&mut self, unused_max: usize) {
        while self.unused.len() > unused_max.max(1)
            && let Some((_, oldest)) = self.unused.pop_first()
        {
            let permanent = self.take_entry(oldest).and_then(|entry| entry.record.permanent());
            if let Some(permanent) = permanent {
                self.line_up(permanent.id());
            }
        }
    }
}
