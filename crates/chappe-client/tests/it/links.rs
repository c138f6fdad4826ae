//! Links that break, are cut, or carry what nobody honest sent.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chappe_client::{ConnectError, DialError, InvokeError, LinkError, MemoryStorage, RawClient};
use chappe_proto::envelope::encrypted::Header;
use chappe_proto::schema::types;
use chappe_proto::session::client::SessionConfig;
use chappe_proto::{MsgId, SessionId};

use crate::server::{Accept, Hooks, Inject, Reply, Seen, Server, encoded};

/// Rule: SES-03, SES-10, SES-13, SVC-15: a call whose link is lost is asked about on the next one,
/// which is opened at once; the answer arrives there, and the call has run once.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_with_its_link_arrives_on_the_next_one() {
    let mut runs = 0;
    let hooks = Hooks {
        call: Box::new(move |call| {
            runs += 1;
            if runs % 2 == 1 { Reply::Cut(call.clone()) } else { Reply::Result(call.clone()) }
        }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let client = server.client().connect().await.unwrap();
    for n in 0..6 {
        assert_eq!(client.invoke_raw(call(n)).await.unwrap(), call(n));
        assert_eq!(server.count(|seen| *seen == Seen::Call(call(n))), 1);
    }
    assert_eq!(server.state().sessions.len(), 1);
    assert!(server.links() >= 4);
    let asks = encoded(&types::MsgsStateReq { msg_ids: vec![] }).slice(..4);
    let asked = server.count(
        |seen| matches!(seen, Seen::Message { body, .. } if body.windows(4).any(|at| at == asks)),
    );
    assert_eq!(asked, server.links() - 1);
}

/// Rule: SES-13: a call that was not answered before the cut waits for the next link.
#[tokio::test(flavor = "multi_thread")]
async fn calls_made_without_a_link_wait_for_one() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client().connect().await.unwrap();
    server.state().hooks.accept =
        Box::new(|link| if *link < 3 { Accept::Close } else { Accept::Serve });
    server.inject(Inject::Cut);
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
    let calls = (0..20).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { client.invoke_raw(call(n)).await })
    });
    for (n, answer) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap(), call(n as u8));
    }
    assert_eq!(server.links(), 4);
}

/// Rule: SES-14, SVC-35: while calls wait a link on which nothing comes is given up soon; one that
/// brings a part of a packet now and then is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_falls_silent_is_given_up() {
    for is_slow in [false, true] {
        let server = Server::start(Hooks::default()).await;
        let mut config = SessionConfig::default();
        config.silence_max = Duration::from_secs(1);
        let client = server.client().session_config(config).connect().await.unwrap();
        server.state().hooks.accept = Box::new(move |link| match link {
            1 if is_slow => Accept::Trickle,
            1 => Accept::Silent,
            _ => Accept::Serve,
        });
        server.inject(Inject::Cut);
        server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
        let answer = tokio::time::timeout(Duration::from_secs(5), client.invoke_raw(call(1))).await;
        if is_slow {
            assert!(answer.is_err(), "{answer:?}");
            assert_eq!(server.links(), 2);
        } else {
            assert_eq!(answer.unwrap().unwrap(), call(1));
            assert_eq!(server.links(), 3);
        }
    }
}

/// Rule: SES-13, TRN-34, SEC-50: after -429 the next attempt waits 5 s at least, and nothing else
/// changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_server_gets_time() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client().connect().await.unwrap();
    let begun = Instant::now();
    server.inject(Inject::Error(429));
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
    client.invoke_raw(call(1)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(server.state().keys.len(), 1);
}

/// Rule: SES-13: a server that answers the first ping and closes is dialled with longer and longer
/// pauses, for such a connection is of no use; once one has brought an answer the next is opened at
/// once.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_greets_and_closes_gets_time() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client().connect().await.unwrap();
    client.invoke_raw(call(0)).await.unwrap();
    server.state().hooks.accept =
        Box::new(|link| if *link <= 3 { Accept::Greet } else { Accept::Serve });
    let begun = Instant::now();
    server.inject(Inject::Cut);
    server.until(|state| state.seen.contains(&Seen::Connected(4))).await;
    // 0, 1 and 2 s before links 2 to 4: the first link had served.
    assert!(begun.elapsed() >= Duration::from_millis(800 + 1600), "{:?}", begun.elapsed());
    client.invoke_raw(call(1)).await.unwrap();
    let begun = Instant::now();
    server.inject(Inject::Cut);
    client.invoke_raw(call(2)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(700), "{:?}", begun.elapsed());
}

