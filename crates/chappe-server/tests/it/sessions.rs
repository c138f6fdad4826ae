//! Sessions: over several connections, several at once, forgotten and destroyed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chappe_proto::schema::functions::{
    DestroySession, InitConnection, InvokeWithLayer, InvokeWithoutUpdates, PingDelayDisconnect,
};
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::client::ClientEvent;
use chappe_tl::{Constructor, Raw, to_bytes};

use crate::client::{Client, Heard, Scribe, Wire};
use crate::functions::{Count, Describe, Echo, Sleep};
use crate::world::World;

/// Rule:   a connection that closes cancels nothing; the answer comes on the next one of the
///         session.
/// Source: SES-03, SES-09, SES-16.
#[tokio::test]
async fn answer_finds_its_session_on_the_next_connection() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let call = client.begin(&Sleep::from("200")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.reconnect(&world).await;
    assert_eq!(client.answer::<Sleep>(call).await.unwrap(), "200");
}

/// Rule:   an answer that was sent and not acknowledged is sent again on the next connection, and
///         its call does not run again.
/// Source: SES-09, SES-15, MSG-39.
#[tokio::test]
async fn unacknowledged_answer_is_sent_again() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let account = client.account.clone();
    let mut scribe = Scribe::new(&account);
    let call = scribe.write(&Count::from(""));
    client.wire.send(&account.key, call.clone()).await;
    let first = result_of(&mut client.wire, call.header.msg_id.0).await;

    drop(client.wire);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut wire = Wire::connect(world.address).await;
    let ping = scribe.write(&chappe_proto::schema::functions::Ping { ping_id: 1 });
    wire.send(&account.key, ping).await;
    assert_eq!(result_of(&mut wire, call.header.msg_id.0).await, first);
    assert_eq!(world.app.runs.load(Ordering::Relaxed), 1);
}

/// Rule:   what one session gets never comes to another, be it of the same key or on the same
///         connection.
/// Source: SEC-35, MSG-06, SES-05, TRN-41.
#[tokio::test]
async fn sessions_never_see_each_others_answers() {
    let world = World::new().await;
    let mut one = Client::new(&world).await;
    let mut two = Client::with(&world, &one.account).await;
    for number in 0..20 {
        let (first, second) = (format!("one {number}"), format!("two {number}"));
        let of_one = one.begin(&Echo::from(first.as_str())).await;
        let of_two = two.begin(&Echo::from(second.as_str())).await;
        // A message for another session would end the client's.
        assert_eq!(two.answer::<Echo>(of_two).await.unwrap(), second.as_str());
        assert_eq!(one.answer::<Echo>(of_one).await.unwrap(), first.as_str());
    }

    // The connection of the first is taken over by a third while its call still runs.
    one.begin(&Sleep::from("2000")).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut three = Client::over(one.wire, &one.account);
    three.call(Echo::from("three")).await.unwrap();
    let call = three.begin(&Sleep::from("2300")).await;
    assert_eq!(three.answer::<Sleep>(call).await.unwrap(), "2300");
}

/// Rule:   16 connections of one key; the next gets -429 and is closed, the others go on.
/// Source: SES-07, SEC-47.
#[tokio::test]
async fn connections_of_one_key_are_limited() {
    let world = World::with(|config| config.sessions.links_per_key_max = 2).await;
    let mut one = Client::new(&world).await;
    let mut two = Client::with(&world, &one.account).await;
    one.call(Echo::from("x")).await.unwrap();
    two.call(Echo::from("x")).await.unwrap();
    let mut three = Client::with(&world, &one.account).await;
    three.begin(&Echo::from("x")).await;
    three.wire.errs(429).await;
    three.wire.ends().await;
    one.call(Echo::from("y")).await.unwrap();
    drop(two);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut four = Client::with(&world, &one.account).await;
    four.call(Echo::from("x")).await.unwrap();
}

