//! One suite that every engine passes, ours or yours.
//!
//! ```no_run
//! # async fn open_my_store() -> std::sync::Arc<dyn chappe_backend::Store> { unimplemented!() }
//! # async fn example() {
//! chappe_backend::conformance::all(open_my_store).await;
//! # }
//! ```
//!
//! Each check gets a store of its own, without keys, and panics where a promise of
//! [`Store`] is broken. That nothing temporary and no whole key reaches a disk, that acknowledged
//! writes survive a crash, and how many unbound keys are kept, only the engine's own tests can show.

use std::sync::Arc;

use bytes::Bytes;
use chappe_crypto::{AuthKey, AuthKeyId};
use zeroize::Zeroizing;

use crate::{
    Bound, CONNECTION_DATA_MAX_BYTES, ConnectionInfo, Inserted, KeyBinding, Store, StoreError,
    StoredKey,
};

/// Runs every check, each on a store made by `open`. Needs a Tokio runtime only if the engine
/// does.
pub async fn all(open: impl AsyncFn() -> Arc<dyn Store>) {
    macro_rules! check {
        ($($name:ident)*) => {$(
            // Shown by the test harness if the check fails.
            println!("check {}", stringify!($name));
            $name(open().await).await;
        )*};
    }
    check! {
        a_key_comes_back_without_its_end
        extreme_values_come_back
        an_unknown_key_is_none
        a_taken_id_is_never_overwritten
        id_zero_always_collides
        of_many_inserts_of_one_id_one_is_stored
        many_keys_are_stored_at_once
        a_temporary_key_dies_at_its_time
        keys_are_wiped_on_demand
        an_expired_id_is_free_again
        a_deleted_key_is_gone_with_what_was_saved
        a_temporary_key_is_bound
        only_what_is_there_is_bound
        a_new_binding_takes_the_place_of_the_one_before
        media_keys_have_a_place_of_their_own
        a_bound_key_is_bound_to_no_other
        a_binding_is_refreshed
        a_key_dies_with_its_binding
        a_deleted_permanent_key_unbinds
        a_deleted_temporary_key_frees_its_place
        what_was_said_before_a_binding_is_forgotten
        of_many_bindings_at_once_one_holds
        connection_data_is_saved_with_its_key
        connection_data_has_a_bound
        the_server_secret_is_made_once
        a_closed_store_refuses
    }
}

/// CRY-05: all but the end of the key, which is forgotten by either kind.
async fn a_key_comes_back_without_its_end(store: Arc<dyn Store>) {
    for expires in [None, Some(NOW + 1)] {
        let mut whole = [expires.is_some().into(); 256];
        for (position, byte) in (0u8..=255).zip(&mut whole) {
            *byte ^= position;
        }
        let mut key = StoredKey {
            key: AuthKey::new(whole),
            created: NOW - 7,
            first_salt: 0x1122_3344_5566_7788,
            expires,
            dc: 2,
        };
        insert(&store, &key, Inserted::Stored).await;
        key.key.forget_client_part();
        expect_key(&store, &key).await;
        let found = store.key(key.key.id(), NOW).await.expect("the key is read");
        let found = found.expect("the key is there").key;
        assert_eq!(found.stored()[..], whole[..192]);
        assert_eq!(found.full(), None);
        assert_eq!(found.aux_hash(), key.key.aux_hash());
    }
}

/// Ids and salts use all 64 bits; test and media data centres have other signs and sizes.
async fn extreme_values_come_back(store: Arc<dyn Store>) {
    for (id, first_salt, dc) in [
        (1, i64::MIN, i32::MIN),
        (u64::MAX, -1, -10_002),
        (1 << 63, 0, 0),
        ((1 << 63) - 1, i64::MAX, i32::MAX),
    ] {
        let key = StoredKey { first_salt, dc, ..permanent(id) };
        insert(&store, &key, Inserted::Stored).await;
        expect_key(&store, &key).await;
        let info = ConnectionInfo { layer: i32::MIN, data: Bytes::new() };
        assert_eq!(store.save_connection(AuthKeyId(id), info.clone()).await, Ok(true));
        assert_eq!(store.connection(AuthKeyId(id)).await, Ok(Some(info)));
    }
}

async fn an_unknown_key_is_none(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    expect_none(&store, 2, NOW).await;
    assert_eq!(store.connection(AuthKeyId(1)).await, Ok(None));
    assert_eq!(store.connection(AuthKeyId(2)).await, Ok(None));
}

