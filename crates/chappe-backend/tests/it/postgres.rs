//! The PostgreSQL engine: the suite, what goes wrong with a database, and what its owner reads then.

use std::sync::Arc;
use std::time::Duration;

use chappe_backend::scratch::Scratch;
use chappe_backend::sql::{Transaction, sql};
use chappe_backend::{
    Backend, Database, Inserted, Migrations, PostgresConfig, SqlStore, Store, StoreError,
    conformance,
};
use chappe_crypto::AuthKeyId;
use zeroize::Zeroizing;

use crate::files::{NOW, auth_key, permanent, temporary};

/// KEY-21, SVC-37, SVC-48, SES-20, PFS-03, PFS-11, PFS-12, PFS-13, PFS-14, SEC-18, SEC-40, SEC-41.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_suite() {
    conformance::all(async || {
        let backend = Backend::postgres(fresh().await).await.expect("the store opens");
        Arc::clone(backend.store())
    })
    .await;
}

/// Rule: SEC-47, PFS-03: as [`crate::memory::unbound_keys_make_room_for_newer_ones`].
#[tokio::test]
async fn unbound_keys_make_room_for_newer_ones() {
    let mut config = fresh().await;
    config.unbound_keys_max = 3;
    let store = SqlStore::postgres(config).await.expect("it opens");
    crate::memory::unbound_keys_are_bounded(&store).await;
}

/// Rule: CRY-05, SEC-19, PFS-03: neither the end of a key nor anything of a temporary one is kept;
/// KEY-22, SES-20: the rest is there for whoever opens the store next.
#[tokio::test]
async fn what_is_kept_outlives_the_process_and_nothing_else() {
    let config = fresh().await;
    let store = SqlStore::postgres(config.clone()).await.expect("it opens");
    let secret = store.server_secret(Zeroizing::new([7; 32])).await.expect("a secret");
    assert_eq!(store.insert_key(permanent(1), NOW).await, Ok(Inserted::Stored));
    assert_eq!(store.insert_key(temporary(2, NOW + 9), NOW).await, Ok(Inserted::Stored));
    let database = database(&store);
    let keys = sql("SELECT id, key FROM auth_key");
    let mut rows = database.rows(keys).await.expect("the table is read");
    assert_eq!(rows.len(), 1);
    let (id, key): (i64, Vec<u8>) =
        (rows[0].read().expect("an id"), rows[0].read().expect("a key"));
    assert_eq!((id, &key[..]), (1, &auth_key(1)[..192]));
    store.close().await;

    let store = SqlStore::postgres(config).await.expect("it opens");
    assert_eq!(store.server_secret(Zeroizing::new([8; 32])).await, Ok(secret));
    assert_eq!(store.insert_key(permanent(1), NOW).await, Ok(Inserted::Collision));
    assert_eq!(store.key(AuthKeyId(2), NOW).await, Ok(None));
}

/// Rule: processes that start at once make the tables once.
#[tokio::test]
async fn tables_are_made_once_by_however_many() {
    const STEPS: Migrations = Migrations {
        component: "weather",
        steps: &[
            "CREATE TABLE city (name TEXT); SELECT pg_sleep(0.1)",
            "INSERT INTO city VALUES ('Paris'); INSERT INTO city VALUES ('Lille')",
        ],
    };
    let config = fresh().await;
    let openings: Vec<_> = (0..6)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move {
                let store = SqlStore::postgres(config).await.expect("it opens");
                database(&store).migrate(&STEPS).await.expect("the steps are taken");
                store.close().await;
            })
        })
        .collect();
    for opening in openings {
        opening.await.expect("it opens");
    }
    let store = SqlStore::postgres(config).await.expect("it opens");
    let cities = database(&store).rows(sql("SELECT name FROM city")).await.expect("a table");
    assert_eq!(cities.len(), 2);
    let older = Migrations { component: "weather", steps: &STEPS.steps[..1] };
    let error = database(&store).migrate(&older).await.expect_err("a newer release was here");
    assert!(error.to_string().contains("newer release"), "{error}");
}

