//! Who is signed in with which key.

use std::collections::BTreeMap;

use chappe_backend::StoreError;
use chappe_backend::sql::{Row, Transaction, in_rows, sql, sql_rows};
use chappe_crypto::AuthKeyId;

use super::{Store, accounts};

/// What is kept of a key that signs in.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) key: AuthKeyId,
    /// Names it in lists, for no key id leaves the server.
    pub(crate) hash: i64,
    pub(crate) api_id: i32,
    pub(crate) device_model: String,
    pub(crate) system_version: String,
    pub(crate) app_version: String,
    pub(crate) ip: String,
    /// Unix second.
    pub(crate) created: i64,
}

/// Who a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) account: i64,
    /// The password is still to be told.
    pub(crate) is_waiting: bool,
    pub(crate) is_bot: bool,
}

impl Store {
    /// Who a key is.
    pub(crate) async fn identity(&self, key: AuthKeyId) -> Result<Option<Identity>, StoreError> {
        let query = sql("SELECT account, is_waiting,
             (SELECT is_bot FROM account WHERE account.id = session_of_account.account)
             FROM session_of_account WHERE key_id = $1");
        let row = self.database.row(query.bind(row_id(key))).await?;
        row.map(|mut row| {
            let (account, is_waiting) = (row.read()?, row.read::<i64>()? != 0);
            Ok(Identity { account, is_waiting, is_bot: row.read::<i64>()? != 0 })
        })
        .transpose()
    }

    /// Signs a key in, over whoever was; it waits for the password where there is one. Whether it
    /// does.
    pub(crate) async fn sign_in(
        &self,
        account: i64,
        session: SignedIn,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let waits = insert_to_wait(&mut transaction, account, session).await?;
        transaction.commit().await?;
        Ok(waits)
    }

    /// The same for whoever told the code of this number and name, which is used up by that; `None`
    /// where another key has used it.
    pub(crate) async fn sign_in_by_code(
        &self,
        (phone, hash): (&str, &str),
        account: i64,
        session: SignedIn,
    ) -> Result<Option<bool>, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let used = sql("DELETE FROM login_code WHERE hash = $1 AND phone = $2 AND is_proved = 1");
        if transaction.run(used.bind(hash).bind(phone)).await? == 0 {
            return Ok(None);
        }
        let waits = insert_to_wait(&mut transaction, account, session).await?;
        transaction.commit().await?;
        Ok(Some(waits))
    }

    /// Signs a key in without its password: another one has told it.
    pub(crate) async fn sign_in_along(
        &self,
        account: i64,
        session: SignedIn,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        insert(&mut transaction, account, session).await?;
        transaction.commit().await
    }

