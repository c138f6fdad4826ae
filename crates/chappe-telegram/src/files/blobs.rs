//! Where content is kept: a folder, or a bucket.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};

/// Content up to this many bytes is written in one piece, larger content in pieces of it.
pub(super) const PIECE: usize = 8 << 20;
/// Pieces written at once.
const PIECES_MAX: usize = 2;
/// Half-written files of a folder that nobody has touched for so long belong to nobody.
const STALE: Duration = Duration::from_secs(600);

/// Where files are kept, by names that say nothing of them. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    /// What has to survive.
    lasting: Arc<dyn ObjectStore>,
    /// The same place, without waiting for the disk: a part that is lost is sent again.
    hasty: Arc<dyn ObjectStore>,
    folder: Option<PathBuf>,
}

/// Why there is no place for files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobsError {
    /// The folder cannot be made or used.
    #[error("cannot keep files in {place}: {problem}")]
    Unusable {
        /// The folder or address.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Blobs {
    /// Keeps everything in this process and loses it at exit: for tests and trials.
    pub fn memory() -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self { lasting: Arc::clone(&store), hasty: store, folder: None }
    }

    /// Keeps files in a folder, which is made if absent.
    ///
    /// # Errors
    ///
    /// [`BlobsError::Unusable`] where that cannot be done.
    pub fn folder(path: impl AsRef<FilePath>) -> Result<Self, BlobsError> {
        let path = path.as_ref();
        let unusable =
            |problem: String| BlobsError::Unusable { place: path.display().to_string(), problem };
        std::fs::create_dir_all(path).map_err(|error| unusable(error.to_string()))?;
        let open = || {
            let store = LocalFileSystem::new_with_prefix(path);
            store.map_err(|error| unusable(error.to_string()))
        };
        Ok(Self {
            lasting: Arc::new(open()?.with_fsync(true)),
            hasty: Arc::new(open()?.with_automatic_cleanup(true)),
            folder: Some(path.to_owned()),
        })
    }

    /// Keeps files in a bucket of S3, or of what speaks like it: `s3://bucket/prefix`. Settings are
    /// those of `object_store`: `access_key_id`, `secret_access_key`, `region`, `endpoint`,
    /// `allow_http` and more, also with `aws_` in front.
    ///
    /// # Errors
    ///
    /// [`BlobsError::Unusable`] where the address or a setting is none.
    #[cfg(feature = "s3")]
    pub fn s3(
        url: &str,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BlobsError> {
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
        use object_store::prefix::PrefixStore;

        let unusable = |problem: String| BlobsError::Unusable { place: url.to_owned(), problem };
        let place = url.strip_prefix("s3://").filter(|place| !place.starts_with('/'));
        let place = place.ok_or_else(|| unusable("it is no s3://bucket/prefix".to_owned()))?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
        for (name, value) in settings {
            let key: AmazonS3ConfigKey = name
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| unusable(format!("`{name}` is no setting of a bucket")))?;
            builder = builder.with_config(key, value);
        }
        let store = builder.build().map_err(|error| unusable(error.to_string()))?;
        let store: Arc<dyn ObjectStore> = match prefix.trim_matches('/') {
            "" => Arc::new(store),
            prefix => Arc::new(PrefixStore::new(store, prefix)),
        };
        Ok(Self { lasting: Arc::clone(&store), hasty: store, folder: None })
    }

    pub(super) async fn put(&self, blob: i64, content: Bytes) -> object_store::Result<()> {
        self.lasting.put(&name(blob), PutPayload::from_bytes(content)).await?;
        Ok(())
    }

    /// Begins to write content that is larger than memory should hold.
    pub(super) async fn begin(&self, blob: i64) -> object_store::Result<Writing> {
        let upload = self.lasting.put_multipart(&name(blob)).await?;
        Ok(Writing(WriteMultipart::new_with_chunk_size(upload, PIECE)))
    }

    pub(super) async fn read(&self, blob: i64, range: Range<u64>) -> object_store::Result<Bytes> {
        self.lasting.get_range(&name(blob), range).await
    }

    /// Deletes content; it may be gone already.
    pub(super) async fn delete(&self, blob: i64) -> object_store::Result<()> {
        gone(self.lasting.delete(&name(blob)).await)
    }

    pub(super) async fn put_part(
        &self,
        round: i64,
        part: i32,
        content: Bytes,
    ) -> object_store::Result<()> {
        self.hasty.put(&part_name(round, part), PutPayload::from_bytes(content)).await?;
        Ok(())
    }

    /// A part; `None` where it is gone.
    pub(super) async fn part(&self, round: i64, part: i32) -> object_store::Result<Option<Bytes>> {
        match self.hasty.get(&part_name(round, part)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes every part of a round of uploads.
    pub(super) async fn delete_parts(&self, round: i64) -> object_store::Result<()> {
        let names = self.hasty.list(Some(&round_name(round)));
        let names: Vec<_> = names.map_ok(|found| found.location).try_collect().await?;
        for name in names {
            gone(self.hasty.delete(&name).await)?;
        }
        Ok(())
    }

    /// The blobs that there are, in no order.
    pub(super) fn list(&self) -> BoxStream<'static, object_store::Result<i64>> {
        let found = self.lasting.list(Some(&Path::from(BLOBS)));
        let found = found.map_ok(|found| found.location.filename().and_then(number));
        found.try_filter_map(async |blob| Ok(blob)).boxed()
    }

    /// The rounds of uploads of which there are parts, in no order.
    pub(super) async fn rounds(&self) -> object_store::Result<Vec<i64>> {
        let found = self.hasty.list_with_delimiter(Some(&Path::from(PARTS))).await?;
        Ok(found.common_prefixes.iter().filter_map(|path| number(path.filename()?)).collect())
    }

    /// Deletes what was half written when a process ended.
    pub(super) async fn drop_half_written(&self) {
        let Some(folder) = self.folder.clone() else { return };
        let dropping = tokio::task::spawn_blocking(move || drop_stale(&folder));
        if let Ok(Err(error)) = dropping.await {
            tracing::warn!(%error, "half-written files cannot be deleted");
        }
    }
}