/// KEY-21, SEC-18: over permanent and temporary keys alike.
async fn a_taken_id_is_never_overwritten(store: Arc<dyn Store>) {
    for (id, first) in [(1, permanent(1)), (2, temporary(2, NOW + 100))] {
        insert(&store, &first, Inserted::Stored).await;
        let other = AuthKey::from_stored(AuthKeyId(id), [4; 8], &[0xbb; 192]);
        for expires in [None, Some(NOW + 200)] {
            let second = StoredKey { key: other.clone(), dc: 9, expires, ..permanent(id) };
            insert(&store, &second, Inserted::Collision).await;
            expect_key(&store, &first).await;
        }
    }
}

/// KEY-21: the id 0 is the mark of unencrypted messages.
async fn id_zero_always_collides(store: Arc<dyn Store>) {
    insert(&store, &permanent(0), Inserted::Collision).await;
    insert(&store, &temporary(0, NOW + 100), Inserted::Collision).await;
    expect_none(&store, 0, NOW).await;
}

/// KEY-21: whoever is told `Stored` owns the id, however many try at once.
async fn of_many_inserts_of_one_id_one_is_stored(store: Arc<dyn Store>) {
    for id in 1..=20 {
        let contenders = (0..16).map(|n| {
            let expires = (n % 2 == 0).then_some(NOW + 100);
            StoredKey { dc: n, expires, ..permanent(id) }
        });
        let outcomes = join_all(contenders.map(|key| {
            let (store, dc) = (Arc::clone(&store), key.dc);
            async move { (dc, store.insert_key(key, NOW).await.expect("the insert is judged")) }
        }))
        .await;
        let stored: Vec<i32> = outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == Inserted::Stored)
            .map(|(dc, _)| *dc)
            .collect();
        let found = store
            .key(AuthKeyId(id), NOW)
            .await
            .expect("the key is read")
            .expect("the key is there");
        assert_eq!(stored, [found.dc], "one insert of id {id} is stored");
    }
}

async fn many_keys_are_stored_at_once(store: Arc<dyn Store>) {
    let outcomes = join_all((1..=1000).map(|id| {
        let store = Arc::clone(&store);
        async move { store.insert_key(permanent(id), NOW).await }
    }))
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Inserted::Stored)));
    for id in 1..=1000 {
        expect_key(&store, &permanent(id)).await;
    }
}

/// PFS-03, SEC-41: alive while `now < expires`.
async fn a_temporary_key_dies_at_its_time(store: Arc<dyn Store>) {
    let (key, later) = (temporary(1, NOW + 100), temporary(2, NOW + 101));
    insert(&store, &key, Inserted::Stored).await;
    insert(&store, &later, Inserted::Stored).await;
    insert(&store, &permanent(3), Inserted::Stored).await;
    assert_eq!(store.save_connection(AuthKeyId(1), info(1)).await, Ok(true));
    let found = store.key(AuthKeyId(1), NOW + 99).await.expect("the key is read");
    assert!(found.is_some(), "one second before its time the key is alive");
    expect_none(&store, 1, NOW + 100).await;
    assert_eq!(store.connection(AuthKeyId(1)).await, Ok(None));
    // It is gone, not hidden: a clock that steps back does not revive it.
    expect_none(&store, 1, NOW).await;
    expect_key(&store, &later).await;
    expect_key(&store, &permanent(3)).await;
}

/// PFS-03: also keys that nobody asks for, and no others.
async fn keys_are_wiped_on_demand(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    for (id, expires) in [(2, NOW + 100), (3, NOW + 101), (4, NOW + 200)] {
        insert(&store, &temporary(id, expires), Inserted::Stored).await;
    }
    bind(&store, 4, 1, NOW + 100, Bound::Done).await;
    assert_eq!(store.expire_keys(NOW + 100).await, Ok(()));
    // Asked at an earlier time, at which they were alive.
    for (id, is_alive) in [(1, true), (2, false), (3, true), (4, false)] {
        let found = store.key(AuthKeyId(id), NOW).await.expect("the key is read");
        assert_eq!(found.is_some(), is_alive, "{id}");
    }
}

async fn an_expired_id_is_free_again(store: Arc<dyn Store>) {
    insert(&store, &temporary(1, NOW - 1), Inserted::Stored).await;
    insert(&store, &permanent(1), Inserted::Stored).await;
    expect_key(&store, &permanent(1)).await;
}

