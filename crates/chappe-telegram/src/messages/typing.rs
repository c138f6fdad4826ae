//! `messages.setTyping`: told to whoever is there, and kept nowhere.

use chappe_api::functions::messages::SetTyping;
use chappe_api::{ctors, types};
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};

use super::peer::peer_of;
use crate::Service;
use crate::error::Failure;
use crate::store::{Member, Peer};

pub(crate) async fn set_typing(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SetTyping,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let SetTyping { peer, action, top_msg_id, .. } = call;
    let peer = service.peer(me, &peer).await?;
    service.check_may_reach(me, peer).await?;
    let (update, others) = match peer {
        Peer::Account(other) => {
            let typing = ctors::UpdateUserTyping { user_id: me, top_msg_id, action };
            (types::Update::UpdateUserTyping(Box::new(typing)), vec![other])
        }
        Peer::Chat(chat_id) => {
            let inside = |member: &Member| member.standing.is_in();
            let members = service.store.members(chat_id).await?;
            if !members.iter().any(|member| member.account == me && inside(member)) {
                return Err(Failure::Rpc(RpcError::new(403, "CHAT_WRITE_FORBIDDEN")));
            }
            let from_id = peer_of(Peer::Account(me));
            let typing = ctors::UpdateChatUserTyping { chat_id, from_id, action };
            let people = members.iter().filter(|member| inside(member) && !member.is_bot);
            let others = people.map(|member| member.account).collect();
            (types::Update::UpdateChatUserTyping(Box::new(typing)), others)
        }
    };
    let date = i32::try_from(caller.now.unix_seconds()).unwrap_or(i32::MAX);
    let short = ctors::UpdateShort { update, date };
    let updates = types::Updates::UpdateShort(Box::new(short));
    let others: Vec<i64> = others.into_iter().filter(|other| *other != me).collect();
    service.push_to_all(&pusher, &others, &updates).await?;
    Ok(true)
}
