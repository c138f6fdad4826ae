//! Perfect forward secrecy: temporary keys, their binding, their end.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_client::{
    CallOptions, ConnectError, InvokeError, KeyLoss, KeyRecord, LinkError, MemoryStorage,
    PfsConfig, Push, ServerId, Storage,
};
use chappe_crypto::AuthKeyId;
use chappe_net::Clock;
use chappe_proto::rpc::RpcError;

use crate::server::{Accept, Hooks, Inject, Reply, Seen, Server};

/// Rule: PFS-01, PFS-02, PFS-08, SEC-36, SEC-37: the permanent key is made once and stored, and no
/// message comes under it; each run makes and binds a temporary key of a day, which is not stored.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_goes_under_temporary_keys_alone() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    for _ in 0..2 {
        let client = server.client_with_pfs().storage(Arc::clone(&storage)).connect().await;
        let client = client.unwrap();
        client.invoke_raw(call(1)).await.unwrap();
        client.close().await;
    }
    let permanent = record(&storage).key.id();
    assert_eq!(server.count(|seen| matches!(seen, Seen::ReqDh { .. })), 1);
    assert_eq!(server.count(|seen| *seen == Seen::ReqDhTemp { dc: 2, expires_in: 86_400 }), 2);
    let state = server.state();
    assert_eq!((state.keys.len(), state.temporary.len()), (3, 2));
    assert!(!state.temporary.contains_key(&permanent));
    let end = Clock::system().now().unix_seconds() + 86_400;
    for seen in &state.seen {
        match seen {
            Seen::Message { key, .. } => assert_ne!(*key, permanent),
            Seen::Bound { permanent: to, expires_at, .. } => {
                assert_eq!(*to, permanent);
                assert!((end - 30..=end).contains(&i64::from(*expires_at)));
            }
            _ => {}
        }
    }
    assert_eq!(bindings(&state.seen).len(), 2);
}

/// Rule: PFS-09, SVC-47: no call goes out before the key is bound, and after each binding the
/// first call introduces the client again.
#[tokio::test(flavor = "multi_thread")]
async fn calls_follow_the_binding_and_begin_with_an_introduction() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client_with_pfs().init(wrap).connect().await.unwrap();
    client.invoke_raw(call(1)).await.unwrap();
    client.invoke_raw(call(2)).await.unwrap();
    lose_temporary_keys(&server);
    client.invoke_raw(call(3)).await.unwrap();
    client.invoke_raw(call(4)).await.unwrap();
    let story: Vec<Option<Bytes>> = server
        .seen()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Bound { .. } => Some(None),
            Seen::Call(call) => Some(Some(call)),
            _ => None,
        })
        .collect();
    let expected =
        [None, Some(wrap(call(1))), Some(call(2)), None, Some(wrap(call(3))), Some(call(4))];
    assert_eq!(story, expected);
}

/// Rule: PFS-17, SES-18: a temporary key that the server does not know is dropped at once, another
/// made and bound; a call that was never sent runs, and the permanent key stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_temporary_key_is_replaced() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = server.client_with_pfs().storage(Arc::clone(&storage));
    let client = builder.connect().await.unwrap();
    let permanent = record(&storage).key;
    let mut pushes = client.pushes();
    for n in 0..3 {
        lose_temporary_keys(&server);
        assert_eq!(client.invoke_raw(call(n)).await.unwrap(), call(n));
        assert_eq!(server.count(|seen| *seen == Seen::Call(call(n))), 1);
        assert_eq!(pushes.next().await, Some(Push::MayBeLost));
    }
    assert_eq!(record(&storage).key, permanent);
    assert_eq!(bindings(&server.seen()).len(), 4);
}

/// Rule: PFS-17, SVC-28: a binding that the server has lost is made anew, with a new key, and the
/// call that met it is sent again without its caller's noticing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_binding_is_made_anew() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client_with_pfs().connect().await.unwrap();
    client.invoke_raw(call(1)).await.unwrap();
    for bound in server.state().temporary.values_mut() {
        *bound = None;
    }
    assert_eq!(client.invoke_raw(call(2)).await.unwrap(), call(2));
    assert_eq!(server.count(|seen| *seen == Seen::Call(call(2))), 1);
    let bindings = bindings(&server.seen());
    assert_eq!(bindings.len(), 2);
    assert_ne!(bindings[0], bindings[1]);
}

