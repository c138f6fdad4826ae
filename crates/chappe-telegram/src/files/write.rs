//! Small content, written and read in one piece.

use bytes::Bytes;

use super::Files;
use super::digest::Digest;
use crate::error::Failure;
use crate::store::{NewBlob, Store};

impl Files {
    /// Writes contents, which are nobody's until a file is made of them.
    pub(crate) async fn write_all(
        &self,
        store: &Store,
        contents: &[Bytes],
        now: i64,
    ) -> Result<Vec<NewBlob>, Failure> {
        let ids = store.begin_blobs(contents.len(), now).await?;
        let mut written = Vec::with_capacity(contents.len());
        for (id, content) in ids.into_iter().zip(contents) {
            self.blobs.put(id, content.clone()).await?;
            written.push(Digest::of(id, content));
        }
        Ok(written)
    }

    /// Deletes content that was there before, under another number.
    pub(crate) async fn delete_all(&self, doubles: &[i64]) -> Result<(), Failure> {
        for double in doubles {
            self.blobs.delete(*double).await?;
        }
        Ok(())
    }

    /// The whole of a content whose size somebody has looked at.
    pub(crate) async fn content(&self, blob: i64, size: i64) -> Result<Bytes, Failure> {
        Ok(self.blobs.read(blob, 0..size.cast_unsigned()).await?)
    }
}
