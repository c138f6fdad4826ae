//! How often one destination may be dialled, however many keys want links to it (PRX-07).

use std::collections::VecDeque;
use std::time::Duration;

/// The last attempts at one destination, and when it said that there were too many.
#[derive(Clone, Debug, Default)]
pub struct Dials {
    made: VecDeque<Duration>,
    floods: VecDeque<Duration>,
}

/// So many within so long.
type Window = (usize, Duration);

/// Attempts, while somebody waits for the link.
const WANTED: &[Window] = &[(4, Duration::from_secs(1)), (5, Duration::from_secs(5))];
/// Attempts while nobody does; and attempts that were answered with -429.
const UNWANTED: &[Window] =
    &[(1, Duration::from_secs(1)), (2, Duration::from_secs(4)), (3, Duration::from_secs(8))];
/// Moments that the windows look back at, at most.
const KEPT: usize = 5;

impl Dials {
    /// An attempt is made.
    pub fn made(&mut self, mono: Duration) {
        keep(&mut self.made, mono);
    }

    /// The destination answered with -429: it is dialled too often.
    pub fn flooded(&mut self, mono: Duration) {
        keep(&mut self.floods, mono);
    }

    /// When the next attempt may be made at the earliest, which may be past. `is_wanted`:
    /// somebody waits for the link.
    pub fn next(&self, is_wanted: bool) -> Duration {
        let windows = if is_wanted { WANTED } else { UNWANTED };
        free_at(&self.made, windows).max(free_at(&self.floods, UNWANTED))
    }
}

fn keep(moments: &mut VecDeque<Duration>, mono: Duration) {
    if moments.len() == KEPT {
        moments.pop_front();
    }
    moments.push_back(mono);
}

/// When no window is full any more.
fn free_at(moments: &VecDeque<Duration>, windows: &[Window]) -> Duration {
    let full = windows.iter().filter_map(|&(most, span)| {
        let first = moments.len().checked_sub(most)?;
        moments.get(first).map(|moment| *moment + span)
    });
    full.max().unwrap_or_default()
}
