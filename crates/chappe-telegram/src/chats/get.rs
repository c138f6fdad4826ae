//! `messages.getChats`, `messages.getFullChat` and `messages.getCommonChats`.

use chappe_api::functions::messages::{GetChats, GetCommonChats, GetFullChat};
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};
use crate::messages::Named;
use crate::store::{Peer, Sieve, Standing, Window};

/// Groups asked for at once.
const CHATS_MAX: usize = 200;

/// Groups that the caller is or was in; others are not told from those that do not exist.
pub(crate) async fn get_chats(
    State(service): State<Service>,
    caller: Caller,
    call: GetChats,
) -> Result<types::messages::Chats, Failure> {
    let me = service.me(&caller).await?;
    if call.id.len() > CHATS_MAX {
        return Err(bad("LIMIT_INVALID"));
    }
    let chats = service.seen_chats(me, &call.id).await?;
    if chats.iter().any(|chat| matches!(chat, types::Chat::ChatEmpty(_))) {
        return Err(bad("CHAT_ID_INVALID"));
    }
    Ok(types::messages::Chats::Chats(ctors::messages::Chats { chats }))
}

pub(crate) async fn get_full_chat(
    State(service): State<Service>,
    caller: Caller,
    call: GetFullChat,
) -> Result<types::messages::ChatFull, Failure> {
    let me = service.me(&caller).await?;
    let member = service.store.member(call.chat_id, me).await?;
    let standing = member.ok_or_else(|| bad("CHAT_ID_INVALID"))?.standing;
    let chat = service.store.chat(call.chat_id).await?.ok_or_else(|| bad("CHAT_ID_INVALID"))?;
    let peer = Peer::Chat(chat.id);
    let mut named = Named::default();
    named.peer(peer);
    let participants = service.participants(me, chat.id, &mut named).await?;
    let pinned = Window {
        peer,
        offset_id: 0,
        offset_date: 0,
        add_offset: 0,
        limit: 1,
        max_id: 0,
        min_id: 0,
        sieve: Sieve { is_pinned: true, ..Sieve::default() },
    };
    let pinned = service.store.history(me, &pinned).await?;
    let exported_invite = match standing {
        standing if Standing::is_admin(standing) => service.main_invite(me, chat.id).await?,
        _ => None,
    };
    let full_chat = types::ChatFull::ChatFull(Box::new(ctors::ChatFull {
        id: chat.id,
        about: if standing.is_in() { chat.about.as_str().into() } else { "".into() },
        participants,
        chat_photo: chat
            .photo
            .as_ref()
            .filter(|_| standing.is_in())
            .map(|photo| Box::new(service.shown_photo(caller.now.unix_seconds(), me, photo))),
        exported_invite,
        pinned_msg_id: pinned.first().map(|message| message.id),
        ..chappe_tl::blank()
    }));
    let shown = service.named(caller.now.unix_seconds(), me, named).await?;
    Ok(types::messages::ChatFull { full_chat, chats: shown.chats, users: shown.users })
}

pub(crate) async fn get_common_chats(
    State(service): State<Service>,
    caller: Caller,
    call: GetCommonChats,
) -> Result<types::messages::Chats, Failure> {
    let me = service.me(&caller).await?;
    let found = service.meant(me, &call.user_id).await?;
    let other = found.filter(|other| other.id != me).ok_or_else(|| bad("USER_ID_INVALID"))?.id;
    let limit = call.limit.clamp(1, 100);
    let found = service.store.common_chats((me, other), call.max_id, limit.into()).await?;
    let chats = service.seen_chats(me, &found).await?;
    Ok(types::messages::Chats::Chats(ctors::messages::Chats { chats }))
}
