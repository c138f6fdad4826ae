//! What becomes of a user's connection once it is known whose it is.
//!
//! An upstream takes a [`Client`] and serves it to its end. It finds there the connection, of which
//! everything up to the header was read; the leg, which holds the keys of the stream inside, its
//! framing and the data centre asked for; what takes records of fake TLS apart, if there are any;
//! what came of the stream already, still encrypted; and the seat, which counts for the user as
//! long as it is held and tells what may pass. Dropping its future has to be safe: that is how a
//! connection ends whose user was removed, or whose proxy stops.
//!
//! | upstream | how |
//! | --- | --- |
//! | `direct` | a connection of its own to the data centre; bytes pass as they come |
//! | `middle` | links to middle servers, which many clients share; packets pass one by one |

mod direct;
mod middle;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::Rng;
use chappe_net::listen::Ends;
use chappe_net::{Clock, Stream};
use metrics::Counter;

pub(crate) use self::middle::Pool;
pub use self::middle::try_link;
use crate::front::Accepted;
use crate::metrics::CentreCount;
use crate::policy::Policy;
use crate::relay::{End, Toll};
use crate::shared::Shared;
use crate::users::{Direction, Seat};

/// A connection of a user.
pub(crate) struct Client {
    pub(crate) stream: Stream,
    pub(crate) ends: Ends,
    pub(crate) accepted: Accepted,
    pub(crate) seat: Seat,
}

/// Serves a user's connection to its end.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    policy: Arc<Policy>,
    client: Client,
    rng: Rng,
) -> End {
    // What came together with the header passes as well.
    let (user, now) = (client.seat.user(), shared.clock.now());
    user.pass(Direction::Up, client.accepted.early.len(), now.mono);
    // Of now: who greets for some seconds while the settings change would have the links of before
    // made anew.
    let middle = shared.policy().config.middle.clone();
    let listed = &policy.listed[client.accepted.user].config;
    match middle.filter(|middle| middle.serves(listed)) {
        Some(config) => middle::serve(shared, policy, config, client, rng).await,
        None => direct::serve(shared, policy, client, rng).await,
    }
}

/// Counts what passes for a user, and bounds it.
pub(crate) struct UserToll {
    seat: Seat,
    clock: Clock,
    /// Bytes that were answered, and what counts those who were answered with an error alone, where
    /// that can be told.
    answered: usize,
    centre: CentreCount,
    suspected: Option<Counter>,
}

/// Bytes of an error of the transport in any framing, with its length and with padding. Nothing else
/// that a data centre says is as short, but for quick acknowledgements, of four bytes.
const ERROR_ALONE: RangeInclusive<usize> = 5..=23;

impl UserToll {
    /// `dc` is one that is known, or 0.
    fn new(seat: Seat, clock: Clock, dc: i16) -> Self {
        Self { seat, clock, answered: 0, centre: CentreCount::new(dc), suspected: None }
    }
}

impl Drop for UserToll {
    /// Who repeats what he recorded of another connection is told that its key is not known, or hears
    /// that something is wrong with it (PRX-28).
    fn drop(&mut self) {
        if let Some(counter) = &self.suspected
            && ERROR_ALONE.contains(&self.answered)
        {
            counter.increment(1);
            self.seat.user().suspect_replay();
        }
    }
}

impl Toll for UserToll {
    fn pass(&mut self, direction: Direction, bytes: usize) -> Result<Duration, End> {
        if direction == Direction::Down {
            self.answered = self.answered.saturating_add(bytes);
        }
        self.centre.pass(direction, bytes);
        let user = self.seat.user();
        let wait = user.pass(direction, bytes, self.clock.now().mono);
        if user.is_used_up() { Err(End::UsedUp) } else { Ok(wait) }
    }
}
