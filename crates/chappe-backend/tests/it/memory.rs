//! The memory engine.

use std::sync::Arc;

use chappe_backend::{
    Backend, ConnectionInfo, Inserted, MemoryStore, Store, StoreError, conformance,
};
use chappe_crypto::AuthKeyId;

use crate::files::{NOW, permanent, temporary};

/// KEY-21, SVC-37, SVC-48, SES-20, PFS-03, SEC-18, SEC-41.
#[tokio::test]
async fn passes_the_suite() {
    conformance::all(async || Arc::clone(Backend::memory().store())).await;
}

/// Rule: what strangers can make us hold is bounded, and a flood takes nothing from those who
/// came before it.
#[tokio::test]
async fn keys_over_the_bound_are_refused_until_others_go() {
    let store = MemoryStore::new(4 * 512 + 100);
    for id in 1..=3 {
        let key = temporary(id, NOW + id);
        assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Stored));
    }
    assert_eq!(store.insert_key(permanent(4), NOW).await, Ok(Inserted::Stored));
    let full = StoreError::Full { bytes_max: 4 * 512 + 100 };
    assert_eq!(store.insert_key(temporary(5, NOW + 9), NOW).await, Err(full.clone()));
    assert_eq!(store.insert_key(permanent(6), NOW).await, Err(full.clone()));
    for id in 1..=4 {
        assert!(store.key(AuthKeyId(id), NOW).await.expect("the key is read").is_some());
    }

    let info = |len| ConnectionInfo { layer: 1, data: vec![0; len].into() };
    assert_eq!(store.save_connection(AuthKeyId(4), info(101)).await, Err(full.clone()));
    assert_eq!(store.save_connection(AuthKeyId(4), info(100)).await, Ok(true));
    assert_eq!(store.save_connection(AuthKeyId(3), info(1)).await, Err(full.clone()));
    assert_eq!(store.save_connection(AuthKeyId(4), info(99)).await, Ok(true));
    assert_eq!(store.save_connection(AuthKeyId(3), info(1)).await, Ok(true));

    // One expires, another is deleted: room for two.
    assert_eq!(store.insert_key(temporary(5, NOW + 9), NOW + 1).await, Ok(Inserted::Stored));
    assert_eq!(store.delete_key(AuthKeyId(4)).await, Ok(true));
    assert_eq!(store.insert_key(permanent(6), NOW + 1).await, Ok(Inserted::Stored));
    assert_eq!(store.insert_key(permanent(7), NOW + 1).await, Err(full));
}