/// Rule: values come back as they went, whatever the integer, and what a text cannot hold is
///       replaced; both engines do the same.
#[tokio::test]
async fn values_come_back_alike_from_both_engines() {
    const TABLE: Migrations = Migrations {
        component: "values",
        steps: &["CREATE TABLE value (n BIGINT, t TEXT, b BYTEA)"],
    };
    let folder = tempfile::tempdir().expect("a folder");
    for backend in [
        Backend::embedded(folder.path().join("db")).await.expect("it opens"),
        Backend::postgres(fresh().await).await.expect("it opens"),
    ] {
        let database = backend.database().expect("a database");
        database.migrate(&TABLE).await.expect("the table is made");
        let mut transaction = database.begin().await.expect("a transaction");
        let insert = sql("INSERT INTO value (n, t, b) VALUES ($1, $2, $3)");
        let insert = insert.bind(i64::MIN).bind("a\0b ü").bind(&[0u8, 255][..]);
        assert_eq!(transaction.run(insert).await, Ok(1));
        let nothing = sql("INSERT INTO value (n, t, b) VALUES ($1, $2, $3)");
        let nothing = nothing.bind(None::<i64>).bind(None::<&str>).bind(None::<Vec<u8>>);
        assert_eq!(transaction.run(nothing).await, Ok(1));
        transaction.commit().await.expect("the commit");

        let query = sql("SELECT n, t, b, 1, (SELECT count(*) FROM value), n IS NULL FROM value
             WHERE t = $1 AND n < $2 LIMIT $3");
        let row = database.row(query.bind("a\0b ü").bind(0).bind(1)).await.expect("an answer");
        let mut row = row.expect("a row");
        assert_eq!(row.read(), Ok(i64::MIN));
        assert_eq!(row.read(), Ok("a\u{fffd}b ü".to_owned()));
        assert_eq!(row.read(), Ok(vec![0u8, 255]));
        assert_eq!((row.read(), row.read()), (Ok(true), Ok(2i32)));
        assert_eq!(row.read(), Ok(0i64));
        assert!(row.read::<i64>().is_err(), "there is no other");
        let row = database.row(sql("SELECT n, t, b, n FROM value WHERE n IS NULL")).await;
        let mut row = row.expect("an answer").expect("a row");
        assert_eq!((row.read(), row.read()), (Ok(None::<i64>), Ok(None::<String>)));
        assert_eq!(row.read(), Ok(None::<Vec<u8>>));
        assert!(row.read::<i64>().is_err(), "nothing is no number");
        let too_large = database.row(sql("SELECT n FROM value WHERE n < 0")).await;
        assert!(too_large.expect("an answer").expect("a row").read::<i32>().is_err());
    }
}

/// Rule: of two transactions that could not both have run alone, one is undone, and says so; begun
///       anew it goes through.
#[tokio::test]
async fn transactions_run_as_if_alone() {
    let store = counters().await;
    let database = database(&store);
    // Each sees the sum and writes it down: alone, the second would see what the first wrote.
    let mut first = database.begin().await.expect("one");
    let mut second = database.begin().await.expect("another");
    let sums = [sum(&mut first).await, sum(&mut second).await];
    assert_eq!(sums, [Ok(0), Ok(0)]);
    let outcomes = [
        match put(&mut first, 5).await {
            Ok(()) => first.commit().await,
            error => error,
        },
        match put(&mut second, 7).await {
            Ok(()) => second.commit().await,
            error => error,
        },
    ];
    assert_eq!(outcomes[0], Ok(()));
    assert!(matches!(outcomes[1], Err(StoreError::Undone { .. })), "{outcomes:?}");
    let mut again = database.begin().await.expect("once more");
    assert_eq!(sum(&mut again).await, Ok(5));
    put(&mut again, 7).await.expect("nobody is in between");
    again.commit().await.expect("the commit");
}

/// Rule: two transactions that wait for each other do not for ever: one is undone.
#[tokio::test]
async fn a_deadlock_undoes_one() {
    let store = counters().await;
    let database = database(&store);
    let bump = |name| sql("UPDATE counter SET n = n + 1 WHERE name = $1").bind(name);
    let mut first = database.begin().await.expect("one");
    let mut second = database.begin().await.expect("another");
    first.run(bump("a")).await.expect("a row");
    second.run(bump("b")).await.expect("a row");
    let (one, other) = tokio::join!(first.run(bump("b")), async {
        let outcome = second.run(bump("a")).await;
        drop(second);
        outcome
    });
    let undone = |outcome: &Result<u64, _>| matches!(outcome, Err(StoreError::Undone { .. }));
    assert!(undone(&one) || undone(&other), "{one:?} {other:?}");
}

/// Rule: after a failed statement nothing of a transaction is kept, whatever its owner says.
#[tokio::test]
async fn a_failed_transaction_is_not_committed() {
    let store = counters().await;
    let mut transaction = database(&store).begin().await.expect("one");
    put(&mut transaction, 5).await.expect("a row");
    transaction
        .run(sql("INSERT INTO nowhere VALUES (1)"))
        .await
        .expect_err("there is no such table");
    let outcome = transaction.commit().await;
    assert!(matches!(outcome, Err(StoreError::Undone { .. })), "{outcome:?}");
    let mut look = database(&store).begin().await.expect("another");
    assert_eq!(sum(&mut look).await, Ok(0));
}

/// Rule: KEY-22: what was acknowledged is there after every process of the database was killed, and
///       those who come while it is away wait for it; a transaction that was cut off is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_killed_is_found_again() {
    let mut server = Scratch::start(&[]);
    let config = config(&server.url());
    let store = Arc::new(SqlStore::postgres(config).await.expect("it opens"));
    let mut cut_off = database(&store).begin().await.expect("a transaction");
    cut_off.run(sql("DELETE FROM auth_key")).await.expect("nothing yet");
    for round in 0..3 {
        assert_eq!(store.insert_key(permanent(100 + round), NOW).await, Ok(Inserted::Stored));
        server.kill();
        let waiting = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.key(AuthKeyId(100 + round), NOW).await }
        });
        let writing = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.insert_key(permanent(200 + round), NOW).await }
        });
        tokio::task::block_in_place(|| server.resume());
        let found = waiting.await.expect("it ends").expect("the key is read");
        assert!(found.is_some(), "it was acknowledged");
        assert_eq!(writing.await.expect("it ends"), Ok(Inserted::Stored));
    }
    let outcome = cut_off.run(sql("DELETE FROM connection")).await;
    assert!(matches!(outcome, Err(StoreError::Undone { .. })), "{outcome:?}");
    for id in [100, 101, 102, 200, 201, 202] {
        assert!(store.key(AuthKeyId(id), NOW).await.expect("an answer").is_some(), "{id}");
    }
}

