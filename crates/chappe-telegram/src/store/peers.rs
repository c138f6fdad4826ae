//! With whom an account talks, in one column: people by their numbers, groups by theirs below zero.

use chappe_backend::sql::Value;
use serde::{Deserialize, Serialize};

/// Somebody, or a basic group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peer {
    Account(i64),
    Chat(i64),
}

impl Peer {
    pub(super) fn of_column(value: i64) -> Self {
        if value < 0 { Self::Chat(-value) } else { Self::Account(value) }
    }

    /// What somebody's peer is to the peer: in private the one is the other's.
    pub(crate) fn seen_by_other(self, owner: i64) -> Self {
        match self {
            Self::Account(_) => Self::Account(owner),
            Self::Chat(_) => self,
        }
    }

    pub(crate) fn chat(self) -> Option<i64> {
        match self {
            Self::Chat(chat) => Some(chat),
            Self::Account(_) => None,
        }
    }
}

impl From<Peer> for Value {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Account(account) => account.into(),
            Peer::Chat(chat) => (-chat).into(),
        }
    }
}