/// SVC-37: permanent and temporary keys; the id is free again.
async fn a_deleted_key_is_gone_with_what_was_saved(store: Arc<dyn Store>) {
    for key in [permanent(1), temporary(2, NOW + 100)] {
        let id = key.key.id().0;
        assert_eq!(store.delete_key(AuthKeyId(id)).await, Ok(false), "there is no key yet");
        insert(&store, &key, Inserted::Stored).await;
        assert_eq!(store.save_connection(AuthKeyId(id), info(3)).await, Ok(true));
        assert_eq!(store.delete_key(AuthKeyId(id)).await, Ok(true));
        expect_none(&store, id, NOW).await;
        assert_eq!(store.connection(AuthKeyId(id)).await, Ok(None));
        assert_eq!(store.delete_key(AuthKeyId(id)).await, Ok(false), "it is deleted once");
        insert(&store, &key, Inserted::Stored).await;
        assert_eq!(
            store.connection(AuthKeyId(id)).await,
            Ok(None),
            "a new key begins with nothing saved"
        );
    }
}

/// PFS-11: a binding is read from either end.
async fn a_temporary_key_is_bound(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    insert(&store, &temporary(2, NOW + 100), Inserted::Stored).await;
    expect_unbound(&store, 2).await;
    expect_bound_keys(&store, 1, &[]).await;
    bind(&store, 2, 1, NOW + 50, Bound::Done).await;
    expect_binding(&store, 2, 1, NOW + 50).await;
    expect_bound_keys(&store, 1, &[2]).await;
    expect_unbound(&store, 1).await;
    expect_bound_keys(&store, 2, &[]).await;
    expect_key(&store, &temporary(2, NOW + 100)).await;
}

/// PFS-10: a living temporary key, to a permanent key.
async fn only_what_is_there_is_bound(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    insert(&store, &permanent(2), Inserted::Stored).await;
    for (id, expires) in [(3, NOW + 100), (4, NOW + 100), (5, NOW)] {
        insert(&store, &temporary(id, expires), Inserted::Stored).await;
    }
    bind(&store, 3, 1, NOW + 50, Bound::Done).await;
    for temporary in [0, 2, 5, 9] {
        bind(&store, temporary, 1, NOW + 50, Bound::NoTemporaryKey).await;
    }
    for permanent in [0, 3, 4, 9] {
        bind(&store, 4, permanent, NOW + 50, Bound::NoPermanentKey).await;
        expect_bound_keys(&store, permanent, &[]).await;
    }
    expect_unbound(&store, 4).await;
    expect_bound_keys(&store, 1, &[3]).await;
}

/// PFS-11, SEC-40: one at a time; the one before is unbound and lives on.
async fn a_new_binding_takes_the_place_of_the_one_before(store: Arc<dyn Store>) {
    for id in [1, 2] {
        insert(&store, &permanent(id), Inserted::Stored).await;
    }
    for id in [3, 4, 5] {
        insert(&store, &temporary(id, NOW + 100), Inserted::Stored).await;
    }
    bind(&store, 5, 2, NOW + 50, Bound::Done).await;
    bind(&store, 3, 1, NOW + 50, Bound::Done).await;
    bind(&store, 4, 1, NOW + 60, Bound::Done).await;
    expect_unbound(&store, 3).await;
    expect_key(&store, &temporary(3, NOW + 100)).await;
    expect_binding(&store, 4, 1, NOW + 60).await;
    expect_bound_keys(&store, 1, &[4]).await;
    // It may be bound again, and then is the one.
    bind(&store, 3, 1, NOW + 70, Bound::Done).await;
    expect_unbound(&store, 4).await;
    expect_bound_keys(&store, 1, &[3]).await;
    expect_bound_keys(&store, 2, &[5]).await;
}

/// PFS-12: keys of media data centres, test ones too, and the others do not replace each other.
async fn media_keys_have_a_place_of_their_own(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    for (id, dc) in [(2, 2), (3, -2), (4, -10_002), (5, 10_002)] {
        let key = StoredKey { dc, ..temporary(id, NOW + 100) };
        insert(&store, &key, Inserted::Stored).await;
    }
    for (id, expected) in [(2, &[2][..]), (3, &[2, 3]), (4, &[2, 4]), (5, &[4, 5])] {
        bind(&store, id, 1, NOW + 50, Bound::Done).await;
        expect_bound_keys(&store, 1, expected).await;
    }
}

