//! What a service message says.

use serde::{Deserialize, Serialize};

use super::{Peer, Photo};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Action {
    /// A group was made of these people.
    CreateChat {
        title: String,
        accounts: Vec<i64>,
    },
    EditTitle {
        title: String,
    },
    EditPhoto {
        photo: Photo,
    },
    DeletePhoto,
    /// With the group's version afterwards.
    AddMember {
        account: i64,
        version: i32,
    },
    /// Somebody came by a link that this account made.
    JoinByLink {
        inviter: i64,
        version: i32,
    },
    RemoveMember {
        account: i64,
        version: i32,
    },
    /// Of the message that this one replies to.
    Pin,
}

/// Where a message was said first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forwarded {
    pub(crate) account: i64,
    /// Unix second.
    pub(crate) date: i64,
    /// With whom it was, and its id there, if somebody forwarded it to themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saved_from: Option<(Peer, i32)>,
}
