//! Calls: results, errors, introductions, giving up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_client::client::CALL_MAX_BYTES;
use chappe_client::{CallOptions, ConnectError, InvokeError, MemoryStorage, Push, RawClient};
use chappe_proto::rpc::RpcError;
use chappe_proto::schema::{functions, types};
use chappe_proto::transport::Transport;

use crate::server::{Hooks, Inject, Reply, Seen, Server, encoded};

/// Rule: SVC-27: a typed call gives the typed result, an error its code and text, and an
/// answer of another type is an error that says so.
#[tokio::test(flavor = "multi_thread")]
async fn results_and_errors_reach_the_caller() {
    let (server, client) = answering([
        Reply::Result(encoded(&true)),
        Reply::Result(encoded(&types::Pong { msg_id: 1, ping_id: 1 })),
        Reply::Error(RpcError::new(420, "FLOOD_WAIT_37")),
        Reply::Error(RpcError::bad_request("USER_ID_INVALID")),
        Reply::Error(RpcError::new(70_000, "ODD")),
    ])
    .await;
    let call = functions::auth::DropTempAuthKeys { except_auth_keys: vec![] };
    assert!(client.invoke(&call).await.unwrap());
    assert!(matches!(client.invoke(&call).await, Err(InvokeError::Decode(_))));
    let flood = client.invoke(&call).await.unwrap_err();
    assert_eq!(flood.retry_after(), Some(Duration::from_secs(37)));
    let error = client.invoke(&call).await.unwrap_err();
    assert_eq!(error.to_string(), "the server answered 400 USER_ID_INVALID");
    assert_eq!(error.retry_after(), None);
    let error = client.invoke(&call).await.unwrap_err();
    assert!(matches!(error, InvokeError::Rpc(error) if error.code == 500));
    assert_eq!(server.links(), 1);
}

/// Rule: MSG-03: a call that fits no packet is refused before it is sent; the longest one that
/// is sent arrives.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_fit_no_packet_are_refused() {
    let (_server, client) = answering([Reply::Result(Bytes::from_static(&[1, 2, 3, 4]))]).await;
    let mut call = vec![0; CALL_MAX_BYTES + 4];
    chappe_crypto::Rng::from_seed([3; 32]).fill(&mut call);
    let call = Bytes::from(call);
    let error = client.invoke_raw(call.clone()).await.unwrap_err();
    assert!(matches!(error, InvokeError::TooLong { .. }));
    let answer = client.invoke_raw(call.slice(4..)).await.unwrap();
    assert_eq!(answer, [1, 2, 3, 4][..]);
}

/// Rule: SVC-47, SVC-49: calls introduce the client until one of them has succeeded.
#[tokio::test(flavor = "multi_thread")]
async fn calls_are_wrapped_until_one_succeeds() {
    let server = Server::start(replying([
        Reply::Error(RpcError::bad_request("FIRST_FAILS")),
        Reply::Result(answer()),
        Reply::Result(answer()),
    ]))
    .await;
    let client = server.client().init(wrap).connect().await.unwrap();
    client.invoke_raw(call(1)).await.unwrap_err();
    client.invoke_raw(call(2)).await.unwrap();
    client.invoke_raw(call(3)).await.unwrap();
    assert_eq!(calls(&server), [wrap(call(1)), wrap(call(2)), call(3)]);
}

/// Rule: SVC-28: a server that has forgotten who we are is told once, without the caller's
/// noticing; an introduction that it refuses is the caller's to hear of.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_is_introduced_to_again() {
    for error in ["CONNECTION_NOT_INITED", "CONNECTION_LAYER_INVALID"] {
        let server = Server::start(replying([
            Reply::Result(answer()),
            Reply::Error(RpcError::bad_request(error)),
            Reply::Result(answer()),
            Reply::Error(RpcError::bad_request(error)),
            Reply::Error(RpcError::bad_request(error)),
        ]))
        .await;
        let client = server.client().init(wrap).connect().await.unwrap();
        client.invoke_raw(call(1)).await.unwrap();
        assert_eq!(client.invoke_raw(call(2)).await.unwrap(), answer());
        let refused = client.invoke_raw(call(3)).await.unwrap_err();
        assert!(matches!(refused, InvokeError::Rpc(e) if e.message == error));
        let expected = [wrap(call(1)), call(2), wrap(call(2)), call(3), wrap(call(3))];
        assert_eq!(calls(&server), expected);
    }
}

