//! Bots: accounts that nobody but the holder of their token signs in to.

use chappe_backend::StoreError;
use chappe_backend::sql::sql;

use super::{Store, next};

impl Store {
    /// Makes a bot, known by its username; `None` where somebody else has that.
    pub(crate) async fn insert_bot(
        &self,
        (name, username): (&str, &str),
        secret_hash: [u8; 32],
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let folded = username.to_lowercase();
        let mut transaction = self.database.begin().await?;
        let taken = sql("SELECT 1 FROM username WHERE folded = $1").bind(&*folded);
        if transaction.row(taken).await?.is_some() {
            return Ok(None);
        }
        let id = next(&mut transaction, "account").await?;
        let account = sql("INSERT INTO account (id, first_name, last_name, created, is_bot)
             VALUES ($1, $2, '', $3, 1)");
        transaction.run(account.bind(id).bind(name).bind(now)).await?;
        let bot = sql("INSERT INTO bot (account, secret_hash) VALUES ($1, $2)");
        transaction.run(bot.bind(id).bind(&secret_hash[..])).await?;
        let username_row = sql("INSERT INTO username (folded, account, shown) VALUES ($1, $2, $3)");
        transaction.run(username_row.bind(folded).bind(id).bind(username)).await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// The hash of the secret of a bot, if there is one of this number.
    pub(crate) async fn bot_secret(&self, account: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sql("SELECT secret_hash FROM bot WHERE account = $1").bind(account);
        self.database.row(query).await?.map(|mut row| row.read()).transpose()
    }
}
