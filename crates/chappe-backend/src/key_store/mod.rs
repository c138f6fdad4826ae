//! Auth keys in a database of either engine: permanent ones in its tables, written by one batching
//! task, temporary ones in memory.

mod writer;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId};
use zeroize::Zeroizing;

use self::writer::{Write, Writer};
use crate::sql::{Row, sql};
use crate::{
    Bound, BoxFuture, ConnectionInfo, Database, Inserted, KeyBinding, Migrations, Store,
    StoreError, StoredKey, TemporaryKeys,
};
#[cfg(feature = "postgres")]
use crate::{PostgresConfig, PostgresDatabase};
#[cfg(feature = "sqlite")]
use crate::{SqliteConfig, SqliteDatabase};

/// A store in a database.
///
/// Writes that come together share one transaction, and so one wait for the disk. Temporary keys
/// stay in this process: the database serves one server at a time.
pub struct SqlStore {
    database: Database,
    temporary: TemporaryKeys,
    writer: Writer,
}

impl SqlStore {
    /// Opens the SQLite file at `path`, making it (mode 0600) if it is absent; beside it, while in
    /// use, lie `-wal` and `-shm`.
    ///
    /// A destroyed key is overwritten in the file; the `-wal` file may hold a copy of it until the
    /// log is next written over, or the store is closed.
    ///
    /// Must be called within a Tokio runtime, which then runs the writing task.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] or [`StoreError::Unavailable`], naming the file and the mend.
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(
        path: impl AsRef<std::path::Path>,
        config: SqliteConfig,
    ) -> Result<Self, StoreError> {
        let database = SqliteDatabase::open(path.as_ref(), &config).await?;
        let temporary = TemporaryKeys::new(config.temporary_bytes_max, config.unbound_keys_max);
        Self::open(Database::Sqlite(database), temporary, &SQLITE_TABLES).await
    }

    /// Connects to a PostgreSQL database and makes the tables where they are absent.
    ///
    /// What was in a destroyed key's row stays in the database's files until it cleans up, and in
    /// its logs and backups.
    ///
    /// Must be called within a Tokio runtime, which then runs the writing task.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] or [`StoreError::Unavailable`], naming the database and the mend.
    #[cfg(feature = "postgres")]
    pub async fn postgres(config: PostgresConfig) -> Result<Self, StoreError> {
        let temporary = TemporaryKeys::new(config.temporary_bytes_max, config.unbound_keys_max);
        let database = PostgresDatabase::open(config).await?;
        Self::open(Database::Postgres(database), temporary, &POSTGRES_TABLES).await
    }

    async fn open(
        database: Database,
        temporary: TemporaryKeys,
        tables: &Migrations,
    ) -> Result<Self, StoreError> {
        database.migrate(tables).await?;
        Ok(Self { writer: Writer::start(database.clone()), temporary, database })
    }

    /// The database, for services with tables of their own.
    pub fn database(&self) -> &Database {
        &self.database
    }

    async fn insert(&self, key: StoredKey, now: u64) -> Result<Inserted, StoreError> {
        let Some(claim) = self.temporary.claim(key.key.id(), now) else {
            return Ok(Inserted::Collision);
        };
        if key.expires.is_none() {
            let stored = self.writer.write(Write::InsertKey { key, _claim: claim }).await?;
            return Ok(if stored { Inserted::Stored } else { Inserted::Collision });
        }
        if self.permanent_key(key.key.id()).await?.is_some() {
            return Ok(Inserted::Collision);
        }
        claim.insert(key, now)
    }

    async fn bind(
        &self,
        temporary: AuthKeyId,
        binding: KeyBinding,
        now: u64,
    ) -> Result<Bound, StoreError> {
        // Asked first, so that a key that is not there costs no other its place.
        if self.permanent_key(binding.permanent).await?.is_none() {
            return Ok(Bound::NoPermanentKey);
        }
        let bound = self.temporary.bind(temporary, binding, now);
        // And once more: a deletion that came between has unbound what it found before this.
        if self.permanent_key(binding.permanent).await?.is_none() {
            self.temporary.unbind_all(binding.permanent);
            return Ok(Bound::NoPermanentKey);
        }
        Ok(bound)
    }

    async fn permanent_key(&self, id: AuthKeyId) -> Result<Option<StoredKey>, StoreError> {
        let query =
            sql("SELECT key, aux_hash, created, first_salt, dc FROM auth_key WHERE id = $1");
        let row = self.database.row(query.bind(row_id(id))).await?;
        let Some(mut row) = row else { return Ok(None) };
        let stored = Zeroizing::new(row.read::<Vec<u8>>()?);
        let aux_hash: Vec<u8> = row.read()?;
        let (Some(stored), Some(aux_hash)) = (stored.as_array(), aux_hash.as_array()) else {
            return Err(self.database.damaged(format!("the row of key {id} is cut short")));
        };
        let key = AuthKey::from_stored(id, *aux_hash, stored);
        let created = row.read::<i64>()?.cast_unsigned();
        let (first_salt, dc) = (row.read()?, row.read()?);
        Ok(Some(StoredKey { key, created, first_salt, expires: None, dc }))
    }

