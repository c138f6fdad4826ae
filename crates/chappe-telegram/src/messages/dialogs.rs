//! `messages.getDialogs`, `messages.getPeerDialogs` and `messages.getPinnedDialogs`.

use chappe_api::functions::messages::{GetDialogs, GetPeerDialogs, GetPinnedDialogs};
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use super::drafts::shown_draft;
use super::peer::peer_of;
use super::view::{Named, Shown};
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{Dialog, Peer};

/// Dialogs of one answer.
const DIALOGS_MAX: i32 = 100;

/// What an answer shows of dialogs.
struct Listed {
    dialogs: Vec<types::Dialog>,
    messages: Vec<types::Message>,
    shown: Shown,
}

/// The pinned ones first, on the first page, and then the newest. Ids of a box rise with time, so
/// that `offset_id` says where a page ends, or `offset_date` alone.
pub(crate) async fn get_dialogs(
    State(service): State<Service>,
    caller: Caller,
    call: GetDialogs,
) -> Result<types::messages::Dialogs, Failure> {
    let me = service.me(&caller).await?;
    match call.folder_id {
        None | Some(0) => {}
        // Nothing is archived.
        Some(1) => return Ok(types::messages::Dialogs::Dialogs(chappe_tl::blank())),
        Some(_) => return Err(bad("FOLDER_ID_INVALID")),
    }
    let is_first = call.offset_id <= 0 && call.offset_date <= 0;
    let below = match (call.offset_id, call.offset_date) {
        (id, _) if id > 0 => id,
        (_, date) if date > 0 => service.store.newest_before(me, date.into()).await? + 1,
        _ => i32::MAX,
    };
    let limit = call.limit.clamp(1, DIALOGS_MAX);
    let mut found = Vec::new();
    if is_first && !call.exclude_pinned {
        found = service.store.pinned_dialogs(me).await?;
    }
    found.extend(service.store.dialogs(me, below, limit.into()).await?);
    let count = service.store.count_dialogs(me).await?;
    let is_all = usize::try_from(count) == Ok(found.len());
    let Listed { dialogs, messages, shown } = service.list(&caller, me, &found).await?;
    let Shown { users, chats } = shown;
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
    let mut peers = Vec::with_capacity(call.peers.len());
    for peer in &call.peers {
        peers.extend(service.dialog_peer(me, peer).await?);
    }
    let known = service.store.dialogs_with(me, &peers).await?;
    let found: Vec<Dialog> = peers
        .into_iter()
        .map(|peer| known.get(&peer).cloned().unwrap_or_else(|| Dialog::empty(peer)))
        .collect();
    service.peer_dialogs(&caller, me, &found).await
}

pub(crate) async fn get_pinned_dialogs(
    State(service): State<Service>,
    caller: Caller,
    call: GetPinnedDialogs,
) -> Result<types::messages::PeerDialogs, Failure> {
    let me = service.me(&caller).await?;
    let found = match call.folder_id {
        0 => service.store.pinned_dialogs(me).await?,
        1 => Vec::new(),
        _ => return Err(bad("FOLDER_ID_INVALID")),
    };
    service.peer_dialogs(&caller, me, &found).await
}

impl Service {
    /// Whom an entry of a list of dialogs means; `None` of a folder.
    pub(super) async fn dialog_peer(
        &self,
        me: i64,
        peer: &types::InputDialogPeer,
    ) -> Result<Option<Peer>, Failure> {
        match peer {
            types::InputDialogPeer::InputDialogPeer(dialog) => {
                self.peer(me, &dialog.peer).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn peer_dialogs(
        &self,
        caller: &Caller,
        me: i64,
        found: &[Dialog],
    ) -> Result<types::messages::PeerDialogs, Failure> {
        let Listed { dialogs, messages, shown } = self.list(caller, me, found).await?;
        let Shown { users, chats } = shown;
        let state = self.state(caller, me).await?;
        Ok(types::messages::PeerDialogs { dialogs, messages, chats, users, state })
    }

    async fn list(&self, caller: &Caller, me: i64, found: &[Dialog]) -> Result<Listed, Failure> {
        let mut named = Named::default();
        let (mut dialogs, mut messages) = (Vec::new(), Vec::new());
        let tops: Vec<i32> = found.iter().map(|dialog| dialog.top_message).collect();
        let tops = self.store.messages(me, &tops).await?;
        let peers: Vec<Peer> = found.iter().map(|dialog| dialog.peer).collect();
        let drafts = self.store.drafts_to(me, &peers).await?;
        for dialog in found {
            named.peer(dialog.peer);
            if let Some(top) = tops.get(&dialog.top_message) {
                let now = caller.now.unix_seconds();
                messages.push(self.shown_message(now, top, &mut named));
            }
            dialogs.push(types::Dialog::Dialog(Box::new(ctors::Dialog {
                pinned: dialog.pinned > 0,
                unread_mark: dialog.unread_mark,
                peer: peer_of(dialog.peer),
                top_message: dialog.top_message,
                read_inbox_max_id: dialog.read_inbox,
                read_outbox_max_id: dialog.read_outbox,
                unread_count: dialog.unread,
                unread_mentions_count: dialog.unread_mentions,
                draft: drafts.get(&dialog.peer).map(shown_draft),
                ..chappe_tl::blank()
            })));
        }
        let shown = self.named(caller.now.unix_seconds(), me, named).await?;
        Ok(Listed { dialogs, messages, shown })
    }
}
