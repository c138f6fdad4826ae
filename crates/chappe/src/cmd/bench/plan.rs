//! Who writes to whom: drawn from a seed, so that two runs do the same.

use chappe_crypto::Rng;

/// Who knows whom, and who writes next.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of each user the one it chats with; of a user without one itself.
    pub(super) partners: Vec<usize>,
    /// Users of each group, the one who makes it first. None where nothing goes to groups.
    pub(super) groups: Vec<Vec<usize>>,
    group_of: Vec<usize>,
    /// Of a million messages those that go to groups.
    to_groups: u32,
    rng: Rng,
}

/// A message that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writing {
    pub(super) writer: usize,
    pub(super) to: To,
    /// Devices that are to be told of it.
    pub(super) hearers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Partner,
    Group(usize),
}

const MILLION: f64 = 1e6;

impl Plan {
    /// `share` of the messages go to groups of `group_size` users.
    pub(super) fn new(users: usize, share: f64, group_size: usize, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::from_seed(bytes);
        let mut partners: Vec<usize> = (0..users).collect();
        let order = shuffled(users, &mut rng);
        for pair in order.chunks_exact(2) {
            (partners[pair[0]], partners[pair[1]]) = (pair[1], pair[0]);
        }
        let to_groups = (share * MILLION) as u32;
        let mut groups = Vec::new();
        let mut group_of = vec![0; users];
        if to_groups > 0 {
            let order = shuffled(users, &mut rng);
            groups = order.chunks(group_size).map(<[_]>::to_vec).collect::<Vec<_>>();
            // Nobody makes a group for themselves.
            if let Some(last) = groups.pop_if(|last| last.len() == 1 && users > 1) {
                groups.last_mut().expect("there are others").extend(last);
            }
            for (number, group) in groups.iter().enumerate() {
                group.iter().for_each(|user| group_of[*user] = number);
            }
        }
        Self { partners, groups, group_of, to_groups, rng }
    }

    /// Users who write to themselves, and hear of it by a second device.
    pub(super) fn loners(&self) -> impl Iterator<Item = usize> {
        self.partners.iter().enumerate().filter(|(user, partner)| user == *partner).map(|(u, _)| u)
    }

    /// The next message.
    pub(super) fn next(&mut self) -> Writing {
        let writer = self.rng.below(u32::try_from(self.partners.len()).unwrap_or(u32::MAX));
        let writer = writer as usize;
        if self.rng.below(MILLION as u32) < self.to_groups {
            let group = self.group_of[writer];
            let devices = self.groups[group].len() + usize::from(self.has_loner(group)) - 1;
            let hearers = u32::try_from(devices).unwrap_or(u32::MAX);
            return Writing { writer, to: To::Group(group), hearers };
        }
        Writing { writer, to: To::Partner, hearers: 1 }
    }

    fn has_loner(&self, group: usize) -> bool {
        self.groups[group].iter().any(|user| self.partners[*user] == *user)
    }
}

fn shuffled(users: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..users).collect();
    for last in (1..users).rev() {
        let other = rng.below(u32::try_from(last + 1).unwrap_or(u32::MAX)) as usize;
        order.swap(last, other);
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_messages() {
        let first = |seed| {
            let mut plan = Plan::new(30, 0.3, 7, seed);
            (0..100).map(|_| plan.next()).collect::<Vec<_>>()
        };
        assert_eq!(first(5), first(5));
        assert_ne!(first(5), first(6));
    }

    #[test]
    fn everybody_has_a_partner_and_a_group() {
        for users in [1, 2, 5, 8, 15, 16] {
            let plan = Plan::new(users, 0.5, 7, 3);
            for (user, partner) in plan.partners.iter().enumerate() {
                assert_eq!(plan.partners[*partner], user);
            }
            assert_eq!(plan.loners().count(), users % 2);
            let members: Vec<usize> = plan.groups.iter().flatten().copied().collect();
            assert_eq!((members.len(), BTreeSet::from_iter(members).len()), (users, users));
            assert!(users == 1 || plan.groups.iter().all(|group| (2..=8).contains(&group.len())));
        }
    }

    /// Every device of a group is told but the one that writes.
    #[test]
    fn a_message_has_as_many_hearers_as_there_are_other_devices() {
        let mut plan = Plan::new(9, 0.5, 9, 1);
        let (mut pairs, mut groups) = (0, 0);
        for _ in 0..1000 {
            match plan.next() {
                Writing { to: To::Partner, hearers, .. } => {
                    pairs += 1;
                    assert_eq!(hearers, 1);
                }
                Writing { to: To::Group(group), hearers, .. } => {
                    groups += 1;
                    assert_eq!((group, hearers), (0, 9));
                }
            }
        }
        assert!(pairs > 400 && groups > 400, "{pairs} and {groups}");
    }
}
