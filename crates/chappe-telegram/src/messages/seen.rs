//! Who has looked at what, as far as it is kept, and other questions with short answers.

use chappe_api::functions::messages::{
    GetMessageReadParticipants, GetMessagesViews, GetOnlines, GetOutboxReadDate, GetPeerSettings,
    GetUnreadReactions, GetWebPage, GetWebPagePreview, HidePeerSettingsBar, ReadMessageContents,
    ReadReactions, ReceivedMessages,
};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::view::{Named, Shown};
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Message, Peer};

/// Messages of one call.
const IDS_MAX: usize = 100;

pub(crate) async fn read_message_contents(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ReadMessageContents,
) -> Result<types::messages::AffectedMessages, Failure> {
    let me = service.me(&caller).await?;
    if call.id.len() > IDS_MAX {
        return Err(bad("MESSAGE_ID_INVALID"));
    }
    let (pts, pts_count) = service.heed(&caller, &pusher, me, &call.id).await?;
    Ok(types::messages::AffectedMessages { pts, pts_count })
}

/// Views are counted in channels alone.
pub(crate) async fn get_messages_views(
    State(service): State<Service>,
    caller: Caller,
    call: GetMessagesViews,
) -> Result<types::messages::MessageViews, Failure> {
    let me = service.me(&caller).await?;
    service.peer(me, &call.peer).await?;
    if call.id.len() > IDS_MAX {
        return Err(bad("MESSAGE_ID_INVALID"));
    }
    let views = call.id.iter().map(|_| chappe_tl::blank()).collect();
    Ok(types::messages::MessageViews { views, chats: Vec::new(), users: Vec::new() })
}

/// When something was read is not kept.
pub(crate) async fn get_outbox_read_date(
    State(service): State<Service>,
    caller: Caller,
    call: GetOutboxReadDate,
) -> Result<types::OutboxReadDate, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    service.own_message_with(me, peer, call.msg_id).await?;
    Err(bad("MESSAGE_NOT_READ_YET"))
}

pub(crate) async fn get_message_read_participants(
    State(service): State<Service>,
    caller: Caller,
    call: GetMessageReadParticipants,
) -> Result<Vec<types::ReadParticipantDate>, Failure> {
    let me = service.me(&caller).await?;
    let peer = service.peer(me, &call.peer).await?;
    service.own_message_with(me, peer, call.msg_id).await?;
    Ok(Vec::new())
}

pub(crate) async fn get_peer_settings(
    State(service): State<Service>,
    caller: Caller,
    call: GetPeerSettings,
) -> Result<types::messages::PeerSettings, Failure> {
    let me = service.me(&caller).await?;
    let mut named = Named::default();
    named.peer(service.peer(me, &call.peer).await?);
    let Shown { users, chats } = service.named(caller.now.unix_seconds(), me, named).await?;
    Ok(types::messages::PeerSettings { settings: chappe_tl::blank(), chats, users })
}

pub(crate) async fn hide_peer_settings_bar(
    State(service): State<Service>,
    caller: Caller,
    call: HidePeerSettingsBar,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    service.peer(me, &call.peer).await?;
    Ok(true)
}

/// Nobody can react yet.
pub(crate) async fn get_unread_reactions(
    State(service): State<Service>,
    caller: Caller,
    call: GetUnreadReactions,
) -> Result<types::messages::Messages, Failure> {
    let me = service.me(&caller).await?;
    service.peer(me, &call.peer).await?;
    Ok(types::messages::Messages::Messages(chappe_tl::blank()))
}

pub(crate) async fn read_reactions(
    State(service): State<Service>,
    caller: Caller,
    call: ReadReactions,
) -> Result<types::messages::AffectedHistory, Failure> {
    let me = service.me(&caller).await?;
    service.peer(me, &call.peer).await?;
    let pts = service.state(&caller, me).await?.pts;
    Ok(types::messages::AffectedHistory { pts, pts_count: 0, offset: 0 })
}

pub(crate) async fn received_messages(
    State(service): State<Service>,
    caller: Caller,
    _call: ReceivedMessages,
) -> Result<Vec<types::ReceivedNotifyMessage>, Failure> {
    service.me(&caller).await?;
    Ok(Vec::new())
}

/// How many of a group are online.
pub(crate) async fn get_onlines(
    State(service): State<Service>,
    caller: Caller,
    call: GetOnlines,
) -> Result<types::ChatOnlines, Failure> {
    let me = service.me(&caller).await?;
    let Peer::Chat(chat) = service.peer(me, &call.peer).await? else {
        return Err(bad("PEER_ID_INVALID"));
    };
    let own = service.store.member(chat, me).await?;
    let onlines = match own.is_some_and(|own| own.standing.is_in()) {
        true => service.store.count_online(chat, caller.now.unix_seconds()).await?,
        false => 0,
    };
    Ok(types::ChatOnlines { onlines })
}

/// No page is fetched: the server is offline.
pub(crate) async fn get_web_page_preview(
    State(service): State<Service>,
    caller: Caller,
    call: GetWebPagePreview,
) -> Result<types::messages::WebPagePreview, Failure> {
    service.me(&caller).await?;
    if text(&call.message)?.trim().is_empty() {
        return Err(bad("MESSAGE_EMPTY"));
    }
    let media = types::MessageMedia::MessageMediaEmpty;
    Ok(types::messages::WebPagePreview { media, chats: Vec::new(), users: Vec::new() })
}

pub(crate) async fn get_web_page(
    State(service): State<Service>,
    caller: Caller,
    call: GetWebPage,
) -> Result<types::messages::WebPage, Failure> {
    service.me(&caller).await?;
    let url = Some(call.url);
    let webpage = types::WebPage::WebPageEmpty(ctors::WebPageEmpty { id: 0, url });
    Ok(types::messages::WebPage { webpage, chats: Vec::new(), users: Vec::new() })
}

impl Service {
    /// What `me` said to a peer under an id.
    async fn own_message_with(&self, me: i64, peer: Peer, id: i32) -> Result<Message, Failure> {
        let found = self.store.message(me, id).await?;
        let found = found.filter(|found| found.peer == peer && found.sender == me);
        found.ok_or_else(|| bad("MSG_ID_INVALID"))
    }
}
