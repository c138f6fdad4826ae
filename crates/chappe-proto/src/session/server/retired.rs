//! Ids heard before a session was forgotten: they must not run again (MSG-39).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::MsgId;
use crate::session::inbox::Inbox;
use crate::spare::Part;

/// The ids that a recording of the last minutes could bring back.
#[derive(Debug, Default)]
pub(super) struct Retired {
    ids: BTreeSet<MsgId>,
    /// Ids up to this one may have been heard, too; nobody can say any more.
    below: Option<MsgId>,
}

impl Retired {
    /// These and those of a window that is forgotten at this server time.
    pub(super) fn join(self, inbox: &Inbox, now: Duration) -> Self {
        let limits = inbox.limits();
        let is_recent = |id: &MsgId| id.time() + limits.span >= now;
        let mut ids: BTreeSet<MsgId> =
            self.ids.into_iter().chain(inbox.ids()).filter(is_recent).collect();
        let mut below = self.below.max(inbox.lowest_known());
        while ids.len() > limits.ids_max
            && let Some(lowest) = ids.pop_first()
        {
            below = below.max(Some(lowest));
        }
        Self { ids, below }
    }

    pub(super) fn contains(&self, id: MsgId) -> bool {
        self.ids.contains(&id)
    }

    /// Whether an id is so low that it may have been one of them.
    pub(super) fn may_have_had(&self, id: MsgId) -> bool {
        self.below.is_some_and(|below| id <= below)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

impl Part for Retired {
    const EMPTY: &'static Self = &Self { ids: BTreeSet::new(), below: None };

    fn rest(&mut self) -> bool {
        self.ids.is_empty() && self.below.is_none()
    }
}
