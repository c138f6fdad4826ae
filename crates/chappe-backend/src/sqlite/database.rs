//! The file: made, checked, opened, and brought to the tables we know.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{SqliteConfig, error};
use crate::{Migrations, StoreError};

/// One SQLite file and the connections to it. Clones share them.
///
/// Each connection has a thread of its own, so that no query blocks the async runtime.
#[derive(Clone, Debug)]
pub struct SqliteDatabase {
    path: Arc<Path>,
    writer: SqlitePool,
    reader: SqlitePool,
}

impl SqliteDatabase {
    pub(crate) async fn open(path: &Path, config: &SqliteConfig) -> Result<Self, StoreError> {
        let path: Arc<Path> = match tokio::task::spawn_blocking({
            let path = path.to_owned();
            move || make_file(&path)
        })
        .await
        {
            Ok(Ok(path)) => path.into(),
            Ok(Err(error)) => return Err(error::from_io(path, &error)),
            // Only a runtime that is shutting down drops the task.
            Err(_) => return Err(StoreError::Closed),
        };
        let options = options(&path, config);
        check_owner(&options).await.map_err(|error| error::from_sqlx(&path, error))??;

        let writer = pool()
            .max_connections(1)
            .connect_with(options.clone().journal_mode(SqliteJournalMode::Wal))
            .await
            .map_err(|error| error::from_sqlx(&path, error))?;
        let reader = pool()
            .max_connections(config.readers.max(1))
            .connect_lazy_with(options.read_only(true));
        Ok(Self { path, writer, reader })
    }

    /// Takes the steps that are missing; gives the version found before. Takes none from one that
    /// it does not know.
    pub(crate) async fn migrate(&self, migrations: &Migrations) -> Result<i64, StoreError> {
        self.take_steps(migrations).await.map_err(|error| self.error(error))
    }

    async fn take_steps(&self, migrations: &Migrations) -> Result<i64, sqlx::Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS schema_version
             (component TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
        )
        .execute(&mut *transaction)
        .await?;
        let found: i64 =
            sqlx::query_scalar("SELECT version FROM schema_version WHERE component = ?")
                .bind(migrations.component)
                .fetch_optional(&mut *transaction)
                .await?
                .unwrap_or(0);
        for step in migrations.after(found) {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        if found < migrations.version() {
            sqlx::query("INSERT OR REPLACE INTO schema_version (component, version) VALUES (?, ?)")
                .bind(migrations.component)
                .bind(migrations.version())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(found)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file.
    pub(crate) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// For changes: one connection, so that writers of one process queue here and never meet a
    /// locked file. Begin with `BEGIN IMMEDIATE`.
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// For queries; what was committed before is seen. Refuses changes.
    pub fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Says what `error` means for this file and how to mend it.
    pub fn error(&self, error: sqlx::Error) -> StoreError {
        error::from_sqlx(&self.path, error)
    }

    pub(crate) async fn close(&self) {
        // The last to leave folds the log into the file, which a reader may not.
        self.reader.close().await;
        self.writer.close().await;
    }
}

fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        // A connection is a handle in this process: it cannot go stale.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        // After some errors, a full disk among them, SQLite ends the transaction by itself. The
        // library's own rollback then fails and it counts the transaction as open for ever, so
        // that no other can begin: such a connection is replaced.
        .after_release(|connection, _| {
            Box::pin(async move {
                if !connection.is_in_transaction() {
                    return Ok(true);
                }
                // Lets a rollback under way finish.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// Makes the file if it is absent, open to its owner alone; SQLite gives its log the same mode.
/// The path comes back absolute: SQLite reads meaning into some relative ones.
fn make_file(path: &Path) -> io::Result<PathBuf> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    warn_if_exposed(&file, path)?;
    path.canonicalize()
}

#[cfg(unix)]
fn warn_if_exposed(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{mode:03o}"),
            "others on this machine can open the keys; mend with chmod 600"
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn warn_if_exposed(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

fn options(path: &Path, config: &SqliteConfig) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(config.busy_timeout)
        // A commit returns when the disk has it: keys must be durable before `dh_gen_ok`.
        .synchronous(SqliteSynchronous::Full)
        // Destroyed keys are overwritten, and no scratch file is written.
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

/// Claims a new file for us and leaves those of other applications as they are.
async fn check_owner(
    options: &SqliteConnectOptions,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let ours = claim(&mut connection).await?;
    connection.close().await?;
    Ok(if ours {
        Ok(())
    } else {
        Err(StoreError::Unusable {
            place: options.get_filename().display().to_string(),
            problem: "is a SQLite database of another application".to_owned(),
            mend: "give another path",
        })
    })
}

async fn claim(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let application_id: i32 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&mut *connection)
        .await?;
    if (application_id, tables) == (0, 0) {
        sqlx::query(SET_APPLICATION_ID).execute(connection).await?;
        return Ok(true);
    }
    Ok(application_id == APPLICATION_ID)
}

/// "Chap", in the header of each of our files.
const APPLICATION_ID: i32 = 0x4368_6170;
const SET_APPLICATION_ID: &str = "PRAGMA application_id = 0x43686170";
