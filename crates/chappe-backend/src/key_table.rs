//! Keys in memory: bounded in bytes and in number, each dying at its time. Knows no lock, clock or
//! disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use chappe_crypto::AuthKeyId;

use crate::{Bound, ConnectionInfo, Inserted, KeyBinding, StoreError, StoredKey};

/// The keys in memory.
pub(crate) struct KeyTable {
    keys: HashMap<AuthKeyId, Entry>,
    /// `(end, id)` of each temporary key, the next to die first.
    expiring: BTreeSet<(u64, AuthKeyId)>,
    /// The temporary key in each place of a permanent one, which may be kept elsewhere.
    bound: HashMap<Place, AuthKeyId>,
    /// Temporary keys that are not bound, the one that has been so for longest first.
    unbound: BTreeMap<u64, AuthKeyId>,
    ticks: u64,
    bytes: usize,
    bytes_max: usize,
    unbound_max: usize,
}

struct Entry {
    key: StoredKey,
    /// When a temporary key dies: with its agreed life or with its binding.
    end: Option<u64>,
    bond: Bond,
    connection: Option<ConnectionInfo>,
}

/// Where a key stands towards a permanent one.
#[derive(Clone, Copy)]
enum Bond {
    Permanent,
    /// Its place in [`KeyTable::unbound`].
    Unbound(u64),
    Bound(KeyBinding),
}

/// A permanent key, and whether the place is that for media keys (PFS-12).
type Place = (AuthKeyId, bool);

impl KeyTable {
    /// Room for `bytes_max` bytes, and among them for `unbound_max` temporary keys that are not
    /// bound.
    pub(crate) fn new(bytes_max: usize, unbound_max: usize) -> Self {
        Self {
            keys: HashMap::new(),
            expiring: BTreeSet::new(),
            bound: HashMap::new(),
            unbound: BTreeMap::new(),
            ticks: 0,
            bytes: 0,
            bytes_max,
            unbound_max: unbound_max.max(1),
        }
    }

    /// Replaces the bound on keys that are not bound.
    pub(crate) fn set_unbound_max(&mut self, unbound_max: usize) {
        self.unbound_max = unbound_max.max(1);
        self.make_room_unbound(0);
    }

    /// Keeps a key unless its id is 0 or here already. For a temporary one over the bound, the
    /// one that has been unbound for longest is forgotten.
    pub(crate) fn insert(&mut self, mut key: StoredKey, now: u64) -> Result<Inserted, StoreError> {
        self.purge(now);
        let id = key.key.id();
        if id.0 == 0 || self.keys.contains_key(&id) {
            return Ok(Inserted::Collision);
        }
        if key.expires.is_some() {
            self.make_room_unbound(1);
        }
        self.grow(KEY_BYTES)?;
        let end = key.expires;
        key.key.forget_client_part();
        self.keys.insert(id, Entry { key, end, bond: Bond::Permanent, connection: None });
        if let Some(end) = end {
            self.expiring.insert((end, id));
            self.note_unbound(id);
        }
        Ok(Inserted::Stored)
    }

    pub(crate) fn get(&mut self, id: AuthKeyId, now: u64) -> Option<&StoredKey> {
        self.purge(now);
        self.keys.get(&id).map(|entry| &entry.key)
    }

    /// Wipes a key. Keys that are bound to it are unbound.
    pub(crate) fn remove(&mut self, id: AuthKeyId) -> bool {
        self.unbind_all(id);
        let Some(entry) = self.keys.remove(&id) else { return false };
        self.bytes -= KEY_BYTES + data_len(entry.connection.as_ref());
        if let Some(end) = entry.end {
            self.expiring.remove(&(end, id));
        }
        match entry.bond {
            Bond::Permanent => {}
            Bond::Unbound(tick) => {
                self.unbound.remove(&tick);
            }
            Bond::Bound(binding) => {
                self.bound.remove(&(binding.permanent, is_media(&entry.key)));
            }
        }
        true
    }

