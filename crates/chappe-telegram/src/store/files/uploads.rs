//! Files that clients are about to say, in parts that come in any order.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, sql};

use super::blobs::{self, Adopted, NewBlob};
use super::{BATCH, Blob, Store};

/// A part that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewPart {
    pub(crate) owner: i64,
    pub(crate) file: i64,
    pub(crate) is_big: bool,
    pub(crate) part: i32,
    pub(crate) size: i64,
    /// Of all parts, where the client knows it.
    pub(crate) total: Option<i32>,
}

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// To be kept, under this round of uploads.
    Fits(i64),
    /// Not the last, and of a size that parts do not have.
    WrongSize,
    /// The others have another size.
    OtherSize,
    /// There are not so many.
    BeyondTotal,
    /// The number of all parts was another before.
    OtherTotal,
    /// The account has too much under way.
    TooMuch,
}

/// An upload as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) round: i64,
    pub(crate) total: Option<i32>,
    /// Once it is put together.
    pub(crate) blob: Option<Blob>,
}

/// Bounds on what an account has under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) bytes: i64,
    pub(crate) uploads: i64,
}

impl Upload {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        let (round, total) = (row.read()?, row.read()?);
        let id: Option<i64> = row.read()?;
        let (size, kind): (Option<i64>, Option<i64>) = (row.read()?, row.read()?);
        let blob = id.zip(size).zip(kind).map(|((id, size), kind)| Blob { id, size, kind });
        Ok(Self { round, total, blob })
    }
}

impl Store {
    /// Notes a part, if it fits to those that are there; `fresh` names the upload if it is new.
    ///
    /// The row of the upload is held first, and by that the order of its parts kept, however many
    /// come at once (FLS-09). Parts of other files of the account may come meanwhile and be over
    /// the quota together: by one for each connection.
    pub(crate) async fn note_part(
        &self,
        new: &NewPart,
        (fresh, expires): (i64, i64),
        quota: Quota,
    ) -> Result<Judged, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let judged = judge(&mut transaction, new, (fresh, expires), quota).await?;
        if let Judged::Fits(_) = judged {
            transaction.commit().await?;
        }
        Ok(judged)
    }

    pub(crate) async fn upload(
        &self,
        owner: i64,
        file: i64,
        is_big: bool,
    ) -> Result<Option<Upload>, StoreError> {
        let query = sql("SELECT round, total, blob.id, blob.size, blob.kind FROM upload
             LEFT JOIN blob ON blob.id = upload.blob
             WHERE owner = $1 AND file = $2 AND is_big = $3");
        let row = self.database.row(query.bind(owner).bind(file).bind(is_big)).await?;
        row.map(Upload::read).transpose()
    }

    /// Sizes of the parts that are there, by their numbers.
    pub(crate) async fn parts(&self, round: i64) -> Result<Vec<(i32, i64)>, StoreError> {
        let query = sql("SELECT part, size FROM upload_part WHERE round = $1 ORDER BY part");
        let rows = self.database.rows(query.bind(round)).await?;
        rows.into_iter().map(|mut row| Ok((row.read()?, row.read()?))).collect()
    }

    /// Notes that an upload is put together; `None` where it has gone or was, meanwhile.
    pub(crate) async fn finish_upload(
        &self,
        round: i64,
        parts: i32,
        blob: &NewBlob,
        expires: i64,
    ) -> Result<Option<Adopted>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let adopted = blobs::adopt(&mut transaction, blob).await?;
        let finish = sql("UPDATE upload SET blob = $2, total = $3, bytes = 0, expires = $4
             WHERE round = $1 AND blob IS NULL");
        let finish = finish.bind(round).bind(adopted.blob).bind(parts).bind(expires);
        if transaction.run(finish).await? == 0 {
            return Ok(None);
        }
        let parts = sql("DELETE FROM upload_part WHERE round = $1").bind(round);
        transaction.run(parts).await?;
        transaction.commit().await?;
        Ok(Some(adopted))
    }

    /// Whether parts of this round may still be needed.
    pub(crate) async fn knows_round(&self, round: i64) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM upload WHERE round = $1 AND blob IS NULL").bind(round);
        Ok(self.database.row(query).await?.is_some())
    }

    /// Takes away uploads whose time is over; their rounds, whose objects are to be deleted.
    pub(crate) async fn take_expired_uploads(&self, now: i64) -> Result<Vec<i64>, StoreError> {
        let query = sql("SELECT round FROM upload WHERE expires <= $1 LIMIT $2");
        let found = self.database.rows(query.bind(now).bind(BATCH)).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.database.begin().await?;
        let mut rounds = Vec::new();
        for mut row in found {
            let round = row.read()?;
            let delete = sql("DELETE FROM upload WHERE round = $1 AND expires <= $2
                 RETURNING blob");
            let Some(mut row) = transaction.row(delete.bind(round).bind(now)).await? else {
                continue;
            };
            forget(&mut transaction, round, row.read()?).await?;
            rounds.push(round);
        }
        transaction.commit().await?;
        Ok(rounds)
    }
}

