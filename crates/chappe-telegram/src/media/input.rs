//! What an `inputMedia` means.

use chappe_api::{ctors, types};
use chappe_server::Caller;

use super::UNUSED_LIFE;
use super::photo::{NewPhoto, Purpose};
use crate::Service;
use crate::error::{Failure, bad};
use crate::store::{File, Media, Shown};

impl Service {
    /// What somebody wants to show; files that come with it are kept from now on.
    pub(crate) async fn media(
        &self,
        caller: &Caller,
        me: i64,
        media: &types::InputMedia,
    ) -> Result<Media, Failure> {
        use types::InputMedia as M;
        Ok(match media {
            M::InputMediaEmpty => return Err(bad("MEDIA_EMPTY")),
            M::InputMediaUploadedPhoto(input) => {
                let new = NewPhoto { file: &input.file, purpose: Purpose::Message };
                let photo = self.new_photo(caller, me, new).await?;
                Media::Photo { photo, shown: shown(input.spoiler, input.ttl_seconds)? }
            }
            M::InputMediaPhoto(input) => {
                let types::InputPhoto::InputPhoto(id) = &input.id else {
                    return Err(bad("MEDIA_EMPTY"));
                };
                let photo = self.known_photo(caller, me, id, "MEDIA_INVALID").await?;
                Media::Photo { photo, shown: shown(input.spoiler, input.ttl_seconds)? }
            }
            M::InputMediaUploadedDocument(input) => {
                let shown = shown(input.spoiler, input.ttl_seconds)?;
                Media::Document { document: self.new_document(caller, me, input).await?, shown }
            }
            M::InputMediaDocument(input) => {
                let types::InputDocument::InputDocument(id) = &input.id else {
                    return Err(bad("MEDIA_EMPTY"));
                };
                let ctors::InputDocument { id, access_hash, file_reference } = id;
                let named = (*id, *access_hash, &file_reference[..]);
                let Some(File::Document(document)) = self.known_file(caller, me, named).await?
                else {
                    return Err(bad("DOCUMENT_INVALID"));
                };
                Media::Document { document, shown: shown(input.spoiler, input.ttl_seconds)? }
            }
            M::InputMediaContact(contact) => self.contact(caller, me, contact).await?,
            M::InputMediaGeoPoint(ctors::InputMediaGeoPoint { geo_point }) => {
                Media::Geo(super::plain::place(geo_point)?)
            }
            M::InputMediaVenue(venue) => super::plain::venue(venue)?,
            M::InputMediaDice(ctors::InputMediaDice { emoticon }) => self.dice(emoticon)?,
            _ => return Err(bad("MEDIA_INVALID")),
        })
    }

    /// A photo that was shown to somebody before.
    pub(crate) async fn known_photo(
        &self,
        caller: &Caller,
        me: i64,
        photo: &ctors::InputPhoto,
        otherwise: &str,
    ) -> Result<crate::store::Photo, Failure> {
        let ctors::InputPhoto { id, access_hash, file_reference } = photo;
        let named = (*id, *access_hash, &file_reference[..]);
        match self.known_file(caller, me, named).await? {
            Some(File::Photo(photo)) => Ok(photo),
            _ => Err(bad(otherwise)),
        }
    }

    /// A file that was shown to somebody before; `None` where there is none that it may name.
    async fn known_file(
        &self,
        caller: &Caller,
        me: i64,
        (id, access_hash, reference): (i64, i64, &[u8]),
    ) -> Result<Option<File>, Failure> {
        let now = caller.now.unix_seconds();
        if !self.knows_file(me, id, access_hash) {
            return Ok(None);
        }
        self.check_reference(now, me, id, reference)?;
        Ok(self.store.keep_file(id, now + UNUSED_LIFE).await?)
    }
}

/// Whether this may be what is shown already, as far as can be told once its parts are used up.
pub(crate) fn may_be(said: &types::InputMedia, shown: Option<&Media>) -> bool {
    use types::InputMedia as M;
    match (said, shown) {
        (M::InputMediaPhoto(said), Some(Media::Photo { photo, .. })) => {
            matches!(&said.id, types::InputPhoto::InputPhoto(named) if named.id == photo.id)
        }
        (M::InputMediaDocument(said), Some(Media::Document { document, .. })) => {
            matches!(&said.id, types::InputDocument::InputDocument(named) if named.id == document.id)
        }
        (M::InputMediaContact(said), Some(Media::Contact { phone, .. })) => {
            said.phone_number == **phone
        }
        (M::InputMediaUploadedPhoto(_), Some(Media::Photo { .. }))
        | (M::InputMediaUploadedDocument(_), Some(Media::Document { .. }))
        | (M::InputMediaGeoPoint(_), Some(Media::Geo(_)))
        | (M::InputMediaVenue(_), Some(Media::Venue { .. }))
        | (M::InputMediaDice(_), Some(Media::Dice { .. })) => true,
        _ => false,
    }
}

/// Seconds after which something that was seen is gone, at most; more means: once seen.
const TTL_MAX: i32 = 60;

fn shown(spoiler: bool, ttl: Option<i32>) -> Result<Shown, Failure> {
    match ttl {
        Some(ttl) if !(1..=TTL_MAX).contains(&ttl) && ttl != i32::MAX => {
            Err(bad("MEDIA_TTL_INVALID"))
        }
        ttl => Ok(Shown { spoiler, ttl }),
    }
}
