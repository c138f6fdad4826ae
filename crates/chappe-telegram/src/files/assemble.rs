//! Parts become a file when it is used for the first time.

use chappe_api::{ctors, types};
use chappe_server::Caller;

use super::blobs::PIECE;
use super::digest::{Digest, is_other};
use super::upload::PARTS_MAX;
use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Blob, Upload};

/// Seconds for which a file that was put together may be used again by its parts' number: clients
/// repeat a call whose answer they missed.
const USED_LIFE: i64 = 600;

/// What an `inputFile` means.
#[derive(Clone, Debug)]
pub(crate) struct Uploaded {
    pub(crate) blob: Blob,
    /// As the client calls it.
    pub(crate) name: String,
}

/// Which upload, of how many parts.
#[derive(Clone, Copy)]
struct Wanted<'c> {
    file: i64,
    is_big: bool,
    parts: i32,
    md5: &'c [u8],
}

impl Service {
    /// The file that somebody has said in parts.
    pub(crate) async fn uploaded(
        &self,
        caller: &Caller,
        me: i64,
        file: &types::InputFile,
    ) -> Result<Uploaded, Failure> {
        let (wanted, name) = match file {
            types::InputFile::InputFile(ctors::InputFile { id, parts, name, md5_checksum }) => {
                let md5 = &md5_checksum[..];
                (Wanted { file: *id, is_big: false, parts: *parts, md5 }, name)
            }
            types::InputFile::InputFileBig(ctors::InputFileBig { id, parts, name }) => {
                (Wanted { file: *id, is_big: true, parts: *parts, md5: &[] }, name)
            }
            types::InputFile::InputFileStoryDocument(_) => return Err(bad("INPUT_FILE_INVALID")),
        };
        if !(1..=PARTS_MAX).contains(&wanted.parts) {
            return Err(bad("FILE_PARTS_INVALID"));
        }
        let name = text(name)?.to_owned();
        let upload = self.store.upload(me, wanted.file, wanted.is_big).await?;
        let Some(upload) = upload else { return Err(missing(0)) };
        if upload.total.is_some_and(|total| total != wanted.parts) {
            return Err(bad("FILE_PARTS_INVALID"));
        }
        let blob = match upload.blob {
            Some(blob) => blob,
            None => self.assemble(caller, me, &upload, wanted).await?,
        };
        Ok(Uploaded { blob, name })
    }

    async fn assemble(
        &self,
        caller: &Caller,
        me: i64,
        upload: &Upload,
        wanted: Wanted<'_>,
    ) -> Result<Blob, Failure> {
        let sizes = self.store.parts(upload.round).await?;
        for (at, expected) in (0..wanted.parts).enumerate() {
            if sizes.get(at).is_none_or(|(part, _)| *part != expected) {
                return self.meanwhile(me, wanted, expected).await;
            }
        }
        if sizes.len() > wanted.parts as usize {
            return Err(bad("FILE_PARTS_INVALID"));
        }
        let total: i64 = sizes.iter().map(|(_, size)| size).sum();
        // Until then another call may have used the parts up, which shows when they are read.
        let _turn = self.files.assemblies.turn(me, total as usize).await;
        let now = caller.now.unix_seconds();
        let ids = self.store.begin_blobs(1, now).await?;
        let id = ids.first().copied().unwrap_or_default();
        let mut digest = Digest::new(!wanted.md5.is_empty());
        let mut content = Vec::new();
        let mut writing = match total as usize > PIECE {
            true => Some(self.files.blobs.begin(id).await?),
            false => None,
        };
        for (part, size) in sizes {
            let bytes = self.files.blobs.part(upload.round, part).await?;
            let Some(bytes) = bytes.filter(|bytes| bytes.len() as i64 == size) else {
                if let Some(writing) = writing {
                    writing.abort().await;
                }
                return self.meanwhile(me, wanted, part).await;
            };
            digest.update(&bytes);
            match &mut writing {
                Some(writing) => writing.write(bytes).await?,
                None => content.extend_from_slice(&bytes),
            }
        }
        let (new, md5) = digest.finish(id);
        if md5.is_some_and(|md5| is_other(wanted.md5, &md5)) {
            if let Some(writing) = writing {
                writing.abort().await;
            }
            return Err(bad("MD5_CHECKSUM_INVALID"));
        }
        match writing {
            Some(writing) => writing.finish().await?,
            None => self.files.blobs.put(id, content.into()).await?,
        }
        let until = now + USED_LIFE.min(self.config.upload_life.into());
        let finished = self.store.finish_upload(upload.round, wanted.parts, &new, until).await?;
        let Some(adopted) = finished else { return self.meanwhile(me, wanted, 0).await };
        self.files.blobs.delete_parts(upload.round).await?;
        if let Some(double) = adopted.double {
            self.files.blobs.delete(double).await?;
        }
        Ok(Blob { id: adopted.blob, size: new.size, kind: new.kind })
    }

    /// A part is gone: another call may have put the file together meanwhile.
    async fn meanwhile(&self, me: i64, wanted: Wanted<'_>, part: i32) -> Result<Blob, Failure> {
        let upload = self.store.upload(me, wanted.file, wanted.is_big).await?;
        let blob = upload.filter(|upload| upload.total == Some(wanted.parts));
        blob.and_then(|upload| upload.blob).ok_or_else(|| missing(part))
    }
}

/// Clients send this part again (FLS-06).
fn missing(part: i32) -> Failure {
    bad(&format!("FILE_PART_{part}_MISSING"))
}