/// Rule: PFS-17: whatever the server has against a binding, another key is made and bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_binding_is_tried_with_another_key() {
    for refusal in [
        "ENCRYPTED_MESSAGE_INVALID",
        "TEMP_AUTH_KEY_ALREADY_BOUND",
        "TEMP_AUTH_KEY_EMPTY",
        "EXPIRES_AT_INVALID",
    ] {
        let mut refusals = vec![refusal];
        let bind = move |_: &mut AuthKeyId| match refusals.pop() {
            Some(refusal) => Err(RpcError::bad_request(refusal)),
            None => Ok(()),
        };
        let server = Server::start(Hooks { bind: Box::new(bind), ..Hooks::default() }).await;
        let client = server.client_with_pfs().connect().await.unwrap();
        client.invoke_raw(call(1)).await.unwrap();
        let bindings = bindings(&server.seen());
        assert_eq!(bindings.len(), 2, "{refusal}");
        assert_ne!(bindings[0], bindings[1], "{refusal}");
        assert_eq!(server.count(|seen| matches!(seen, Seen::ReqDh { .. })), 1, "{refusal}");
    }
}

/// Rule: PFS-17, SEC-36: a server that does not know the method is told so to the caller, and
/// nothing is sent under the permanent key instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_method_is_an_error() {
    let bind = |_: &mut AuthKeyId| Err(RpcError::unknown_method(0xcdd4_2a05));
    let server = Server::start(Hooks { bind: Box::new(bind), ..Hooks::default() }).await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = server.client_with_pfs().storage(Arc::clone(&storage));
    let error = builder.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Misconfigured(LinkError::PfsUnsupported(_))));
    assert!(error.to_string().contains("Builder::pfs(false)"), "{error}");
    let permanent = record(&storage).key.id();
    assert_eq!(server.count(|seen| is_under(seen, permanent)), 0);
    // Told so, the client uses that server as it is, with the same key.
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    client.invoke_raw(call(1)).await.unwrap();
    assert_eq!(record(&storage).key.id(), permanent);
}

/// Rule: PFS-17, SES-18, SEC-49: a permanent key whose bindings are invalid is looked after on a
/// connection of its own, with a ping and nothing else. If two of these do not know it, it is
/// lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_key_that_the_server_lost_is_found_out() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = || server.client_with_pfs().storage(Arc::clone(&storage));
    builder().connect().await.unwrap().close().await;
    let key = record(&storage).key;
    server.state().keys.clear();
    let error = builder().connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::KeyLost), "{error}");
    assert_eq!(record(&storage).key, key);
    // Two bindings that were not even looked at, beside the one of the first run.
    assert_eq!(server.count(|seen| matches!(seen, Seen::ReqDhTemp { .. })), 3);
    let client = builder().key_loss(KeyLoss::MakeNew).connect().await.unwrap();
    client.invoke_raw(call(1)).await.unwrap();
    assert_ne!(record(&storage).key, key);
}

/// Rule: PFS-17, SES-18, SEC-49: a permanent key that answers is kept, whatever the server says
/// of its bindings.
#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_key_that_answers_is_kept() {
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = || server.client_with_pfs().storage(Arc::clone(&storage));
    builder().connect().await.unwrap().close().await;
    let permanent = record(&storage).key.id();
    let mut refused = 0;
    server.state().hooks.bind = Box::new(move |_| {
        refused += 1;
        if refused > 3 { Ok(()) } else { Err(RpcError::bad_request("ENCRYPTED_MESSAGE_INVALID")) }
    });
    let before = server.seen().len();
    let client = builder().connect().await.unwrap();
    client.invoke_raw(call(1)).await.unwrap();
    assert_eq!(record(&storage).key.id(), permanent);
    let seen = server.seen().split_off(before);
    let tests: Vec<&Seen> = seen.iter().filter(|seen| is_under(seen, permanent)).collect();
    assert!(!tests.is_empty());
    // Pings, acknowledgements and requests for salts, but no call.
    assert!(seen.iter().all(|seen| !matches!(seen, Seen::Call(body) if *body != call(1))));
}

