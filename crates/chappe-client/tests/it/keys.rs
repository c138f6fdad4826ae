//! Keys between runs, and keys that the server does not know.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chappe_client::{
    CallOptions, ConnectError, DestroyError, Doubt, InvokeError, KeyLoss, KeyRecord, LinkError,
    MemoryStorage, Push, ServerId, Storage, StorageError,
};
use chappe_crypto::AuthKeyId;
use chappe_net::Clock;
use chappe_proto::rpc::RpcError;
use chappe_proto::session::server::KeyDestroyed;

use crate::server::{Accept, Hooks, Inject, Reply, Seen, Server, State};

/// Rule: SES-01, SES-25: the next run takes key, salt and clock from the storage,
/// and begins a session of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_key_is_used_again() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    for _ in 0..2 {
        let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
        client.invoke_raw(call()).await.unwrap();
        client.close().await;
    }
    assert_eq!(server.count(|seen| matches!(seen, Seen::ReqPq { .. })), 1);
    assert_eq!(server.state().sessions.len(), 2);
    let record = record(&storage);
    assert!(server.state().keys.contains_key(&record.key.id()));
    assert!(record.server_minus_unix.abs() <= 1);
    // The server has announced its current salt, and nobody had to correct us.
    let first = server.state().keys[&record.key.id()].1.value;
    let last = server.seen().into_iter().rev().find_map(|seen| match seen {
        Seen::Message { salt, .. } => Some(salt),
        _ => None,
    });
    assert_ne!(record.salt, first);
    assert_eq!(last, Some(record.salt));
}

/// Rule: SES-23, SES-25: a salt that the server corrects is taken and stored;
/// the call is sent again and runs once.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_salt_is_stored() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    client.invoke_raw(call()).await.unwrap();
    client.close().await;
    let before = record(&storage);
    server.state().salt_secret = [2; 32];
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    client.invoke_raw(call()).await.unwrap();
    client.close().await;
    let after = record(&storage);
    assert_eq!(after.key, before.key);
    assert_ne!(after.salt, before.salt);
    assert_eq!(server.count(|seen| matches!(seen, Seen::Call(_))), 2);
}

/// Rule: SES-28, SES-29, KEY-17, MSG-11: the key exchange tells the time; what it told is stored,
/// and corrected where the storage was wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_corrected_and_remembered() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let hour = Duration::from_secs(3600);
    let slow = || Clock::starting_at(Clock::system().now().unix - hour);
    for runs in 1..=3 {
        let builder = server.client().storage(Arc::clone(&storage)).clock(slow());
        let client = builder.connect().await.unwrap();
        client.invoke_raw(call()).await.unwrap();
        client.close().await;
        let record = record(&storage);
        assert!((3598..=3602).contains(&record.server_minus_unix), "{record:?}");
        // No message was refused for its time, or it would have cost a session.
        assert_eq!(server.state().sessions.len(), runs);
        assert_eq!(server.links(), runs);
    }
    // A clock that ran wrong since the last run: the server refuses once, and is obeyed.
    let wrong = KeyRecord { server_minus_unix: 0, ..record(&storage) };
    let server_id = ServerId { dc: 2, fingerprint: Server::public_key().fingerprint() };
    storage.save(server_id, &wrong).unwrap();
    let builder = server.client().storage(Arc::clone(&storage)).clock(slow());
    let client = builder.connect().await.unwrap();
    client.invoke_raw(call()).await.unwrap();
    client.close().await;
    assert!((3598..=3602).contains(&record(&storage).server_minus_unix));
    assert_eq!(server.links(), 4);
    assert_eq!(server.count(|seen| matches!(seen, Seen::ReqPq { .. })), 1);
}

/// Rule: SES-18, SEC-49, SEC-50, TRN-34: one -404, which anyone between us can forge, costs the
/// link and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn one_not_found_does_not_cost_the_key() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    let key = record(&storage).key;
    for links in 2..5 {
        server.inject(Inject::Error(404));
        server.until(|state| state.seen.contains(&Seen::Connected(links - 1))).await;
        client.invoke_raw(call()).await.unwrap();
        assert_eq!(server.links() as u64, links);
    }
    assert_eq!(record(&storage).key, key);
    assert_eq!(server.count(|seen| matches!(seen, Seen::ReqPq { .. })), 1);
}

