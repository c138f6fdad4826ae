//! The SQLite engine: the suite, and what its files hold.

use std::sync::Arc;

use bytes::Bytes;
use chappe_backend::sql::{Transaction, sql};
use chappe_backend::{
    Backend, Bound, ConnectionInfo, Database, Inserted, KeyBinding, Migrations, SqlStore,
    SqliteConfig, Store, StoreError, StoredKey, conformance,
};
use chappe_crypto::{AuthKey, AuthKeyId};
use futures_util::FutureExt;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::files::{NOW, auth_key, file, on_disk, permanent, temporary};

/// KEY-21, SVC-37, SVC-48, SES-20, PFS-03, PFS-11, PFS-12, PFS-13, PFS-14, SEC-18, SEC-40, SEC-41.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_suite() {
    let folders = std::sync::Mutex::new(Vec::new());
    conformance::all(async || {
        let folder = TempDir::new().expect("a folder");
        let store = Backend::embedded(folder.path().join("db")).await.expect("the store opens");
        folders.lock().expect("no check panicked").push(folder);
        Arc::clone(store.store())
    })
    .await;
}

/// Rule: CRY-05, SEC-19: the 512 low-order bits of a key reach no file.
#[tokio::test]
async fn the_end_of_a_key_is_never_on_disk() {
    let (folder, store) = open().await;
    let bytes = auth_key(1);
    let key = StoredKey { key: AuthKey::new(bytes), ..permanent(1) };
    assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Stored));
    for closed in [false, true] {
        assert!(on_disk(folder.path(), &bytes[..192]), "the key is kept; closed: {closed}");
        assert!(!on_disk(folder.path(), &bytes[192..]), "its end is not; closed: {closed}");
        store.close().await;
    }
}

/// Rule: SEC-47, PFS-03: as [`crate::memory::unbound_keys_make_room_for_newer_ones`].
#[tokio::test]
async fn unbound_keys_make_room_for_newer_ones() {
    let folder = TempDir::new().expect("a folder");
    let mut config = SqliteConfig::default();
    config.unbound_keys_max = 3;
    let store = SqlStore::sqlite(folder.path().join("db"), config).await.expect("it opens");
    crate::memory::unbound_keys_are_bounded(&store).await;
}

/// Rule: PFS-02, PFS-03: temporary keys, what they are bound to and what is saved with them stay
/// in memory, whatever is done with them.
#[tokio::test]
async fn a_temporary_key_is_never_on_disk() {
    let (folder, store) = open().await;
    let said = Bytes::from_static(b"a client under a temporary key");
    let key = StoredKey { key: AuthKey::new(auth_key(1)), ..temporary(1, NOW + 100) };
    let id = key.key.id();
    assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Stored));
    let info = ConnectionInfo { layer: 230, data: said.clone() };
    // Something that is written, between and beside them.
    assert_eq!(store.insert_key(permanent(2), NOW).await, Ok(Inserted::Stored));
    let binding = KeyBinding { permanent: AuthKeyId(2), expires: NOW + 50 };
    assert_eq!(store.bind_key(id, binding, NOW).await, Ok(Bound::Done));
    assert_eq!(store.save_connection(id, info).await, Ok(true));
    let of_two = ConnectionInfo { layer: 230, data: Bytes::from_static(b"of the permanent key") };
    assert_eq!(store.save_connection(AuthKeyId(2), of_two).await, Ok(true));
    for closed in [false, true] {
        assert!(on_disk(folder.path(), &auth_key(2)[..192]));
        assert!(!on_disk(folder.path(), &auth_key(1)), "closed: {closed}");
        assert!(!on_disk(folder.path(), &said[..24]), "closed: {closed}");
        for order in [u64::to_le_bytes, u64::to_be_bytes] {
            assert!(!on_disk(folder.path(), &order(id.0)), "closed: {closed}");
        }
        store.close().await;
    }
    let store = reopen(&folder).await;
    assert!(store.key(id, NOW).await.expect("the store is asked").is_none(), "it died with us");
    assert_eq!(store.binding(id, NOW).await, Ok(None));
    assert_eq!(store.bound_keys(AuthKeyId(2), NOW).await, Ok(Vec::new()));
}

/// Rule: SVC-37: a destroyed key can not be found in the file afterwards.
#[tokio::test]
async fn a_destroyed_key_is_wiped_from_disk() {
    let (folder, store) = open().await;
    for id in 1..=3 {
        assert_eq!(store.insert_key(permanent(id), NOW).await, Ok(Inserted::Stored));
    }
    store.close().await;
    assert!(on_disk(folder.path(), &auth_key(2)[..192]));
    let store = reopen(&folder).await;
    assert_eq!(store.delete_key(AuthKeyId(2)).await, Ok(true));
    store.close().await;
    assert!(!on_disk(folder.path(), &auth_key(2)[..192]));
    assert!(on_disk(folder.path(), &auth_key(3)[..192]));
}

