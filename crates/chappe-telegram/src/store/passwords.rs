//! Second factors.

use chappe_backend::StoreError;
use chappe_backend::sql::sql;
use chappe_crypto::AuthKeyId;
use zeroize::Zeroizing;

use super::{Store, damaged, sessions};

/// What is kept of a password.
#[derive(Clone)]
pub(crate) struct Password {
    pub(crate) salt1: Vec<u8>,
    pub(crate) salt2: Vec<u8>,
    pub(crate) verifier: Zeroizing<[u8; 256]>,
    pub(crate) hint: String,
}

impl Store {
    pub(crate) async fn password(&self, account: i64) -> Result<Option<Password>, StoreError> {
        let query = sql("SELECT salt1, salt2, verifier, hint FROM password WHERE account = $1");
        let Some(mut row) = self.database.row(query.bind(account)).await? else { return Ok(None) };
        let (salt1, salt2) = (row.read()?, row.read()?);
        let verifier = Zeroizing::new(row.read::<Vec<u8>>()?);
        let verifier = verifier.as_array().ok_or_else(|| damaged("a password is cut short"))?;
        let verifier = Zeroizing::new(*verifier);
        Ok(Some(Password { salt1, salt2, verifier, hint: row.read()? }))
    }

    /// Puts a password in the place of the one there was; `None` takes it away.
    pub(crate) async fn set_password(
        &self,
        account: i64,
        password: Option<Password>,
        now: i64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let delete = sql("DELETE FROM password WHERE account = $1").bind(account);
        transaction.run(delete).await?;
        if let Some(Password { salt1, salt2, verifier, hint }) = password {
            let insert =
                sql("INSERT INTO password (account, salt1, salt2, verifier, hint, changed)
                 VALUES ($1, $2, $3, $4, $5, $6)");
            let insert = insert.bind(account).bind(salt1).bind(salt2).bind(&verifier[..]);
            transaction.run(insert.bind(hint).bind(now)).await?;
        }
        transaction.commit().await
    }

    /// A key has told the password of an account: it is signed in. Whether it still was that
    /// account's; a sign-in as somebody else, who has another password, may have come in between.
    pub(crate) async fn end_waiting(
        &self,
        key: AuthKeyId,
        account: i64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let change = sql("UPDATE session_of_account SET is_waiting = 0
             WHERE key_id = $1 AND account = $2");
        let change = change.bind(sessions::row_id(key)).bind(account);
        let is_in = transaction.run(change).await? > 0;
        transaction.commit().await?;
        Ok(is_in)
    }
}
