//! Which content a location means, if its viewer may have it.

use chappe_api::{ctors, types};

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Blob, File, Peer};

/// Content, and the Unix second of its file.
pub(super) struct Found {
    pub(super) blob: Blob,
    pub(super) date: i64,
}

impl Service {
    /// What a location means to a viewer. What another may see and what nobody has look the same.
    pub(super) async fn located(
        &self,
        now: i64,
        me: i64,
        location: &types::InputFileLocation,
    ) -> Result<Found, Failure> {
        use types::InputFileLocation as L;
        let (file, form) = match location {
            L::InputDocumentFileLocation(ctors::InputDocumentFileLocation {
                id,
                access_hash,
                file_reference,
                thumb_size,
            }) => {
                let file = self.named_file(now, me, (*id, *access_hash), file_reference).await?;
                let File::Document(_) = file else { return Err(nowhere()) };
                (file, text(thumb_size)?)
            }
            L::InputPhotoFileLocation(ctors::InputPhotoFileLocation {
                id,
                access_hash,
                file_reference,
                thumb_size,
            }) => {
                let file = self.named_file(now, me, (*id, *access_hash), file_reference).await?;
                let File::Photo(_) = file else { return Err(nowhere()) };
                (file, text(thumb_size)?)
            }
            L::InputPeerPhotoFileLocation(ctors::InputPeerPhotoFileLocation {
                big,
                peer,
                photo_id,
            }) => {
                let photo = match self.peer(me, peer).await? {
                    Peer::Account(owner) => self.store.profile_photo_of(owner, *photo_id).await?,
                    Peer::Chat(chat) => self.chat_photo(me, chat).await?,
                };
                let photo = photo.filter(|photo| photo.id == *photo_id).ok_or_else(nowhere)?;
                (File::Photo(photo), if *big { "c" } else { "a" })
            }
            // Stickers and secret chats have no files here yet; the others are of the past.
            _ => return Err(nowhere()),
        };
        let blob = self.store.rendition(file.id(), form).await?.ok_or_else(nowhere)?;
        Ok(Found { blob, date: file.date() })
    }

    async fn named_file(
        &self,
        now: i64,
        me: i64,
        (id, access_hash): (i64, i64),
        reference: &[u8],
    ) -> Result<File, Failure> {
        if !self.knows_file(me, id, access_hash) {
            return Err(nowhere());
        }
        self.check_reference(now, me, id, reference)?;
        self.store.file(id).await?.ok_or_else(nowhere)
    }
}

fn nowhere() -> Failure {
    bad("LOCATION_INVALID")
}