/// A caller who leaves has the answer dropped at the server.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_future_gives_up_the_call() {
    let (server, client) = answering([Reply::Nothing, Reply::Result(answer())]).await;
    let calling = tokio::time::timeout(Duration::from_millis(300), client.invoke_raw(call(1)));
    assert!(calling.await.is_err());
    server
        .until(|state| {
            let drop = functions::RpcDropAnswer { req_msg_id: 0 };
            let id = &encoded(&drop)[..4];
            state.seen.iter().any(|seen| {
                matches!(seen, Seen::Message { body, .. } if body.windows(4).any(|at| at == id))
            })
        })
        .await;
    client.invoke_raw(call(2)).await.unwrap();
}

/// Rule: SVC-45: calls that come after others name them, and are begun when those are finished.
#[tokio::test(flavor = "multi_thread")]
async fn calls_can_be_put_in_order() {
    let held = call(1);
    let hooks = Hooks {
        call: Box::new(
            move |call| {
                if *call == held { Reply::Held } else { Reply::Result(call.clone()) }
            },
        ),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let client = server.client().connect().await.unwrap();
    let first = client.start_raw(call(1), CallOptions::default()).await.unwrap();
    let after = CallOptions::default().after([first.ticket()]);
    let second = client.start_raw(call(2), after).await.unwrap();
    let after = CallOptions::default().after([first.ticket(), second.ticket()]);
    let third = client.start_raw(call(3), after).await.unwrap();
    // The server waits for half a second, says so, and is asked again.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(calls(&server), [call(1)]);
    server.answer_held(&answer());
    assert_eq!(first.await.unwrap(), answer());
    assert_eq!(third.await.unwrap(), call(3));
    assert_eq!(second.await.unwrap(), call(2));
    assert_eq!(calls(&server), [call(1), call(2), call(3)]);
    // What is finished is waited for no more.
    let after = CallOptions::default().after([ticket_of(&client).await]);
    client.start_raw(call(4), after).await.unwrap().await.unwrap();
}

/// The ticket of a call that is finished.
/// Rules: TRN-25, TRN-28: over every transport a caller who asks hears that the server has the call
/// long before its result; who does not ask has the server say nothing. Full cannot ask.
#[tokio::test(flavor = "multi_thread")]
async fn quick_acknowledgement_comes_before_the_result() {
    for transport in Transport::ALL {
        let hooks = Hooks { call: Box::new(|_| Reply::Held), ..Hooks::default() };
        let server = Server::start(hooks).await;
        let client = server.client().transport(transport).connect().await.unwrap();
        let mut silent = client.start_raw(call(1), CallOptions::default()).await.unwrap();
        assert!(!silent.quick_ack().await);
        let options = CallOptions::default().quick_ack();
        let mut asking = client.start_raw(call(2), options).await.unwrap();
        if transport.framing().has_quick_acks() {
            assert!(asking.quick_ack().await && asking.quick_ack().await, "{transport}");
        }
        let called = |seen: &&Seen| matches!(seen, Seen::Call(_));
        server.until(|state| state.seen.iter().filter(called).count() == 2).await;
        server.answer_held(&answer());
        assert_eq!((silent.await.unwrap(), (&mut asking).await.unwrap()), (answer(), answer()));
        // With the result nobody waits for it any more.
        assert_eq!(asking.quick_ack().await, transport.framing().has_quick_acks());
        let wanted = server.count(|seen| matches!(seen, Seen::QuickAckWanted(_)));
        assert_eq!(wanted, usize::from(transport.framing().has_quick_acks()));
    }
}

async fn ticket_of(client: &RawClient) -> chappe_client::Ticket {
    let pending = client.start_raw(call(9), CallOptions::default()).await.unwrap();
    let ticket = pending.ticket();
    pending.await.unwrap();
    ticket
}

/// Rule: SES-08, SVC-50: a second session with the same key asks not to be pushed to, inside what
/// introduces it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_session_of_a_key_needs_no_updates() {
    let server = Server::start(replying([
        Reply::Result(answer()),
        Reply::Result(answer()),
        Reply::Result(answer()),
    ]))
    .await;
    let storage = Arc::new(MemoryStorage::new());
    let builder = || server.client().storage(Arc::clone(&storage));
    let updates = builder().connect().await.unwrap();
    let files = builder().without_updates().init(wrap).connect().await.unwrap();
    files.invoke_raw(call(1)).await.unwrap();
    files.invoke_raw(call(2)).await.unwrap();
    updates.invoke_raw(call(3)).await.unwrap();
    let plain =
        |call: Bytes| encoded(&functions::InvokeWithoutUpdates { query: chappe_tl::Raw(call) });
    let unwrapped = [wrap(plain(call(1))), call(2), call(3)];
    assert_eq!(calls(&server), unwrapped);
    assert_eq!(server.state().sessions.len(), 2);
    assert_eq!(server.state().keys.len(), 1);
}