/// Rule: SES-18, SES-17, SES-12: a key that two connections in a row do not know is lost. Where
/// the owner wishes, a new one is made; open calls that may run twice go out under it, others say
/// that nobody knows their fate.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_unknown_twice_is_replaced() {
    let mut runs = 0;
    let hooks = Hooks {
        call: Box::new(move |call| {
            runs += 1;
            if runs <= 2 { Reply::Nothing } else { Reply::Result(call.clone()) }
        }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = server.client().storage(Arc::clone(&storage)).key_loss(KeyLoss::MakeNew);
    let client = builder.connect().await.unwrap();
    let mut pushes = client.pushes();
    let before = record(&storage).key;
    let once = client.start_raw(call(), CallOptions::default()).await.unwrap();
    let repeatable = CallOptions::default().repeatable();
    let open = client.start_raw(call(), repeatable).await.unwrap();
    let calls = |state: &State| state.seen.iter().filter(|s| matches!(s, Seen::Call(_))).count();
    server.until(|state| calls(state) == 2).await;
    {
        let mut state = server.state();
        state.keys.clear();
        state.sessions.clear();
        state.inject.push(Inject::Cut);
    }
    let error = once.await.unwrap_err();
    assert!(matches!(error, InvokeError::Unknown(Doubt::KeyGone)), "{error}");
    assert_eq!(open.await.unwrap(), call());
    assert_eq!(pushes.next().await, Some(Push::NewKey));
    assert_ne!(record(&storage).key, before);
    // The first link, two that do not know the key, and the one that makes a new one.
    assert_eq!(server.links(), 4);
}

/// Rule: SES-18: unless the owner wishes otherwise, a lost key ends the calls, and the storage is
/// left as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_stops_the_client() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = || server.client().storage(Arc::clone(&storage));
    let client = builder().connect().await.unwrap();
    let key = record(&storage).key;
    {
        let mut state = server.state();
        state.keys.clear();
        state.inject.push(Inject::Cut);
    }
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
    let error = client.invoke_raw(call()).await.unwrap_err();
    assert!(matches!(error, InvokeError::KeyLost), "{error}");
    let error = client.invoke_raw(call()).await.unwrap_err();
    assert!(matches!(error, InvokeError::KeyLost), "{error}");
    client.close().await;
    let error = builder().connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::KeyLost), "{error}");
    assert_eq!(record(&storage).key, key);
    assert_eq!(server.count(|seen| matches!(seen, Seen::ReqPq { .. })), 1);
}

/// Rule: SVC-28: 406 AUTH_KEY_DUPLICATED, which only the server can say, costs the key at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_duplicated_key_is_given_up() {
    let mut runs = 0;
    let hooks = Hooks {
        call: Box::new(move |call| {
            runs += 1;
            match runs {
                1 => Reply::Error(RpcError::new(406, "AUTH_KEY_DUPLICATED")),
                _ => Reply::Result(call.clone()),
            }
        }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let client = server.client().key_loss(KeyLoss::MakeNew).connect().await.unwrap();
    let mut pushes = client.pushes();
    let error = client.invoke_raw(call()).await.unwrap_err();
    assert!(matches!(error, InvokeError::Rpc(error) if error.code == 406));
    assert_eq!(pushes.next().await, Some(Push::NewKey));
    assert_eq!(client.invoke_raw(call()).await.unwrap(), call());
    assert_eq!(server.state().keys.len(), 2);
}

/// Rule: SVC-38: a key that the server has destroyed, or does not know, is removed from the
/// storage, and the client ends; with a temporary key as with the permanent one.
#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_key_is_forgotten() {
    for (outcome, pfs) in [(KeyDestroyed::Ok, false), (KeyDestroyed::None, true)] {
        let hooks = Hooks { destroy: Box::new(move |_| Some(outcome)), ..Hooks::default() };
        let server = Server::start(hooks).await;
        let storage = Arc::new(MemoryStorage::new());
        let builder = server.client().pfs(pfs).storage(Arc::clone(&storage));
        // An introduction is not for what the session itself understands.
        let client = builder.init(|_| panic!("nothing is called")).connect().await.unwrap();
        let permanent = record(&storage).key.id();
        client.destroy_key().await.unwrap();
        assert_eq!(server.count(|seen| *seen == Seen::Destroy(permanent)), 1);
        assert!(storage.load(server_id()).unwrap().is_none());
        assert!(matches!(client.invoke_raw(call()).await, Err(InvokeError::Closed)));
    }
}

