//! Memory of collections that hold nothing: most links and sessions wait most of the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A collection that keeps room for its next items after it has lost the last.
pub(crate) trait Spare {
    /// Gives that room back if there is nothing in it.
    fn give_back(&mut self);
}

impl<T> Spare for VecDeque<T> {
    fn give_back(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

impl<K, V> Spare for BTreeMap<K, V> {
    fn give_back(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

impl<T> Spare for BTreeSet<T> {
    fn give_back(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}
