//! Codes that prove a phone number.

use chappe_backend::StoreError;
use chappe_backend::sql::sql;

use super::Store;

/// A code that was sent.
#[derive(Clone, Debug)]
pub(crate) struct LoginCode {
    /// Names it to the client.
    pub(crate) hash: String,
    pub(crate) phone: String,
    pub(crate) code: String,
    /// Unix second.
    pub(crate) expires: i64,
}

/// What a code that a client names is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeJudgement {
    Right,
    Wrong,
    /// There is none of this name for the number, or its time or its tries are over.
    Expired,
}

/// Wrong codes that may be tried of each that was sent.
const TRIES: i64 = 5;

impl Store {
    /// Keeps a code, and forgets those whose time is over, and the oldest of the number where there
    /// are `max`. How many of the number there were.
    pub(crate) async fn keep_code(
        &self,
        code: &LoginCode,
        now: i64,
        max: Option<i64>,
    ) -> Result<i64, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        transaction.run(sql("DELETE FROM login_code WHERE expires <= $1").bind(now)).await?;
        let count = sql("SELECT count(*) FROM login_code WHERE phone = $1");
        let before = match transaction.row(count.bind(&*code.phone)).await? {
            Some(mut row) => row.read()?,
            None => 0,
        };
        if let Some(max) = max.filter(|max| before >= *max) {
            let forget = sql("DELETE FROM login_code WHERE hash IN (SELECT hash FROM login_code
                 WHERE phone = $1 ORDER BY expires LIMIT $2)");
            transaction.run(forget.bind(&*code.phone).bind(before - max + 1)).await?;
        }
        let insert = sql("INSERT INTO login_code (hash, phone, code, tries_left, expires)
             VALUES ($1, $2, $3, $4, $5)");
        let insert = insert.bind(&*code.hash).bind(&*code.phone).bind(&*code.code);
        transaction.run(insert.bind(TRIES).bind(code.expires)).await?;
        transaction.commit().await?;
        Ok(before)
    }

    /// The code of this name for the number, if it still counts.
    pub(crate) async fn code(
        &self,
        phone: &str,
        hash: &str,
        now: i64,
    ) -> Result<Option<LoginCode>, StoreError> {
        let query = sql("SELECT hash, phone, code, expires FROM login_code
             WHERE hash = $1 AND phone = $2 AND expires > $3 AND tries_left > 0");
        let row = self.database.row(query.bind(hash).bind(phone).bind(now)).await?;
        row.map(|mut row| {
            Ok(LoginCode {
                hash: row.read()?,
                phone: row.read()?,
                code: row.read()?,
                expires: row.read()?,
            })
        })
        .transpose()
    }

    /// Compares what a client says with what was sent. A wrong one costs a try; a right one stays
    /// until it is [used](Self::use_code).
    pub(crate) async fn judge_code(
        &self,
        (phone, hash): (&str, &str),
        is_right: impl FnOnce(&str) -> bool,
        now: i64,
    ) -> Result<CodeJudgement, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        // Taken before it is compared, so that no two requests share a try.
        let take = sql("UPDATE login_code SET tries_left = tries_left - 1
             WHERE hash = $1 AND phone = $2 AND expires > $3 AND tries_left > 0
             RETURNING code");
        let row = transaction.row(take.bind(hash).bind(phone).bind(now)).await?;
        let Some(mut row) = row else { return Ok(CodeJudgement::Expired) };
        let code: String = row.read()?;
        let is_right = is_right(&code);
        if is_right {
            let prove = sql(
                "UPDATE login_code SET is_proved = 1, tries_left = tries_left + 1 WHERE hash = $1",
            );
            transaction.run(prove.bind(hash)).await?;
        }
        transaction.commit().await?;
        Ok(if is_right { CodeJudgement::Right } else { CodeJudgement::Wrong })
    }

    /// Whether the code of this name was told right.
    pub(crate) async fn is_proved(
        &self,
        phone: &str,
        hash: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM login_code
             WHERE hash = $1 AND phone = $2 AND expires > $3 AND is_proved = 1");
        let row = self.database.row(query.bind(hash).bind(phone).bind(now)).await?;
        Ok(row.is_some())
    }

    /// Forgets a code: it was used, or nobody wants it. Whether there was one.
    pub(crate) async fn use_code(&self, phone: &str, hash: &str) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let delete = sql("DELETE FROM login_code WHERE hash = $1 AND phone = $2");
        let deleted = transaction.run(delete.bind(hash).bind(phone)).await?;
        transaction.commit().await?;
        Ok(deleted > 0)
    }
}
