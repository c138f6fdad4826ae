//! People and bots.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, sql};

use super::{Store, next};

/// Someone who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: i64,
    /// Digits; bots have none.
    pub(crate) phone: Option<String>,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) about: String,
    /// Unix second; offline since then if it is past.
    pub(crate) online_until: i64,
    pub(crate) pts: i32,
    pub(crate) qts: i32,
}

impl Account {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.read()?,
            phone: row.read()?,
            first_name: row.read()?,
            last_name: row.read()?,
            about: row.read()?,
            online_until: row.read()?,
            pts: row.read()?,
            qts: row.read()?,
        })
    }
}

impl Store {
    pub(crate) async fn account(&self, id: i64) -> Result<Option<Account>, StoreError> {
        let query = sql("SELECT id, phone, first_name, last_name, about, online_until, pts, qts
             FROM account WHERE id = $1");
        self.database.row(query.bind(id)).await?.map(Account::read).transpose()
    }

    pub(crate) async fn account_of_phone(
        &self,
        phone: &str,
    ) -> Result<Option<Account>, StoreError> {
        let query = sql("SELECT id, phone, first_name, last_name, about, online_until, pts, qts
             FROM account WHERE phone = $1");
        self.database.row(query.bind(phone)).await?.map(Account::read).transpose()
    }

    /// Says until when an account is online, or since when it is not.
    pub(crate) async fn set_online(&self, id: i64, until: i64) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let change = sql("UPDATE account SET online_until = $1 WHERE id = $2");
        transaction.run(change.bind(until).bind(id)).await?;
        transaction.commit().await
    }
}

/// Makes an account; `None` where somebody has the number already.
pub(super) async fn insert(
    transaction: &mut Transaction<'_>,
    phone: &str,
    (first_name, last_name): (&str, &str),
    now: i64,
) -> Result<Option<i64>, StoreError> {
    let taken = sql("SELECT 1 FROM account WHERE phone = $1").bind(phone);
    if transaction.row(taken).await?.is_some() {
        return Ok(None);
    }
    let id = next(transaction, "account").await?;
    let insert =
        sql("INSERT INTO account (id, phone, first_name, last_name, created, online_until)
         VALUES ($1, $2, $3, $4, $5, $5)");
    let insert = insert.bind(id).bind(phone).bind(first_name).bind(last_name).bind(now);
    transaction.run(insert).await?;
    Ok(Some(id))
}
