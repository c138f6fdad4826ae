//! Usernames, names and contacts.

use std::collections::BTreeMap;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, in_rows, sql, sql_rows};
use chappe_crypto::AuthKeyId;

use super::{Account, Store};

/// Somebody whom an account knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) account: i64,
    pub(crate) is_mutual: bool,
}

impl Store {
    /// The account that a username leads to, in whatever case.
    pub(crate) async fn account_of_username(
        &self,
        username: &str,
    ) -> Result<Option<Account>, StoreError> {
        let query = sql("SELECT account FROM username WHERE folded = $1");
        let row = self.database.row(query.bind(username.to_lowercase())).await?;
        match row.map(|mut row| row.read()).transpose()? {
            Some(id) => self.account(id).await,
            None => Ok(None),
        }
    }

    /// Gives an account a username in the place of the one it had; empty takes it away. Whether
    /// nobody else has it.
    pub(crate) async fn set_username(
        &self,
        account: i64,
        username: &str,
    ) -> Result<bool, StoreError> {
        let folded = username.to_lowercase();
        let mut transaction = self.database.begin().await?;
        let taken = sql("SELECT account FROM username WHERE folded = $1").bind(&*folded);
        if let Some(mut row) = transaction.row(taken).await?
            && row.read::<i64>()? != account
        {
            return Ok(false);
        }
        let delete = sql("DELETE FROM username WHERE account = $1").bind(account);
        transaction.run(delete).await?;
        if !username.is_empty() {
            let insert = sql("INSERT INTO username (folded, account, shown) VALUES ($1, $2, $3)");
            transaction.run(insert.bind(folded).bind(account).bind(username)).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives an account other names; what is `None` stays.
    pub(crate) async fn set_profile(
        &self,
        account: i64,
        (first_name, last_name, about): (Option<&str>, Option<&str>, Option<&str>),
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let change = sql("UPDATE account SET first_name = COALESCE($2, first_name),
             last_name = COALESCE($3, last_name), about = COALESCE($4, about) WHERE id = $1");
        let change = change.bind(account).bind(first_name).bind(last_name).bind(about);
        transaction.run(change).await?;
        transaction.commit().await
    }

    /// Whom an account knows, in the order of their numbers.
    pub(crate) async fn contacts(&self, owner: i64) -> Result<Vec<Contact>, StoreError> {
        let query = sql("SELECT account, (SELECT count(*) FROM contact AS back
                WHERE back.owner = contact.account AND back.account = contact.owner)
             FROM contact WHERE owner = $1 ORDER BY account");
        let rows = self.database.rows(query.bind(owner)).await?;
        let read =
            |mut row: Row| Ok(Contact { account: row.read()?, is_mutual: row.read::<i64>()? > 0 });
        rows.into_iter().map(read).collect()
    }

    /// Accounts whose username begins so, in lower case.
    pub(crate) async fn accounts_of_usernames(
        &self,
        beginning: &str,
        limit: i32,
    ) -> Result<Vec<i64>, StoreError> {
        let pattern = format!("{}%", beginning.replace('_', "\\_"));
        let query = sql("SELECT account FROM username WHERE folded LIKE $1 ESCAPE '\\'
             ORDER BY account LIMIT $2");
        let rows = self.database.rows(query.bind(pattern).bind(limit)).await?;
        rows.into_iter().map(|mut row| row.read()).collect()
    }

    /// The name that `owner` gave to somebody.
    pub(crate) async fn contact_name(
        &self,
        owner: i64,
        account: i64,
    ) -> Result<Option<(String, String)>, StoreError> {
        let query =
            sql("SELECT first_name, last_name FROM contact WHERE owner = $1 AND account = $2");
        let row = self.database.row(query.bind(owner).bind(account)).await?;
        row.map(|mut row| Ok((row.read()?, row.read()?))).transpose()
    }

    /// Makes people known to an account by names, or by others.
    pub(crate) async fn keep_contacts(
        &self,
        owner: i64,
        people: &BTreeMap<i64, (&str, &str)>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        // In one order, so that no two imports wait for each other.
        let people: Vec<_> = people.iter().collect();
        for part in in_rows(&people) {
            let before = "INSERT INTO contact (owner, account, first_name, last_name) VALUES";
            let after = "ON CONFLICT (owner, account) DO UPDATE
                 SET first_name = excluded.first_name, last_name = excluded.last_name";
            let insert = sql_rows(before, (part.len(), 4), after);
            let insert = part.iter().fold(insert, |insert, (account, (first_name, last_name))| {
                insert.bind(owner).bind(**account).bind(*first_name).bind(*last_name)
            });
            transaction.run(insert).await?;
        }
        transaction.commit().await
    }

    /// The accounts that have these numbers, by number.
    pub(crate) async fn accounts_of_phones(
        &self,
        phones: &[&str],
    ) -> Result<BTreeMap<String, i64>, StoreError> {
        let mut found = BTreeMap::new();
        for part in in_rows(phones) {
            let before = "SELECT phone, id FROM account WHERE phone IN (";
            let query = sql_rows(before, (part.len(), 1), ")");
            let query = part.iter().fold(query, |query, phone| query.bind(*phone));
            for mut row in self.database.rows(query).await? {
                found.insert(row.read()?, row.read()?);
            }
        }
        Ok(found)
    }

    /// Who knows an account, in the order of their numbers after one, `limit` at most; each with
    /// the keys that they are signed in with.
    pub(crate) async fn who_knows(
        &self,
        account: i64,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, Vec<AuthKeyId>)>, StoreError> {
        let query = sql("SELECT known.owner, key_id
             FROM (SELECT owner FROM contact WHERE account = $1 AND owner > $2
                   ORDER BY owner LIMIT $3) AS known
             LEFT JOIN session_of_account
                 ON session_of_account.account = known.owner AND is_waiting = 0
             ORDER BY known.owner");
        let query = query.bind(account).bind(after).bind(limit);
        let mut found: Vec<(i64, Vec<AuthKeyId>)> = Vec::new();
        for mut row in self.database.rows(query).await? {
            let (owner, key): (i64, Option<i64>) = (row.read()?, row.read()?);
            if found.last().is_none_or(|(last, _)| *last != owner) {
                found.push((owner, Vec::new()));
            }
            if let (Some(key), Some((_, keys))) = (key, found.last_mut()) {
                keys.push(AuthKeyId(key.cast_unsigned()));
            }
        }
        Ok(found)
    }

    pub(crate) async fn forget_contact(&self, owner: i64, account: i64) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let delete = sql("DELETE FROM contact WHERE owner = $1 AND account = $2");
        transaction.run(delete.bind(owner).bind(account)).await?;
        transaction.commit().await
    }
}