/// Rule: KEY-22, SVC-48, SES-20: keys, what is saved with them, and the secret outlive the process.
#[tokio::test]
async fn everything_durable_is_there_after_a_restart() {
    let (folder, store) = open().await;
    let info = ConnectionInfo { layer: 230, data: Bytes::from_static(b"a client") };
    let secret = store.server_secret(Zeroizing::new([7; 32])).await.expect("a secret");
    assert_eq!(store.insert_key(permanent(1), NOW).await, Ok(Inserted::Stored));
    assert_eq!(store.save_connection(AuthKeyId(1), info.clone()).await, Ok(true));
    store.close().await;

    let store = reopen(&folder).await;
    let key =
        store.key(AuthKeyId(1), NOW).await.expect("the key is read").expect("the key is there");
    assert_eq!(key.key.stored(), permanent(1).key.stored());
    assert_eq!(store.connection(AuthKeyId(1)).await, Ok(Some(info)));
    assert_eq!(store.server_secret(Zeroizing::new([8; 32])).await, Ok(secret));
    assert_eq!(store.insert_key(permanent(1), NOW).await, Ok(Inserted::Collision));
    assert_eq!(store.insert_key(temporary(1, NOW + 9), NOW).await, Ok(Inserted::Collision));
}

/// Rule: the memory for temporary keys is bounded, and permanent keys need none of it.
#[tokio::test]
async fn temporary_keys_over_the_bound_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let mut config = SqliteConfig::default();
    config.temporary_bytes_max = 640;
    let store = SqlStore::sqlite(folder.path().join("db"), config).await.expect("it opens");
    assert_eq!(store.insert_key(temporary(1, NOW + 5), NOW).await, Ok(Inserted::Stored));
    let full = Err(StoreError::Full { bytes_max: 640 });
    assert_eq!(store.insert_key(temporary(2, NOW + 9), NOW).await, full);
    assert_eq!(store.insert_key(permanent(3), NOW).await, Ok(Inserted::Stored));
    // The refused id was claimed for a moment only.
    assert_eq!(store.insert_key(temporary(2, NOW + 9), NOW + 5).await, Ok(Inserted::Stored));
}

/// Rule: nobody but the owner reads the files.
#[cfg(unix)]
#[tokio::test]
async fn the_files_are_open_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, store) = open().await;
    assert_eq!(store.insert_key(permanent(1), NOW).await, Ok(Inserted::Stored));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path()).expect("the folder is listed") {
        let entry = entry.expect("the entry is read");
        let mode = entry.metadata().expect("its mode is read").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name());
    }
    names.sort();
    assert_eq!(names, ["db", "db-shm", "db-wal"]);
}

/// Rule: KEY-22: an acknowledged commit is on the disk, not only with the operating system; and
/// what is deleted is overwritten.
#[tokio::test]
async fn the_connection_is_set_to_wait_for_the_disk() {
    let (_folder, store) = open().await;
    let mut connection = file(&store).writer().acquire().await.expect("a connection");
    for (pragma, expected) in
        [("PRAGMA synchronous", 2), ("PRAGMA secure_delete", 1), ("PRAGMA foreign_keys", 1)]
    {
        let value: i64 = chappe_backend::sqlx::query_scalar(pragma)
            .fetch_one(&mut *connection)
            .await
            .expect("the setting is read");
        assert_eq!(value, expected, "{pragma}");
    }
    let journal: String = chappe_backend::sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await
        .expect("the setting is read");
    assert_eq!(journal, "wal");
}

/// Rule: a service keeps tables of its own in the same file, and its steps are taken once.
#[tokio::test]
async fn a_service_brings_its_own_tables() {
    const FIRST: Migrations =
        Migrations { component: "weather", steps: &["CREATE TABLE city (name TEXT) STRICT"] };
    const SECOND: Migrations = Migrations {
        component: "weather",
        steps: &[
            FIRST.steps[0],
            "INSERT INTO city VALUES ('Paris'); INSERT INTO city VALUES ('Lille')",
        ],
    };
    let folder = TempDir::new().expect("a folder");
    for migrations in [FIRST, SECOND, SECOND] {
        let backend = Backend::embedded(folder.path().join("db")).await.expect("it opens");
        let Some(Database::Sqlite(database)) = backend.database() else { panic!("a database") };
        backend
            .database()
            .expect("a database")
            .migrate(&migrations)
            .await
            .expect("the steps are taken");
        let cities: i64 = chappe_backend::sqlx::query_scalar("SELECT count(*) FROM city")
            .fetch_one(database.reader())
            .await
            .expect("the table is there");
        assert_eq!(cities, if migrations.steps.len() == 1 { 0 } else { 2 });
        backend.store().close().await;
    }
}

