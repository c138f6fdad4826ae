//! From function ids to handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chappe_backend::Backend;
use chappe_proto::schema::functions::{InvokeWithLayer, Ping};
use chappe_server::{Request, Router, RpcError, RsaIdentity, Server};
use chappe_tl::{Function, FunctionInfo, Raw};
use tower::ServiceExt;

use crate::client::Client;
use crate::functions::{self, App, Echo, Panic, Unanswered};
use crate::sessions::raw;
use crate::world::World;

/// Rule:   a call without a handler gets 400 with the id of its function.
/// Source: TL-36.
#[tokio::test]
async fn unknown_function_is_named() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let error = client.call(Unanswered::from("x")).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (400, "INPUT_METHOD_INVALID_268435463"));
}

/// Rule:   arguments that cannot be read, and bytes after them, get 400; the connection goes on.
/// Source: TL-37.
#[tokio::test]
async fn unreadable_arguments_are_refused() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let id = Echo::ID.to_le_bytes();
    for (arguments, expected) in [
        (&[200, 0, 0, 0][..], "INPUT_FETCH_ERROR"),
        (&[], "INPUT_FETCH_ERROR"),
        (&[0, 0, 0, 0, 9, 9, 9, 9], "INPUT_REQUEST_TOO_LONG"),
    ] {
        let call = Raw([&id, arguments].concat().into());
        let error = client.call_raw::<Echo>(&call).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (400, expected));
    }
    client.call(Echo::from("x")).await.unwrap();
}

/// Rule:   a service message in a wrapper is no query.
/// Source: SVC-42.
#[tokio::test]
async fn wrapped_service_message_is_refused() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let wrapped = InvokeWithLayer { layer: 1, query: raw(&Ping { ping_id: 1 }) };
    let error = client.call_raw::<Echo>(&wrapped).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (400, "INPUT_METHOD_INVALID_2059302892"));
}

/// A handler that panics, at once or later, fails its own call and nothing else.
#[tokio::test]
async fn handler_that_panics_fails_only_its_call() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    for text in ["at once", "later"] {
        let error = client.call(Panic::from(text)).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (500, "INTERNAL"));
        client.call(Echo::from("x")).await.unwrap();
    }
}

/// A result that no client would accept fails its call.
#[tokio::test]
async fn result_that_is_too_large_fails_its_call() {
    let world = World::with(|config| config.result_max_bytes = 1000).await;
    let mut client = Client::new(&world).await;
    let error = client.call(functions::Fill::from("2000")).await.unwrap_err();
    assert_eq!(error.code, 500);
    client.call(functions::Fill::from("900")).await.unwrap();
}

/// Known functions without a handler get the answer made for them, others the fallback.
#[tokio::test]
async fn known_functions_and_the_rest_have_their_own_answers() {
    static KNOWN: [FunctionInfo; 2] = [
        FunctionInfo { id: Echo::ID, name: Echo::NAME },
        FunctionInfo { id: Unanswered::ID, name: Unanswered::NAME },
    ];
    let app = App::default();
    let router = functions::router(app.clone())
        .known(&KNOWN, async |_, function| RpcError::unauthorized(function.name))
        .fallback(|request: Request| async move { Ok(request.call) });
    let world = World::routed(Backend::memory(), |_| {}, app, router).await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("has a handler")).await.unwrap();
    let error = client.call(Unanswered::from("x")).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (401, "Unanswered"));
    // The fallback gives back the call itself, whose id begins with the length of a string.
    let call = client.call_raw::<Echo>(&Raw(bytes::Bytes::from_static(b"\x03abc"))).await.unwrap();
    assert_eq!(call, "abc");
}

/// A layer sees every call, whatever becomes of it, and may refuse it.
#[tokio::test]
async fn layer_stands_around_all_handlers() {
    let seen = Arc::new(AtomicUsize::new(0));
    let app = App::default();
    let counter = Arc::clone(&seen);
    let layer = tower::layer::layer_fn(move |calls: chappe_server::Calls| {
        let counter = Arc::clone(&counter);
        tower::service_fn(move |request: Request| {
            let calls = calls.clone();
            let count = counter.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                if count == 3 {
                    return Err(RpcError::new(420, "FLOOD_WAIT_3"));
                }
                calls.oneshot(request).await
            }
        })
    });
    let router = functions::router(app.clone()).layer(layer);
    let world = World::routed(Backend::memory(), |_| {}, app, router).await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    client.call(Unanswered::from("x")).await.unwrap_err();
    let error = client.call(Echo::from("x")).await.unwrap_err();
    assert_eq!(error.message, "FLOOD_WAIT_3");
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

#[test]
#[should_panic(expected = "two handlers for Echo")]
fn second_handler_of_a_function_is_a_mistake() {
    async fn again(call: Echo) -> Result<chappe_tl::Str, RpcError> {
        Ok(call.text)
    }
    let _ = functions::router(App::default()).function(again);
}

/// A server that lacks a part, or has a setting that cannot work, says which.
#[test]
fn builder_names_what_is_wrong() {
    let identity = || RsaIdentity::from_pem("nothing");
    assert!(identity().is_err());
    let Err(error) = Server::builder().build() else { panic!("built") };
    assert_eq!(error.to_string(), "a server needs an RSA identity: call `identity`");
    let identity = RsaIdentity::generate(&mut chappe_crypto::Rng::from_seed([1; 32]));
    let mut config = chappe_server::ServerConfig::default();
    config.sessions.per_key_max = 0;
    let built = Server::builder()
        .identity(identity)
        .backend(Backend::memory())
        .router(Router::new(()))
        .config(config)
        .build();
    let Err(error) = built else { panic!("built") };
    assert_eq!(error.to_string(), "sessions.per_key_max is 0, but has to be at least 1");
}
