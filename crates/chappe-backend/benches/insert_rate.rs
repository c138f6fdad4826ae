//! Durable inserts per second into the SQLite engine, by the number of those who wait at once.
//!
//! `cargo bench -p chappe-backend`. The figure belongs to the disk as much as to the program:
//! the temporary directory has to be on the disk that is meant.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chappe_backend::{Backend, Inserted, StoredKey};
use chappe_crypto::{AuthKey, AuthKeyId};

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for tasks in [1, 4, 16, 64, 256] {
        let rate = runtime.block_on(insert_rate(tasks));
        println!("{tasks:>4} waiting at once: {rate:>8.0} inserts/s");
    }
}

async fn insert_rate(tasks: u64) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = Backend::embedded(folder.path().join("db")).await.expect("the store opens");
    let next = Arc::new(AtomicU64::new(1));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (store, next) = (Arc::clone(backend.store()), Arc::clone(&next));
            tokio::spawn(async move {
                while begin.elapsed() < DURATION {
                    // Ids of real keys are spread like these.
                    let id = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(SPREAD);
                    let key = StoredKey {
                        key: AuthKey::from_stored(AuthKeyId(id), [0; 8], &[0x5a; 192]),
                        created: 0,
                        first_salt: 0,
                        expires: None,
                        dc: 2,
                    };
                    let outcome = store.insert_key(key, 0).await.expect("the key is written");
                    assert_eq!(outcome, Inserted::Stored);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no insert fails");
    }
    let rate = (next.load(Ordering::Relaxed) - 1) as f64 / begin.elapsed().as_secs_f64();
    backend.store().close().await;
    rate
}

const DURATION: Duration = Duration::from_secs(2);
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