/// Content on its way into the store.
pub(super) struct Writing(WriteMultipart);

impl Writing {
    pub(super) async fn write(&mut self, content: Bytes) -> object_store::Result<()> {
        self.0.wait_for_capacity(PIECES_MAX).await?;
        self.0.put(content);
        Ok(())
    }

    pub(super) async fn finish(self) -> object_store::Result<()> {
        self.0.finish().await.map(drop)
    }

    pub(super) async fn abort(self) {
        if let Err(error) = self.0.abort().await {
            tracing::warn!(%error, "a half-written file stays");
        }
    }
}

const BLOBS: &str = "blobs";
const PARTS: &str = "parts";

/// 256 folders, so that none of them grows too large.
fn name(blob: i64) -> Path {
    Path::from(format!("{BLOBS}/{:02x}/{blob:016x}", blob & 0xff))
}

fn round_name(round: i64) -> Path {
    Path::from(format!("{PARTS}/{round:016x}"))
}

fn part_name(round: i64, part: i32) -> Path {
    Path::from(format!("{PARTS}/{round:016x}/{part}"))
}

fn number(name: &str) -> Option<i64> {
    u64::from_str_radix(name, 16).ok().map(u64::cast_signed)
}

fn gone(deleted: object_store::Result<()>) -> object_store::Result<()> {
    match deleted {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        deleted => deleted,
    }
}

/// The store writes beside the name that it means, `#` and a number behind it, and does not list
/// that.
fn drop_stale(folder: &FilePath) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() {
            drop_stale(&entry.path())?;
        } else if entry.file_name().to_string_lossy().contains('#')
            && about.modified()?.elapsed().is_ok_and(|age| age > STALE)
        {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
