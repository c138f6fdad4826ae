//! Headers that were accepted before: who sends one again has recorded it (OBF-17).

use std::collections::BTreeSet;
use std::fmt;

use chappe_crypto::sha256;

/// Remembers as many headers as it is told at least, and at most twice as many.
///
/// There is no time in a header, so none is too old to be replayed: what bounds the memory is
/// their number, not their age.
#[derive(Clone)]
pub(super) struct Headers {
    kept: usize,
    newer: BTreeSet<[u8; 16]>,
    older: BTreeSet<[u8; 16]>,
}

impl Headers {
    pub(super) fn new(kept: usize) -> Self {
        Self { kept, newer: BTreeSet::new(), older: BTreeSet::new() }
    }

    /// Whether this is new; from then on it is not. `keys` is the part of the header that the keys
    /// come from: all else in it may be changed by who replays it.
    pub(super) fn insert(&mut self, keys: &[u8]) -> bool {
        let [hash, _] = *sha256(&[keys]).as_chunks::<16>().0 else { return false };
        if self.older.contains(&hash) || !self.newer.insert(hash) {
            return false;
        }
        if self.newer.len() >= self.kept {
            self.older = std::mem::take(&mut self.newer);
        }
        true
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({})", self.newer.len() + self.older.len())
    }
}
