//! What people are told by the service itself: messages that nobody has sent, so that they are in
//! one box alone.

use std::collections::BTreeSet;

use chappe_backend::StoreError;

use super::events::Change;
use super::sending::Copy;
use super::{Content, NewMessage, Peer, SERVICE_ACCOUNT, Store, damaged};

impl Store {
    /// Puts a message of the service account into somebody's box.
    pub(crate) async fn notify(
        &self,
        change: &mut Change<'_>,
        owner: i64,
        content: Content,
        now: i64,
    ) -> Result<(), StoreError> {
        let places = change.next_messages(&[owner].into()).await?;
        let place = places.get(&owner);
        let (id, _) = *place.ok_or_else(|| damaged("an account has no place for a message"))?;
        let new = NewMessage {
            sender: SERVICE_ACCOUNT,
            peer: Peer::Account(owner),
            random_id: None,
            reply_to: None,
            date: now,
            mentioned: BTreeSet::new(),
            content,
        };
        let copy = Copy {
            owner,
            id,
            peer: Peer::Account(SERVICE_ACCOUNT),
            // It is in no other box: its id here is as good as one there.
            origin: id,
            reply_to: None,
            is_mention: false,
        };
        Copy::insert(&[copy], change.transaction(), &new).await?;
        change.log_messages(&places, now).await
    }
}