    async fn permanent_connection(
        &self,
        id: AuthKeyId,
    ) -> Result<Option<ConnectionInfo>, StoreError> {
        let query = sql("SELECT layer, data FROM connection WHERE key_id = $1");
        let row = self.database.row(query.bind(row_id(id))).await?;
        let read = |mut row: Row| {
            let (layer, data) = (row.read()?, row.read::<Vec<u8>>()?);
            Ok(ConnectionInfo { layer, data: Bytes::from(data) })
        };
        row.map(read).transpose()
    }

    async fn secret(&self, fresh: Zeroizing<[u8; 32]>) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        self.writer.write(Write::ServerSecret(fresh)).await?;
        let row = self.database.row(sql("SELECT server_secret FROM installation")).await?;
        let kept: Vec<u8> = row.map_or(Ok(Vec::new()), |mut row| row.read())?;
        <[u8; 32]>::try_from(Zeroizing::new(kept).as_slice())
            .map(Zeroizing::new)
            .map_err(|_| self.database.damaged("the server secret is cut short".to_owned()))
    }
}

impl Store for SqlStore {
    fn insert_key(&self, key: StoredKey, now: u64) -> BoxFuture<'_, Result<Inserted, StoreError>> {
        Box::pin(self.insert(key, now))
    }

    fn key(&self, id: AuthKeyId, now: u64) -> BoxFuture<'_, Result<Option<StoredKey>, StoreError>> {
        Box::pin(async move {
            match self.temporary.key(id, now) {
                Some(key) => Ok(Some(key)),
                None => self.permanent_key(id).await,
            }
        })
    }

    fn delete_key(&self, id: AuthKeyId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            if self.temporary.delete(id) {
                return Ok(true);
            }
            let existed = self.writer.write(Write::DeleteKey(id)).await?;
            self.temporary.unbind_all(id);
            Ok(existed)
        })
    }

    fn bind_key(
        &self,
        temporary: AuthKeyId,
        binding: KeyBinding,
        now: u64,
    ) -> BoxFuture<'_, Result<Bound, StoreError>> {
        Box::pin(self.bind(temporary, binding, now))
    }

    fn binding(
        &self,
        temporary: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Option<KeyBinding>, StoreError>> {
        Box::pin(async move {
            self.database.check_open()?;
            Ok(self.temporary.binding(temporary, now))
        })
    }

    fn bound_keys(
        &self,
        permanent: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, StoreError>> {
        Box::pin(async move {
            self.database.check_open()?;
            Ok(self.temporary.bound_keys(permanent, now))
        })
    }

    fn expire_keys(&self, now: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.database.check_open()?;
            self.temporary.expire(now);
            Ok(())
        })
    }

    fn save_connection(
        &self,
        id: AuthKeyId,
        info: ConnectionInfo,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            info.check_size()?;
            if self.temporary.save_connection(id, &info)? {
                return Ok(true);
            }
            // A client says the same each time it connects; only news is worth a write.
            if self.permanent_connection(id).await?.as_ref() == Some(&info) {
                return Ok(true);
            }
            self.writer.write(Write::SaveConnection { id, info }).await
        })
    }

    fn connection(
        &self,
        id: AuthKeyId,
    ) -> BoxFuture<'_, Result<Option<ConnectionInfo>, StoreError>> {
        Box::pin(async move {
            match self.temporary.connection(id) {
                Some(info) => Ok(Some(info)),
                None => self.permanent_connection(id).await,
            }
        })
    }

    fn server_secret(
        &self,
        fresh: Zeroizing<[u8; 32]>,
    ) -> BoxFuture<'_, Result<Zeroizing<[u8; 32]>, StoreError>> {
        Box::pin(self.secret(fresh))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.writer.finish().await;
            self.temporary.clear();
            self.database.close().await;
        })
    }
}

/// Columns have a sign and ids have none: the same 64 bits.
fn row_id(id: AuthKeyId) -> i64 {
    id.0.cast_signed()
}

#[cfg(feature = "sqlite")]
const SQLITE_TABLES: Migrations = Migrations {
    component: env!("CARGO_PKG_NAME"),
    steps: &[include_str!("../sqlite/migrations/0001_keys.sql")],
};

#[cfg(feature = "postgres")]
const POSTGRES_TABLES: Migrations = Migrations {
    component: env!("CARGO_PKG_NAME"),
    steps: &[include_str!("../postgres/migrations/0001_keys.sql")],
};
