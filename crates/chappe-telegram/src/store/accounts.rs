//! People and bots.

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, in_rows, sql, sql_rows};

use super::files::read_photo;
use super::{Photo, Store, next};

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
    pub(crate) is_bot: bool,
    pub(crate) username: Option<String>,
    /// Of a bot that answers inline queries: what is shown before one is typed.
    pub(crate) inline_placeholder: Option<String>,
    /// Of a bot: rises with every change of its commands.
    pub(crate) info_version: Option<i32>,
    pub(crate) photo: Option<Photo>,
}

/// Ordinary accounts have this number or a higher one (ACC-10).
pub(crate) const FIRST_ACCOUNT: i64 = 1_000_000;
/// Who tells people of their account itself (ACC-10).
pub(crate) const SERVICE_ACCOUNT: i64 = 777_000;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT account.id, phone, account.first_name, account.last_name, about, online_until,
                 pts, qts, is_bot,
                 (SELECT shown FROM username WHERE username.account = account.id),
                 (SELECT inline_placeholder FROM bot WHERE bot.account = account.id),
                 (SELECT info_version FROM bot WHERE bot.account = account.id),
                 (SELECT description FROM profile_photo JOIN file ON file.id = profile_photo.photo
                  WHERE profile_photo.owner = account.id
                  ORDER BY profile_photo.place DESC LIMIT 1)",
            $rest
        )
    };
}

const BY_ID: &str = select!(" FROM account WHERE id = $1");
const BY_PHONE: &str = select!(" FROM account WHERE phone = $1");
const FROM_ID: &str = select!(" FROM account WHERE id >= $1 ORDER BY id LIMIT $2");
/// With what a viewer calls each, and whether that goes both ways. Engines call the columns of
/// values so.
const SEEN: &str = select!(
    ", contact.first_name, contact.last_name,
     (SELECT count(*) FROM contact AS back
      WHERE back.owner = account.id AND back.account = seen.column1)
     FROM (VALUES"
);
const SEEN_OF: &str = ") AS seen JOIN account ON account.id = seen.column2
     LEFT JOIN contact ON contact.owner = seen.column1 AND contact.account = seen.column2
     ORDER BY account.id";

/// What somebody calls somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownAs {
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    /// The other has a name for them as well.
    pub(crate) is_mutual: bool,
}

impl Account {
    fn read(mut row: Row) -> Result<Self, StoreError> {
        Self::read_of(&mut row)
    }

    fn read_of(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.read()?,
            phone: row.read()?,
            first_name: row.read()?,
            last_name: row.read()?,
            about: row.read()?,
            online_until: row.read()?,
            pts: row.read()?,
            qts: row.read()?,
            is_bot: row.read::<i64>()? != 0,
            username: row.read()?,
            inline_placeholder: row.read()?,
            info_version: row.read()?,
            photo: match row.read::<Option<String>>()? {
                Some(description) => read_photo(&description)?,
                None => None,
            },
        })
    }
}

impl Store {
    pub(crate) async fn account(&self, id: i64) -> Result<Option<Account>, StoreError> {
        self.database.row(sql(BY_ID).bind(id)).await?.map(Account::read).transpose()
    }

    /// Accounts in the order of their numbers, each as a viewer knows it. Who is not there is left
    /// out.
    pub(crate) async fn accounts_seen(
        &self,
        viewer: i64,
        ids: &[i64],
    ) -> Result<Vec<(Account, Option<KnownAs>)>, StoreError> {
        let mut seen = Vec::with_capacity(ids.len());
        for part in in_rows(ids) {
            let query = sql_rows(SEEN, (part.len(), 2), SEEN_OF);
            let query = part.iter().fold(query, |query, id| query.bind(viewer).bind(*id));
            for mut row in self.database.rows(query).await? {
                let account = Account::read_of(&mut row)?;
                let name = (row.read::<Option<String>>()?, row.read::<Option<String>>()?);
                let is_mutual = row.read::<i64>()? > 0;
                let known = name.0.zip(name.1).map(|(first_name, last_name)| KnownAs {
                    first_name,
                    last_name,
                    is_mutual,
                });
                seen.push((account, known));
            }
        }
        Ok(seen)
    }

    pub(crate) async fn account_of_phone(
        &self,
        phone: &str,
    ) -> Result<Option<Account>, StoreError> {
        self.database.row(sql(BY_PHONE).bind(phone)).await?.map(Account::read).transpose()
    }

    /// Accounts from a number on, in the order of their numbers.
    pub(crate) async fn accounts(&self, from: i64, limit: i64) -> Result<Vec<Account>, StoreError> {
        let query = sql(FROM_ID).bind(from).bind(limit);
        self.database.rows(query).await?.into_iter().map(Account::read).collect()
    }

    /// Makes an account; `None` where somebody has the number already.
    pub(crate) async fn insert_account(
        &self,
        phone: &str,
        name: (&str, &str),
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let made = insert(&mut transaction, phone, name, now).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// Says until when an account is online, or since when it is not.
    pub(crate) async fn set_online(&self, id: i64, until: i64) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let change = sql("UPDATE account SET online_until = $1 WHERE id = $2");
        transaction.run(change.bind(until).bind(id)).await?;
        transaction.commit().await
    }
}

/// Makes an account; `None` where somebody has the number already, or the transaction is undone
/// where they get it at this moment.
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
