//! The engine that the tests run on: SQLite, and in a second run of them all PostgreSQL.

use std::process::Command;

use chappe_backend::scratch::Scratch;
use chappe_backend::{Backend, PostgresConfig};
use tempfile::TempDir;

/// Set where the tests are to run on PostgreSQL.
const ON_POSTGRES: &str = "CHAPPE_TEST_ON_POSTGRES";

/// A database of a test's own. PostgreSQL is asked by so many connections, SQLite as it is.
pub(crate) async fn backend(connections: Option<u32>) -> (Backend, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let backend = if std::env::var_os(ON_POSTGRES).is_some() {
        let mut config = PostgresConfig::from_url(&Scratch::shared().schema().await).unwrap();
        config.connections_max = connections.unwrap_or(config.connections_max);
        Backend::postgres(config).await
    } else {
        Backend::embedded(folder.path().join("chappe.db")).await
    };
    (backend.unwrap(), folder)
}

/// Rule: whatever holds on SQLite holds on PostgreSQL, for the SQL is the same.
///
/// `CHAPPE_TEST_ON_POSTGRES=1 cargo test` runs chosen tests so.
#[test]
fn all_tests_hold_on_postgresql() {
    if std::env::var_os(ON_POSTGRES).is_some() {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.env(ON_POSTGRES, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // Otherwise it would have shown nothing.
    assert!(said.contains("messages::"), "{said}");
}
