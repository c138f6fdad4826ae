//! `messages.readHistory`.

use chappe_api::functions::messages::ReadHistory;
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};

use super::post::both;
use crate::Service;
use crate::error::Failure;

pub(crate) async fn read_history(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ReadHistory,
) -> Result<types::messages::AffectedMessages, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    let gate = service.lines.gate().await;
    let everybody = match service.room_as_it_is(me, peer).await? {
        Some(room) => room.ever(),
        None => both(me, peer),
    };
    let turn = service.lines.turn_of(gate, &everybody).await;
    let under_way = service.dates.begin(me, caller.now.unix_seconds());
    let mut change = service.store.change_apart().await?;
    let (marks, now) = ((me, peer), under_way.second);
    let read = service.store.read_history(&mut change, marks, call.max_id, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    if read.unmarked {
        service.push_unread_mark((me, &caller), &pusher, peer, false).await?;
    }
    Ok(types::messages::AffectedMessages { pts: read.pts, pts_count: read.count })
}