/// Rule:   who waits for the writer comes into the commit of the one before: that one returns when
///         the disk has both.
/// Source: docs/decisions/0021.
#[tokio::test]
async fn those_who_wait_share_a_commit() {
    let (_folder, store) = numbers().await;
    let database = store.database();
    let first = put(database, 1).await.expect("it is put");
    let guest = tokio::spawn({
        let store = Arc::clone(&store);
        async move { put(store.database(), 2).await.expect("it is put").commit().await }
    });
    // It waits for the first.
    tokio::task::yield_now().await;
    let mut committed = Box::pin(first.commit());
    assert!(!guest.is_finished() && (&mut committed).now_or_never().is_none());
    assert_eq!((committed.await, guest.await.expect("it ends")), (Ok(()), Ok(())));
    assert_eq!(kept(database).await, [1, 2]);
}

/// Rule:   what shares a commit shares nothing else: who fails, or gives up, undoes its own alone,
///         also as the first.
/// Source: docs/decisions/0021.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_a_commit_falls_alone() {
    let (_folder, store) = numbers().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..90 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut transaction = put(store.database(), number).await.expect("it is put");
            match number % 3 {
                0 => drop(transaction),
                1 => {
                    let again = sql("INSERT INTO number (n) VALUES ($1)").bind(number);
                    transaction.run(again).await.expect_err("it is there");
                    transaction.commit().await.expect_err("it has failed");
                }
                _ => transaction.commit().await.expect("it is kept"),
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no task panics");
    }
    let expected: Vec<i64> = (0..90).filter(|number| number % 3 == 2).collect();
    assert_eq!(kept(store.database()).await, expected);
}

/// Rule:   a commit whose caller has left is made all the same, and nobody after it waits for ever.
/// Source: docs/decisions/0021.
#[tokio::test]
async fn commit_whose_caller_left_is_made() {
    let (_folder, store) = numbers().await;
    let first = put(store.database(), 1).await.expect("it is put");
    assert!(Box::pin(first.commit()).now_or_never().is_none());
    put(store.database(), 2).await.expect("it is put").commit().await.expect("it is kept");
    assert_eq!(kept(store.database()).await, [1, 2]);
}

/// A store with a table of numbers, each of which is there once.
async fn numbers() -> (TempDir, Arc<SqlStore>) {
    const TABLE: Migrations = Migrations {
        component: "numbers",
        steps: &["CREATE TABLE number (n INTEGER PRIMARY KEY) STRICT"],
    };
    let (folder, store) = open().await;
    store.database().migrate(&TABLE).await.expect("the table is made");
    (folder, Arc::new(store))
}

async fn put(database: &Database, number: i64) -> Result<Transaction<'_>, StoreError> {
    let mut transaction = database.begin().await?;
    transaction.run(sql("INSERT INTO number (n) VALUES ($1)").bind(number)).await?;
    Ok(transaction)
}

async fn kept(database: &Database) -> Vec<i64> {
    let rows = database.rows(sql("SELECT n FROM number ORDER BY n")).await.expect("they are read");
    rows.into_iter().map(|mut row| row.read().expect("a number")).collect()
}

async fn open() -> (TempDir, SqlStore) {
    let folder = TempDir::new().expect("a folder");
    let store = reopen(&folder).await;
    (folder, store)
}

async fn reopen(folder: &TempDir) -> SqlStore {
    SqlStore::sqlite(folder.path().join("db"), SqliteConfig::default())
        .await
        .expect("the store opens")
}

/// Rule: one server serves from a file; another hears so, until that one is gone. Whoever only works
///       beside it needs no leave.
#[tokio::test]
async fn one_server_holds_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chappe.db");
    let store = SqlStore::sqlite(&path, SqliteConfig::default()).await.unwrap();
    let held = store.database().hold().await.unwrap();
    let other = SqlStore::sqlite(&path, SqliteConfig::default()).await.unwrap();
    let error = other.database().hold().await.unwrap_err();
    assert!(error.to_string().contains("another server process works with it"), "{error}");
    drop(held);
    let _held = other.database().hold().await.unwrap();
}
