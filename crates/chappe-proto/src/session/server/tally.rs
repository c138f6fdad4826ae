//! What a session has done that its owner may want to count or to log.

use std::collections::BTreeMap;

use crate::ids::MsgId;

/// What became of messages and calls since it was last asked for by
/// [`ServerSession::take_tally`](super::ServerSession::take_tally).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Messages refused, by the code of `bad_msg_notification` or `bad_server_salt`.
    pub refused: BTreeMap<i32, Refused>,
    /// Messages that came again: acknowledged or answered, not run.
    pub repeated: u64,
    /// Calls answered with `FLOOD_WAIT`, for too many were running.
    pub flooded: u64,
    /// Pushes given up because too much was unacknowledged: the client has a gap (SES-07).
    pub dropped_pushes: u64,
    /// Answers given up for the same reason.
    pub dropped_answers: u64,
    /// Answers to `get_future_salts`.
    pub future_salts: u64,
}

/// Messages refused with one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// The last of them.
    pub last: MsgId,
}

impl Tally {
    pub(super) fn refused(&mut self, code: i32, id: MsgId) {
        let refused = self.refused.entry(code).or_insert(Refused { count: 0, last: id });
        refused.count += 1;
        refused.last = id;
    }
}