/// Rule: who cannot have a connection in time is told so, and what to do.
#[tokio::test]
async fn an_absent_database_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(&format!("postgres://me:secret@x/db?host={}", folder.path().display()));
    config.wait_max = Duration::from_millis(50);
    let Err(error) = SqlStore::postgres(config).await else { panic!("nobody listens") };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("database db at") && !said.contains("secret"), "{said}");

    let url = Scratch::shared().url().replace("/postgres?", "/absent?");
    let Err(error) = SqlStore::postgres(self::config(&url)).await else { panic!("there is none") };
    assert!(error.to_string().contains("make the database"), "{error}");
}

/// Rule: an address that cannot be meant is refused, and nothing of it is repeated.
#[test]
fn addresses_are_checked_and_never_shown() {
    let config = config("postgres://me:s3cret@db.example.org:5433/chappe?sslmode=verify-full");
    let shown = format!("{config:?}");
    assert!(shown.contains("database chappe at db.example.org:5433"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let config = self::config("postgres://h/d?connections-max=3&wait-max=4&statement-max=5&port=7");
    let seconds = Duration::from_secs;
    assert_eq!((config.connections_max, config.wait_max), (3, seconds(4)));
    assert_eq!(config.statement_max, seconds(5));
    for wrong in [
        "postgres://me:s3cret@host/db?connections-max=0",
        "postgres://me:s3cret@host/db?wait-max=s3cret",
        "mysql://me:s3cret@host/db",
        "postgres://me:s3cret@host/db?passwrod=s3cret",
        "postgres://me:s3cret@host:port/db",
        "postgres://me:s3cret@host/db?sslmode=perhaps",
        "postgres://me:s3cret@[host/db",
    ] {
        let Err(error) = PostgresConfig::from_url(wrong) else { panic!("{wrong}") };
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

/// Rule: one server serves from a schema of a database; another hears so, until that one is gone.
#[tokio::test]
async fn one_server_holds_a_database() {
    let config = fresh().await;
    let store = SqlStore::postgres(config.clone()).await.unwrap();
    let held = database(&store).hold().await.unwrap();
    let other = SqlStore::postgres(config).await.unwrap();
    let error = database(&other).hold().await.unwrap_err();
    assert!(error.to_string().contains("another server process works with it"), "{error}");
    let elsewhere = SqlStore::postgres(fresh().await).await.unwrap();
    let _elsewhere = database(&elsewhere).hold().await.unwrap();
    drop(held);
    let _held = database(&other).hold().await.unwrap();
}

async fn fresh() -> PostgresConfig {
    config(&Scratch::shared().schema().await)
}

fn config(url: &str) -> PostgresConfig {
    PostgresConfig::from_url(url).expect("an address")
}

fn database(store: &SqlStore) -> &Database {
    store.database()
}

/// A store with a table of counters beside its own.
async fn counters() -> SqlStore {
    const TABLE: Migrations = Migrations {
        component: "counters",
        steps: &["CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL);
            INSERT INTO counter VALUES ('a', 0), ('b', 0)"],
    };
    let store = SqlStore::postgres(fresh().await).await.expect("it opens");
    database(&store).migrate(&TABLE).await.expect("the table is made");
    store
}

async fn sum(transaction: &mut Transaction<'_>) -> Result<i64, StoreError> {
    let mut rows = transaction.rows(sql("SELECT n FROM counter")).await?;
    rows.iter_mut().map(|row| row.read::<i64>()).sum()
}

/// Writes a number down under a name that is its own.
async fn put(transaction: &mut Transaction<'_>, n: i64) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO counter (name, n) VALUES ($1, $2)");
    transaction.run(insert.bind(n.to_string()).bind(n)).await.map(drop)
}