/// SEC-40: a second permanent key is refused, and nothing changes.
async fn a_bound_key_is_bound_to_no_other(store: Arc<dyn Store>) {
    for id in [1, 2] {
        insert(&store, &permanent(id), Inserted::Stored).await;
    }
    for id in [3, 4] {
        insert(&store, &temporary(id, NOW + 100), Inserted::Stored).await;
    }
    bind(&store, 3, 1, NOW + 50, Bound::Done).await;
    bind(&store, 4, 2, NOW + 50, Bound::Done).await;
    bind(&store, 3, 2, NOW + 60, Bound::ToAnother).await;
    expect_binding(&store, 3, 1, NOW + 50).await;
    expect_binding(&store, 4, 2, NOW + 50).await;
}

/// PFS-11: the same two again is no change but of the expiry, earlier or later; what was saved
/// stays.
async fn a_binding_is_refreshed(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    insert(&store, &temporary(2, NOW + 100), Inserted::Stored).await;
    bind(&store, 2, 1, NOW + 50, Bound::Done).await;
    assert_eq!(store.save_connection(AuthKeyId(2), info(7)).await, Ok(true));
    for (expires, kept) in [(NOW + 20, NOW + 20), (NOW + 90, NOW + 90), (NOW + 101, NOW + 100)] {
        bind(&store, 2, 1, expires, Bound::Done).await;
        expect_binding(&store, 2, 1, kept).await;
        expect_bound_keys(&store, 1, &[2]).await;
        assert_eq!(store.connection(AuthKeyId(2)).await, Ok(Some(info(7))));
    }
}

/// PFS-03, SEC-41: at the earlier of the two, and the place is free.
async fn a_key_dies_with_its_binding(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    insert(&store, &temporary(2, NOW + 100), Inserted::Stored).await;
    bind(&store, 2, 1, NOW + 50, Bound::Done).await;
    let last = store.binding(AuthKeyId(2), NOW + 49).await;
    assert!(last.expect("the binding is read").is_some(), "one second before the end");
    expect_none(&store, 2, NOW + 50).await;
    expect_unbound(&store, 2).await;
    expect_bound_keys(&store, 1, &[]).await;

    // The binding of another cannot make it live longer.
    insert(&store, &temporary(3, NOW + 100), Inserted::Stored).await;
    bind(&store, 3, 1, NOW + 200, Bound::Done).await;
    expect_none(&store, 3, NOW + 100).await;
    expect_bound_keys(&store, 1, &[]).await;
}

/// PFS-14: at once; the temporary keys live on, and can be bound to another.
async fn a_deleted_permanent_key_unbinds(store: Arc<dyn Store>) {
    for id in [1, 2] {
        insert(&store, &permanent(id), Inserted::Stored).await;
    }
    for (id, dc) in [(3, 2), (4, -2)] {
        let key = StoredKey { dc, ..temporary(id, NOW + 100) };
        insert(&store, &key, Inserted::Stored).await;
        bind(&store, id, 1, NOW + 50, Bound::Done).await;
    }
    assert_eq!(store.delete_key(AuthKeyId(1)).await, Ok(true));
    expect_bound_keys(&store, 1, &[]).await;
    for id in [3, 4] {
        expect_unbound(&store, id).await;
        bind(&store, id, 1, NOW + 50, Bound::NoPermanentKey).await;
        bind(&store, id, 2, NOW + 50, Bound::Done).await;
    }
    expect_bound_keys(&store, 2, &[3, 4]).await;
    // A new key of the same id inherits nothing.
    insert(&store, &permanent(1), Inserted::Stored).await;
    expect_bound_keys(&store, 1, &[]).await;
}

async fn a_deleted_temporary_key_frees_its_place(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    insert(&store, &temporary(2, NOW + 100), Inserted::Stored).await;
    bind(&store, 2, 1, NOW + 50, Bound::Done).await;
    assert_eq!(store.delete_key(AuthKeyId(2)).await, Ok(true));
    expect_bound_keys(&store, 1, &[]).await;
    expect_unbound(&store, 2).await;
    insert(&store, &temporary(2, NOW + 100), Inserted::Stored).await;
    expect_unbound(&store, 2).await;
}

