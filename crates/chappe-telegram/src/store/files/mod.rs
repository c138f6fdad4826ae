//! Photos and documents, the blobs they are kept in, and who needs them.

mod blobs;
mod profile_photos;
mod uploads;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, sql};
use serde::{Deserialize, Serialize};

pub(crate) use blobs::{Adopted, NewBlob};
pub(super) use profile_photos::read as read_photo;
pub(crate) use uploads::{Judged, NewPart, Quota, Upload};

use super::content::{Document, Media, Photo};
use super::events::Change;
use super::{Action, Content, Store, damaged};

/// Files deleted in one transaction.
const BATCH: i64 = 100;

/// What clients are told of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum File {
    Photo(Photo),
    Document(Document),
}

impl File {
    pub(crate) fn id(&self) -> i64 {
        match self {
            Self::Photo(photo) => photo.id,
            Self::Document(document) => document.id,
        }
    }

    pub(crate) fn date(&self) -> i64 {
        match self {
            Self::Photo(photo) => photo.date,
            Self::Document(document) => document.date,
        }
    }

    fn from_json(json: &str) -> Result<Self, StoreError> {
        serde_json::from_str(json).map_err(|error| damaged(&format!("a file: {error}")))
    }
}

/// Content to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) id: i64,
    pub(crate) size: i64,
    /// See [`crate::files::Kind`].
    pub(crate) kind: i64,
}

impl Blob {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self { id: row.read()?, size: row.read()?, kind: row.read()? })
    }
}

/// Content for a form of a new file.
#[derive(Clone, Debug)]
pub(crate) enum Source<'b> {
    /// Written for it.
    Written(&'b NewBlob),
    /// Of an upload.
    Uploaded(i64),
}

impl Store {
    /// Keeps a file that nothing shows yet, until `expires` unless something does by then. What of
    /// it was there before, its blob written anew, is in the answer: to be deleted.
    pub(crate) async fn add_file(
        &self,
        file: &File,
        expires: i64,
        forms: &[(&str, Source<'_>)],
    ) -> Result<Vec<i64>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let insert = sql("INSERT INTO file (id, description, expires) VALUES ($1, $2, $3)");
        let description = serde_json::to_string(file).expect("strings and numbers are JSON");
        transaction.run(insert.bind(file.id()).bind(description).bind(expires)).await?;
        let mut doubles = Vec::new();
        for (form, source) in forms {
            let blob = match source {
                Source::Written(written) => {
                    let Adopted { blob, double } = blobs::adopt(&mut transaction, written).await?;
                    doubles.extend(double);
                    blob
                }
                Source::Uploaded(blob) => {
                    blobs::hold(&mut transaction, *blob).await?;
                    *blob
                }
            };
            let insert = sql("INSERT INTO rendition (file, form, blob) VALUES ($1, $2, $3)");
            transaction.run(insert.bind(file.id()).bind(*form).bind(blob)).await?;
        }
        transaction.commit().await?;
        Ok(doubles)
    }

    /// A file that somebody is about to show: it is kept until `expires` at least.
    pub(crate) async fn keep_file(
        &self,
        id: i64,
        expires: i64,
    ) -> Result<Option<File>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let keep = sql("UPDATE file SET expires = CASE WHEN expires < $2 THEN $2 ELSE expires END
             WHERE id = $1 RETURNING description");
        let row = transaction.row(keep.bind(id).bind(expires)).await?;
        transaction.commit().await?;
        row.map(|mut row| File::from_json(&row.read::<String>()?)).transpose()
    }

    pub(crate) async fn file(&self, id: i64) -> Result<Option<File>, StoreError> {
        let query = sql("SELECT description FROM file WHERE id = $1").bind(id);
        let row = self.database.row(query).await?;
        row.map(|mut row| File::from_json(&row.read::<String>()?)).transpose()
    }

    /// The content of a form of a file.
    pub(crate) async fn rendition(
        &self,
        file: i64,
        form: &str,
    ) -> Result<Option<Blob>, StoreError> {
        let query = sql("SELECT blob.id, blob.size, blob.kind FROM rendition
             JOIN blob ON blob.id = rendition.blob WHERE rendition.file = $1 AND form = $2");
        self.database.row(query.bind(file).bind(form)).await?.map(Blob::read).transpose()
    }

    /// Takes files away that nothing shows any more; how many that were.
    pub(crate) async fn drop_unused_files(&self, now: i64) -> Result<usize, StoreError> {
        let query = sql("SELECT id FROM file WHERE uses = 0 AND expires <= $1 LIMIT $2");
        let found = self.database.rows(query.bind(now).bind(BATCH)).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.database.begin().await?;
        let mut count = 0;
        for mut row in found {
            let id: i64 = row.read()?;
            // Something may have come to show it meanwhile.
            let delete = sql("DELETE FROM file WHERE id = $1 AND uses = 0 RETURNING id");
            if transaction.row(delete.bind(id)).await?.is_none() {
                continue;
            }
            count += 1;
            let forms = sql("DELETE FROM rendition WHERE file = $1 RETURNING blob").bind(id);
            for mut row in transaction.rows(forms).await? {
                blobs::release(&mut transaction, row.read()?).await?;
            }
        }
        transaction.commit().await?;
        Ok(count)
    }
}

impl Change<'_> {
    /// Notes that a message shows what this content has, in so many boxes; `false` where that is
    /// gone.
    pub(super) async fn hold(
        &mut self,
        content: &Content,
        boxes: usize,
    ) -> Result<bool, StoreError> {
        match file_of(content) {
            Some(file) => hold(self.transaction(), file, boxes).await,
            None => Ok(true),
        }
    }
}

/// Once shown somewhere a file goes with the last of those that show it, so many more now.
///
/// `false` where it is gone.
pub(super) async fn hold(
    transaction: &mut Transaction<'_>,
    file: i64,
    uses: usize,
) -> Result<bool, StoreError> {
    let uses = i64::try_from(uses).unwrap_or(i64::MAX);
    let hold = sql("UPDATE file SET uses = uses + $2, expires = 0 WHERE id = $1").bind(file);
    Ok(transaction.run(hold.bind(uses)).await? > 0)
}

pub(super) async fn release(
    transaction: &mut Transaction<'_>,
    file: i64,
    uses: usize,
) -> Result<(), StoreError> {
    let uses = i64::try_from(uses).unwrap_or(i64::MAX);
    let release = sql("UPDATE file SET uses = CASE WHEN uses > $2 THEN uses - $2 ELSE 0 END
         WHERE id = $1");
    transaction.run(release.bind(file).bind(uses)).await?;
    Ok(())
}

/// The file that a message shows.
pub(super) fn file_of(content: &Content) -> Option<i64> {
    if let Some(Action::EditPhoto { photo }) = &content.action {
        return Some(photo.id);
    }
    match content.media.as_ref()? {
        Media::Photo { photo, .. } => Some(photo.id),
        Media::Document { document, .. } => Some(document.id),
        Media::Contact { .. } | Media::Geo(_) | Media::Venue { .. } | Media::Dice { .. } => None,
    }
}
