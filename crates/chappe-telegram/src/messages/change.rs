//! `messages.editMessage` and `messages.deleteMessages`.

use chappe_api::functions::messages::{DeleteMessages, EditMessage};
use chappe_api::types;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::error::{Failure, bad};

/// Messages deleted at once.
const IDS_MAX: usize = 100;
/// Seconds within which a message may be edited.
const EDIT_TIME: i64 = 172_800;

pub(crate) async fn edit_message(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditMessage,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let now = caller.now.unix_seconds();
    let before = service.store.message(me, call.id).await?;
    let before = before.filter(|message| message.peer == peer.id);
    let before = before.ok_or_else(|| bad("MESSAGE_ID_INVALID"))?;
    if before.sender != me {
        return Err(Failure::Rpc(RpcError::new(403, "MESSAGE_AUTHOR_REQUIRED")));
    }
    if peer.id != me && before.date + EDIT_TIME < now {
        return Err(bad("MESSAGE_EDIT_TIME_EXPIRED"));
    }
    let media = match &call.media {
        Some(media) => Some(service.media(&caller, me, media).await?),
        None => before.content.media.clone(),
    };
    // Who gives no text keeps the one there was.
    let mut content = match &call.message {
        Some(said) => {
            let entities = call.entities.as_deref().unwrap_or(&[]);
            match media {
                Some(_) => service.caption(me, said, entities).await?,
                None => service.content(me, said, entities).await?,
            }
        }
        None => before.content.clone(),
    };
    content.media = media;
    content.album = before.content.album;
    content.silent = before.content.silent;
    content.noforwards = before.content.noforwards;
    if content == before.content {
        return Err(bad("MESSAGE_NOT_MODIFIED"));
    }
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let edited = service.store.edit(&mut change, (me, call.id), &content, now).await?;
    let pts = edited.ok_or_else(|| bad("MESSAGE_ID_INVALID"))?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.own_edit(&caller, me, call.id, pts).await
}

pub(crate) async fn delete_messages(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: DeleteMessages,
) -> Result<types::messages::AffectedMessages, Failure> {
    let me = service.me(&caller).await?;
    if call.id.len() > IDS_MAX {
        return Err(bad("MESSAGE_ID_INVALID"));
    }
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let now = caller.now.unix_seconds();
    let deleted = service.store.delete(&mut change, me, &call.id, call.revoke, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.sweep_now(now);
    let (pts, pts_count) = deleted;
    Ok(types::messages::AffectedMessages { pts, pts_count })
}