/// PFS-13: the client has to say it again; what it said while bound ends with the binding.
async fn what_was_said_before_a_binding_is_forgotten(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    assert_eq!(store.save_connection(AuthKeyId(1), info(5)).await, Ok(true));
    for id in [2, 3] {
        insert(&store, &temporary(id, NOW + 100), Inserted::Stored).await;
        assert_eq!(store.save_connection(AuthKeyId(id), info(6)).await, Ok(true));
        bind(&store, id, 1, NOW + 50, Bound::Done).await;
        assert_eq!(store.connection(AuthKeyId(id)).await, Ok(None));
        assert_eq!(store.save_connection(AuthKeyId(id), info(7)).await, Ok(true));
    }
    // Also the one that has lost its place and takes it again.
    assert_eq!(store.connection(AuthKeyId(2)).await, Ok(None));
    bind(&store, 2, 1, NOW + 50, Bound::Done).await;
    assert_eq!(store.connection(AuthKeyId(2)).await, Ok(None));
    assert_eq!(store.connection(AuthKeyId(1)).await, Ok(Some(info(5))));
}

/// SEC-40: whatever the order, one key has the place, and it alone says that it is bound.
async fn of_many_bindings_at_once_one_holds(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    for id in 2..18 {
        insert(&store, &temporary(id, NOW + 100), Inserted::Stored).await;
    }
    let outcomes = join_all((2..18).map(|id| {
        let store = Arc::clone(&store);
        async move { store.bind_key(AuthKeyId(id), to(1, NOW + 50), NOW).await }
    }))
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Bound::Done)), "{outcomes:?}");
    let holds = store.bound_keys(AuthKeyId(1), NOW).await.expect("the keys are read");
    assert_eq!(holds.len(), 1);
    for id in (2..18).map(AuthKeyId) {
        let binding = store.binding(id, NOW).await.expect("the binding is read");
        assert_eq!(binding.is_some(), holds.contains(&id), "{id}");
    }
}

/// SVC-48: with either kind of key; the last word counts.
async fn connection_data_is_saved_with_its_key(store: Arc<dyn Store>) {
    assert_eq!(
        store.save_connection(AuthKeyId(1), info(1)).await,
        Ok(false),
        "there is no such key"
    );
    insert(&store, &permanent(1), Inserted::Stored).await;
    insert(&store, &temporary(2, NOW + 100), Inserted::Stored).await;
    assert_eq!(
        store.connection(AuthKeyId(1)).await,
        Ok(None),
        "what was said without a key is not kept"
    );
    for id in [1, 2] {
        for layer in [200, 230, 230, 199] {
            assert_eq!(store.save_connection(AuthKeyId(id), info(layer)).await, Ok(true));
            assert_eq!(store.connection(AuthKeyId(id)).await, Ok(Some(info(layer))));
        }
    }
    assert_eq!(store.save_connection(AuthKeyId(2), info(5)).await, Ok(true));
    assert_eq!(store.connection(AuthKeyId(1)).await, Ok(Some(info(199))), "keys do not share data");
}

async fn connection_data_has_a_bound(store: Arc<dyn Store>) {
    let of = |len| ConnectionInfo { layer: 1, data: Bytes::from(vec![1; len]) };
    for key in [permanent(1), temporary(2, NOW + 100)] {
        insert(&store, &key, Inserted::Stored).await;
        let most = of(CONNECTION_DATA_MAX_BYTES);
        assert_eq!(store.save_connection(key.key.id(), most.clone()).await, Ok(true));
        let got = CONNECTION_DATA_MAX_BYTES + 1;
        let refused = store.save_connection(key.key.id(), of(got)).await;
        assert_eq!(refused, Err(StoreError::ConnectionTooLarge { got }));
        assert_eq!(store.connection(key.key.id()).await, Ok(Some(most)), "what was there stays");
    }
}

/// SES-20: salts derived on any node agree, for there is one secret.
async fn the_server_secret_is_made_once(store: Arc<dyn Store>) {
    let secrets = join_all((1..=16).map(|byte| {
        let store = Arc::clone(&store);
        async move { store.server_secret(Zeroizing::new([byte; 32])).await }
    }))
    .await;
    let first = secrets[0].clone().expect("the secret is made");
    assert!(secrets.iter().all(|secret| secret.as_ref() == Ok(&first)));
    assert!((1..=16).any(|byte| *first == [byte; 32]), "the secret is one of those brought");
    assert_eq!(store.server_secret(Zeroizing::new([99; 32])).await, Ok(first));
}

