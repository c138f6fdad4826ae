//! Pictures, in the sizes that clients ask for.

use bytes::Bytes;
use chappe_api::types;
use chappe_server::Caller;

use super::UNUSED_LIFE;
use super::picture::{self, Fault, Pictures};
use crate::Service;
use crate::error::{Failure, bad};
use crate::files::Uploaded;
use crate::store::{File, Photo, Size, Source};

/// Bytes of a picture as it comes.
const PHOTO_MAX: i64 = 10 << 20;

/// A picture that was said in parts.
#[derive(Clone, Copy)]
pub(crate) struct NewPhoto<'c> {
    pub(crate) file: &'c types::InputFile,
    pub(crate) purpose: Purpose,
}

/// What a picture is for, which decides its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Message,
    Profile,
}

impl Service {
    /// Keeps a picture in all its sizes, as JPEG without anything that the camera said.
    pub(crate) async fn new_photo(
        &self,
        caller: &Caller,
        me: i64,
        new: NewPhoto<'_>,
    ) -> Result<Photo, Failure> {
        let Uploaded { blob, .. } = self.uploaded(caller, me, new.file).await?;
        if blob.size > PHOTO_MAX {
            return Err(bad("PHOTO_SAVE_FILE_INVALID"));
        }
        let content = self.files.content(blob.id, blob.size).await?;
        let Pictures { sizes, stripped } = self.pictures(content, new.purpose).await?;
        let now = caller.now.unix_seconds();
        let contents: Vec<Bytes> = sizes.iter().map(|size| size.jpeg.clone()).collect();
        let written = self.files.write_all(&self.store, &contents, now).await?;
        let photo = Photo {
            id: self.fresh_file(),
            date: now,
            sizes: sizes
                .iter()
                .map(|size| Size {
                    form: size.form.to_owned(),
                    width: size.width as i32,
                    height: size.height as i32,
                    bytes: size.jpeg.len() as i32,
                })
                .collect(),
            stripped,
        };
        let forms = sizes.iter().map(|size| size.form);
        let forms: Vec<_> = forms.zip(written.iter().map(Source::Written)).collect();
        let file = File::Photo(photo.clone());
        let doubles = self.store.add_file(&file, now + UNUSED_LIFE, &forms).await?;
        self.files.delete_all(&doubles).await?;
        Ok(photo)
    }

    /// Decodes and scales on a thread of its own, as much at a time as memory allows.
    async fn pictures(&self, content: Bytes, purpose: Purpose) -> Result<Pictures, Failure> {
        let (width, height) = picture::dimensions(&content).map_err(refused)?;
        picture::check(width, height).map_err(refused)?;
        let pixels = (u64::from(width) * u64::from(height)).div_ceil(1_000_000) as u32;
        let turn = self.files.pictures.acquire_many(pixels).await;
        let work = move || picture::pictures(&content, purpose);
        let made = tokio::task::spawn_blocking(work).await;
        drop(turn);
        // Whatever is wrong with a picture that makes the decoder panic, it is the picture's.
        made.unwrap_or(Err(Fault::Broken)).map_err(refused)
    }
}

fn refused(fault: Fault) -> Failure {
    bad(match fault {
        Fault::Unknown => "PHOTO_EXT_INVALID",
        Fault::Dimensions => "PHOTO_INVALID_DIMENSIONS",
        Fault::Small => "PHOTO_CROP_SIZE_SMALL",
        Fault::Broken => "IMAGE_PROCESS_FAILED",
    })
}
