//! Making message ids: they rise, look like time, and say who made them.

use std::time::Duration;

use chappe_crypto::Rng;

use crate::ids::MsgId;

/// Why a message exists; kept in the two low bits of its id (MSG-07, MSG-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Written by a client.
    Client,
    /// Written by a server because of a client's message.
    Answer,
    /// Written by a server unasked.
    Push,
}

impl Origin {
    fn low_bits(self) -> i64 {
        match self {
            Self::Client => 0,
            Self::Answer => 1,
            Self::Push => 3,
        }
    }
}

/// Gives every message of one side of one session its id, strictly rising (MSG-09).
#[derive(Debug, Default)]
pub struct MsgIds {
    last: i64,
}

/// Bits of the fraction finer than a microsecond; clocks rarely know them, so chance fills them.
const BELOW_CLOCK: i64 = 0xffc;

impl MsgIds {
    /// The next id for a message created when the server's clock shows `server_time`.
    ///
    /// A clock that stands or steps back yields the last id plus 4 (SES-31).
    pub fn next(&mut self, server_time: Duration, origin: Origin, rng: &mut Rng) -> MsgId {
        let seconds = (server_time.as_secs() as i64) << 32;
        let fraction = ((u64::from(server_time.subsec_nanos()) << 32) / 1_000_000_000) as i64;
        let time = seconds | (fraction & !0xfff) | (i64::from(rng.u32()) & BELOW_CLOCK);
        let mut next = time.max((self.last & !3) + 4);
        if next & 0xffff_ffff == 0 {
            next |= 4;
        }
        let id = next | origin.low_bits();
        self.last = id;
        MsgId(id)
    }

    /// The greatest id given out, 0 before the first.
    pub fn last(&self) -> i64 {
        self.last
    }
}
