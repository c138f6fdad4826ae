//! `messages.editChatPhoto`, and who may look at it.

use chappe_api::functions::messages::EditChatPhoto;
use chappe_api::types;
use chappe_server::{Caller, Pusher, State};

use super::Room;
use crate::Service;
use crate::error::{Failure, bad};
use crate::media::{NewPhoto, Purpose};
use crate::store::{Action, Photo};

pub(crate) async fn edit_chat_photo(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: EditChatPhoto,
) -> Result<types::Updates, Failure> {
    let me = service.me(&caller).await?;
    // Who may not change it is told so before the picture is worked on.
    let mut change = service.store.change().await?;
    Room::enter(&mut change, me, call.chat_id).await?.check_change_info(me)?;
    drop(change);
    let photo = match &call.photo {
        types::InputChatPhoto::InputChatPhotoEmpty => None,
        types::InputChatPhoto::InputChatUploadedPhoto(uploaded) => {
            // Moving ones are none of the first tier.
            let file = uploaded.file.as_ref().ok_or_else(|| bad("PHOTO_FILE_MISSING"))?;
            let new = NewPhoto { file, purpose: Purpose::Profile };
            Some(service.new_photo(&caller, me, new).await?)
        }
        types::InputChatPhoto::InputChatPhoto(known) => {
            let types::InputPhoto::InputPhoto(id) = &known.id else {
                return Err(bad("PHOTO_INVALID"));
            };
            let photo = service.known_photo(&caller, me, id, "PHOTO_INVALID").await?;
            if !photo.is_of_profile() {
                return Err(bad("PHOTO_INVALID"));
            }
            Some(photo)
        }
    };
    let turn = service.lines.turn().await;
    let mut change = service.store.change().await?;
    let room = Room::enter(&mut change, me, call.chat_id).await?;
    room.check_change_info(me)?;
    if photo == room.chat.photo {
        return Err(bad("CHAT_NOT_MODIFIED"));
    }
    if !change.set_photo(&room.chat, photo.as_ref()).await? {
        return Err(bad("PHOTO_INVALID"));
    }
    change.next_version(room.chat.id).await?;
    let action = photo.map_or(Action::DeletePhoto, |photo| Action::EditPhoto { photo });
    let now = caller.now.unix_seconds();
    let sent = service.declare(&mut change, (me, &room), action, None, now).await?;
    service.announce(turn, change, &pusher, (me, &caller)).await?;
    service.declared(&caller, me, sent).await
}

impl Service {
    /// The photo of a group, for who is in it.
    pub(crate) async fn chat_photo(&self, me: i64, chat: i64) -> Result<Option<Photo>, Failure> {
        match self.store.member(chat, me).await? {
            Some(member) if member.standing.is_in() => {
                Ok(self.store.chat(chat).await?.and_then(|chat| chat.photo))
            }
            _ => Ok(None),
        }
    }
}
