//! The newest of many keys, in memory that is bounded and comes and goes by pages.

use std::alloc::{Layout, handle_alloc_error};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use memmap2::MmapMut;

/// A hash of what is remembered.
pub(crate) type Key = [u8; 16];

/// The keys of the last `span` at least, or the last `kept` of them where more came: pages are
/// filled one after the other, and one goes as a whole when the last key in it is old, or when
/// there are enough without it.
pub(crate) struct Keys {
    span: Duration,
    page_keys: usize,
    pages_max: usize,
    /// The oldest one first; all but the newest are full.
    pages: VecDeque<Page>,
    /// Pages that are not needed now and not given back either, so many at most.
    spare: Vec<Page>,
    spare_max: usize,
    hasher: RandomState,
}

/// Keys that came one after the other.
struct Page {
    /// Slots: a key is at its place or behind it, before the first slot that is empty. The system's own
    /// pages, for those go back to it at once; an allocator may keep them for ever.
    memory: MmapMut,
    len: usize,
    /// When the last one came, on the monotonic clock.
    last: Duration,
}

/// Keys of a page at most: it takes 320 KiB then.
const PAGE_KEYS: usize = 16_384;
/// Full pages that hold `kept` keys, at least: what goes at once is a small part.
const PAGES_MIN: usize = 4;

/// What is no key: keys are hashes.
const EMPTY: Key = [0; 16];

impl Keys {
    /// None yet; memory is taken when they come and given back when they are old.
    pub(crate) fn new(kept: usize, span: Duration) -> Self {
        let page_keys = kept.div_ceil(PAGES_MIN).clamp(1, PAGE_KEYS);
        Self {
            span,
            page_keys,
            pages_max: kept.div_ceil(page_keys) + 1,
            pages: VecDeque::new(),
            spare: Vec::new(),
            spare_max: 0,
            hasher: RandomState::new(),
        }
    }

    /// None yet, and all the memory that they will ever take.
    pub(crate) fn allocated(kept: usize, span: Duration) -> Self {
        let mut keys = Self::new(kept, span);
        keys.spare_max = keys.pages_max;
        keys.spare.extend((0..keys.spare_max).map(|_| {
            let mut page = Page::new(keys.page_keys);
            // The system gives memory when it is written to.
            page.clear();
            page
        }));
        keys
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.iter().map(|page| page.len).sum()
    }

    /// All of them, by page from the oldest on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Key> {
        self.pages.iter().flat_map(|page| page.slots().iter().copied().filter(|key| *key != EMPTY))
    }

    /// Remembers a key; whether it is new. `mono` is the monotonic clock.
    pub(crate) fn insert(&mut self, key: Key, mono: Duration) -> bool {
        let hash = self.hasher.hash_one(key) as usize;
        if self.pages.iter().any(|page| page.room(key, hash).is_none()) {
            return false;
        }
        if self.pages.back().is_none_or(|page| page.len == self.page_keys) {
            self.add_page(mono);
        }
        if let Some(page) = self.pages.back_mut()
            && let Some(room) = page.room(key, hash)
        {
            page.slots_mut()[room] = key;
            page.len += 1;
            page.last = mono;
        }
        true
    }

    fn add_page(&mut self, mono: Duration) {
        self.forget_old(mono);
        while self.pages.len() >= self.pages_max {
            self.forget_oldest();
        }
        self.pages.push_back(self.spare.pop().unwrap_or_else(|| Page::new(self.page_keys)));
    }

    /// Has keys be remembered for so long, if that is longer.
    pub(crate) fn widen(&mut self, span: Duration) {
        self.span = self.span.max(span);
    }

    /// Forgets pages of nothing but old keys.
    pub(crate) fn forget_old(&mut self, mono: Duration) {
        while self.pages.front().is_some_and(|page| mono.saturating_sub(page.last) >= self.span) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(mut page) = self.pages.pop_front()
            && self.spare.len() < self.spare_max
        {
            page.clear();
            self.spare.push(page);
        }
    }
}

impl Page {
    /// A page for so many keys, with a quarter more slots, so that gaps end a search.
    fn new(keys: usize) -> Self {
        let len = (keys + keys.div_ceil(4)) * size_of::<Key>();
        let memory = MmapMut::map_anon(len).unwrap_or_else(|_| {
            // As an allocator does that finds nothing.
            handle_alloc_error(Layout::new::<[Key; PAGE_KEYS + PAGE_KEYS / 4]>())
        });
        Self { memory, len: 0, last: Duration::ZERO }
    }

    fn slots(&self) -> &[Key] {
        self.memory.as_chunks().0
    }

    fn slots_mut(&mut self) -> &mut [Key] {
        self.memory.as_chunks_mut().0
    }

    /// Where the key would go; nowhere if it is there.
    fn room(&self, key: Key, hash: usize) -> Option<usize> {
        let slots = self.slots();
        let mut at = hash % slots.len();
        while slots[at] != EMPTY {
            if slots[at] == key {
                return None;
            }
            at = (at + 1) % slots.len();
        }
        Some(at)
    }

    fn clear(&mut self) {
        self.slots_mut().fill(EMPTY);
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(100);

    fn key(number: u64) -> Key {
        let mut key = [7; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Rules: PRX-24: of many the last `kept` are known whatever came between, and little more.
    #[test]
    fn the_last_ones_are_known() {
        for kept in [1, 2, 3, 4, 1000, 100_000] {
            for mut keys in [Keys::new(kept, SPAN), Keys::allocated(kept, SPAN)] {
                let count = 3 * kept as u64 + 5;
                for number in 0..count {
                    assert!(keys.insert(key(number), at(1)));
                    let known = number.saturating_sub(kept as u64 - 1);
                    assert!(!keys.insert(key(known), at(1)) && !keys.insert(key(number), at(1)));
                }
                assert!((kept..kept + 2 * keys.page_keys).contains(&keys.len()), "{}", keys.len());
                assert!(keys.insert(key(0), at(1)));
                assert_eq!(keys.iter().count(), keys.len());
            }
        }
    }

    /// Rules: PRX-24: where few came they are known for the whole span, and their memory is given
    ///        back afterwards, or stays as it was at the start.
    #[test]
    fn old_ones_are_forgotten() {
        for mut keys in [Keys::new(1000, SPAN), Keys::allocated(1000, SPAN)] {
            let pages = keys.spare.len();
            for number in 0..600 {
                keys.insert(key(number), at(number / 10));
            }
            keys.forget_old(at(59 + 99));
            assert!(!keys.insert(key(599), at(0)) && keys.insert(key(0), at(60)));
            keys.forget_old(at(60 + 99));
            assert!(keys.len() > 0);
            keys.forget_old(at(60 + 100));
            assert_eq!((keys.len(), keys.pages.len(), keys.spare.len()), (0, 0, pages));
        }
    }
}
