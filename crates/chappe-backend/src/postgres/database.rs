//! The connections, and what is repeated on another one when one is lost.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{Connection, Postgres};
use tokio::time::{Instant, sleep, timeout};

use super::error::{self, Kind};
use super::{PostgresConfig, PostgresTransaction};
use crate::sql::{Statement, sql};
use crate::{Migrations, StoreError};

/// One PostgreSQL database and the connections to it. Clones share them.
#[derive(Clone, Debug)]
pub struct PostgresDatabase {
    place: Arc<str>,
    pool: PgPool,
    wait_max: Duration,
    statement_max: Duration,
}

impl PostgresDatabase {
    pub(crate) async fn open(config: PostgresConfig) -> Result<Self, StoreError> {
        let place: Arc<str> = config.place().into();
        if config.is_exposed() {
            tracing::warn!(
                %place,
                "who is between here and the database can read and change everything; mend with \
                 sslmode=verify-full"
            );
        }
        let statement_max = config.statement_max;
        let pool = PgPoolOptions::new()
            .max_connections(config.connections_max.max(1))
            .acquire_timeout(config.wait_max)
            .acquire_slow_threshold(config.wait_max)
            // What finds a connection lost takes another: asking first costs a round trip each time.
            .test_before_acquire(false)
            .after_connect(move |connection, _| Box::pin(set_up(connection, statement_max)))
            .after_release(|connection, _| Box::pin(is_well(connection)))
            .connect_lazy_with(config.options);
        let database = Self { place, pool, wait_max: config.wait_max, statement_max };
        database.check().await?;
        Ok(database)
    }

    /// Refuses a database that cannot keep every text; warns of one that forgets.
    async fn check(&self) -> Result<(), StoreError> {
        let settings = sql("SELECT current_setting('server_encoding'), current_setting('fsync'),
             current_setting('full_page_writes')");
        let rows = self.rows(settings).await?;
        let read = |at| rows.first().map_or(Ok(String::new()), |row| sqlx::Row::try_get(row, at));
        let read = |at| read(at).map_err(|error| self.error(&error));
        if read(0)? != "UTF8" {
            return Err(StoreError::Unusable {
                place: self.place(),
                problem: format!("has the encoding {}, which knows few letters", read(0)?),
                mend: "make it anew: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'",
            });
        }
        if read(1)? == "off" || read(2)? == "off" {
            tracing::warn!(
                place = %self.place,
                "fsync or full_page_writes is off: what was acknowledged is lost, or all is, when \
                 its machine fails"
            );
        }
        Ok(())
    }

    /// Takes the steps that are missing; gives the version found before. Takes none from one that
    /// it does not know.
    pub(crate) async fn migrate(&self, migrations: &Migrations) -> Result<i64, StoreError> {
        self.take_steps(migrations).await.map_err(|error| self.error(&error))
    }

    async fn take_steps(&self, migrations: &Migrations) -> Result<i64, sqlx::Error> {
        // Whoever waited for the lock has to see what was done meanwhile.
        let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(MIGRATION_LOCK)
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS schema_version
             (component TEXT PRIMARY KEY, version BIGINT NOT NULL)",
        )
        .execute(&mut *transaction)
        .await?;
        let found: i64 =
            sqlx::query_scalar("SELECT version FROM schema_version WHERE component = $1")
                .bind(migrations.component)
                .fetch_optional(&mut *transaction)
                .await?
                .unwrap_or(0);
        for step in migrations.after(found) {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        if found < migrations.version() {
            sqlx::query(
                "INSERT INTO schema_version (component, version) VALUES ($1, $2)
                 ON CONFLICT (component) DO UPDATE SET version = excluded.version",
            )
            .bind(migrations.component)
            .bind(migrations.version())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(found)
    }

    /// Begins a transaction that runs as if it were alone.
    pub(crate) async fn begin(&self) -> Result<PostgresTransaction<'_>, StoreError> {
        self.begin_by(sql("BEGIN ISOLATION LEVEL SERIALIZABLE")).await
    }

    /// Begins one whose rows others keep off.
    pub(crate) async fn begin_apart(&self) -> Result<PostgresTransaction<'_>, StoreError> {
        self.begin_by(sql("BEGIN ISOLATION LEVEL READ COMMITTED")).await
    }

    async fn begin_by(&self, begin: Statement) -> Result<PostgresTransaction<'_>, StoreError> {
        let (connection, _) = self.ask(begin).await?;
        Ok(PostgresTransaction::begun(self, connection))
    }

    /// Every row of a query that changes nothing.
    pub(crate) async fn rows(&self, query: Statement) -> Result<Vec<PgRow>, StoreError> {
        Ok(self.ask(query).await?.1)
    }

    /// Runs what changes nothing on a connection, and while they are lost on others.
    async fn ask(
        &self,
        statement: Statement,
    ) -> Result<(PoolConnection<Postgres>, Vec<PgRow>), StoreError> {
        let deadline = Instant::now() + self.wait_max;
        let mut pause = PAUSE_MIN;
        loop {
            let error = match self.pool.acquire().await {
                Ok(mut connection) => {
                    match self.in_time(statement.clone().query().fetch_all(&mut *connection)).await
                    {
                        Ok(rows) => return Ok((connection, rows)),
                        Err(error) => {
                            if error::kind(&error) == Kind::Lost {
                                connection.close_on_drop();
                                // Whoever was connected before the database ended is; all go quickly.
                                pause = PAUSE_MIN;
                            }
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            if error::kind(&error) != Kind::Lost || Instant::now() + pause >= deadline {
                return Err(self.error(&error));
            }
            tracing::debug!(%error, "a connection to the database was lost");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Bounds a wait for the database, which may be behind a network that swallows everything.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        match timeout(self.statement_max + GRACE, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The connections, for queries that [`sql`](crate::sql) does not know.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Says what `error` means for this database and how to mend it.
    pub fn error(&self, error: &sqlx::Error) -> StoreError {
        error::from_sqlx(&self.place, error)
    }

    /// The database, without its secrets.
    pub(crate) fn place(&self) -> String {
        self.place.to_string()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Says how this session works.
async fn set_up(connection: &mut PgConnection, statement_max: Duration) -> Result<(), sqlx::Error> {
    let statement_max = statement_max.as_millis().to_string();
    sqlx::query(
        "SELECT set_config('statement_timeout', $1, false),
                set_config('idle_in_transaction_session_timeout', $1, false),
                set_config('synchronous_commit',
                    CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                    ELSE current_setting('synchronous_commit') END, false)",
    )
    .bind(statement_max)
    .execute(connection)
    .await
    .map(drop)
}

/// Whether a connection that is given back can be used again. One that was left in the middle of a
/// statement may never answer.
async fn is_well(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    Ok(matches!(timeout(GRACE, connection.ping()).await, Ok(Ok(())))
        && !connection.is_in_transaction())
}

/// "Chappe": held while tables are made, so that one of several processes does.
const MIGRATION_LOCK: i64 = 0x4368_6170_7065;

/// What is waited for beyond what the database itself allows.
pub(super) const GRACE: Duration = Duration::from_secs(5);

const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
