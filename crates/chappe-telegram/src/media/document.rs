//! Files as they are.

use chappe_api::ctors;
use chappe_server::Caller;

use super::{UNUSED_LIFE, attributes, picture};
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::files::Uploaded;
use crate::store::{Attribute, Document, File, Size, Source};

/// Bytes of a thumbnail that a client brings.
const THUMB_MAX: i64 = 200 << 10;
/// Bytes of a mime type.
const MIME_MAX: usize = 128;
/// What a file is that says nothing.
const MIME: &str = "application/octet-stream";

impl Service {
    /// Keeps a file that was said in parts, under a number of its own.
    pub(super) async fn new_document(
        &self,
        caller: &Caller,
        me: i64,
        input: &ctors::InputMediaUploadedDocument,
    ) -> Result<Document, Failure> {
        let mime = text(&input.mime_type)?.trim().to_ascii_lowercase();
        if mime.len() > MIME_MAX || !mime.is_ascii() {
            return Err(bad("DOCUMENT_INVALID"));
        }
        let mut attributes = attributes::kept(&input.attributes)?;
        let Uploaded { blob, name } = self.uploaded(caller, me, &input.file).await?;
        attributes::name(&mut attributes, &name);
        if input.nosound_video && !attributes.contains(&Attribute::Animated) {
            attributes.push(Attribute::Animated);
        }
        let mut forms = vec![("", Source::Uploaded(blob.id))];
        let mut thumb = None;
        if let Some(input) = &input.thumb {
            let small = self.uploaded(caller, me, input).await?.blob;
            // One that is no picture is as good as none.
            if let Some((width, height)) = self.dimensions(small.id, small.size).await? {
                let bytes = i32::try_from(small.size).unwrap_or(i32::MAX);
                thumb = Some(Size { form: THUMB.to_owned(), width, height, bytes });
                forms.push((THUMB, Source::Uploaded(small.id)));
            }
        }
        let now = caller.now.unix_seconds();
        let document = Document {
            id: self.fresh_file(),
            date: now,
            mime: if mime.is_empty() { MIME.to_owned() } else { mime },
            size: blob.size,
            thumb,
            attributes,
        };
        let file = File::Document(document.clone());
        self.store.add_file(&file, now + UNUSED_LIFE, &forms).await?;
        Ok(document)
    }

    /// A number for a file: of chance, so that tables of files can be cut up by it.
    pub(super) fn fresh_file(&self) -> i64 {
        (self.rng().u64() >> 1).cast_signed().max(1)
    }

    /// Width and height of a thumbnail.
    async fn dimensions(&self, blob: i64, size: i64) -> Result<Option<(i32, i32)>, Failure> {
        if size > THUMB_MAX {
            return Ok(None);
        }
        let bytes = self.files.content(blob, size).await?;
        Ok(picture::dimensions(&bytes).ok().and_then(|(width, height)| {
            Some((i32::try_from(width).ok()?, i32::try_from(height).ok()?))
        }))
    }
}

/// The form of a file that clients bring as its thumbnail.
const THUMB: &str = "m";