async fn judge(
    transaction: &mut Transaction<'_>,
    new: &NewPart,
    (fresh, expires): (i64, i64),
    quota: Quota,
) -> Result<Judged, StoreError> {
    let round = match touch(transaction, new, (fresh, expires)).await? {
        Ok(round) => round,
        Err(judged) => return Ok(judged),
    };
    let Neighbours { own, below, above } = neighbours(transaction, round, new.part).await?;
    // Known parts are all alike but the last: those of the lowest and the highest number tell.
    let is_last = above.is_none() && new.total.is_none_or(|total| new.part + 1 == total);
    if !is_last && !is_size_of_parts(new.size) {
        return Ok(Judged::WrongSize);
    }
    if let Some((first, last_below)) = below {
        if !is_size_of_parts(last_below) {
            return Ok(Judged::WrongSize);
        }
        let fits = if is_last { new.size <= first } else { new.size == first };
        if last_below != first || !fits {
            return Ok(Judged::OtherSize);
        }
    }
    if let Some((next_above, last)) = above {
        let is_alone = next_above.0 == last.0;
        if last.1 > new.size || (!is_alone && next_above.1 != new.size) {
            return Ok(Judged::OtherSize);
        }
    }
    let grown = sql("UPDATE upload SET bytes = bytes + $2 WHERE round = $1");
    transaction.run(grown.bind(round).bind(new.size - own)).await?;
    let held = sql("SELECT COALESCE(CAST(SUM(bytes) AS BIGINT), 0), count(*) FROM upload
         WHERE owner = $1 AND blob IS NULL");
    if let Some(mut row) = transaction.row(held.bind(new.owner)).await? {
        let (bytes, uploads): (i64, i64) = (row.read()?, row.read()?);
        if bytes > quota.bytes || uploads > quota.uploads {
            return Ok(Judged::TooMuch);
        }
    }
    let keep = sql("INSERT INTO upload_part (round, part, size) VALUES ($1, $2, $3)
         ON CONFLICT (round, part) DO UPDATE SET size = excluded.size");
    transaction.run(keep.bind(round).bind(new.part).bind(new.size)).await?;
    Ok(Judged::Fits(round))
}

/// Finds the upload, or begins it; its row is held until the end. One that was put together is
/// over: the client has chosen the same number once more.
async fn touch(
    transaction: &mut Transaction<'_>,
    new: &NewPart,
    (fresh, expires): (i64, i64),
) -> Result<Result<i64, Judged>, StoreError> {
    let touch = sql("INSERT INTO upload (owner, file, is_big, round, expires)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (owner, file, is_big) DO UPDATE SET expires = excluded.expires
         RETURNING round, total, blob");
    let touch = touch.bind(new.owner).bind(new.file).bind(new.is_big);
    let row = transaction.row(touch.bind(fresh).bind(expires)).await?;
    let mut row = row.ok_or_else(|| crate::store::damaged("an upload is missing"))?;
    let (mut round, mut total): (i64, Option<i32>) = (row.read()?, row.read()?);
    if let Some(blob) = row.read::<Option<i64>>()? {
        forget(transaction, round, Some(blob)).await?;
        let again = sql("UPDATE upload SET round = $2, total = NULL, blob = NULL, bytes = 0
             WHERE round = $1");
        transaction.run(again.bind(round).bind(fresh)).await?;
        (round, total) = (fresh, None);
    }
    match (total, new.total) {
        (Some(before), Some(now)) if before != now => return Ok(Err(Judged::OtherTotal)),
        (None, Some(now)) => {
            let highest = sql("SELECT max(part) FROM upload_part WHERE round = $1").bind(round);
            let row = transaction.row(highest).await?;
            let highest: Option<i32> = row.map_or(Ok(None), |mut row| row.read())?;
            if highest.is_some_and(|highest| highest >= now) {
                return Ok(Err(Judged::OtherTotal));
            }
            let know = sql("UPDATE upload SET total = $2 WHERE round = $1").bind(round);
            transaction.run(know.bind(now)).await?;
        }
        _ => {}
    }
    match total.or(new.total) {
        Some(total) if new.part >= total => Ok(Err(Judged::BeyondTotal)),
        _ => Ok(Ok(round)),
    }
}

/// Sizes of the parts around one.
struct Neighbours {
    /// What the part had before, or 0.
    own: i64,
    /// Of the first of all and the last before it.
    below: Option<(i64, i64)>,
    /// Number and size of the next and of the last of all.
    above: Option<((i32, i64), (i32, i64))>,
}

async fn neighbours(
    transaction: &mut Transaction<'_>,
    round: i64,
    part: i32,
) -> Result<Neighbours, StoreError> {
    let own = sql("SELECT part, size FROM upload_part WHERE round = $1 AND part = $2");
    let first = sql("SELECT part, size FROM upload_part WHERE round = $1 AND part < $2
         ORDER BY part LIMIT 1");
    let before = sql("SELECT part, size FROM upload_part WHERE round = $1 AND part < $2
         ORDER BY part DESC LIMIT 1");
    let next = sql("SELECT part, size FROM upload_part WHERE round = $1 AND part > $2
         ORDER BY part LIMIT 1");
    let last = sql("SELECT part, size FROM upload_part WHERE round = $1 AND part > $2
         ORDER BY part DESC LIMIT 1");
    let mut found: [Option<(i32, i64)>; 5] = [None; 5];
    for (found, query) in found.iter_mut().zip([own, first, before, next, last]) {
        if let Some(mut row) = transaction.row(query.bind(round).bind(part)).await? {
            *found = Some((row.read()?, row.read()?));
        }
    }
    let [own, first, before, next, last] = found;
    Ok(Neighbours {
        own: own.map_or(0, |(_, size)| size),
        below: first.zip(before).map(|((_, first), (_, before))| (first, before)),
        above: next.zip(last),
    })
}

/// Lets go of what an upload held.
async fn forget(
    transaction: &mut Transaction<'_>,
    round: i64,
    blob: Option<i64>,
) -> Result<(), StoreError> {
    transaction.run(sql("DELETE FROM upload_part WHERE round = $1").bind(round)).await?;
    match blob {
        Some(blob) => blobs::release(transaction, blob).await,
        None => Ok(()),
    }
}

/// Whether parts that are not the last may have this size (FLS-02).
fn is_size_of_parts(size: i64) -> bool {
    size > 0 && size % 1024 == 0 && 524_288 % size == 0
}