/// Rule: SES-27, SES-13: whose salts are all refused opens another connection, with pauses, though
/// each refusal is a message that was decrypted.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_every_salt_gets_time() {
    let server = Server::start(Hooks::default()).await;
    let mut config = SessionConfig::default();
    config.corrections_max = 1;
    let client = server.client().session_config(config).connect().await.unwrap();
    client.invoke_raw(call(0)).await.unwrap();
    server.state().salts_drift = true;
    let begun = Instant::now();
    for n in 1..=4 {
        let error = client.invoke_raw(call(n)).await.unwrap_err();
        assert!(matches!(error, InvokeError::Refused { code: 48, .. }), "{error}");
    }
    assert_eq!(server.links(), 5);
    assert!(begun.elapsed() >= Duration::from_millis(800 + 1600), "{:?}", begun.elapsed());
}

/// Rule: KEY-01, SEC-45, SEC-50, SES-32: an unencrypted message after the key was made, whatever it
/// says, ends the link and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn unencrypted_messages_are_not_believed() {
    let pong = encoded(&types::Pong { msg_id: 4, ping_id: 4 });
    check_drop(|| Inject::Plain(pong.clone())).await;
}

/// Rule: MSG-R05, SEC-21, SEC-30: a packet that does not open ends the link and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn packets_that_do_not_open_end_the_link() {
    check_drop(|| Inject::Garbage).await;
}

/// Rule: MSG-R07, SEC-25, SEC-30: a message for a session that is not ours.
#[tokio::test(flavor = "multi_thread")]
async fn messages_for_other_sessions_end_the_link() {
    check_drop(|| inject(|header| header.session_id = SessionId(header.session_id.0 ^ 1))).await;
}

/// Rule: MSG-R08, SEC-26, SEC-30: a message with the id of a client, as a reflected one has.
#[tokio::test(flavor = "multi_thread")]
async fn messages_with_ids_of_clients_end_the_link() {
    check_drop(|| inject(|header| header.msg_id = MsgId(header.msg_id.0 & !3))).await;
}

/// Rule: SEC-29, SEC-33, SEC-34, SEC-58, MSG-31, SVC-25, SVC-32: notices, salts, results and
/// salts to come for messages that we never sent are ignored; the link goes on.
#[tokio::test(flavor = "multi_thread")]
async fn notices_about_messages_of_others_are_ignored() {
    use chappe_proto::schema::ctors;
    let server = Server::start(Hooks::default()).await;
    let storage = Arc::new(MemoryStorage::new());
    let client = server.client().storage(Arc::clone(&storage)).connect().await.unwrap();
    client.invoke_raw(call(0)).await.unwrap();
    let of_nobody = 0x6000_0000_0000_0004_i64;
    let salt = types::FutureSalt { valid_since: 0, valid_until: i32::MAX, salt: 666 };
    let forged = [
        encoded(&ctors::BadServerSalt {
            bad_msg_id: of_nobody,
            bad_msg_seqno: 1,
            error_code: 48,
            new_server_salt: 666,
        }),
        encoded(&ctors::BadMsgNotification {
            bad_msg_id: of_nobody,
            bad_msg_seqno: 1,
            error_code: 32,
        }),
        encoded(&types::FutureSalts { req_msg_id: of_nobody, now: 1, salts: vec![salt] }),
        encoded(&types::Pong { msg_id: of_nobody, ping_id: 1 }),
        chappe_proto::rpc::result_body(MsgId(of_nobody), &call(9)),
    ];
    for body in forged {
        // The salt of the envelope is no source either.
        server.inject(Inject::Message(Box::new(|header| header.salt = 666), body));
    }
    client.invoke_raw(call(1)).await.unwrap();
    client.invoke_raw(call(2)).await.unwrap();
    assert_eq!(server.links(), 1);
    assert_eq!(server.state().sessions.len(), 1);
    assert!(!server.seen().iter().any(|seen| matches!(seen, Seen::Message { salt: 666, .. })));
}