/// Rule:   one session too many of a key makes the least recently used without a connection be
///         forgotten; its ids are remembered, so a replay does not run.
/// Source: SES-07, SES-06, MSG-39, SEC-55.
#[tokio::test]
async fn least_recently_used_session_is_forgotten() {
    let world = World::with(|config| config.sessions.per_key_max = 2).await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut scribes: Vec<Scribe> = (0..3).map(|_| Scribe::new(&account)).collect();
    let mut calls = Vec::new();
    for scribe in &mut scribes {
        let call = scribe.write(&Count::from(""));
        wire.send(&account.key, call.clone()).await;
        result_of(&mut wire, call.header.msg_id.0).await;
        calls.push(call);
    }
    assert_eq!(world.app.runs.load(Ordering::Relaxed), 3);
    // The first one is gone: a new message creates it again, and the old one does not run.
    wire.send(&account.key, calls[0].clone()).await;
    let next = scribes[0].write(&Echo::from("x"));
    wire.send(&account.key, next.clone()).await;
    let heard = until_result(&mut wire, next.header.msg_id.0).await;
    assert!(heard.iter().any(|body| has_id(body, types::NewSession::ID)));
    assert_eq!(world.app.runs.load(Ordering::Relaxed), 3);
}

/// Rule:   where every session of a key has a connection, none is forgotten: the new one gets
///         -429.
/// Source: SES-07.
#[tokio::test]
async fn sessions_in_use_are_not_forgotten() {
    let world = World::with(|config| config.sessions.per_key_max = 1).await;
    let mut one = Client::new(&world).await;
    one.call(Echo::from("x")).await.unwrap();
    let mut two = Client::with(&world, &one.account).await;
    two.begin(&Echo::from("x")).await;
    two.wire.errs(429).await;
    one.call(Echo::from("x")).await.unwrap();
}

/// Rule:   `destroy_session` makes the server forget another session of the same key; a recorded
///         packet of it does not run again.
/// Source: SVC-36, SEC-55, MSG-39.
#[tokio::test]
async fn replay_after_destroy_session_does_not_run() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let account = client.account.clone();
    let mut scribe = Scribe::new(&account);
    let mut wire = Wire::connect(world.address).await;
    let call = scribe.write(&Count::from(""));
    let recorded = wire.record(&account.key, call.clone());
    wire.raw(&recorded).await;
    wire.send(&account.key, scribe.write(&Echo::from("x"))).await;
    result_of(&mut wire, call.header.msg_id.0).await;

    let destroy = DestroySession { session_id: scribe.session_id.0 };
    assert!(destroys(&mut client, &destroy).await);
    assert!(!destroys(&mut client, &destroy).await, "there is none any more");
    assert!(!destroys(&mut client, &DestroySession { session_id: 5 }).await);

    let mut replay = Wire::connect(world.address).await;
    replay.raw(&recorded).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.app.runs.load(Ordering::Relaxed), 1);
}

/// Rule:   a session of another key cannot be destroyed.
/// Source: SVC-36.
#[tokio::test]
async fn session_of_another_key_is_not_destroyed() {
    let world = World::new().await;
    let mut one = Client::new(&world).await;
    let mut two = Client::new(&world).await;
    one.call(Echo::from("x")).await.unwrap();
    two.call(Echo::from("x")).await.unwrap();
    assert!(!destroys(&mut two, &DestroySession { session_id: one.session.id().0 }).await);
}

/// Rule:   a session without a connection is forgotten after a while, and created anew by its
///         next message.
/// Source: SES-06, SES-02, SVC-39.
#[tokio::test]
async fn idle_session_is_forgotten() {
    let world = World::with(|config| {
        config.sessions.idle_max = Duration::from_millis(200);
        config.sessions.ids_kept = Duration::from_millis(400);
    })
    .await;
    for idle in [Duration::from_millis(320), Duration::from_millis(700)] {
        let mut client = Client::new(&world).await;
        client.call(Echo::from("x")).await.unwrap();
        client.wire = Wire::connect(world.address).await;
        tokio::time::sleep(idle).await;
        client.reconnect(&world).await;
        let call = client.begin(&Echo::from("y")).await;
        while client.event().await != ClientEvent::PushesMayBeLost {}
        client.answer::<Echo>(call).await.unwrap();
    }
}

/// Rule:   the connection is closed once the delay of `ping_delay_disconnect` is over, if none
///         restarts it; a delay of 0 closes after the pong.
/// Source: SVC-34.
#[tokio::test]
async fn connection_ends_unless_pinged() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    for (disconnect_delay, least) in [(1, Duration::from_secs(1)), (0, Duration::ZERO)] {
        let mut wire = Wire::connect(world.address).await;
        let mut scribe = Scribe::new(&account);
        let begun = tokio::time::Instant::now();
        let ping = PingDelayDisconnect { ping_id: 9, disconnect_delay };
        wire.send(&account.key, scribe.write(&ping)).await;
        let Heard::Message(message) = wire.hear().await else { panic!("no pong") };
        assert!(message.body.windows(4).any(|id| id == types::Pong::ID.to_le_bytes()));
        wire.ends().await;
        assert!(begun.elapsed() >= least && begun.elapsed() < least + Duration::from_secs(2));
    }
}

