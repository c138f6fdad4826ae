//! What people are told by the service itself: messages that nobody has sent, so that they are in
//! one box alone.

use std::collections::BTreeSet;

use chappe_backend::StoreError;
use chappe_backend::sql::sql;

use super::events::{Change, Happening};
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
        let take = sql("UPDATE account SET last_message = last_message + 1 WHERE id = $1
             RETURNING last_message");
        let row = change.transaction().row(take.bind(owner)).await?;
        let id: i32 = row.ok_or_else(|| damaged("an account is missing"))?.read()?;
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
        let content = (new.content.to_json(), new.content.folded(), new.content.kinds());
        copy.insert(change.transaction(), &new, &content).await?;
        change.happen(owner, Happening::NewMessage(id), 1, now).await?;
        Ok(())
    }
}
