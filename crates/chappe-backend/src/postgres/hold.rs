//! A lock of the database that one server holds, by a connection for nothing else.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep};

use super::PostgresDatabase;
use crate::StoreError;
use crate::hold::{Hold, taken};

/// "Serv": with it goes the schema, for several may be in one database.
const LOCK: i32 = 0x5365_7276;
/// How long a predecessor may take to be gone, of whose end the database does not know yet.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// How often the connection is looked at.
const EVERY: Duration = Duration::from_secs(10);

impl PostgresDatabase {
    /// Holds the lock until it is dropped, and takes it again where the connection is lost.
    pub(crate) async fn hold(&self) -> Result<Hold, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let options = self.pool().connect_options();
        let connection = loop {
            match take(&options).await.map_err(|error| self.error(&error))? {
                Some(connection) => break connection,
                None if Instant::now() >= deadline => return Err(taken(self.place())),
                None => sleep(PAUSE).await,
            }
        };
        let (options, place) = ((*options).clone(), self.place());
        let task = tokio::spawn(keep(connection, options, place));
        Ok(Hold::of_connection(task.abort_handle()))
    }
}

/// A connection that holds the lock; `None` if another one does.
async fn take(options: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let is_ours: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1, hashtext(current_schema()))")
            .bind(LOCK)
            .fetch_one(&mut connection)
            .await?;
    Ok(is_ours.then_some(connection))
}

async fn keep(mut connection: PgConnection, options: PgConnectOptions, place: String) {
    loop {
        sleep(EVERY).await;
        if connection.ping().await.is_ok() {
            continue;
        }
        match take(&options).await {
            Ok(Some(another)) => connection = another,
            Ok(None) => tracing::error!(%place, "another server process works with this database"),
            Err(error) => tracing::debug!(%error, "the database is away"),
        }
    }
}