/// Rule: SVC-38: a server that cannot destroy the key is asked once more, later.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_destroyed_stays() {
    for failures in [1, 2] {
        let mut left = failures;
        let destroy = move |_: &mut AuthKeyId| {
            left -= 1;
            Some(if left >= 0 { KeyDestroyed::Fail } else { KeyDestroyed::Ok })
        };
        let server = Server::start(Hooks { destroy: Box::new(destroy), ..Hooks::default() }).await;
        let storage = Arc::new(MemoryStorage::new());
        let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
        let outcome = client.destroy_key().await;
        assert_eq!(server.count(|seen| matches!(seen, Seen::Destroy(_))), 2);
        assert_eq!(outcome.is_ok(), failures == 1);
        assert_eq!(storage.load(server_id()).unwrap().is_none(), failures == 1);
        if failures == 2 {
            assert!(matches!(outcome, Err(DestroyError::Failed)));
            client.invoke_raw(call()).await.unwrap();
        }
    }
}

/// Rule: SVC-38: when no answer comes and the server then says -404, the key is destroyed.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_unknown_after_its_destruction_is_forgotten() {
    let hooks = Hooks { destroy: Box::new(|_| None), ..Hooks::default() };
    let server = Server::start(hooks).await;
    let storage = Arc::new(MemoryStorage::new());
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    let destroying = tokio::spawn({
        let client = client.clone();
        async move { client.destroy_key().await }
    });
    server.until(|state| state.seen.iter().any(|seen| matches!(seen, Seen::Destroy(_)))).await;
    {
        let mut state = server.state();
        state.keys.clear();
        state.inject.push(Inject::Cut);
    }
    destroying.await.unwrap().unwrap();
    assert!(storage.load(server_id()).unwrap().is_none());
}

/// Rule: TRN-34, SEC-60: -444 from a server that has served us is no reason to give up; from one
/// that has not, it is told to the callers.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_data_centre_is_believed_only_of_a_stranger() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    server.inject(Inject::Error(444));
    server.until(|state| state.seen.contains(&Seen::Connected(1))).await;
    client.invoke_raw(call()).await.unwrap();
    client.close().await;

    server.state().hooks.accept = Box::new(|_| Accept::Error(444));
    let error = server.client().storage(Arc::clone(&storage)).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Misconfigured(LinkError::WrongDc { dc: 2 })));
    record(&storage);
}

/// A storage that cannot be read makes no new key, and a key that cannot be kept is not used.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_fails_is_told() {
    let server = Server::start(Hooks::default()).await;
    let error = server.client().storage(Broken { loads: false }).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Storage(_)), "{error}");
    assert_eq!(server.links(), 0);
    let error = server.client().storage(Broken { loads: true }).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Misconfigured(LinkError::Storage(_))), "{error}");
    assert_eq!(server.count(|seen| matches!(seen, Seen::Message { .. })), 0);
}

/// Neither the client nor what it reports shows a key.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_printed_holds_the_key() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    let record = record(&storage);
    let printed = format!("{client:?} {record:?} {:?}", server.client());
    let key = record.key.full().unwrap();
    for window in key.windows(4) {
        assert!(!printed.contains(&hex::encode(window)));
        assert!(!printed.contains(&format!("{}, {}, {}", window[0], window[1], window[2])));
    }
    assert!(!printed.contains(&record.salt.to_string()));
}

#[derive(Debug)]
struct Broken {
    loads: bool,
}

impl Storage for Broken {
    fn load(&self, _: ServerId) -> Result<Option<KeyRecord>, StorageError> {
        if self.loads { Ok(None) } else { Err(broken()) }
    }

    fn save(&self, _: ServerId, _: &KeyRecord) -> Result<(), StorageError> {
        // Slow enough that a key used before it is kept would be seen on the wire.
        std::thread::sleep(Duration::from_millis(200));
        Err(broken())
    }

    fn remove(&self, _: ServerId) -> Result<(), StorageError> {
        Ok(())
    }
}

fn broken() -> StorageError {
    StorageError::Other(Arc::new(std::io::Error::other("no room")))
}

fn record(storage: &MemoryStorage) -> KeyRecord {
    storage.load(server_id()).unwrap().unwrap()
}

fn server_id() -> ServerId {
    ServerId { dc: 2, fingerprint: Server::public_key().fingerprint() }
}

fn call() -> Bytes {
    Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8])
}
