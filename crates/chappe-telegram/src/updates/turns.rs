//! Who may change what at a time, so that announcements come in the order of commits.
//!
//! What changes a group goes alone. What changes boxes, messages and all that becomes of them, goes
//! beside each other where it is of different accounts: that is what databases can do at once, and
//! what one commit can hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The locks.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Locks>);

#[derive(Debug)]
struct Locks {
    /// Shared by those who go beside each other. Whoever waits to be alone goes first.
    gate: RwLock<()>,
    /// Accounts share them by the end of their numbers.
    lines: [Mutex<()>; LINES],
}

/// Locks of accounts: enough that two who have nothing to do with each other seldom meet.
const LINES: usize = 1024;

/// Held from before a change is begun until it is announced.
#[derive(Debug)]
#[must_use = "the turn is over when it is dropped"]
pub(crate) struct Turn<'t>(#[expect(dead_code, reason = "held, not read")] Held<'t>);

#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
enum Held<'t> {
    Alone(RwLockWriteGuard<'t, ()>),
    Beside(RwLockReadGuard<'t, ()>, Vec<MutexGuard<'t, ()>>),
}

/// Keeps off everybody who goes alone: groups stay as they are. [`Turns::of`] makes it a turn.
#[derive(Debug)]
pub(crate) struct Gate<'t>(RwLockReadGuard<'t, ()>);

impl Turns {
    /// A turn in which nobody else has one.
    pub(crate) async fn alone(&self) -> Turn<'_> {
        Turn(Held::Alone(self.0.gate.write().await))
    }

    /// What a turn with others begins with.
    pub(crate) async fn gate(&self) -> Gate<'_> {
        Gate(self.0.gate.read().await)
    }

    /// A turn in which nobody else changes anything of these accounts.
    pub(crate) async fn of<'t>(&'t self, gate: Gate<'t>, accounts: &BTreeSet<i64>) -> Turn<'t> {
        let line = |account: &i64| account.rem_euclid(LINES as i64) as usize;
        // In one order, so that no two wait for each other.
        let lines: BTreeSet<usize> = accounts.iter().map(line).collect();
        let mut held = Vec::with_capacity(lines.len());
        for line in lines {
            held.push(self.0.lines[line].lock().await);
        }
        Turn(Held::Beside(gate.0, held))
    }
}

impl Default for Turns {
    fn default() -> Self {
        let lines = std::array::from_fn(|_| Mutex::default());
        Self(Arc::new(Locks { gate: RwLock::default(), lines }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Rule:   changes of different accounts go beside each other, those of one account one after
    ///         the other, and what goes alone waits for all and keeps all off.
    /// Source: UPD-01, docs/decisions/0021.
    #[tokio::test]
    async fn accounts_have_one_turn_at_a_time() {
        let turns = Turns::default();
        let of = |accounts: &[i64]| {
            let (turns, accounts) = (&turns, accounts.iter().copied().collect());
            async move { turns.of(turns.gate().await, &accounts).await }.boxed_local()
        };
        let first = of(&[1, 5]).await;
        let second = of(&[2, 6]).await;
        assert!(of(&[5, 7]).now_or_never().is_none());
        // The end of the number counts.
        assert!(of(&[1 + LINES as i64]).now_or_never().is_none());
        assert!(turns.alone().now_or_never().is_none());
        drop(first);
        let third = of(&[5, 7]).now_or_never().unwrap();
        drop((second, third));
        let alone = turns.alone().now_or_never().unwrap();
        assert!(of(&[1]).now_or_never().is_none());
        drop(alone);
        // Two of one lock are one.
        assert!(of(&[3, 3 + LINES as i64, 4]).now_or_never().is_some());
    }
}