/// Rule: PFS-18, PFS-11, 07-pfs §1: a key is replaced in the background before its end: calls made
/// meanwhile run once each, and one that runs all the time gets its answer under the old key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_renewed_without_an_interrupted_call() {
    let slow = call(200);
    let hooks = Hooks {
        call: Box::new({
            let slow = slow.clone();
            move |call| if *call == slow { Reply::Held } else { Reply::Result(call.clone()) }
        }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    // Long enough for an exchange on a busy machine in the quarter that is left for it.
    let keys = PfsConfig::default().with_expires_in(24);
    let client = server.client_with_pfs().temporary_keys(keys).connect().await.unwrap();
    let running = client.start_raw(slow.clone(), CallOptions::default()).await.unwrap();
    server.until(|state| state.seen.contains(&Seen::Call(slow.clone()))).await;
    let mut n = 0;
    // The first is due to be replaced after eighteen of its twenty-four seconds.
    while bindings(&server.seen()).len() < 2 || n < 100 {
        assert_eq!(client.invoke_raw(call(n % 100)).await.unwrap(), call(n % 100));
        n = n.wrapping_add(1);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    server.answer_held(&call(201));
    assert_eq!(running.await.unwrap(), call(201));
    assert_eq!(server.count(|seen| *seen == Seen::Call(slow.clone())), 1);
    assert_eq!(server.count(|seen| *seen == Seen::Closed(0)), 0);
    client.invoke_raw(call(1)).await.unwrap();
    let last = server.seen().into_iter().rev().find_map(|seen| match seen {
        Seen::Message { key, .. } => Some(key),
        _ => None,
    });
    assert_eq!(last, bindings(&server.seen()).last().copied());
}

/// Rule: PFS-17, SEC-50, TRN-34: what a stranger says on the link of the next key disturbs nothing
/// that goes on under the one in use; the renewal succeeds once it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_is_hindered_disturbs_nothing() {
    let server = Server::start(Hooks::default()).await;
    let keys = PfsConfig::default().with_expires_in(12);
    let client = server
        .client_with_pfs()
        .temporary_keys(keys)
        .unreachable_max(Duration::from_millis(200))
        .connect()
        .await
        .unwrap();
    server.state().hooks.accept = Box::new(|_| Accept::Error(444));
    server.until(|state| state.seen.contains(&Seen::Connected(1))).await;
    for n in 0..20 {
        assert_eq!(client.invoke_raw(call(n)).await.unwrap(), call(n));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bindings(&server.seen()).len(), 1);
    server.state().hooks.accept = Box::new(|_| Accept::Serve);
    server.until(|state| bindings(&state.seen).len() == 2).await;
    client.invoke_raw(call(1)).await.unwrap();
}

/// Rule: PFS-17, SES-12: a call whose key is gone says that nobody knows its fate, unless it may
/// run twice.
#[tokio::test(flavor = "multi_thread")]
async fn calls_under_a_key_that_is_gone_are_in_doubt() {
    let mut runs = 0;
    let hooks = Hooks {
        call: Box::new(move |call| {
            runs += 1;
            if runs <= 2 { Reply::Nothing } else { Reply::Result(call.clone()) }
        }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let client = server.client_with_pfs().connect().await.unwrap();
    let once = client.start_raw(call(1), CallOptions::default()).await.unwrap();
    let repeatable = CallOptions::default().repeatable();
    let again = client.start_raw(call(2), repeatable).await.unwrap();
    server.until(|state| state.seen.contains(&Seen::Call(call(2)))).await;
    lose_temporary_keys(&server);
    let error = once.await.unwrap_err();
    assert!(matches!(error, InvokeError::Unknown(_)), "{error}");
    assert!(error.to_string().starts_with("the call may or may not have run"), "{error}");
    assert_eq!(again.await.unwrap(), call(2));
}

/// The server forgets all temporary keys, as a restart would have it.
fn lose_temporary_keys(server: &Server) {
    let mut state = server.state();
    let temporary: Vec<AuthKeyId> = state.temporary.drain().map(|(id, _)| id).collect();
    for id in temporary {
        state.keys.remove(&id);
    }
    state.sessions.clear();
    state.inject.push(Inject::Cut);
    drop(state);
    // The client has noticed once it comes back: what it calls then was not sent before.
    let links = server.links();
    while server.links() == links {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn bindings(seen: &[Seen]) -> Vec<AuthKeyId> {
    let bound = |seen: &Seen| match seen {
        Seen::Bound { temporary, .. } => Some(*temporary),
        _ => None,
    };
    seen.iter().filter_map(bound).collect()
}

fn is_under(seen: &Seen, id: AuthKeyId) -> bool {
    matches!(seen, Seen::Message { key, .. } if *key == id)
}

fn record(storage: &MemoryStorage) -> KeyRecord {
    let fingerprint = Server::public_key().fingerprint();
    storage.load(ServerId { dc: 2, fingerprint }).unwrap().unwrap()
}

fn call(n: u8) -> Bytes {
    Bytes::from(vec![n, 3, 3, 3, 0, 0, 0, 0])
}

/// Something before the call that no other call begins with.
fn wrap(call: Bytes) -> Bytes {
    let mut wrapped = BytesMut::from(&[0xff; 4][..]);
    wrapped.extend_from_slice(&call);
    wrapped.freeze()
}
