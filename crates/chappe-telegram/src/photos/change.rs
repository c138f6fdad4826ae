//! `photos.uploadProfilePhoto`, `updateProfilePhoto` and `deletePhotos`.

use chappe_api::functions::photos::{DeletePhotos, UpdateProfilePhoto, UploadProfilePhoto};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::contacts::Tidings;
use crate::error::{Failure, bad};
use crate::media::{NewPhoto, Purpose};

/// Photos deleted at once.
const IDS_MAX: usize = 100;

pub(crate) async fn upload_profile_photo(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: UploadProfilePhoto,
) -> Result<types::photos::Photo, Failure> {
    let me = service.me(&caller).await?;
    // One for those who may not see the other one, and moving ones, are none of the first tier.
    let Some(file) = call.file.as_ref().filter(|_| !call.fallback && call.bot.is_none()) else {
        return Err(bad("PHOTO_FILE_MISSING"));
    };
    let new = NewPhoto { file, purpose: Purpose::Profile };
    let photo = service.new_photo(&caller, me, new).await?;
    service.show_photo(&caller, &pusher, me, photo.id).await
}

/// Puts an older photo first, or with `inputPhotoEmpty` takes the first one away.
pub(crate) async fn update_profile_photo(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: UpdateProfilePhoto,
) -> Result<types::photos::Photo, Failure> {
    let me = service.me(&caller).await?;
    if call.fallback || call.bot.is_some() {
        return Err(bad("PHOTO_ID_INVALID"));
    }
    match &call.id {
        types::InputPhoto::InputPhoto(id) => {
            let photo = service.known_photo(&caller, me, id, "PHOTO_ID_INVALID").await?;
            if !photo.is_of_profile() {
                return Err(bad("PHOTO_ID_INVALID"));
            }
            service.show_photo(&caller, &pusher, me, photo.id).await
        }
        types::InputPhoto::InputPhotoEmpty => {
            let first = service.store.profile_photos(me, (0, 1)).await?;
            let first: Vec<i64> = first.iter().map(|photo| photo.id).collect();
            service.store.drop_photos(me, &first).await?;
            service.tell_acquaintances(&caller, &pusher, me, Tidings::Looks);
            let photo = types::Photo::PhotoEmpty(ctors::PhotoEmpty { id: 0 });
            let users = vec![service.myself(&caller, me).await?];
            Ok(types::photos::Photo { photo, users })
        }
    }
}

/// The ids of those that were one's own.
pub(crate) async fn delete_photos(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: DeletePhotos,
) -> Result<Vec<i64>, Failure> {
    let me = service.me(&caller).await?;
    if call.id.len() > IDS_MAX {
        return Err(bad("PHOTO_ID_INVALID"));
    }
    let mut ids = Vec::with_capacity(call.id.len());
    for photo in &call.id {
        if let types::InputPhoto::InputPhoto(photo) = photo {
            ids.push(photo.id);
        }
    }
    let dropped = service.store.drop_photos(me, &ids).await?;
    if !dropped.is_empty() {
        service.tell_acquaintances(&caller, &pusher, me, Tidings::Looks);
        service.sweep_now(caller.now.unix_seconds());
    }
    Ok(dropped)
}

impl Service {
    async fn show_photo(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        me: i64,
        photo: i64,
    ) -> Result<types::photos::Photo, Failure> {
        if !self.store.show_photo(me, photo).await? {
            return Err(bad("PHOTO_ID_INVALID"));
        }
        self.tell_acquaintances(caller, pusher, me, Tidings::Looks);
        let photo = self.store.profile_photo_of(me, photo).await?;
        let photo = photo.ok_or_else(|| bad("PHOTO_ID_INVALID"))?;
        let photo = self.shown_photo(caller.now.unix_seconds(), me, &photo);
        let users = vec![self.myself(caller, me).await?];
        Ok(types::photos::Photo { photo, users })
    }
}
