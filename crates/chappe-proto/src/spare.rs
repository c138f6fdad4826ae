//! Memory of what holds nothing: most links and sessions wait most of the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Deref, DerefMut};

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

/// What [`OnDemand`] can hold.
pub(crate) trait Part: Default + 'static {
    /// One with nothing in it, as [`Default`] makes it.
    const EMPTY: &'static Self;

    /// Gives spare room back; whether there is nothing in it and never was, for all that anyone
    /// can tell.
    fn rest(&mut self) -> bool;
}

/// A part that takes the memory of a pointer while there is nothing in it.
///
/// It is read and changed like the part itself: whoever changes it makes room for it, and
/// [`rest`](Self::rest) gives that back.
#[derive(Debug)]
pub(crate) struct OnDemand<T>(Option<Box<T>>);

impl<T> Default for OnDemand<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Part> OnDemand<T> {
    /// Gives the memory back if there is nothing in it, and otherwise what of it is spare.
    pub(crate) fn rest(&mut self) {
        self.0.take_if(|part| part.rest());
    }

    /// The part, if there may be something in it: for who takes out of it and adds nothing.
    pub(crate) fn if_any(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// The part itself.
    pub(crate) fn into_inner(self) -> T {
        self.0.map_or_else(T::default, |part| *part)
    }
}

impl<T> From<T> for OnDemand<T> {
    fn from(part: T) -> Self {
        Self(Some(Box::new(part)))
    }
}

impl<T: Part> Deref for OnDemand<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Part> DerefMut for OnDemand<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Part for VecDeque<u8> {
        const EMPTY: &'static Self = &Self::new();

        fn rest(&mut self) -> bool {
            self.give_back();
            self.is_empty()
        }
    }

    #[test]
    fn a_part_is_there_while_there_is_something_in_it() {
        let mut part = OnDemand::<VecDeque<u8>>::default();
        assert_eq!(size_of_val(&part), size_of::<usize>());
        assert!(part.is_empty() && part.if_any().is_none());
        part.push_back(7);
        part.rest();
        assert_eq!(part.if_any(), Some(&mut VecDeque::from([7])));
        part.pop_front();
        part.rest();
        assert!(part.if_any().is_none() && part.into_inner().is_empty());
    }
}