    /// Binds a temporary key; whoever asks knows that the permanent one exists.
    pub(crate) fn bind(&mut self, id: AuthKeyId, binding: KeyBinding, now: u64) -> Bound {
        self.purge(now);
        let Some(entry) = self.keys.get_mut(&id) else { return Bound::NoTemporaryKey };
        let Some(expires) = entry.key.expires else { return Bound::NoTemporaryKey };
        match entry.bond {
            Bond::Bound(old) if old.permanent != binding.permanent => return Bound::ToAnother,
            Bond::Bound(_) => {}
            Bond::Unbound(tick) => {
                self.unbound.remove(&tick);
                // What was said before the binding does not count after it (PFS-13).
                self.bytes -= data_len(entry.connection.take().as_ref());
            }
            Bond::Permanent => return Bound::NoTemporaryKey,
        }
        let end = binding.expires.min(expires);
        entry.bond = Bond::Bound(KeyBinding { expires: end, ..binding });
        if let Some(old) = entry.end.replace(end) {
            self.expiring.remove(&(old, id));
        }
        self.expiring.insert((end, id));
        let place = (binding.permanent, is_media(&entry.key));
        if let Some(old) = self.bound.insert(place, id).filter(|old| *old != id) {
            self.note_unbound(old);
            self.make_room_unbound(0);
        }
        Bound::Done
    }

    /// Unbinds whatever is bound to a permanent key (PFS-14).
    pub(crate) fn unbind_all(&mut self, permanent: AuthKeyId) {
        for media in [false, true] {
            if let Some(id) = self.bound.remove(&(permanent, media)) {
                self.note_unbound(id);
            }
        }
        self.make_room_unbound(0);
    }

    pub(crate) fn binding(&mut self, id: AuthKeyId, now: u64) -> Option<KeyBinding> {
        self.purge(now);
        match self.keys.get(&id)?.bond {
            Bond::Bound(binding) => Some(binding),
            Bond::Permanent | Bond::Unbound(_) => None,
        }
    }

    /// What is bound to a permanent key.
    pub(crate) fn bound_keys(&mut self, permanent: AuthKeyId, now: u64) -> Vec<AuthKeyId> {
        self.purge(now);
        let places = [false, true].map(|media| self.bound.get(&(permanent, media)).copied());
        places.into_iter().flatten().collect()
    }

    /// `false` if the key is not here.
    pub(crate) fn save_connection(
        &mut self,
        id: AuthKeyId,
        info: &ConnectionInfo,
    ) -> Result<bool, StoreError> {
        let Some(entry) = self.keys.get(&id) else { return Ok(false) };
        let (before, after) = (data_len(entry.connection.as_ref()), info.data.len());
        self.grow(after.saturating_sub(before))?;
        self.bytes -= before.saturating_sub(after);
        if let Some(entry) = self.keys.get_mut(&id) {
            // A copy of its own: a slice would keep the whole packet it came in alive.
            let data = Bytes::copy_from_slice(&info.data);
            entry.connection = Some(ConnectionInfo { layer: info.layer, data });
        }
        Ok(true)
    }

    pub(crate) fn connection(&self, id: AuthKeyId) -> Option<&ConnectionInfo> {
        self.keys.get(&id)?.connection.as_ref()
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.expiring.clear();
        self.bound.clear();
        self.unbound.clear();
        self.bytes = 0;
    }

    /// Lines a temporary key up among those that are not bound, as the newest.
    fn note_unbound(&mut self, id: AuthKeyId) {
        let Some(entry) = self.keys.get_mut(&id) else { return };
        self.ticks += 1;
        entry.bond = Bond::Unbound(self.ticks);
        // What was said in the name of the permanent key counts no longer.
        self.bytes -= data_len(entry.connection.take().as_ref());
        self.unbound.insert(self.ticks, id);
    }

    /// Forgets keys that are not bound, until there is room for `count` more.
    fn make_room_unbound(&mut self, count: usize) {
        while self.unbound.len() + count > self.unbound_max
            && let Some((_, oldest)) = self.unbound.pop_first()
        {
            self.remove(oldest);
        }
    }

    fn grow(&mut self, by: usize) -> Result<(), StoreError> {
        let bytes = self.bytes + by;
        if bytes > self.bytes_max {
            return Err(StoreError::Full { bytes_max: self.bytes_max });
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Wipes what has reached its time.
    pub(crate) fn purge(&mut self, now: u64) {
        while let Some(&(end, id)) = self.expiring.first()
            && end <= now
        {
            self.remove(id);
        }
    }
}

/// Whether a key was made for the media form of a data centre.
fn is_media(key: &StoredKey) -> bool {
    key.dc < 0
}

fn data_len(connection: Option<&ConnectionInfo>) -> usize {
    connection.map_or(0, |info| info.data.len())
}

/// What a key is counted as: its bytes, its row, its binding, and its share of maps and trees,
/// reckoned generously.
pub(crate) const KEY_BYTES: usize = 640;
