//! A store that answers late: what it said may be old by the time it is heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chappe_backend::{
    Backend, Bound, BoxFuture, ConnectionInfo, Inserted, KeyBinding, MemoryStore, Store,
    StoreError, StoredKey,
};
use chappe_crypto::AuthKeyId;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::functions::Echo;
use crate::holder::{Holder, answer, connect, refusal};
use crate::world::World;

/// Rules:  PFS-11, SEC-40: a key that loses its place while it is being read from the store is not
///         taken for bound.
/// Source: 07-pfs §3.
#[tokio::test]
async fn key_that_loses_its_place_while_it_is_read_is_not_bound() {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let late = Arc::new(LateStore {
        inner: Arc::clone(&memory),
        is_late: AtomicBool::new(false),
        asked: Semaphore::new(0),
        release: Semaphore::new(0),
    });
    // One node makes and binds the key; the other has not met it yet.
    let first = World::on(Backend::new(memory), |_| {}).await;
    let second = World::on(Backend::new(Arc::clone(&late) as _), |_| {}).await;
    let mut one = Holder::new(&first).await;
    one.bind().await.unwrap();
    let mut two = Holder::of(&second, &one.permanent, 2).await;

    late.is_late.store(true, Ordering::Relaxed);
    one.wire = connect(&second).await;
    let call = one.scribe.write(&Echo::from("x"));
    let (call_id, key) = (call.header.msg_id, Arc::clone(&one.temporary().key));
    one.wire.send(&key, call).await;
    late.asked.acquire().await.unwrap().forget();
    // The store has said that the key is bound; before anyone hears it, that changes.
    two.bind().await.unwrap();
    late.release.add_permits(1);
    let result = answer::<Echo>(&mut one.wire, call_id).await;
    assert_eq!(refusal(result), (401, "AUTH_KEY_PERM_EMPTY".into()));
    assert_eq!(two.call(Echo::from("x")).await.unwrap(), "x");
}

/// Reads a binding at once and, once, tells it late.
struct LateStore {
    inner: Arc<dyn Store>,
    is_late: AtomicBool,
    asked: Semaphore,
    release: Semaphore,
}

impl Store for LateStore {
    fn binding(
        &self,
        temporary: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Option<KeyBinding>, StoreError>> {
        Box::pin(async move {
            let binding = self.inner.binding(temporary, now).await;
            if self.is_late.swap(false, Ordering::Relaxed) {
                self.asked.add_permits(1);
                self.release.acquire().await.unwrap().forget();
            }
            binding
        })
    }

    fn insert_key(&self, key: StoredKey, now: u64) -> BoxFuture<'_, Result<Inserted, StoreError>> {
        self.inner.insert_key(key, now)
    }

    fn key(&self, id: AuthKeyId, now: u64) -> BoxFuture<'_, Result<Option<StoredKey>, StoreError>> {
        self.inner.key(id, now)
    }

    fn delete_key(&self, id: AuthKeyId) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.inner.delete_key(id)
    }

    fn bind_key(
        &self,
        temporary: AuthKeyId,
        binding: KeyBinding,
        now: u64,
    ) -> BoxFuture<'_, Result<Bound, StoreError>> {
        self.inner.bind_key(temporary, binding, now)
    }

    fn bound_keys(
        &self,
        permanent: AuthKeyId,
        now: u64,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, StoreError>> {
        self.inner.bound_keys(permanent, now)
    }

    fn expire_keys(&self, now: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.expire_keys(now)
    }

    fn save_connection(
        &self,
        id: AuthKeyId,
        info: ConnectionInfo,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.inner.save_connection(id, info)
    }

    fn connection(
        &self,
        id: AuthKeyId,
    ) -> BoxFuture<'_, Result<Option<ConnectionInfo>, StoreError>> {
        self.inner.connection(id)
    }

    fn server_secret(
        &self,
        fresh: Zeroizing<[u8; 32]>,
    ) -> BoxFuture<'_, Result<Zeroizing<[u8; 32]>, StoreError>> {
        self.inner.server_secret(fresh)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
