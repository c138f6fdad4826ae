//! Acknowledged keys survive the sudden death of the process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use chappe_backend::{Backend, Inserted};
use chappe_crypto::AuthKeyId;
use tempfile::TempDir;

use crate::files::{NOW, permanent};

/// Rule: KEY-22: a key whose insert was acknowledged is there after kill -9.
///
/// The test runs itself as a child that inserts keys from several tasks and prints the id of each
/// acknowledged one, kills it in the middle, and looks for them all.
#[test]
fn acknowledged_keys_survive_kill_9() {
    if let Some(path) = std::env::var_os(CHILD_PATH) {
        insert_for_ever(Path::new(&path));
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("db");
    for round in 0..3 {
        let acknowledged = run_and_kill(&path, 200 + 150 * round);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let backend = Backend::embedded(&path).await.expect("the store opens after a crash");
            for id in &acknowledged {
                let key = backend.store().key(AuthKeyId(*id), NOW).await.expect("the key is read");
                let key = key.unwrap_or_else(|| panic!("key {id} was acknowledged"));
                assert!(key.key.stored() == permanent(*id).key.stored());
            }
            backend.store().close().await;
        });
    }
}

/// Kills the child once it has acknowledged `enough` keys; gives all it has.
fn run_and_kill(path: &Path, enough: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().expect("the test's own path"))
        .args(["durability::acknowledged_keys_survive_kill_9", "--exact", "--nocapture"])
        .env(CHILD_PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        // The harness of the child prints lines of its own, and the last may be cut off.
        let Ok(line) = line else { break };
        let Some(id) = line.strip_prefix("acknowledged ").and_then(|line| line.strip_suffix('.'))
        else {
            continue;
        };
        acknowledged.push(id.parse().expect("an id"));
        if acknowledged.len() == enough {
            child.kill().expect("the child is killed");
        }
    }
    let status = child.wait().expect("the child is dead");
    assert!(!status.success(), "it was killed: {status}");
    assert!(acknowledged.len() >= enough);
    acknowledged
}

fn insert_for_ever(path: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let backend = Backend::embedded(path).await.expect("the store opens");
        let tasks: Vec<_> = (0..8u64)
            .map(|task| {
                let store = Arc::clone(backend.store());
                tokio::spawn(async move {
                    // Ids of earlier rounds collide and are passed over.
                    for id in (1u64..).map(|n| n * 8 + task) {
                        match store.insert_key(permanent(id), NOW).await {
                            Ok(Inserted::Stored) => {
                                let line = format!("acknowledged {id}.\n");
                                std::io::stdout().write_all(line.as_bytes()).expect("a reader");
                            }
                            Ok(Inserted::Collision) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it inserts until it is killed");
        }
    });
}

const CHILD_PATH: &str = "CHAPPE_TEST_INSERT_UNTIL_KILLED";
