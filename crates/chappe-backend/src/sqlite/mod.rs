//! The engine for a single server: one SQLite file, written by one batching task.

mod database;
mod error;
mod writer;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId};
use zeroize::Zeroizing;

pub use self::database::SqliteDatabase;
use self::writer::{Write, Writer};
use crate::temporary::UNBOUND_KEYS_MAX;
use crate::{
    Bound, BoxFuture, ConnectionInfo, Inserted, KeyBinding, Migrations, Store, StoreError,
    StoredKey, TemporaryKeys,
};

/// How a [`SqliteStore`] works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// Most memory for temporary keys, each counted as 640 bytes and what is saved with it; a new
    /// key over that is refused. Default: 128 MiB, some 200 000 keys.
    pub temporary_bytes_max: usize,
    /// Most temporary keys that are not bound to a permanent one; for a new one over that, the
    /// one that has been so for longest is forgotten. Default: 50 000, some 30 MiB. Strangers can
    /// make us hold this much; a client binds its key a moment after making it.
    pub unbound_keys_max: usize,
    /// Longest wait while another process writes the file. Default: 5 s.
    pub busy_timeout: Duration,
    /// Most queries at once. Default: 4. Each costs a thread and up to 2 MiB of cache.
    pub readers: u32,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            temporary_bytes_max: 128 * 1024 * 1024,
            unbound_keys_max: UNBOUND_KEYS_MAX,
            busy_timeout: Duration::from_secs(5),
            readers: 4,
        }
    }
}

/// A store in one SQLite file (and, beside it while in use, `-wal` and `-shm`).
///
/// Writes that come together share one transaction, and so one wait for the disk. Temporary keys
/// stay in this process: the file serves one server at a time.
///
/// A destroyed key is overwritten in the file; the `-wal` file may hold a copy of it until the
/// log is next written over, or the store is closed.
pub struct SqliteStore {
    database: SqliteDatabase,
    temporary: TemporaryKeys,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the file at `path`, making it (mode 0600) if it is absent.
    ///
    /// Must be called within a Tokio runtime, which then runs the writing task.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] or [`StoreError::Unavailable`], naming the file and the mend.
    pub async fn open(path: impl AsRef<Path>, config: SqliteConfig) -> Result<Self, StoreError> {
        let database = SqliteDatabase::open(path.as_ref(), &config).await?;
        database.migrate(&MIGRATIONS).await?;
        Ok(Self {
            writer: Writer::start(database.clone()),
            temporary: TemporaryKeys::new(config.temporary_bytes_max, config.unbound_keys_max),
            database,
        })
    }

    /// The database, for services with tables of their own.
    pub fn database(&self) -> &SqliteDatabase {
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
        let row: Option<KeyRow> = sqlx::query_as(
            "SELECT key, aux_hash, created, first_salt, dc FROM auth_key WHERE id = ?",
        )
        .bind(row_id(id))
        .fetch_optional(self.database.reader())
        .await
        .map_err(|error| self.database.error(error))?;
        let Some((stored, aux_hash, created, first_salt, dc)) = row else { return Ok(None) };
        let stored = Zeroizing::new(stored);
        let (Some(stored), Some(aux_hash)) = (stored.as_array(), aux_hash.as_array()) else {
            return Err(self.database.damaged(format!("the row of key {id} is cut short")));
        };
        let key = AuthKey::from_stored(id, *aux_hash, stored);
        let created = created.cast_unsigned();
        Ok(Some(StoredKey { key, created, first_salt, expires: None, dc }))
    }

    async fn permanent_connection(
        &self,
        id: AuthKeyId,
    ) -> Result<Option<ConnectionInfo>, StoreError> {
        let row: Option<(i32, Vec<u8>)> =
            sqlx::query_as("SELECT layer, data FROM connection WHERE key_id = ?")
                .bind(row_id(id))
                .fetch_optional(self.database.reader())
                .await
                .map_err(|error| self.database.error(error))?;
        Ok(row.map(|(layer, data)| ConnectionInfo { layer, data: Bytes::from(data) }))
    }

    async fn secret(&self, fresh: Zeroizing<[u8; 32]>) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        self.writer.write(Write::ServerSecret(fresh)).await?;
        let kept: Vec<u8> = sqlx::query_scalar("SELECT server_secret FROM installation")
            .fetch_one(self.database.reader())
            .await
            .map_err(|error| self.database.error(error))?;
        <[u8; 32]>::try_from(Zeroizing::new(kept).as_slice())
            .map(Zeroizing::new)
            .map_err(|_| self.database.damaged("the server secret is cut short".to_owned()))
    }
}

impl Store for SqliteStore {
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

/// Key, aux_hash, created, first_salt, dc.
type KeyRow = (Vec<u8>, Vec<u8>, i64, i64, i32);

/// SQLite's numbers are signed: the same 64 bits, read so.
fn row_id(id: AuthKeyId) -> i64 {
    id.0.cast_signed()
}

const MIGRATIONS: Migrations = Migrations {
    component: env!("CARGO_PKG_NAME"),
    steps: &[include_str!("migrations/0001_keys.sql")],
};
