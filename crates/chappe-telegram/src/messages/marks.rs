//! What one does to one's own list of dialogs: pins and marks, told to one's other devices.

use chappe_api::functions::messages::{
    GetDialogUnreadMarks, MarkDialogUnread, ReorderPinnedDialogs, ToggleDialogPin,
};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::peer::peer_of;
use super::view::Named;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::Peer;

/// Dialogs pinned at once.
const PINNED_MAX: usize = 5;

pub(crate) async fn toggle_dialog_pin(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ToggleDialogPin,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.dialog_peer(me, &call.peer).await?;
    let peer = peer.ok_or_else(|| bad("PEER_ID_INVALID"))?;
    let pinned = service.store.pinned_dialogs(me).await?;
    let others = pinned.iter().filter(|dialog| dialog.peer != peer).count();
    if call.pinned && others >= PINNED_MAX {
        return Err(bad("PINNED_DIALOGS_TOO_MUCH"));
    }
    let under_way = service.dates.begin(me, caller.now.unix_seconds());
    if !service.store.pin_dialog((me, peer), call.pinned, under_way.second).await? {
        return Err(bad("PEER_ID_INVALID"));
    }
    let (pinned, folder_id) = (call.pinned, None);
    let update = ctors::UpdateDialogPinned { pinned, folder_id, peer: dialog_peer(peer) };
    let update = types::Update::UpdateDialogPinned(update);
    service.push_to_own((me, &caller), &pusher, update, &[peer]).await?;
    Ok(true)
}

/// What is not named stays pinned below, unless `force` says otherwise.
pub(crate) async fn reorder_pinned_dialogs(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ReorderPinnedDialogs,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    if call.folder_id != 0 {
        return Err(bad("FOLDER_ID_INVALID"));
    }
    if call.order.len() > PINNED_MAX {
        return Err(bad("PINNED_DIALOGS_TOO_MUCH"));
    }
    let mut order = Vec::with_capacity(call.order.len());
    for peer in &call.order {
        let peer = service.dialog_peer(me, peer).await?.ok_or_else(|| bad("PEER_ID_INVALID"))?;
        if !order.contains(&peer) {
            order.push(peer);
        }
    }
    let before: Vec<Peer> =
        service.store.pinned_dialogs(me).await?.into_iter().map(|dialog| dialog.peer).collect();
    if call.force {
        for peer in &order {
            if service.store.dialog(me, *peer).await?.is_none() {
                return Err(bad("PEER_ID_INVALID"));
            }
        }
    } else {
        order.retain(|peer| before.contains(peer));
        order.extend(
            before.iter().filter(|peer| !order.contains(peer)).copied().collect::<Vec<_>>(),
        );
    }
    let under_way = service.dates.begin(me, caller.now.unix_seconds());
    service.store.set_pinned_dialogs(me, &order, under_way.second).await?;
    service.push_to_own((me, &caller), &pusher, pins_update(&order), &order).await?;
    Ok(true)
}

pub(crate) async fn mark_dialog_unread(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: MarkDialogUnread,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.dialog_peer(me, &call.peer).await?;
    let peer = peer.ok_or_else(|| bad("PEER_ID_INVALID"))?;
    let under_way = service.dates.begin(me, caller.now.unix_seconds());
    if !service.store.mark_dialog((me, peer), call.unread, under_way.second).await? {
        return Err(bad("PEER_ID_INVALID"));
    }
    service.push_unread_mark((me, &caller), &pusher, peer, call.unread).await?;
    Ok(true)
}

pub(crate) async fn get_dialog_unread_marks(
    State(service): State<Service>,
    caller: Caller,
    _call: GetDialogUnreadMarks,
) -> Result<Vec<types::DialogPeer>, Failure> {
    let me = service.me(&caller).await?;
    let marked = service.store.marked_dialogs(me).await?;
    Ok(marked.into_iter().map(|dialog| dialog_peer(dialog.peer)).collect())
}

/// These dialogs are pinned, in this order, and no others.
pub(crate) fn pins_update(order: &[Peer]) -> types::Update {
    let order = Some(order.iter().copied().map(dialog_peer).collect());
    types::Update::UpdatePinnedDialogs(ctors::UpdatePinnedDialogs { folder_id: None, order })
}

/// A dialog is marked as unread by hand, or no longer.
pub(crate) fn unread_mark_update(peer: Peer, unread: bool) -> types::Update {
    let peer = dialog_peer(peer);
    let update = ctors::UpdateDialogUnreadMark { unread, peer, saved_peer_id: None };
    types::Update::UpdateDialogUnreadMark(update)
}

fn dialog_peer(peer: Peer) -> types::DialogPeer {
    types::DialogPeer::DialogPeer(ctors::DialogPeer { peer: peer_of(peer) })
}

impl Service {
    /// Tells the other sessions of `me` that a dialog is marked as unread by hand, or no longer.
    pub(super) async fn push_unread_mark(
        &self,
        own: (i64, &Caller),
        pusher: &Pusher,
        peer: Peer,
        unread: bool,
    ) -> Result<(), Failure> {
        self.push_to_own(own, pusher, unread_mark_update(peer, unread), &[peer]).await
    }

    /// Tells the other sessions of `me` something about dialogs.
    async fn push_to_own(
        &self,
        own: (i64, &Caller),
        pusher: &Pusher,
        update: types::Update,
        peers: &[Peer],
    ) -> Result<(), Failure> {
        let mut named = Named::default();
        peers.iter().for_each(|peer| named.peer(*peer));
        self.push_quiet(own, pusher, update, named).await
    }
}
