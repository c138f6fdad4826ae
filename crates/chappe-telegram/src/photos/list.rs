//! `photos.getUserPhotos`.

use chappe_api::functions::photos::GetUserPhotos;
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad};
use crate::store::Photo;

/// Photos of one answer.
const PHOTOS_MAX: i32 = 100;

/// The photo that is shown first. `max_id` asks for one photo: TDLib looks it up by that.
pub(crate) async fn get_user_photos(
    State(service): State<Service>,
    caller: Caller,
    call: GetUserPhotos,
) -> Result<types::photos::Photos, Failure> {
    let me = service.me(&caller).await?;
    let account = service.meant(me, &call.user_id).await?;
    let account = account.ok_or_else(|| bad("USER_ID_INVALID"))?;
    let now = caller.now.unix_seconds();
    let limit = call.limit.clamp(0, PHOTOS_MAX);
    let found = if call.max_id == 0 {
        let page = (call.offset.max(0).into(), limit.into());
        service.store.profile_photos(account.id, page).await?
    } else {
        let named = service.store.profile_photo_of(account.id, call.max_id).await?;
        named.into_iter().collect()
    };
    let count = service.store.count_profile_photos(account.id).await?;
    let shown = |photo: &Photo| service.shown_photo(now, me, photo);
    let photos: Vec<_> = found.iter().map(shown).collect();
    let users = vec![service.seen(now, me, &account).await?];
    if usize::try_from(count) == Ok(photos.len()) {
        return Ok(types::photos::Photos::Photos(ctors::photos::Photos { photos, users }));
    }
    let slice = ctors::photos::PhotosSlice { count, photos, users };
    Ok(types::photos::Photos::PhotosSlice(slice))
}
