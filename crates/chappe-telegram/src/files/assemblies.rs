//! Who may put parts together at a time.
//!
//! What fits in one piece is held in memory whole and is done at once; what does not is written on
//! as it is read, for as long as that takes. Neither waits for the other.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use super::blobs::PIECE;

/// The turns.
#[derive(Clone, Debug)]
pub(super) struct Assemblies(Arc<Turns>);

#[derive(Debug)]
struct Turns {
    /// In units of memory.
    small: Semaphore,
    large: Semaphore,
    /// One large file for each account, which share them by the end of their numbers: whoever has
    /// many leaves turns to others.
    accounts: [Mutex<()>; ACCOUNTS],
}

/// Held until a file is put together.
#[derive(Debug)]
#[must_use = "the turn is over when it is dropped"]
#[expect(dead_code, reason = "held, not read")]
pub(super) enum Turn<'t> {
    Small(SemaphorePermit<'t>),
    Large(MutexGuard<'t, ()>, SemaphorePermit<'t>),
}

/// Bytes of small files in memory at once, by the unit in which they are counted.
const SMALL_MAX: usize = 64 << 20;
const UNIT: usize = 64 << 10;
/// Large files at once: each holds some 24 MiB.
const LARGE_MAX: usize = 4;
const ACCOUNTS: usize = 64;

impl Default for Assemblies {
    fn default() -> Self {
        Self(Arc::new(Turns {
            small: Semaphore::new(SMALL_MAX / UNIT),
            large: Semaphore::new(LARGE_MAX),
            accounts: std::array::from_fn(|_| Mutex::default()),
        }))
    }
}

impl Assemblies {
    /// A turn for a file of so many bytes.
    pub(super) async fn turn(&self, account: i64, bytes: usize) -> Turn<'_> {
        const OPEN: &str = "the semaphore is never closed";
        if bytes <= PIECE {
            let units = u32::try_from(bytes.div_ceil(UNIT)).expect("a piece has few units");
            return Turn::Small(self.0.small.acquire_many(units).await.expect(OPEN));
        }
        let place = account.rem_euclid(ACCOUNTS as i64) as usize;
        let account = self.0.accounts[place].lock().await;
        Turn::Large(account, self.0.large.acquire().await.expect(OPEN))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Rule:   large files that are put together keep no small one waiting, nor those of one account
    ///         those of another; and what is in memory at once has a bound.
    /// Source: 20-telegram-api-service §5.1, FLS-06.
    #[tokio::test]
    async fn large_files_keep_small_ones_waiting_for_nothing() {
        let assemblies = Assemblies::default();
        let turn = |account, bytes| assemblies.turn(account, bytes).now_or_never();
        let mut large = vec![turn(1, PIECE + 1).expect("a free turn")];
        assert!(turn(1, PIECE + 1).is_none());
        large.extend((2..=LARGE_MAX as i64).map(|account| turn(account, 1 << 30).expect("free")));
        assert!(turn(9, PIECE + 1).is_none());
        let mut small = vec![turn(1, 10 << 10).expect("a small file waits for no large one")];
        assert!(turn(9, 0).is_some());
        while let Some(turn) = turn(9, PIECE) {
            small.push(turn);
        }
        assert_eq!(small.len(), SMALL_MAX / PIECE);
        drop((large.pop(), small.pop()));
        assert!(turn(9, PIECE + 1).is_some());
        assert!(turn(9, PIECE).is_some());
    }
}
