//! What the one who runs the server reads when the file is not what it should be.

use std::path::Path;

use chappe_backend::{Backend, Inserted, SqlStore, SqliteConfig, Store, StoreError};
use chappe_crypto::AuthKeyId;
use tempfile::TempDir;

use crate::files::{NOW, file, permanent};

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("db");
    let text = "# settings of something else\n".repeat(100);
    std::fs::write(&path, &text).expect("the file is written");
    check_unusable(&path, "no SQLite database").await;
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text, "it is untouched");
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    // The beginning overwritten, the end lost, a page in the middle overwritten.
    for (damage, says) in [
        (Damage::Overwrite(0..100), "no SQLite database"),
        (Damage::Truncate(4096 + 2048), "damaged"),
        (Damage::Overwrite(4096..8192), "damaged"),
    ] {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("db");
        let backend = Backend::embedded(&path).await.expect("the store opens");
        for id in 1..=200 {
            let stored = backend.store().insert_key(permanent(id), NOW).await;
            assert_eq!(stored, Ok(Inserted::Stored));
        }
        backend.store().close().await;
        damage.apply(&path);
        check_unusable(&path, says).await;
    }
}

#[tokio::test]
async fn the_database_of_another_application_is_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("db");
    let options = chappe_backend::sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let other = chappe_backend::sqlx::SqlitePool::connect_with(options).await.expect("it opens");
    chappe_backend::sqlx::raw_sql("CREATE TABLE theirs (x)").execute(&other).await.expect("made");
    other.close().await;
    let before = std::fs::read(&path).expect("it is there");
    check_unusable(&path, "of another application").await;
    assert!(std::fs::read(&path).expect("it is there") == before, "it is untouched");
}

#[tokio::test]
async fn tables_of_a_newer_release_are_refused() {
    let (_folder, path, store) = open().await;
    chappe_backend::sqlx::query("UPDATE schema_version SET version = version + 1")
        .execute(file(&store).writer())
        .await
        .expect("the version is raised");
    store.close().await;
    check_unusable(&path, "newer release").await;
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_is_named() {
    let folder = TempDir::new().expect("a folder");
    check_unusable(&folder.path().join("absent/db"), "directory does not exist").await;
    check_unusable(folder.path(), "is a directory").await;
}

/// Rule: KEY-22: a key that cannot be written is not acknowledged; and with space again, keys are.
#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let (_folder, path, store) = open().await;
    // A limit that belongs to the connection, which is replaced after it failed.
    chappe_backend::sqlx::query("PRAGMA max_page_count = 12")
        .execute(file(&store).writer())
        .await
        .expect("the limit is set");
    let mut stored = 0;
    let error = loop {
        match store.insert_key(permanent(stored + 1), NOW).await {
            Ok(outcome) => assert_eq!(outcome, Inserted::Stored),
            Err(error) => break error,
        }
        stored += 1;
        assert!(stored < 1000, "the limit is felt");
    };
    let StoreError::Unavailable { place, problem, mend } = error else { panic!("{error:?}") };
    assert!(Path::new(&place).ends_with(path.file_name().expect("a name")), "{place}");
    assert!(problem.contains("no space") && mend.contains("free space"), "{problem}; {mend}");
    let refused = store.key(AuthKeyId(stored + 1), NOW).await.expect("the store is asked");
    assert!(refused.is_none(), "what was refused is not there");

    assert_eq!(store.insert_key(permanent(stored + 1), NOW).await, Ok(Inserted::Stored));
}

#[tokio::test]
async fn a_file_locked_by_another_process_is_named() {
    let (folder, path, store) = open().await;
    store.close().await;
    let mut config = SqliteConfig::default();
    config.busy_timeout = std::time::Duration::from_millis(50);
    let store = SqlStore::sqlite(&path, config).await.expect("the store opens");
    let other = SqlStore::sqlite(folder.path().join("db"), SqliteConfig::default())
        .await
        .expect("the other opens");
    let locked = file(&other).writer().begin_with("BEGIN IMMEDIATE").await.expect("a lock");
    let error = store.insert_key(permanent(1), NOW).await.expect_err("the file is locked");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("another process"), "{error}");
    locked.rollback().await.expect("the lock is given back");
    assert_eq!(store.insert_key(permanent(1), NOW).await, Ok(Inserted::Stored));
}

enum Damage {
    Overwrite(std::ops::Range<usize>),
    Truncate(usize),
}

impl Damage {
    fn apply(&self, path: &Path) {
        let mut bytes = std::fs::read(path).expect("the file is read");
        match self {
            Self::Overwrite(range) => bytes[range.clone()].fill(0x5a),
            Self::Truncate(len) => bytes.truncate(*len),
        }
        std::fs::write(path, bytes).expect("the file is written");
    }
}

/// Opening, or the first use, fails; the error names the file and says what is wrong.
async fn check_unusable(path: &Path, says: &str) {
    let error = match Backend::embedded(path).await {
        Err(error) => error,
        Ok(backend) => {
            let mut outcome = Ok(());
            for id in 1..=200 {
                outcome = outcome.and(backend.store().key(AuthKeyId(id), NOW).await.map(drop));
            }
            outcome.expect_err("the store notices")
        }
    };
    let StoreError::Unusable { place, problem, mend } = &error else { panic!("{error:?}") };
    assert!(Path::new(place).ends_with(path.file_name().expect("a name")), "{place}");
    assert!(problem.contains(says), "{error}");
    assert!(!mend.is_empty());
}

async fn open() -> (TempDir, std::path::PathBuf, SqlStore) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("db");
    let store = SqlStore::sqlite(&path, SqliteConfig::default()).await.expect("the store opens");
    (folder, path, store)
}