/// Rule:   layer and client data of `initConnection` are saved with the key, for all its sessions;
///         `invokeWithLayer` alone is for one call.
/// Source: SVC-48, QRK-09.
#[tokio::test]
async fn what_a_client_says_of_itself_is_saved_with_its_key() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    assert_eq!(client.call(Describe::from("")).await.unwrap(), "None None false");
    let saved = "Some(7) Some(\"phone\") false";
    let described = client.call_raw::<Describe>(&initialised("phone")).await.unwrap();
    assert_eq!(described, saved);
    let layered = InvokeWithLayer { layer: 9, query: raw(&Describe::from("")) };
    let described = client.call_raw::<Describe>(&layered).await.unwrap();
    assert_eq!(described, "Some(9) Some(\"phone\") false");
    let mut other = Client::with(&world, &client.account).await;
    assert_eq!(other.call(Describe::from("")).await.unwrap(), saved);
    let info = world.backend.store().connection(client.account.key.id()).await.unwrap();
    assert_eq!(info.unwrap().layer, 7);
}

/// Rule:   a layer that is not served gets 400 `CONNECTION_LAYER_INVALID`.
/// Source: SVC-48.
#[tokio::test]
async fn layer_that_is_not_served_is_refused() {
    let world = World::with(|config| config.layers = 100..=200).await;
    let mut client = Client::new(&world).await;
    let error = client.call_raw::<Describe>(&initialised("phone")).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (400, "CONNECTION_LAYER_INVALID"));
}

/// Rule:   the wrapper is seen by the handler.
/// Source: SVC-50.
#[tokio::test]
async fn call_without_updates_says_so() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    let quiet = InvokeWithoutUpdates { query: raw(&Describe::from("")) };
    let described = client.call_raw::<Describe>(&quiet).await.unwrap();
    assert_eq!(described, "None None true");
}

/// `Describe` as a client's first call.
pub(crate) fn initialised(device: &str) -> InvokeWithLayer<InitConnection<Raw>> {
    let query = InitConnection {
        api_id: 1,
        device_model: device.into(),
        system_version: "1".into(),
        app_version: "1".into(),
        system_lang_code: "en".into(),
        lang_pack: "".into(),
        lang_code: "en".into(),
        proxy: None,
        params: None,
        query: raw(&Describe::from("")),
    };
    InvokeWithLayer { layer: 7, query }
}

pub(crate) fn raw(function: &impl chappe_tl::Encode) -> Raw {
    Raw(to_bytes(function).unwrap())
}

/// Whether the server says that it destroyed the session.
async fn destroys(client: &mut Client, destroy: &DestroySession) -> bool {
    let mut scribe = Scribe::new(&client.account);
    let message = scribe.write(destroy);
    client.wire.send(&client.account.key, message).await;
    loop {
        let Heard::Message(answer) = client.wire.hear().await else { panic!("no answer") };
        if has_id(&answer.body, ctors::DestroySessionOk::ID) {
            return true;
        }
        if has_id(&answer.body, ctors::DestroySessionNone::ID) {
            return false;
        }
    }
}

/// The `rpc_result` of a call, from its id on.
pub(crate) async fn result_of(wire: &mut Wire, call: i64) -> Vec<u8> {
    let heard = until_result(wire, call).await;
    let last = heard.last().unwrap();
    let head = result_head(call);
    let at = last.windows(head.len()).position(|window| window == head).unwrap();
    last[at..(at + 16).min(last.len())].to_vec()
}

/// Bodies up to the one that answers a call.
async fn until_result(wire: &mut Wire, call: i64) -> Vec<bytes::Bytes> {
    let mut heard = Vec::new();
    let head = result_head(call);
    loop {
        let Heard::Message(message) = wire.hear().await else { panic!("no answer") };
        let is_last = message.body.windows(head.len()).any(|window| window == head);
        heard.push(message.body);
        if is_last {
            return heard;
        }
    }
}

fn result_head(call: i64) -> Vec<u8> {
    [&chappe_proto::rpc::RESULT.to_le_bytes()[..], &call.to_le_bytes()[..]].concat()
}

fn has_id(body: &[u8], id: u32) -> bool {
    body.windows(4).any(|window| window == id.to_le_bytes())
}
