//! What peers can make the whole server hold is bounded, and what is given up is told.

use bytes::Bytes;
use chappe_proto::schema::functions::{DestroyAuthKey, Ping};
use chappe_proto::schema::types::DestroyAuthKeyRes;
use chappe_proto::session::container::{self, Inner};
use chappe_proto::session::outbox::OutboxLimits;
use chappe_tl::{Decode, Reader, to_bytes};

use crate::client::{Client, Heard, Scribe, Wire};
use crate::functions::{Echo, Fill};
use crate::world::{Event, World};

/// Rule:   pushes that are not acknowledged are bounded; the oldest go, and the program hears that
///         the session has a gap, and of how many.
/// Source: SES-07.
#[tokio::test]
async fn program_hears_of_gaps() {
    let world = World::with(|config| config.session.outbox = OutboxLimits::new(3, 1 << 20)).await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let (key, session) = (client.account.key.id(), client.session.id());
    // What is acknowledged makes room, so nothing is from here on.
    drop(std::mem::replace(&mut client.wire, Wire::connect(world.address).await));
    for number in 0..5_u8 {
        let update = Bytes::copy_from_slice(&[1, 0, 0, 0x99, number, 0, 0, 0]);
        world.pusher.to_session(key, session, update).await.unwrap();
    }
    let mut dropped = 0;
    while dropped < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        dropped = world.heard.all().iter().fold(0, |sum, event| match event {
            Event::PushesDropped(of, count) => {
                assert_eq!(*of, session);
                sum + count
            }
            _ => sum,
        });
    }
    client.reconnect(&world).await;
    let pushed = client.pushed().await;
    assert!(pushed[4] >= 2, "the oldest are the ones that go");
}

/// Rule:   beyond the cap on the memory of all sessions the least recently used one without a
///         connection is forgotten.
/// Source: SES-06, SEC-47.
#[tokio::test]
async fn memory_of_all_sessions_is_capped() {
    let world = World::with(|config| config.sessions.memory_max_bytes = 120 << 10).await;
    let mut oldest = Client::new(&world).await;
    let mut older = Client::with(&world, &oldest.account).await;
    let mut busy = Client::with(&world, &oldest.account).await;
    let key = oldest.account.key.id();
    for client in [&mut oldest, &mut older, &mut busy] {
        client.call(Echo::from("x")).await.unwrap();
    }
    let (first, second, third) = (oldest.session.id(), older.session.id(), busy.session.id());
    drop(oldest);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    drop(older);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    // Three sessions take 12 KiB before they hold anything.
    let push = Bytes::from(vec![1; 35 << 10]);
    for session in [first, second, third] {
        world.pusher.to_session(key, session, push.clone()).await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let forgotten = |heard: Vec<Event>| {
        let is_end = |event: &Event| matches!(event, Event::Forgotten(_));
        heard.into_iter().filter(is_end).collect::<Vec<_>>()
    };
    assert_eq!(forgotten(world.heard.all()), []);
    busy.call(Fill::from("9000")).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(forgotten(world.heard.all()), [Event::Forgotten(first)]);
    world.pusher.to_session(key, first, push.clone()).await.unwrap_err();
    world.pusher.to_session(key, second, Bytes::from_static(&[1, 0, 0, 0x99])).await.unwrap();
}

/// Rule:   sessions in all are bounded; one more gets -429, for what could be forgotten must be
///         remembered for a while.
/// Source: SES-07, SEC-47.
#[tokio::test]
async fn sessions_in_all_are_limited() {
    let world = World::with(|config| config.sessions.total_max = 2).await;
    let mut one = Client::new(&world).await;
    let mut two = Client::new(&world).await;
    for client in [&mut one, &mut two] {
        client.call(Echo::from("x")).await.unwrap();
    }
    let mut three = Wire::connect(world.address).await;
    let account = three.exchange(&world).await.unwrap();
    three.send(&account.key, Scribe::new(&account).write(&Echo::from("x"))).await;
    three.errs(429).await;
    three.ends().await;
    one.call(Echo::from("x")).await.unwrap();
}

/// Rule:   a key is destroyed once, however often that is asked for at once; the others are told
///         that it fails now.
/// Source: SVC-37, SEC-47.
#[tokio::test]
async fn key_is_destroyed_by_one_query() {
    let world = World::new().await;
    let mut wire = Wire::connect(world.address).await;
    let account = wire.exchange(&world).await.unwrap();
    let mut scribe = Scribe::new(&account);
    let first = scribe.write(&Ping { ping_id: 1 });
    wire.send(&account.key, first).await;
    wire.hear().await;
    let destroy = to_bytes(&DestroyAuthKey {}).unwrap();
    let inners: Vec<Inner> = (0..5)
        .map(|number| {
            let message = scribe.write_with(3 + 2 * number, destroy.clone());
            Inner { msg_id: message.header.msg_id, seq_no: 3 + 2 * number, body: message.body }
        })
        .collect();
    let message = scribe.write_with(12, container::pack(&inners));
    wire.send(&account.key, message).await;
    let (mut failed, mut done) = (0, 0);
    while failed + done < 5 {
        let Heard::Message(message) = wire.hear().await else { panic!("no answer") };
        let bodies = match container::unpack(message.header.msg_id, &message.body) {
            Ok(inners) => inners.into_iter().map(|inner| inner.body).collect(),
            Err(_) => vec![message.body],
        };
        for body in bodies {
            match DestroyAuthKeyRes::decode(&mut Reader::new(body)) {
                Ok(DestroyAuthKeyRes::DestroyAuthKeyOk) => done += 1,
                Ok(DestroyAuthKeyRes::DestroyAuthKeyFail) => failed += 1,
                _ => {}
            }
        }
    }
    assert_eq!((failed, done), (4, 1));
}