/// Rule: SVC-02: what was received is acknowledged before the link is closed, and open
/// calls fail.
#[tokio::test(flavor = "multi_thread")]
async fn closing_acknowledges_and_fails_open_calls() {
    let (server, client) = answering([Reply::Nothing, Reply::Result(answer())]).await;
    let open = tokio::spawn({
        let client = client.clone();
        async move { client.invoke_raw(call(1)).await }
    });
    server.until(|state| state.seen.contains(&Seen::Call(call(1)))).await;
    client.invoke_raw(call(2)).await.unwrap();
    let before = server.seen().len();
    client.close().await;
    assert!(matches!(open.await.unwrap(), Err(InvokeError::Closed)));
    assert!(matches!(client.invoke_raw(call(3)).await, Err(InvokeError::Closed)));
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
    let id = encoded(&types::MsgsAck { msg_ids: vec![] }).slice(..4);
    let acknowledged = server.seen()[before..].iter().any(
        |seen| matches!(seen, Seen::Message { body, .. } if body.windows(4).any(|at| at == id)),
    );
    assert!(acknowledged);
    // All clones are closed, and closing twice is no fault.
    client.close().await;
    assert_eq!(client.pushes().next().await, None);
}

/// Pushes reach every receiver; one that is slow is told how many it missed, and
/// without a receiver they are dropped.
#[tokio::test(flavor = "multi_thread")]
async fn pushes_are_bounded_and_losses_told() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client().pushes_max(2).connect().await.unwrap();
    let push = |n: u8| Bytes::from(vec![n, 1, 1, 1]);
    server.inject(Inject::Push(push(0)));
    // What came before the second answer came before the receiver.
    client.invoke_raw(call(1)).await.unwrap();
    client.invoke_raw(call(2)).await.unwrap();
    let mut pushes = client.pushes();
    let mut slow = client.pushes();
    for n in 1..=5 {
        server.inject(Inject::Push(push(n)));
        assert_eq!(pushes.next().await, Some(Push::Message(push(n))));
    }
    assert_eq!(slow.next().await, Some(Push::Missed(3)));
    assert_eq!(slow.next().await, Some(Push::Message(push(4))));
}

/// A client is not made without a key to trust.
#[tokio::test]
async fn no_server_key_is_no_server() {
    let error = RawClient::builder("127.0.0.1:1", []).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::NoServerKey));
}

/// A server that gives these replies in turn, and a client of it.
async fn answering<const N: usize>(replies: [Reply; N]) -> (Server, RawClient) {
    let server = Server::start(replying(replies)).await;
    let client = server.client().connect().await.unwrap();
    (server, client)
}

fn replying<const N: usize>(replies: [Reply; N]) -> Hooks {
    let replies = Arc::new(Mutex::new(replies.into_iter()));
    let call = move |_: &mut Bytes| replies.lock().unwrap().next().unwrap_or(Reply::Nothing);
    Hooks { call: Box::new(call), ..Hooks::default() }
}

fn call(n: u8) -> Bytes {
    Bytes::from(vec![n, 2, 2, 2, 0, 0, 0, 0])
}

fn answer() -> Bytes {
    Bytes::from_static(&[9, 9, 9, 9])
}

/// Something before the call that no other call begins with.
fn wrap(call: Bytes) -> Bytes {
    let mut wrapped = BytesMut::from(&[0xff; 4][..]);
    wrapped.extend_from_slice(&call);
    wrapped.freeze()
}

fn calls(server: &Server) -> Vec<Bytes> {
    let call = |seen| match seen {
        Seen::Call(call) => Some(call),
        _ => None,
    };
    server.seen().into_iter().filter_map(call).collect()
}
