//! `messages.editChatTitle` and `messages.editChatAbout`.

use chappe_api::functions::messages::{EditChatAbout, EditChatTitle};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use super::create::title_of;
use super::{ABOUT_MAX, Room};
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Action, Peer};

pub(crate) async fn edit_chat_title(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditChatTitle,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    let title = title_of(&call.title)?;
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, call.chat_id).await?;
    room.check_change_info(me)?;
    if room.chat.title == title {
        return Err(bad("CHAT_NOT_MODIFIED"));
    }
    change.set_title(room.chat.id, title).await?;
    change.next_version(room.chat.id).await?;
    let action = Action::EditTitle { title: title.to_owned() };
    let now = caller.now.unix_seconds();
    let sent = service.declare(&mut change, (me, &room), action, None, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.declared(&caller, me, sent).await
}

/// Members' devices are told that there is something to fetch.
pub(crate) async fn edit_chat_about(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditChatAbout,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let about = text(&call.about)?.trim();
    if about.chars().count() > ABOUT_MAX {
        return Err(bad("CHAT_ABOUT_TOO_LONG"));
    }
    let Peer::Chat(chat_id) = service.peer(me, &call.peer).await? else {
        return Err(bad("PEER_ID_INVALID"));
    };
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, chat_id).await?;
    room.check_change_info(me)?;
    if room.chat.about == about {
        return Err(bad("CHAT_ABOUT_NOT_MODIFIED"));
    }
    change.set_about(chat_id, about).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    let update = types::Update::UpdateChat(ctors::UpdateChat { chat_id });
    service.push_to_members(&pusher, &caller, &room, &update, false).await?;
    Ok(true)
}
