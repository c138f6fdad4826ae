//! `messages.getDialogs` and `messages.getPeerDialogs`.

use chappe_api::functions::messages::{GetDialogs, GetPeerDialogs};
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use super::peer::peer_of;
use super::view::Named;
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::Dialog;

/// Dialogs of one answer.
const DIALOGS_MAX: i32 = 100;

/// What an answer shows of dialogs.
struct Shown {
    dialogs: Vec<types::Dialog>,
    messages: Vec<types::Message>,
    users: Vec<types::User>,
}

/// Newest first. Ids of a box rise with time, so that `offset_id` alone says where a page ends.
pub(crate) async fn get_dialogs(
    State(service): State<Service>,
    caller: Caller,
    call: GetDialogs,
) -> Result<types::messages::Dialogs, Failure> {
    let me = service.me(&caller).await?;
    // Nothing is archived.
    if call.folder_id.is_some_and(|folder| folder != 0) {
        return Ok(types::messages::Dialogs::Dialogs(chappe_tl::blank()));
    }
    let below = if call.offset_id > 0 { call.offset_id } else { i32::MAX };
    let limit = call.limit.clamp(1, DIALOGS_MAX);
    let found = service.store.dialogs(me, below, limit.into()).await?;
    let count = service.store.count_dialogs(me).await?;
    let is_all = usize::try_from(count) == Ok(found.len());
    let Shown { dialogs, messages, users } = service.show(&caller, me, &found).await?;
    let chats = Vec::new();
    Ok(if is_all {
        let all = ctors::messages::Dialogs { dialogs, messages, chats, users };
        types::messages::Dialogs::Dialogs(all)
    } else {
        let slice = ctors::messages::DialogsSlice { count, dialogs, messages, chats, users };
        types::messages::Dialogs::DialogsSlice(slice)
    })
}

pub(crate) async fn get_peer_dialogs(
    State(service): State<Service>,
    caller: Caller,
    call: GetPeerDialogs,
) -> Result<types::messages::PeerDialogs, Failure> {
    let me = service.me(&caller).await?;
    if call.peers.is_empty() || call.peers.len() > DIALOGS_MAX as usize {
        return Err(bad("INPUT_PEERS_EMPTY"));
    }
    let mut found = Vec::with_capacity(call.peers.len());
    for peer in &call.peers {
        let types::InputDialogPeer::InputDialogPeer(ctors::InputDialogPeer { peer }) = peer else {
            continue;
        };
        let peer = service.peer(me, peer).await?;
        let dialog = service.store.dialog(me, peer.id).await?;
        found.push(dialog.unwrap_or(Dialog {
            peer: peer.id,
            top_message: 0,
            read_inbox: 0,
            read_outbox: 0,
            unread: 0,
        }));
    }
    let Shown { dialogs, messages, users } = service.show(&caller, me, &found).await?;
    let state = service.state(&caller, me).await?;
    Ok(types::messages::PeerDialogs { dialogs, messages, chats: Vec::new(), users, state })
}

impl Service {
    async fn show(&self, caller: &Caller, me: i64, found: &[Dialog]) -> Result<Shown, Failure> {
        let mut named = Named::default();
        let (mut dialogs, mut messages) = (Vec::new(), Vec::new());
        for dialog in found {
            named.account(dialog.peer);
            if let Some(top) = self.store.message(me, dialog.top_message).await? {
                let now = caller.now.unix_seconds();
                messages.push(self.shown_message(now, &top, &mut named));
            }
            dialogs.push(types::Dialog::Dialog(Box::new(ctors::Dialog {
                peer: peer_of(dialog.peer),
                top_message: dialog.top_message,
                read_inbox_max_id: dialog.read_inbox,
                read_outbox_max_id: dialog.read_outbox,
                unread_count: dialog.unread,
                ..chappe_tl::blank()
            })));
        }
        Ok(Shown { dialogs, messages, users: self.users(caller, me, named).await? })
    }
}
