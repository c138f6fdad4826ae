//! `messages.editMessage`, `messages.deleteMessages` and `messages.deleteHistory`.

use std::collections::{BTreeMap, BTreeSet};

use chappe_api::functions::messages::{DeleteHistory, DeleteMessages, EditMessage};
use chappe_api::types;
use chappe_proto::rpc::RpcError;
use chappe_server::{Caller, Pusher, State};

use super::post::both;
use crate::Service;
use crate::chats::{Room, admin_required};
use crate::error::{Failure, bad};
use crate::store::{Peer, Standing};

/// Messages deleted at once.
const IDS_MAX: usize = 100;
/// Messages of a history deleted at once, and rows of them in all boxes; clients ask again.
const HISTORY_MAX: usize = 1000;
const COPIES_MAX: usize = 10_000;
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
    let before = before.filter(|it| it.peer == peer && it.content.action.is_none());
    let before = before.ok_or_else(|| bad("MESSAGE_ID_INVALID"))?;
    if before.sender != me || before.content.forwarded.is_some() {
        return Err(Failure::Rpc(RpcError::new(403, "MESSAGE_AUTHOR_REQUIRED")));
    }
    service.check_may_reach(me, peer).await?;
    let is_bot = service.store.is_bot(me).await?;
    if peer != Peer::Account(me) && !is_bot && before.date + EDIT_TIME < now {
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
    // A keyboard that an edit does not name is taken away.
    content.markup = service.markup(me, call.reply_markup.as_deref()).await?;
    content.via_bot = before.content.via_bot;
    content.silent = before.content.silent;
    content.noforwards = before.content.noforwards;
    if content == before.content {
        return Err(bad("MESSAGE_NOT_MODIFIED"));
    }
    let gate = service.lines.gate().await;
    let owners = match service.room_as_it_is(me, peer).await? {
        Some(room) => {
            room.check_write(me, &content)?;
            room.inside()
        }
        None => both(me, peer),
    };
    let turn = service.lines.turn_of(gate, &owners).await;
    let mut change = service.store.change_apart().await?;
    let edited = service.store.edit(&mut change, (me, call.id), (&content, now), &owners).await?;
    let pts = edited.ok_or_else(|| bad("MESSAGE_ID_INVALID"))?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.own_edit(&caller, me, call.id, pts).await
}

/// With `revoke`, one takes back what one said in a group, and administrators what anybody said.
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
    let meant = service.store.headings(me, &call.id).await?;
    let mut owners = BTreeSet::from([me]);
    // By group: whether something there is somebody else's.
    let mut chats: BTreeMap<i64, bool> = BTreeMap::new();
    for heading in meant.iter().filter(|_| call.revoke) {
        match heading.peer {
            Peer::Chat(chat) => *chats.entry(chat).or_default() |= heading.sender != me,
            Peer::Account(peer) => owners.extend([peer]),
        }
    }
    let gate = service.lines.gate().await;
    let mut everybody = BTreeMap::new();
    for (chat, is_foreign) in chats {
        let room = Room::as_it_is(&service.store, me, chat).await?;
        let may = |room: &Room| {
            let standing = room.standing(me).filter(|standing| standing.is_in());
            standing.is_some_and(|standing| standing.is_admin() || !is_foreign)
        };
        let room = room.filter(may);
        let room =
            room.ok_or_else(|| Failure::Rpc(RpcError::new(403, "MESSAGE_DELETE_FORBIDDEN")))?;
        owners.extend(room.ever());
        everybody.insert(chat, room.ever());
    }
    let turn = service.lines.turn_of(gate, &owners).await;
    let mut change = service.store.change_apart().await?;
    let now = caller.now.unix_seconds();
    let deleted = (me, &meant[..]);
    let deleted = service.store.delete(&mut change, deleted, call.revoke, &everybody, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.sweep_now(now);
    let (pts, pts_count) = deleted;
    Ok(types::messages::AffectedMessages { pts, pts_count })
}

/// The newest of what is meant; `offset` is above 0 while there is more. In a group `revoke` is for
/// administrators.
pub(crate) async fn delete_history(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: DeleteHistory,
) -> Result<types::messages::AffectedHistory, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let (after, before) = (call.min_date.unwrap_or(0), call.max_date.unwrap_or(0));
    if after < 0 || before < 0 || (before > 0 && before < after) {
        return Err(bad("MAX_DATE_INVALID"));
    }
    let gate = service.lines.gate().await;
    let mut everybody = BTreeMap::new();
    let revoke = call.revoke && !call.just_clear;
    let owners = match service.room_as_it_is(me, peer).await? {
        _ if !revoke => [me].into(),
        None => both(me, peer),
        Some(room) => {
            if !room.standing(me).is_some_and(Standing::is_admin) {
                return Err(admin_required());
            }
            everybody.insert(room.chat.id, room.ever());
            room.ever()
        }
    };
    let turn = service.lines.turn_of(gate, &owners).await;
    let (what, when) = ((peer, call.max_id), (after.into(), before.into()));
    let most = (COPIES_MAX / owners.len()).clamp(1, HISTORY_MAX);
    let mut meant = service.store.headings_of(me, what, when, most as i64 + 1).await?;
    let offset = meant.len().saturating_sub(most);
    meant.truncate(most);
    let mut change = service.store.change_apart().await?;
    let now = caller.now.unix_seconds();
    let deleted = service.store.delete(&mut change, (me, &meant), revoke, &everybody, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let (pts, pts_count) = deleted;
    let offset = i32::try_from(offset).unwrap_or(i32::MAX);
    Ok(types::messages::AffectedHistory { pts, pts_count, offset })
}
