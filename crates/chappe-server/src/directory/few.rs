//! A map for what a key has one of nearly always, sessions and links: no larger than what is in it.

/// Entries, in the order of their keys.
pub(super) struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Few<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|at| &mut self.0[at].1)
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// The value of a key, made if there is none.
    pub(super) fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let at = self.place(&key).unwrap_or_else(|at| {
            if self.0.is_empty() {
                self.0.reserve_exact(1);
            }
            self.0.insert(at, (key, value()));
            at
        });
        &mut self.0[at].1
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(key).ok()?;
        let (_, value) = self.0.remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(value)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_and_gone_by_their_keys() {
        let mut few = Few::default();
        for key in [5, 1, 9, 5, 3] {
            few.get_or_insert_with(key, || key * 10);
        }
        *few.get_mut(&9).unwrap() += 1;
        assert_eq!((few.get(&5), few.get(&9), few.get(&4)), (Some(&50), Some(&91), None));
        assert_eq!(few.values().copied().collect::<Vec<_>>(), [10, 30, 50, 91]);
        assert_eq!((few.remove(&1), few.remove(&1), few.len()), (Some(10), None, 3));
        assert!(few.contains_key(&3) && !few.contains_key(&1));
        for key in [3, 5, 9] {
            few.remove(&key);
        }
        assert!(few.is_empty() && few.0.capacity() == 0);
    }
}