/// Rule: SEC-27, MSG-R10: a message sent twice is delivered once.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_message_is_delivered_once() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client().connect().await.unwrap();
    let mut pushes = client.pushes();
    let id = |header: &Header| MsgId((header.msg_id.0 | 3) + (1 << 20));
    for n in [1, 1, 1, 2] {
        let shift = i64::from(n) << 24;
        let change = move |header: &mut Header, own: MsgId| header.msg_id = MsgId(own.0 + shift);
        let own = server.state().last.as_ref().map(|(_, header, _)| id(header)).unwrap();
        let change = Box::new(move |header: &mut Header| change(header, own));
        server.inject(Inject::Message(change, call(n)));
    }
    for n in [1, 2] {
        assert_eq!(pushes.next().await, Some(chappe_client::Push::Message(call(n))));
    }
}

/// Without a server `connect` fails after its time, with the last cause.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_to_nobody_fails_in_time() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = RawClient::builder(nobody, [Server::public_key()]);
    let begun = Instant::now();
    let connecting = client.connect_timeout(Duration::from_millis(1500)).connect();
    let error = connecting.await.unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    let ConnectError::Timeout { last: Some(LinkError::Connect(why)), .. } = &error else {
        panic!("{error}");
    };
    let DialError::Connect(why) = &**why else { panic!("{why}") };
    assert_eq!(why.failed[0].address, nobody.to_string());
}

/// A server that answers nothing at all does not hold `connect` longer than its time.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_to_a_silent_server_fails_in_time() {
    let hooks = Hooks { accept: Box::new(|_| Accept::Silent), ..Hooks::default() };
    let server = Server::start(hooks).await;
    let client = server.client().connect_timeout(Duration::from_secs(1));
    let error = client.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { last: None, .. }), "{error}");
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
}

/// Calls fail once the server is out of reach for longer than the limit, new ones at once, and
/// work again when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn calls_fail_when_the_server_is_out_of_reach_for_too_long() {
    let server = Server::start(Hooks::default()).await;
    let limit = Duration::from_millis(600);
    let client = server.client().unreachable_max(limit).connect().await.unwrap();
    server.state().hooks.accept = Box::new(|_| Accept::Close);
    server.inject(Inject::Cut);
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
    let error = client.invoke_raw(call(1)).await.unwrap_err();
    assert!(matches!(error, InvokeError::Unreachable(_)), "{error}");
    let begun = Instant::now();
    client.invoke_raw(call(2)).await.unwrap_err();
    assert!(begun.elapsed() < limit);
    server.state().hooks.accept = Box::new(|_| Accept::Serve);
    let back = async {
        while client.invoke_raw(call(3)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.unwrap();
}

/// A client that nobody holds any more goes away.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_clone_takes_the_link_with_it() {
    let server = Server::start(Hooks::default()).await;
    let client = server.client().connect().await.unwrap();
    drop(client.clone());
    client.invoke_raw(call(1)).await.unwrap();
    drop(client);
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
}

/// What is injected costs the link; the next one goes on under the same key, salt and session,
/// and an open call is answered.
async fn check_drop(inject: impl Fn() -> Inject) {
    let server = Server::start(Hooks::default()).await;
    let client = server.client().connect().await.unwrap();
    client.invoke_raw(call(0)).await.unwrap();
    let (key, before, _) = server.state().last.clone().unwrap();
    server.inject(inject());
    server.until(|state| state.seen.contains(&Seen::Connected(1))).await;
    assert_eq!(client.invoke_raw(call(1)).await.unwrap(), call(1));
    let (new_key, after, _) = server.state().last.clone().unwrap();
    assert_eq!(new_key.id(), key.id());
    assert_eq!((after.session_id, after.salt), (before.session_id, before.salt));
    assert_eq!(server.links(), 2);
}

/// An encrypted message whose header is not an honest one's.
fn inject(change: impl FnOnce(&mut Header) + Send + 'static) -> Inject {
    Inject::Message(Box::new(change), encoded(&types::Pong { msg_id: 4, ping_id: 4 }))
}

fn call(n: u8) -> Bytes {
    Bytes::from(vec![n, 7, 7, 7, 0, 0, 0, 0])
}
