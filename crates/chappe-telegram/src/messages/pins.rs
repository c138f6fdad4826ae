//! `messages.updatePinnedMessage` and `messages.unpinAllMessages`.

use chappe_api::functions::messages::{UnpinAllMessages, UpdatePinnedMessage};
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};

use super::post::both;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{Action, Content, Event, Happening, Peer};

/// A message of the service tells of it, silently if that is wanted, unless it is on one side alone.
pub(crate) async fn update_pinned_message(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: UpdatePinnedMessage,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let found = service.store.message(me, call.id).await?;
    let found = found.filter(|it| it.peer == peer && it.content.action.is_none());
    found.ok_or_else(|| bad("MESSAGE_ID_INVALID"))?;
    if !call.pm_oneside {
        service.check_may_reach(me, peer).await?;
    }
    let now = caller.now.unix_seconds();
    let gate = service.lines.gate().await;
    let owners = match service.room_as_it_is(me, peer).await? {
        Some(room) => {
            room.check_pin(me)?;
            room.inside()
        }
        None if call.pm_oneside => both(me, Peer::Account(me)),
        None => both(me, peer),
    };
    let turn = service.lines.turn_of(gate, &owners).await;
    let mut change = service.store.change_apart().await?;
    let (what, how) = ((me, call.id), (!call.unpin, now));
    let pts = service.store.pin(&mut change, what, how, &owners).await?;
    let pts = pts.ok_or_else(|| bad("CHAT_NOT_MODIFIED"))?;
    let is_one_sided = call.pm_oneside && peer.chat().is_none();
    let mut declared = None;
    if !(call.unpin || is_one_sided) {
        let id = Some(call.id);
        let content =
            Content { action: Some(Action::Pin), silent: call.silent, ..Content::default() };
        let sent = service.declare_to(&mut change, (me, peer), &owners, content, id, now).await?;
        declared = Some(sent);
    }
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let ids = vec![call.id];
    let pinned = Happening::Pinned { peer, ids, is_pinned: !call.unpin };
    let event = Event { pts, count: 1, happening: pinned };
    match declared {
        Some(sent) => service.declared_after(&caller, me, event, sent).await,
        None => service.updates_of(me, &[event], now).await,
    }
}

pub(crate) async fn unpin_all_messages(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: UnpinAllMessages,
) -> Result<types::messages::AffectedHistory, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    service.check_may_reach(me, peer).await?;
    let now = caller.now.unix_seconds();
    let gate = service.lines.gate().await;
    let owners = match service.room_as_it_is(me, peer).await? {
        Some(room) => {
            room.check_pin(me)?;
            room.inside()
        }
        None => both(me, peer),
    };
    let turn = service.lines.turn_of(gate, &owners).await;
    let mut change = service.store.change_apart().await?;
    let unpinned = service.store.unpin_all(&mut change, (me, peer), &owners, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let (pts, pts_count) = unpinned;
    Ok(types::messages::AffectedHistory { pts, pts_count, offset: 0 })
}
