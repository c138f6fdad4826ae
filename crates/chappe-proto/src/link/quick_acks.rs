//! Quick acknowledgements that a client waits for on one connection (TRN-25).

use std::collections::VecDeque;

use crate::ids::MsgId;
use crate::spare::{Part, Spare};

/// Tokens asked for, each with the message of its packet, oldest first.
#[derive(Debug, Default)]
pub(super) struct QuickAcks {
    awaited: VecDeque<(u32, MsgId)>,
}

impl Part for QuickAcks {
    const EMPTY: &'static Self = &Self { awaited: VecDeque::new() };

    fn rest(&mut self) -> bool {
        self.awaited.give_back();
        self.awaited.is_empty()
    }
}

/// Tokens awaited at once. Who never gets one goes on asking: the oldest is forgotten.
const AWAITED_MAX: usize = 256;

impl QuickAcks {
    /// Whether the packet with this token may ask. Not while the same token is awaited: the answer
    /// would speak of either.
    pub(super) fn ask(&mut self, token: u32, message: MsgId) -> bool {
        if self.awaited.iter().any(|(awaited, _)| *awaited == token) {
            return false;
        }
        if self.awaited.len() == AWAITED_MAX {
            self.awaited.pop_front();
        }
        self.awaited.push_back((token, message));
        true
    }

    /// The message that a token speaks of, once; `None` if nobody asked.
    pub(super) fn take(&mut self, token: u32) -> Option<MsgId> {
        let at = self.awaited.iter().position(|(awaited, _)| *awaited == token)?;
        self.awaited.remove(at).map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules: TRN-25, TRN-28: a token that is awaited already is not asked for again; each speaks
    ///        of its message once, and an unknown one of none. What is kept has a bound.
    #[test]
    fn token_means_one_message_while_it_is_awaited() {
        let mut acks = QuickAcks::default();
        assert!(acks.ask(7, MsgId(4)));
        assert!(!acks.ask(7, MsgId(8)));
        assert!(acks.ask(9, MsgId(8)));
        assert_eq!(acks.take(8), None);
        assert_eq!(acks.take(7), Some(MsgId(4)));
        assert_eq!(acks.take(7), None);
        assert!(acks.ask(7, MsgId(12)));
        assert_eq!((acks.take(9), acks.take(7)), (Some(MsgId(8)), Some(MsgId(12))));

        for token in 0..=AWAITED_MAX as u32 {
            assert!(acks.ask(token, MsgId(token.into())));
        }
        assert_eq!(acks.awaited.len(), AWAITED_MAX);
        assert_eq!((acks.take(0), acks.take(1)), (None, Some(MsgId(1))));
    }
}
