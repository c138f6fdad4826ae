//! What every member of a group is told at once, and what no log keeps: who was away fetches the
//! group, whose version has risen.

use chappe_api::types;
use chappe_server::{Caller, Pusher};

use super::Room;
use crate::Service;
use crate::error::Failure;
use crate::messages::Named;
use crate::store::Peer;

impl Service {
    /// Tells every session of those who were in a group, but the one that has it as its answer.
    pub(super) async fn push_to_members(
        &self,
        pusher: &Pusher,
        caller: &Caller,
        room: &Room,
        update: &types::Update,
        is_answered: bool,
    ) -> Result<(), Failure> {
        let own = is_answered.then_some((caller.auth_key_id, caller.session_id));
        for member in room.inside() {
            if !self.store.has_session(member).await? {
                continue;
            }
            let mut named = Named::default();
            named.peer(Peer::Chat(room.chat.id));
            if let types::Update::UpdateChatParticipantAdmin(admin) = update {
                named.account(admin.user_id);
            }
            let now = caller.now.unix_seconds();
            let updates = self.updates(member, vec![update.clone()], named, now).await?;
            self.push(pusher, member, &updates, own).await?;
        }
        Ok(())
    }
}
