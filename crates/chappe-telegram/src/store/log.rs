//! How far back the log of an account goes (UPD-13).

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, sql};

use super::{Store, damaged};

/// Events looked at in one go.
const BATCH: i64 = 250;

/// Where an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) pts: i32,
    pub(crate) qts: i32,
    /// Events up to this pts are no longer in the log.
    pub(crate) pruned: i32,
    /// The Unix second of its last change that moved no pts, 0 for none.
    pub(crate) quiet: i64,
}

impl Store {
    /// Where an account is, and how far back its log goes.
    pub(crate) async fn position(&self, owner: i64) -> Result<Option<Position>, StoreError> {
        let query = sql("SELECT pts, qts, pruned_pts,
                 (SELECT max(changed) FROM quiet_change WHERE owner = $1)
             FROM account WHERE id = $1");
        let row = self.database.row(query.bind(owner)).await?;
        let read = |mut row: Row| {
            let (pts, qts, pruned) = (row.read()?, row.read()?, row.read()?);
            let quiet: Option<i64> = row.read()?;
            Ok(Position { pts, qts, pruned, quiet: quiet.unwrap_or(0) })
        };
        row.map(read).transpose()
    }

    /// Takes the oldest events of an account out of its log: those from before this second, and
    /// those beyond a number. At most some hundred of them: whoever adds a hundred calls this.
    pub(crate) async fn prune(
        &self,
        owner: i64,
        before: i64,
        events_max: i32,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let query = sql("SELECT pts FROM account WHERE id = $1").bind(owner);
        let row = transaction.row(query).await?;
        let newest: i32 = row.ok_or_else(|| damaged("an account is missing"))?.read()?;
        let oldest = sql("SELECT pts, date FROM event WHERE owner = $1 ORDER BY pts LIMIT $2");
        let rows = transaction.rows(oldest.bind(owner).bind(BATCH)).await?;
        let read = |mut row: Row| Ok((row.read::<i32>()?, row.read::<i64>()?));
        let events: Vec<_> = rows.into_iter().map(read).collect::<Result<_, StoreError>>()?;
        let is_old = |&&(pts, date): &&(i32, i64)| date < before || pts <= newest - events_max;
        let Some((last, _)) = events.iter().take_while(is_old).last() else { return Ok(()) };
        let delete = sql("DELETE FROM event WHERE owner = $1 AND pts <= $2");
        transaction.run(delete.bind(owner).bind(*last)).await?;
        let note = sql("UPDATE account SET pruned_pts = $2 WHERE id = $1");
        transaction.run(note.bind(owner).bind(*last)).await?;
        transaction.commit().await
    }
}
