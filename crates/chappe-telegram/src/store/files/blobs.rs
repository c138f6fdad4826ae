//! Rows of blobs: one for each content, counted by what needs it.

use chappe_backend::StoreError;
use chappe_backend::sql::{Transaction, sql};

use super::{BATCH, Store};
use crate::store::{damaged, next};

/// A blob whose object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewBlob {
    pub(crate) id: i64,
    pub(crate) hash: [u8; 32],
    pub(crate) size: i64,
    pub(crate) kind: i64,
    /// SHA-256 of each 128 KiB.
    pub(crate) hashes: Vec<u8>,
}

/// Which blob a content became.
pub(crate) struct Adopted {
    pub(crate) blob: i64,
    /// The one that was written, where the content was there before: its object is to be deleted.
    pub(crate) double: Option<i64>,
}

impl Store {
    /// Ids for blobs that are about to be written.
    pub(crate) async fn begin_blobs(&self, count: usize, now: i64) -> Result<Vec<i64>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            let id = next(&mut transaction, "blob").await?;
            let insert = sql("INSERT INTO blob_begun (id, begun) VALUES ($1, $2)");
            transaction.run(insert.bind(id).bind(now)).await?;
            ids.push(id);
        }
        transaction.commit().await?;
        Ok(ids)
    }

    /// Whether an object of the blob store is somebody's.
    pub(crate) async fn knows_blob(&self, id: i64) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM blob WHERE id = $1
             UNION ALL SELECT 1 FROM blob_begun WHERE id = $1 LIMIT 1");
        Ok(self.database.row(query.bind(id)).await?.is_some())
    }

    /// SHA-256 of pieces of a blob, 32 bytes each: `count` from the piece of this number on.
    pub(crate) async fn hashes(
        &self,
        blob: i64,
        first: i64,
        count: i64,
    ) -> Result<Vec<u8>, StoreError> {
        let query = sql("SELECT substr(hashes, CAST($2 AS INTEGER), CAST($3 AS INTEGER))
             FROM blob_hashes WHERE blob = $1");
        let query = query.bind(blob).bind(first * 32 + 1).bind(count * 32);
        self.database.row(query).await?.map_or(Ok(Vec::new()), |mut row| row.read())
    }

    /// Takes away rows of blobs that nothing needs, and of those that somebody began to write
    /// before `begun_before`; their objects are to be deleted now.
    pub(crate) async fn take_unused_blobs(
        &self,
        begun_before: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let query = sql("SELECT id FROM blob WHERE uses = 0
             UNION ALL SELECT id FROM blob_begun WHERE begun < $1 LIMIT $2");
        let found = self.database.rows(query.bind(begun_before).bind(BATCH)).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.database.begin().await?;
        let mut taken = Vec::new();
        for mut row in found {
            let id: i64 = row.read()?;
            let unused = sql("DELETE FROM blob WHERE id = $1 AND uses = 0 RETURNING id").bind(id);
            let begun = sql("DELETE FROM blob_begun WHERE id = $1 AND begun < $2 RETURNING id");
            if transaction.row(unused).await?.is_some() {
                let hashes = sql("DELETE FROM blob_hashes WHERE blob = $1").bind(id);
                transaction.run(hashes).await?;
            } else if transaction.row(begun.bind(id).bind(begun_before)).await?.is_none() {
                continue;
            }
            taken.push(id);
        }
        transaction.commit().await?;
        Ok(taken)
    }
}

/// Makes a written blob one that is needed, or finds the one with the same content.
pub(super) async fn adopt(
    transaction: &mut Transaction<'_>,
    new: &NewBlob,
) -> Result<Adopted, StoreError> {
    let ended = sql("DELETE FROM blob_begun WHERE id = $1").bind(new.id);
    if transaction.run(ended).await? == 0 {
        return Err(damaged("a blob took so long to write that it was given up"));
    }
    let adopt = sql("INSERT INTO blob (id, hash, size, kind, uses) VALUES ($1, $2, $3, $4, 1)
         ON CONFLICT (hash) DO UPDATE SET uses = blob.uses + 1 RETURNING id");
    let adopt = adopt.bind(new.id).bind(&new.hash[..]).bind(new.size).bind(new.kind);
    let row = transaction.row(adopt).await?;
    let blob: i64 = row.ok_or_else(|| damaged("a blob is missing"))?.read()?;
    if blob != new.id {
        return Ok(Adopted { blob, double: Some(new.id) });
    }
    let insert = sql("INSERT INTO blob_hashes (blob, hashes) VALUES ($1, $2)");
    transaction.run(insert.bind(blob).bind(&new.hashes[..])).await?;
    Ok(Adopted { blob, double: None })
}

pub(super) async fn hold(transaction: &mut Transaction<'_>, blob: i64) -> Result<(), StoreError> {
    let hold = sql("UPDATE blob SET uses = uses + 1 WHERE id = $1").bind(blob);
    match transaction.run(hold).await? {
        0 => Err(damaged("a blob is missing")),
        _ => Ok(()),
    }
}

pub(super) async fn release(
    transaction: &mut Transaction<'_>,
    blob: i64,
) -> Result<(), StoreError> {
    let release = sql("UPDATE blob SET uses = uses - 1 WHERE id = $1 AND uses > 0").bind(blob);
    transaction.run(release).await?;
    Ok(())
}
