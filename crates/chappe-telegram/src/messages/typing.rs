//! `messages.setTyping`: told to whoever is there, and kept nowhere.

use chappe_api::functions::messages::SetTyping;
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::error::Failure;

pub(crate) async fn set_typing(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SetTyping,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    if peer.id != me {
        let SetTyping { action, top_msg_id, .. } = call;
        let typing = ctors::UpdateUserTyping { user_id: me, top_msg_id, action };
        let short = ctors::UpdateShort {
            update: types::Update::UpdateUserTyping(Box::new(typing)),
            date: i32::try_from(caller.now.unix_seconds()).unwrap_or(i32::MAX),
        };
        let updates = types::Updates::UpdateShort(Box::new(short));
        service.push(&pusher, peer.id, &updates, None).await?;
    }
    Ok(true)
}