async fn a_closed_store_refuses(store: Arc<dyn Store>) {
    insert(&store, &permanent(1), Inserted::Stored).await;
    insert(&store, &temporary(2, NOW + 100), Inserted::Stored).await;
    store.close().await;
    store.close().await;
    assert_eq!(store.insert_key(permanent(3), NOW).await, Err(StoreError::Closed));
    assert_eq!(store.insert_key(temporary(4, NOW + 1), NOW).await, Err(StoreError::Closed));
    for id in [1, 2] {
        assert_eq!(store.key(AuthKeyId(id), NOW).await.err(), Some(StoreError::Closed));
        assert_eq!(store.delete_key(AuthKeyId(id)).await, Err(StoreError::Closed));
        assert_eq!(store.save_connection(AuthKeyId(id), info(1)).await, Err(StoreError::Closed));
        assert_eq!(store.connection(AuthKeyId(id)).await, Err(StoreError::Closed));
        assert_eq!(store.binding(AuthKeyId(id), NOW).await, Err(StoreError::Closed));
        assert_eq!(store.bound_keys(AuthKeyId(id), NOW).await, Err(StoreError::Closed));
    }
    let bound = store.bind_key(AuthKeyId(2), to(1, NOW + 50), NOW).await;
    assert_eq!(bound, Err(StoreError::Closed));
    assert_eq!(store.expire_keys(NOW).await, Err(StoreError::Closed));
    assert_eq!(store.server_secret(Zeroizing::new([1; 32])).await, Err(StoreError::Closed));
}

async fn insert(store: &Arc<dyn Store>, key: &StoredKey, expected: Inserted) {
    assert_eq!(store.insert_key(key.clone(), NOW).await, Ok(expected), "insert of {key:?}");
}

async fn expect_key(store: &Arc<dyn Store>, expected: &StoredKey) {
    let found = store.key(expected.key.id(), NOW).await.expect("the key is read");
    assert_eq!(found.as_ref(), Some(expected));
    assert_eq!(found.map(|found| found.key.id()), Some(expected.key.id()));
}

async fn expect_none(store: &Arc<dyn Store>, id: u64, now: u64) {
    let found = store.key(AuthKeyId(id), now).await.expect("the store is asked");
    assert!(found.is_none(), "no key with id {id} at {now}");
}

async fn bind(store: &Arc<dyn Store>, id: u64, permanent: u64, expires: u64, expected: Bound) {
    let bound = store.bind_key(AuthKeyId(id), to(permanent, expires), NOW).await;
    assert_eq!(bound, Ok(expected), "binding of {id} to {permanent}");
}

async fn expect_binding(store: &Arc<dyn Store>, id: u64, permanent: u64, expires: u64) {
    let binding = store.binding(AuthKeyId(id), NOW).await;
    assert_eq!(binding, Ok(Some(to(permanent, expires))), "binding of {id}");
}

async fn expect_unbound(store: &Arc<dyn Store>, id: u64) {
    assert_eq!(store.binding(AuthKeyId(id), NOW).await, Ok(None), "binding of {id}");
}

async fn expect_bound_keys(store: &Arc<dyn Store>, permanent: u64, expected: &[u64]) {
    let bound = store.bound_keys(AuthKeyId(permanent), NOW).await;
    let mut bound = bound.expect("the keys are read");
    bound.sort_unstable();
    let expected: Vec<AuthKeyId> = expected.iter().copied().map(AuthKeyId).collect();
    assert_eq!(bound, expected, "keys bound to {permanent}");
}

/// Polls all the futures in turn, so that their work overlaps.
async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    use std::task::Poll;

    let mut pending: Vec<_> =
        futures.into_iter().map(|future| (Some(Box::pin(future)), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (slot, output) in &mut pending {
            let Some(future) = slot else { continue };
            match future.as_mut().poll(context) {
                Poll::Ready(value) => (*slot, *output) = (None, Some(value)),
                Poll::Pending => ready = false,
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}

fn permanent(id: u64) -> StoredKey {
    StoredKey {
        key: AuthKey::from_stored(AuthKeyId(id), [3; 8], &[id.to_le_bytes()[0]; 192]),
        created: NOW,
        first_salt: 1,
        expires: None,
        dc: 2,
    }
}

fn temporary(id: u64, expires: u64) -> StoredKey {
    StoredKey { expires: Some(expires), ..permanent(id) }
}

fn to(permanent: u64, expires: u64) -> KeyBinding {
    KeyBinding { permanent: AuthKeyId(permanent), expires }
}

fn info(layer: i32) -> ConnectionInfo {
    ConnectionInfo { layer, data: Bytes::from(format!("said in layer {layer}")) }
}

/// The time at which the checks play.
const NOW: u64 = 1_760_000_000;
