//! Pictures of accounts.

use chappe_backend::StoreError;
use chappe_backend::sql::{Transaction, sql};

use super::{File, Store, hold, release};
use crate::store::content::Photo;

impl Store {
    /// Puts a photo first among those of an account; `false` where it is gone.
    pub(crate) async fn show_photo(&self, owner: i64, photo: i64) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin().await?;
        if put_first(&mut transaction, owner, photo).await? == 0 {
            if !hold(&mut transaction, photo, 1).await? {
                return Ok(false);
            }
            let insert = sql("INSERT INTO profile_photo (owner, photo, place) VALUES ($1, $2,
                 (SELECT COALESCE(max(place), 0) + 1 FROM profile_photo WHERE owner = $1))");
            transaction.run(insert.bind(owner).bind(photo)).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes photos from an account; those that it had.
    pub(crate) async fn drop_photos(
        &self,
        owner: i64,
        photos: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let mut dropped = Vec::new();
        for photo in photos {
            let delete = sql("DELETE FROM profile_photo WHERE owner = $1 AND photo = $2");
            if transaction.run(delete.bind(owner).bind(*photo)).await? > 0 {
                release(&mut transaction, *photo, 1).await?;
                dropped.push(*photo);
            }
        }
        transaction.commit().await?;
        Ok(dropped)
    }

    /// A photo of an account, the one it shows or an older one.
    pub(crate) async fn profile_photo_of(
        &self,
        owner: i64,
        photo: i64,
    ) -> Result<Option<Photo>, StoreError> {
        let query = sql("SELECT description FROM profile_photo JOIN file ON file.id = photo
             WHERE owner = $1 AND photo = $2");
        match self.database.row(query.bind(owner).bind(photo)).await? {
            Some(mut row) => read(&row.read::<String>()?),
            None => Ok(None),
        }
    }

    /// Photos of an account, the one it shows first: so many after so many.
    pub(crate) async fn profile_photos(
        &self,
        owner: i64,
        (offset, limit): (i64, i64),
    ) -> Result<Vec<Photo>, StoreError> {
        let query = sql("SELECT description FROM profile_photo JOIN file ON file.id = photo
             WHERE owner = $1 ORDER BY place DESC LIMIT $2 OFFSET $3");
        let rows = self.database.rows(query.bind(owner).bind(limit).bind(offset)).await?;
        let mut photos = Vec::with_capacity(rows.len());
        for mut row in rows {
            photos.extend(read(&row.read::<String>()?)?);
        }
        Ok(photos)
    }

    pub(crate) async fn count_profile_photos(&self, owner: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT count(*) FROM profile_photo WHERE owner = $1").bind(owner);
        self.database.row(query).await?.map_or(Ok(0), |mut row| row.read())
    }
}

/// What a file is, if it is a photo.
pub(in crate::store) fn read(description: &str) -> Result<Option<Photo>, StoreError> {
    match File::from_json(description)? {
        File::Photo(photo) => Ok(Some(photo)),
        File::Document(_) => Ok(None),
    }
}

/// Puts a photo first that the account has; how many that were.
async fn put_first(
    transaction: &mut Transaction<'_>,
    owner: i64,
    photo: i64,
) -> Result<u64, StoreError> {
    let first = sql("UPDATE profile_photo SET place =
         (SELECT max(place) + 1 FROM profile_photo AS others WHERE others.owner = $1)
         WHERE owner = $1 AND photo = $2");
    transaction.run(first.bind(owner).bind(photo)).await
}
