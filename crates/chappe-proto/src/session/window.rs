//! Ids in their order with what is known of each, packed: most of them are only kept.

use std::collections::VecDeque;

use crate::ids::MsgId;
use crate::session::inbox::Heard;

/// A map in lists of at most [`LIST_MAX`] entries, none of them empty, each list before the next.
///
/// Ids nearly always rise, so all lists but the last are full: an id takes its 24 bytes. One that
/// comes late moves what is behind it in its list, or cuts a full one in two.
#[derive(Debug, Default)]
pub(super) struct Window {
    lists: VecDeque<Vec<Entry>>,
    len: usize,
}

type Entry = (MsgId, Heard);

const LIST_MAX: usize = 32;

impl Window {
    pub(super) fn get(&self, id: MsgId) -> Option<&Heard> {
        let (list, at) = self.place(id);
        Some(&self.lists.get(list)?[at.ok()?].1)
    }

    pub(super) fn get_mut(&mut self, id: MsgId) -> Option<&mut Heard> {
        let (list, at) = self.place(id);
        Some(&mut self.lists.get_mut(list)?[at.ok()?].1)
    }

    /// Adds an id, or changes what is known of it.
    pub(super) fn insert(&mut self, id: MsgId, heard: Heard) {
        let (list, at) = match self.place(id) {
            (list, Ok(at)) => {
                self.lists[list][at].1 = heard;
                return;
            }
            (list, Err(at)) => self.with_room(list, at),
        };
        self.lists[list].insert(at, (id, heard));
        self.len += 1;
    }

    /// Makes room for one more entry at a place; where that is then.
    fn with_room(&mut self, list: usize, at: usize) -> (usize, usize) {
        if self.lists.is_empty() {
            // Most sessions never need a second one.
            self.lists.reserve_exact(1);
            self.lists.push_back(Vec::new());
        }
        if self.lists[list].len() < LIST_MAX {
            return (list, at);
        }
        let is_behind_all = at == LIST_MAX && list + 1 == self.lists.len();
        let kept = if is_behind_all { LIST_MAX } else { LIST_MAX / 2 };
        let rest = self.lists[list].split_off(kept);
        self.lists.insert(list + 1, rest);
        if at < kept || (at == kept && !is_behind_all) { (list, at) } else { (list + 1, at - kept) }
    }

    /// Takes the lowest id out.
    pub(super) fn pop_first(&mut self) {
        let Some(list) = self.lists.front_mut() else { return };
        list.remove(0);
        self.len -= 1;
        if list.is_empty() {
            self.lists.pop_front();
        }
    }

    pub(super) fn first(&self) -> Option<MsgId> {
        Some(self.lists.front()?.first()?.0)
    }

    pub(super) fn last(&self) -> Option<MsgId> {
        Some(self.lists.back()?.last()?.0)
    }

    /// What is known of the next id below.
    pub(super) fn below(&self, id: MsgId) -> Option<&Heard> {
        let (list, at) = self.place(id);
        let at = at.unwrap_or_else(|at| at);
        let entry = match at.checked_sub(1) {
            Some(at) => self.lists.get(list)?.get(at)?,
            None => self.lists.get(list.checked_sub(1)?)?.last()?,
        };
        Some(&entry.1)
    }

    /// What is known of the next id above.
    pub(super) fn above(&self, id: MsgId) -> Option<&Heard> {
        let (list, at) = self.place(id);
        let at = at.map_or_else(|at| at, |at| at + 1);
        let entry = match self.lists.get(list)?.get(at) {
            Some(entry) => entry,
            None => self.lists.get(list + 1)?.first()?,
        };
        Some(&entry.1)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Every id, lowest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = MsgId> {
        self.lists.iter().flatten().map(|(id, _)| *id)
    }

    /// The list in which an id has its place, and that place: it is there, or would be.
    fn place(&self, id: MsgId) -> (usize, Result<usize, usize>) {
        let list = self.lists.partition_point(|list| list[0].0 <= id).saturating_sub(1);
        let at = self
            .lists
            .get(list)
            .map_or(Err(0), |list| list.binary_search_by_key(&id, |(other, _)| *other));
        (list, at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Ids that rise, fall, or come anyhow are kept as an ordered map keeps them.
    #[test]
    fn a_window_is_an_ordered_map() {
        type Order = fn(i64) -> i64;
        let orders: [Order; 5] = [
            |step| step,
            |step| -step,
            |step| step * 37 % 401,
            |step| if step % 2 == 0 { step } else { 1000 - step },
            |step| step / 3,
        ];
        for order in orders {
            let (mut window, mut map) = (Window::default(), BTreeMap::new());
            for step in 0..400 {
                let id = MsgId(2 * order(step));
                let heard = Heard::new(step as i32);
                window.insert(id, heard);
                map.insert(id, heard);
                if step % 5 == 4 {
                    window.pop_first();
                    map.pop_first();
                }
                compare(&window, &map, id);
            }
            while !map.is_empty() {
                window.pop_first();
                map.pop_first();
                compare(&window, &map, MsgId(200));
            }
        }
    }

    fn compare(window: &Window, map: &BTreeMap<MsgId, Heard>, near: MsgId) {
        assert!(window.ids().eq(map.keys().copied()));
        assert_eq!(window.len(), map.len());
        assert_eq!(window.first(), map.keys().next().copied());
        assert_eq!(window.last(), map.keys().next_back().copied());
        let (first, last) = (window.first().unwrap_or(near).0, window.last().unwrap_or(near).0);
        for id in [near.0, first, last].into_iter().flat_map(|id| id - 65..=id + 65).map(MsgId) {
            assert_eq!(window.get(id), map.get(&id));
            assert_eq!(window.below(id), map.range(..id).next_back().map(|(_, heard)| heard));
            assert_eq!(window.above(id), map.range(MsgId(id.0 + 1)..).next().map(|(_, it)| it));
        }
    }

    /// What is known of an id takes 24 bytes with it, and lists that rise are full.
    #[test]
    fn rising_ids_are_packed() {
        assert_eq!(size_of::<Entry>(), 24);
        let mut window = Window::default();
        for id in 0..1000 {
            window.insert(MsgId(id), Heard::new(0));
        }
        let (last, full) = window.lists.make_contiguous().split_last().unwrap();
        assert!(full.iter().all(|list| (list.len(), list.capacity()) == (LIST_MAX, LIST_MAX)));
        assert_eq!(last.len(), 1000 % LIST_MAX);
    }

    #[test]
    fn what_is_known_can_be_changed() {
        let mut window = Window::default();
        assert!(window.get_mut(MsgId(4)).is_none());
        window.insert(MsgId(4), Heard::new(1));
        window.get_mut(MsgId(4)).unwrap().call = true;
        assert!(window.get(MsgId(4)).unwrap().call);
        window.insert(MsgId(4), Heard::new(2));
        assert_eq!((window.get(MsgId(4)).unwrap().seq_no, window.len()), (2, 1));
    }
}