    /// Makes an account and signs a key in as it; `None` where somebody has the number already.
    pub(crate) async fn sign_up(
        &self,
        phone: &str,
        name: (&str, &str),
        session: SignedIn,
    ) -> Result<Option<i64>, StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let made = accounts::insert(&mut transaction, phone, name, session.created).await?;
        if let Some(account) = made {
            insert(&mut transaction, account, session).await?;
            let used = sql("DELETE FROM login_code WHERE phone = $1").bind(phone);
            transaction.run(used).await?;
        }
        transaction.commit().await?;
        Ok(made)
    }

    /// Signs a key out.
    pub(crate) async fn sign_out(&self, key: AuthKeyId) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let delete = sql("DELETE FROM session_of_account WHERE key_id = $1");
        transaction.run(delete.bind(row_id(key))).await?;
        transaction.commit().await
    }

    /// Where an account is signed in, the newest first.
    pub(crate) async fn sessions_of(&self, account: i64) -> Result<Vec<SignedIn>, StoreError> {
        let query = sql(
            "SELECT key_id, hash, api_id, device_model, system_version, app_version, ip, created
             FROM session_of_account WHERE account = $1 AND is_waiting = 0
             ORDER BY created DESC, key_id",
        );
        let rows = self.database.rows(query.bind(account)).await?;
        let read = |mut row: Row| {
            Ok(SignedIn {
                key: AuthKeyId(row.read::<i64>()?.cast_unsigned()),
                hash: row.read()?,
                api_id: row.read()?,
                device_model: row.read()?,
                system_version: row.read()?,
                app_version: row.read()?,
                ip: row.read()?,
                created: row.read()?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Signs the key of this hash out, unless it is `own`; which it was.
    pub(crate) async fn end_session(
        &self,
        account: i64,
        hash: i64,
        own: AuthKeyId,
    ) -> Result<Option<AuthKeyId>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let delete = sql("DELETE FROM session_of_account
             WHERE account = $1 AND hash = $2 AND key_id <> $3 RETURNING key_id");
        let row = transaction.row(delete.bind(account).bind(hash).bind(row_id(own))).await?;
        transaction.commit().await?;
        row.map(|mut row| Ok(AuthKeyId(row.read::<i64>()?.cast_unsigned()))).transpose()
    }

    /// Signs every other key of an account out; which they were.
    pub(crate) async fn end_other_sessions(
        &self,
        account: i64,
        own: AuthKeyId,
    ) -> Result<Vec<AuthKeyId>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let delete = sql(
            "DELETE FROM session_of_account WHERE account = $1 AND key_id <> $2 RETURNING key_id",
        );
        let rows = transaction.rows(delete.bind(account).bind(row_id(own))).await?;
        transaction.commit().await?;
        rows.into_iter().map(|mut row| Ok(AuthKeyId(row.read::<i64>()?.cast_unsigned()))).collect()
    }

    /// The keys that are signed in as an account.
    pub(crate) async fn keys_of(&self, account: i64) -> Result<Vec<AuthKeyId>, StoreError> {
        Ok(self.keys_of_all(&[account]).await?.remove(&account).unwrap_or_default())
    }

    /// The keys that are signed in as any of these accounts, by account.
    pub(crate) async fn keys_of_all(
        &self,
        accounts: &[i64],
    ) -> Result<BTreeMap<i64, Vec<AuthKeyId>>, StoreError> {
        let mut keys: BTreeMap<i64, Vec<AuthKeyId>> = BTreeMap::new();
        for part in in_rows(accounts) {
            let before = "SELECT account, key_id FROM session_of_account WHERE account IN (";
            let query = sql_rows(before, (part.len(), 1), ") AND is_waiting = 0");
            let query = part.iter().fold(query, |query, account| query.bind(*account));
            for mut row in self.database.rows(query).await? {
                let (account, key) = (row.read()?, row.read::<i64>()?.cast_unsigned());
                keys.entry(account).or_default().push(AuthKeyId(key));
            }
        }
        Ok(keys)
    }

    /// Whether an account is signed in anywhere.
    pub(crate) async fn has_session(&self, account: i64) -> Result<bool, StoreError> {
        let query =
            sql("SELECT 1 FROM session_of_account WHERE account = $1 AND is_waiting = 0 LIMIT 1");
        Ok(self.database.row(query.bind(account)).await?.is_some())
    }
}

/// Whether it waits for its password.
async fn insert_to_wait(
    transaction: &mut Transaction<'_>,
    account: i64,
    session: SignedIn,
) -> Result<bool, StoreError> {
    let key = row_id(session.key);
    insert(transaction, account, session).await?;
    let wait = sql("UPDATE session_of_account SET is_waiting = 1
         WHERE key_id = $1 AND EXISTS (SELECT 1 FROM password WHERE account = $2)");
    Ok(transaction.run(wait.bind(key).bind(account)).await? > 0)
}

async fn insert(
    transaction: &mut Transaction<'_>,
    account: i64,
    session: SignedIn,
) -> Result<(), StoreError> {
    let key = row_id(session.key);
    let delete = sql("DELETE FROM session_of_account WHERE key_id = $1");
    transaction.run(delete.bind(key)).await?;
    let insert = sql("INSERT INTO session_of_account
         (key_id, account, hash, api_id, device_model, system_version, app_version, ip, created)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let insert = insert.bind(key).bind(account).bind(session.hash).bind(session.api_id);
    let insert = insert.bind(session.device_model).bind(session.system_version);
    let insert = insert.bind(session.app_version).bind(session.ip).bind(session.created);
    transaction.run(insert).await?;
    Ok(())
}

/// Columns have a sign and ids have none: the same bits.
pub(super) fn row_id(key: AuthKeyId) -> i64 {
    key.0.cast_signed()
}
