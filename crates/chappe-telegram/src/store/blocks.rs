//! From whom an account wants to hear nothing.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, in_rows, sql, sql_rows};

use super::{Quiet, Store, damaged};

/// What says whether somebody may write to somebody else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between {
    /// Who writes has blocked the other, and is blocked by the other.
    pub(crate) has_blocked: bool,
    pub(crate) is_blocked: bool,
    /// Who writes, and the other.
    pub(crate) are_bots: (bool, bool),
}

impl Store {
    /// Blocks somebody from a Unix second on, or not any more.
    pub(crate) async fn set_blocked(
        &self,
        owner: i64,
        account: i64,
        (is_blocked, second): (bool, i64),
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let delete = sql("DELETE FROM block WHERE owner = $1 AND account = $2");
        change.transaction().run(delete.bind(owner).bind(account)).await?;
        if is_blocked {
            let insert = sql("INSERT INTO block (owner, account, date) VALUES ($1, $2, $3)");
            change.transaction().run(insert.bind(owner).bind(account).bind(second)).await?;
        }
        change.note_quiet(owner, Quiet::Block(account), second).await?;
        change.commit().await.map(drop)
    }

    pub(crate) async fn is_blocked(&self, owner: i64, account: i64) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM block WHERE owner = $1 AND account = $2");
        Ok(self.database.row(query.bind(owner).bind(account)).await?.is_some())
    }

    /// Those of these whom an account has blocked.
    pub(crate) async fn blocked_of(
        &self,
        owner: i64,
        accounts: &[i64],
    ) -> Result<Vec<i64>, StoreError> {
        let mut found = Vec::new();
        for part in in_rows(accounts) {
            let before = "SELECT account FROM (VALUES";
            let after = ") AS asked
                 JOIN block ON block.owner = asked.column1 AND block.account = asked.column2";
            let query = sql_rows(before, (part.len(), 2), after);
            let query = part.iter().fold(query, |query, account| query.bind(owner).bind(*account));
            for mut row in self.database.rows(query).await? {
                found.push(row.read()?);
            }
        }
        Ok(found)
    }

    /// What is between who writes and somebody else, in one question: every message asks it.
    pub(crate) async fn between(&self, writer: i64, other: i64) -> Result<Between, StoreError> {
        let query = sql("SELECT (SELECT count(*) FROM block WHERE owner = $1 AND account = $2),
             (SELECT count(*) FROM block WHERE owner = $2 AND account = $1),
             (SELECT count(*) FROM bot WHERE account = $1),
             (SELECT count(*) FROM bot WHERE account = $2)");
        let row = self.database.row(query.bind(writer).bind(other)).await?;
        let mut row = row.ok_or_else(|| damaged("a question has no answer"))?;
        Ok(Between {
            has_blocked: row.read()?,
            is_blocked: row.read()?,
            are_bots: (row.read()?, row.read()?),
        })
    }

    /// Whom an account has blocked and since when, the latest first.
    pub(crate) async fn blocked(
        &self,
        owner: i64,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let query = sql("SELECT account, date FROM block WHERE owner = $1
             ORDER BY date DESC, account LIMIT $2 OFFSET $3");
        let rows = self.database.rows(query.bind(owner).bind(limit).bind(offset)).await?;
        rows.into_iter().map(|mut row: Row| Ok((row.read()?, row.read()?))).collect()
    }

    pub(crate) async fn count_blocked(&self, owner: i64) -> Result<i32, StoreError> {
        let query = sql("SELECT count(*) FROM block WHERE owner = $1").bind(owner);
        self.database.row(query).await?.map_or(Ok(0), |mut row| row.read())
    }
}
