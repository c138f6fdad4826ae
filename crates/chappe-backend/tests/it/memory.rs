//! The memory engine.

use std::sync::Arc;

use chappe_backend::{
    Backend, Bound, ConnectionInfo, Inserted, KeyBinding, MemoryStore, Store, StoreError,
    conformance,
};
use chappe_crypto::AuthKeyId;

use crate::files::{NOW, permanent, temporary};

/// KEY-21, SVC-37, SVC-48, SES-20, PFS-03, PFS-11, PFS-12, PFS-13, PFS-14, SEC-18, SEC-40, SEC-41.
#[tokio::test]
async fn passes_the_suite() {
    conformance::all(async || Arc::clone(Backend::memory().store())).await;
}

/// Rule: SEC-47, PFS-03: strangers make temporary keys and bind none: over the bound, the one that
/// has been unbound for longest is forgotten, and what is bound is not touched.
#[tokio::test]
async fn unbound_keys_make_room_for_newer_ones() {
    unbound_keys_are_bounded(&MemoryStore::default().unbound_keys_max(3)).await;
}

/// With a store that keeps three unbound keys.
pub(crate) async fn unbound_keys_are_bounded(store: &dyn Store) {
    let alive = async |id| store.key(AuthKeyId(id), NOW).await.expect("it is read").is_some();
    let bind = async |id| {
        let binding = KeyBinding { permanent: AuthKeyId(1), expires: NOW + 50 };
        assert_eq!(store.bind_key(AuthKeyId(id), binding, NOW).await, Ok(Bound::Done));
    };
    assert_eq!(store.insert_key(permanent(1), NOW).await, Ok(Inserted::Stored));
    for id in 2..=5 {
        let key = temporary(id, NOW + 100);
        assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Stored));
    }
    assert!(!alive(2).await, "the oldest made room");
    // A bound key takes none of it.
    bind(3).await;
    let key = temporary(6, NOW + 100);
    assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Stored));
    for id in 3..=6 {
        assert!(alive(id).await, "{id}");
    }
    // One that has lost its place is the newest of them; the oldest here is being bound.
    bind(4).await;
    for id in 3..=6 {
        assert!(alive(id).await, "{id}");
    }
    for id in 7..=8 {
        let key = temporary(id, NOW + 100);
        assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Stored));
    }
    for (id, expected) in [(3, true), (4, true), (5, false), (6, false), (7, true), (8, true)] {
        assert_eq!(alive(id).await, expected, "{id}");
    }
    // A collision costs nobody anything.
    let key = temporary(8, NOW + 100);
    assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Collision));
    assert!(alive(3).await);
    assert_eq!(store.delete_key(AuthKeyId(1)).await, Ok(true));
    assert!(!alive(3).await, "an unbound key too many");
    assert!(alive(4).await && alive(7).await && alive(8).await);
}

/// Rule: what strangers can make us hold is bounded, and a flood takes nothing from those who
/// came before it.
#[tokio::test]
async fn keys_over_the_bound_are_refused_until_others_go() {
    let store = MemoryStore::new(4 * 640 + 100);
    for id in 1..=3 {
        let key = temporary(id, NOW + id);
        assert_eq!(store.insert_key(key, NOW).await, Ok(Inserted::Stored));
    }
    assert_eq!(store.insert_key(permanent(4), NOW).await, Ok(Inserted::Stored));
    let full = StoreError::Full { bytes_max: 4 * 640 + 100 };
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
