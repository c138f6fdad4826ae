//! Those from whom somebody wants to hear nothing: `contacts.block` and the like.

use chappe_api::functions::contacts::{Block, GetBlocked, Unblock};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::{Named, Shown, peer_of};
use crate::store::Peer;

/// Blocked people of one answer.
const BLOCKED_MAX: i32 = 100;

pub(crate) async fn block(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: Block,
) -> Result<bool, Failure> {
    service.set_blocked(&caller, &pusher, &call.id, true).await
}

pub(crate) async fn unblock(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: Unblock,
) -> Result<bool, Failure> {
    service.set_blocked(&caller, &pusher, &call.id, false).await
}

/// The latest first.
pub(crate) async fn get_blocked(
    State(service): State<Service>,
    caller: Caller,
    call: GetBlocked,
) -> Result<types::contacts::Blocked, Failure> {
    let me = service.me(&caller).await?;
    let (offset, limit) = (call.offset.max(0), call.limit.clamp(1, BLOCKED_MAX));
    let found = service.store.blocked(me, offset.into(), limit.into()).await?;
    let count = service.store.count_blocked(me).await?;
    let mut named = Named::default();
    let mut blocked = Vec::with_capacity(found.len());
    for (account, date) in found {
        named.account(account);
        let date = i32::try_from(date).unwrap_or(i32::MAX);
        blocked.push(types::PeerBlocked { peer_id: peer_of(Peer::Account(account)), date });
    }
    let Shown { users, chats } = service.named(caller.now.unix_seconds(), me, named).await?;
    Ok(if usize::try_from(count) == Ok(blocked.len()) {
        let all = ctors::contacts::Blocked { blocked, chats, users };
        types::contacts::Blocked::Blocked(all)
    } else {
        let slice = ctors::contacts::BlockedSlice { count, blocked, chats, users };
        types::contacts::Blocked::BlockedSlice(slice)
    })
}

impl Service {
    async fn set_blocked(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        peer: &types::InputPeer,
        is_blocked: bool,
    ) -> Result<bool, Failure> {
        let me = self.me(caller).await?;
        let found = match self.peer(me, peer).await {
            Ok(Peer::Account(found)) if found != me => found,
            _ => return Err(bad("CONTACT_ID_INVALID")),
        };
        let under_way = self.dates.begin(me, caller.now.unix_seconds());
        self.store.set_blocked(me, found, (is_blocked, under_way.second)).await?;
        let mut named = Named::default();
        named.account(found);
        let update = block_update(found, is_blocked);
        self.push_quiet((me, caller), pusher, update, named).await?;
        Ok(true)
    }
}

/// Somebody is blocked, or no longer.
pub(crate) fn block_update(account: i64, blocked: bool) -> types::Update {
    types::Update::UpdatePeerBlocked(ctors::UpdatePeerBlocked {
        blocked,
        blocked_my_stories_from: false,
        peer_id: peer_of(Peer::Account(account)),
    })
}
