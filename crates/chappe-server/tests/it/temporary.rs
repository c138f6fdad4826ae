//! Temporary keys in use: what they may do unbound and bound, and how they end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chappe_backend::Backend;
use chappe_crypto::AuthKeyId;
use chappe_net::Clock;
use chappe_proto::handshake::server::DcPolicy;
use chappe_proto::schema::functions::auth::DropTempAuthKeys;
use chappe_proto::schema::functions::{
    DestroyAuthKey, DestroySession, GetFutureSalts, InvokeAfterMsg, InvokeWithLayer,
    InvokeWithoutUpdates, Ping,
};
use chappe_proto::schema::types::{self, DestroyAuthKeyRes};
use chappe_proto::schema::{ctors, types as service};
use chappe_proto::session::kind;
use chappe_server::Events;
use chappe_tl::{Constructor, Decode, Raw, Reader};
use futures_util::future::BoxFuture;

use crate::client::{Account, Scribe, Wire};
use crate::functions::{Count, Describe, Echo, Open, Sleep, Unanswered, WhoAmI, named};
use crate::holder::{Holder, LIFE, answer, call_under, connect, heard, refusal, scribe};
use crate::sessions::{initialised, raw};
use crate::world::{Setup, World};

/// An update as a schema might have it.
const UPDATE: Bytes = Bytes::from_static(b"\x01\x00\x00\x99new message!");

fn unbound() -> (i32, String) {
    (401, "AUTH_KEY_PERM_EMPTY".into())
}

/// Rules:  PFS-04, SEC-38: before it is bound a temporary key may call what the router says, in
///         any wrapper; everything else gets 401 `AUTH_KEY_PERM_EMPTY` and does not run.
/// Source: 07-pfs §1.
#[tokio::test]
async fn unbound_key_may_call_little() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let open = Open::from("x");
    let earlier = holder.scribe.write(&open);
    let earlier_id = earlier.header.msg_id.0;
    assert_eq!(holder.ask::<Open>(earlier).await.unwrap(), "x");
    let in_layer = InvokeWithLayer { layer: 7, query: raw(&open) };
    assert_eq!(holder.call_in::<Open>(&in_layer).await.unwrap(), "x");
    let mut in_connection = initialised("phone");
    in_connection.query.query = raw(&open);
    assert_eq!(holder.call_in::<Open>(&in_connection).await.unwrap(), "x");
    let quiet = InvokeWithoutUpdates { query: raw(&open) };
    assert_eq!(holder.call_in::<Open>(&quiet).await.unwrap(), "x");
    let after = InvokeAfterMsg { msg_id: earlier_id, query: raw(&open) };
    assert_eq!(holder.call_in::<Open>(&after).await.unwrap(), "x");
    // Long enough to be worth packing.
    let long = "x".repeat(1000);
    let packed = |call: Raw| {
        let packed_data = chappe_tl::gzip::deflate(&call.0).unwrap();
        Raw(chappe_proto::rpc::gzip_packed(&packed_data))
    };
    let call = packed(raw(&Open::from(long.as_str())));
    assert_eq!(holder.call_in::<Open>(&call).await.unwrap(), long.as_str());

    let count = Count::from("");
    let mut counted_in_connection = initialised("phone");
    counted_in_connection.query.query = raw(&count);
    for call in [
        raw(&count),
        raw(&InvokeWithLayer { layer: 7, query: raw(&count) }),
        raw(&counted_in_connection),
        raw(&InvokeWithoutUpdates { query: raw(&count) }),
        raw(&InvokeAfterMsg { msg_id: earlier_id, query: raw(&count) }),
        packed(raw(&Count::from(long.as_str()))),
        raw(&Unanswered::from("")),
        raw(&DropTempAuthKeys { except_auth_keys: Vec::new() }),
    ] {
        assert_eq!(refusal(holder.call_in::<Count>(&call).await), unbound(), "{call:?}");
    }
    assert_eq!(world.app.runs.load(Ordering::Relaxed), 0);
    assert_eq!(holder.bind().await, Ok(true));
    assert_eq!(holder.call(count).await.unwrap(), "1");
}

/// Rule:   PFS-04: service messages are answered under a key that is not bound.
/// Source: 07-pfs §1.
#[tokio::test]
async fn unbound_key_may_send_service_messages() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let ids = vec![1];
    let requests: [(Raw, u32); 5] = [
        (raw(&Ping { ping_id: 5 }), service::Pong::ID),
        (raw(&GetFutureSalts { num: 3 }), service::FutureSalts::ID),
        (raw(&DestroySession { session_id: 9 }), ctors::DestroySessionNone::ID),
        (raw(&types::MsgsStateReq { msg_ids: ids }), service::MsgsStateInfo::ID),
        (raw(&DestroyAuthKey {}), kind::DESTROY_AUTH_KEY_NONE),
    ];
    for (request, answer) in requests {
        let message = holder.scribe.write(&request);
        let key = holder.temporary().key.clone();
        holder.wire.send(&key, message).await;
        until(&mut holder.wire, answer).await;
    }
}

/// Rules:  PFS-13, SVC-48: a bound key carries layer and client data of the permanent one, but
///         until `initConnection` has come again a call gets 400 `CONNECTION_NOT_INITED`; what it
///         says then is saved with the permanent key.
/// Source: 07-pfs §3.
#[tokio::test]
async fn bound_key_has_to_be_initialised_again() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    call_under::<Describe>(&world, &holder.permanent, &initialised("phone")).await.unwrap();
    // What is said before the binding does not count.
    let mut early = initialised("early");
    early.query.query = raw(&Open::from("x"));
    holder.call_in::<Open>(&early).await.unwrap();
    holder.bind().await.unwrap();

    let not_initialised = (400, "CONNECTION_NOT_INITED".to_owned());
    assert_eq!(refusal(holder.call(Describe::from("")).await), not_initialised);
    let layered = InvokeWithLayer { layer: 7, query: raw(&Describe::from("")) };
    assert_eq!(refusal(holder.call_in::<Describe>(&layered).await), not_initialised);
    assert_eq!(holder.call(Open::from("x")).await.unwrap(), "x", "as before the binding");
    // Binding the same two again changes nothing.
    holder.bind().await.unwrap();
    assert_eq!(refusal(holder.call(Describe::from("")).await), not_initialised);

    let tablet = "Some(7) Some(\"tablet\") false";
    assert_eq!(holder.initialise("tablet").await.unwrap(), tablet);
    assert_eq!(holder.call(Describe::from("")).await.unwrap(), tablet);
    holder.bind().await.unwrap();
    assert_eq!(holder.call(Describe::from("")).await.unwrap(), tablet);
    let direct = call_under::<Describe>(&world, &holder.permanent, &Describe::from("")).await;
    assert_eq!(direct.unwrap(), tablet, "it is saved with the permanent key");
    let saved = world.backend.store().connection(holder.permanent.key.id()).await.unwrap();
    assert!(saved.unwrap().data.windows(6).any(|window| window == b"tablet"));

    // The next temporary key begins with what is saved, once it has said it again.
    let mut next = Holder::of(&world, &holder.permanent, 2).await;
    next.bind().await.unwrap();
    assert_eq!(refusal(next.call(Describe::from("")).await), not_initialised);
    assert_eq!(next.initialise("watch").await.unwrap(), "Some(7) Some(\"watch\") false");
}

/// Rule:   PFS-13: a client that never used `initConnection`, as of a schema without layers, is
///         not asked for it.
/// Source: 07-pfs §3.
#[tokio::test]
async fn client_that_never_said_anything_has_nothing_to_repeat() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    holder.bind().await.unwrap();
    assert_eq!(holder.call(Describe::from("")).await.unwrap(), "None None false");
}

/// Rules:  PFS-11, SEC-40: binding a new temporary key unbinds the one before, whose running calls
///         finish and whose connection stays.
/// Source: 07-pfs §3.
#[tokio::test]
async fn new_binding_takes_the_place_of_the_one_before() {
    let world = World::new().await;
    let mut one = Holder::new(&world).await;
    one.bind().await.unwrap();
    // Longer than the exchange and the binding that follow take on a busy machine.
    let slow = one.scribe.write(&Sleep::from("3000"));
    let (slow_id, key) = (slow.header.msg_id, one.temporary().key.clone());
    one.wire.send(&key, slow).await;
    one.call(Echo::from("x")).await.unwrap();

    let mut two = Holder::of(&world, &one.permanent, 2).await;
    two.bind().await.unwrap();
    assert_eq!(refusal(one.call(Echo::from("x")).await), unbound());
    assert_eq!(answer::<Sleep>(&mut one.wire, slow_id).await.unwrap(), "3000");
    assert_eq!(one.call(Open::from("x")).await.unwrap(), "x");
    assert_eq!(two.call(Echo::from("x")).await.unwrap(), "x");

    // It may be bound again, and then the other is not.
    one.bind().await.unwrap();
    assert_eq!(one.call(Echo::from("x")).await.unwrap(), "x");
    assert_eq!(refusal(two.call(Echo::from("x")).await), unbound());
}

/// Rules:  PFS-11, SEC-40: of many keys bound at once, one is.
/// Source: 07-pfs §3.
#[tokio::test]
async fn of_many_bindings_at_once_one_holds() {
    let world = World::new().await;
    let first = Holder::new(&world).await;
    let permanent = first.permanent.clone();
    let mut holders = vec![first];
    for _ in 0..7 {
        holders.push(Holder::of(&world, &permanent, 2).await);
    }
    for holder in &mut holders {
        let request = holder.bind_message(|_| {}, |_| {});
        let key = holder.temporary().key.clone();
        holder.wire.send(&key, request).await;
    }
    let mut bound = 0;
    tokio::time::sleep(Duration::from_millis(200)).await;
    for holder in &mut holders {
        bound += usize::from(holder.call(Echo::from("x")).await.is_ok());
    }
    assert_eq!(bound, 1);
}

/// Rule:   PFS-12: the key of a media connection does not take the place of the other, nor is it
///         taken by it.
/// Source: 07-pfs §3.
#[tokio::test]
async fn media_key_has_a_place_of_its_own() {
    let world = World::new().await;
    let mut main = Holder::new(&world).await;
    let mut media = Holder::of(&world, &main.permanent, -2).await;
    main.bind().await.unwrap();
    media.bind().await.unwrap();
    for holder in [&mut main, &mut media] {
        assert_eq!(holder.call(Echo::from("x")).await.unwrap(), "x");
    }
    let mut next = Holder::of(&world, &main.permanent, -2).await;
    next.bind().await.unwrap();
    assert_eq!(refusal(media.call(Echo::from("x")).await), unbound());
    for holder in [&mut main, &mut next] {
        assert_eq!(holder.call(Echo::from("x")).await.unwrap(), "x");
    }
}

/// Rule:   PFS-05: a media key works where media is served, and nowhere else: -444 in the exchange,
///         -404 for one that another node made.
/// Source: 07-pfs §1.
#[tokio::test]
async fn media_key_is_for_media_servers() {
    let backend = Backend::memory();
    let media = World::on(backend.clone(), |_| {}).await;
    let plain = World::on(backend, |config| {
        config.handshake.dc = DcPolicy::Only { dc: 2, test: false, media: false };
    })
    .await;
    let mut main = Holder::new(&media).await;
    let mut on_media = Holder::of(&media, &main.permanent, -2).await;
    on_media.bind().await.unwrap();
    main.bind().await.unwrap();
    on_media.wire = connect(&plain).await;
    on_media.is_unknown(&plain).await;
    on_media.wire = connect(&media).await;
    assert_eq!(on_media.call(Echo::from("x")).await.unwrap(), "x");
    main.wire = connect(&plain).await;
    assert_eq!(main.call(Echo::from("x")).await.unwrap(), "x");
    let refused = connect(&plain).await.exchange_for(&plain, -2, Some(LIFE)).await;
    assert_eq!(refused.unwrap_err(), 444);
}

/// Rule:   PFS-14: a permanent key that the server destroys is unknown, and its temporary keys are
///         unbound at once; they may be bound to another.
/// Source: 07-pfs §3.
#[tokio::test]
async fn destroyed_permanent_key_unbinds_at_once() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let mut media = Holder::of(&world, &holder.permanent, -2).await;
    holder.bind().await.unwrap();
    media.bind().await.unwrap();
    let slow = holder.scribe.write(&Sleep::from("200"));
    let (slow_id, key) = (slow.header.msg_id, holder.temporary().key.clone());
    holder.wire.send(&key, slow).await;
    holder.call(Echo::from("x")).await.unwrap();

    let old = holder.permanent.clone();
    assert_eq!(world.revoker.destroy(old.key.id()).await, Ok(true));
    assert_eq!(world.revoker.destroy(old.key.id()).await, Ok(false));
    assert_eq!(refusal(holder.call(Echo::from("x")).await), unbound());
    assert_eq!(refusal(media.call(Echo::from("x")).await), unbound());
    assert_eq!(answer::<Sleep>(&mut holder.wire, slow_id).await.unwrap(), "200");
    let mut wire = connect(&world).await;
    wire.send(&old.key, scribe(&world, &old).write(&Echo::from("x"))).await;
    wire.errs(404).await;

    holder.permanent = connect(&world).await.exchange(&world).await.unwrap();
    holder.bind().await.unwrap();
    assert_eq!(holder.call(Echo::from("x")).await.unwrap(), "x");
}

/// Rule:   SES-07, PFS-14: the sessions of a destroyed key make room for others.
/// Source: 06-sessions-salts-time §1.
#[tokio::test]
async fn sessions_of_a_destroyed_key_make_room() {
    let world = World::with(|config| config.sessions.total_max = 2).await;
    for _ in 0..3 {
        let mut holder = Holder::new(&world).await;
        holder.bind().await.unwrap();
        let call = Echo::from("x");
        assert_eq!(call_under::<Echo>(&world, &holder.permanent, &call).await.unwrap(), "x");
        for key in [&holder.permanent, holder.temporary()] {
            assert_eq!(world.revoker.destroy(key.key.id()).await, Ok(true));
        }
    }
}

/// Rules:  SVC-37, PFS-14: `destroy_auth_key` under a temporary key means the permanent one, which
///         goes with all that is bound to it; under the permanent one as well.
/// Source: 05-service-messages §7.
#[tokio::test]
async fn destroying_the_permanent_key_takes_its_temporary_ones() {
    for under_temporary in [true, false] {
        let world = World::new().await;
        let mut holder = Holder::new(&world).await;
        let mut media = Holder::of(&world, &holder.permanent, -2).await;
        holder.bind().await.unwrap();
        media.bind().await.unwrap();
        let permanent = holder.permanent.clone();
        if under_temporary {
            let (wire, scribe) = (&mut holder.wire, &mut holder.scribe);
            assert_eq!(destroy(wire, scribe).await, DestroyAuthKeyRes::DestroyAuthKeyOk);
        } else {
            let mut wire = connect(&world).await;
            let outcome = destroy(&mut wire, &mut scribe(&world, &permanent)).await;
            assert_eq!(outcome, DestroyAuthKeyRes::DestroyAuthKeyOk);
        }
        holder.is_unknown(&world).await;
        media.is_unknown(&world).await;
        let mut wire = connect(&world).await;
        wire.send(&permanent.key, scribe(&world, &permanent).write(&Echo::from("x"))).await;
        wire.errs(404).await;
        for key in [&permanent, holder.temporary(), media.temporary()] {
            assert!(world.backend.store().key(key.key.id(), 0).await.unwrap().is_none());
        }
    }
}

/// Rule:   SVC-37: where the server's program refuses, the answer is `destroy_auth_key_fail`, and
///         nothing is destroyed.
/// Source: 05-service-messages §7.
#[tokio::test]
async fn program_may_refuse_to_destroy_a_key() {
    let listener = Arc::new(Listener::default());
    let world = heard_by(&listener).await;
    let mut holder = Holder::new(&world).await;
    holder.bind().await.unwrap();
    listener.keep.store(true, Ordering::Relaxed);
    let outcome = destroy(&mut holder.wire, &mut holder.scribe).await;
    assert_eq!(outcome, DestroyAuthKeyRes::DestroyAuthKeyFail);
    assert_eq!(holder.call(Echo::from("x")).await.unwrap(), "x");
    listener.keep.store(false, Ordering::Relaxed);
    let outcome = destroy(&mut holder.wire, &mut holder.scribe).await;
    assert_eq!(outcome, DestroyAuthKeyRes::DestroyAuthKeyOk);
    let permanent = holder.permanent.key.id();
    assert_eq!(*listener.asked.lock().unwrap(), [permanent, permanent]);
}

/// A program hears of each binding once.
#[tokio::test]
async fn program_hears_of_bindings() {
    let listener = Arc::new(Listener::default());
    let world = heard_by(&listener).await;
    let mut one = Holder::new(&world).await;
    let mut two = Holder::of(&world, &one.permanent, 2).await;
    one.bind().await.unwrap();
    one.bind().await.unwrap();
    refusal(one.bind_until(1).await);
    two.bind().await.unwrap();
    let permanent = one.permanent.key.id();
    let expected = [one, two].map(|holder| (holder.temporary().key.id(), permanent));
    assert_eq!(*listener.bound.lock().unwrap(), expected);
}

/// Rule:   PFS-15: the permanent key goes on to work directly, also beside a bound one.
/// Source: 07-pfs §3.
#[tokio::test]
async fn permanent_key_works_directly() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    for _ in 0..2 {
        let call = Echo::from("x");
        assert_eq!(call_under::<Echo>(&world, &holder.permanent, &call).await.unwrap(), "x");
        holder.bind().await.unwrap();
    }
}

/// Rule:   PFS-15: a server may be told to take calls under temporary keys alone.
/// Source: 07-pfs §3.
#[tokio::test]
async fn permanent_key_is_refused_where_so_configured() {
    let world = World::with(|config| config.pfs_only = true).await;
    let mut holder = Holder::new(&world).await;
    let permanent = holder.permanent.clone();
    let result = call_under::<Echo>(&world, &permanent, &Echo::from("x")).await;
    assert_eq!(refusal(result), (400, "TEMP_AUTH_KEY_EMPTY".into()));
    // What clients use to find out whether the server knows the key.
    let open = call_under::<Open>(&world, &permanent, &Open::from("x")).await;
    assert_eq!(open.unwrap(), "x");
    holder.bind().await.unwrap();
    assert_eq!(holder.call(Echo::from("x")).await.unwrap(), "x");
    let mut wire = connect(&world).await;
    let outcome = destroy(&mut wire, &mut scribe(&world, &permanent)).await;
    assert_eq!(outcome, DestroyAuthKeyRes::DestroyAuthKeyOk);
}

/// Rule:   PFS-16: all temporary keys of the permanent key go but those listed; under whichever
///         of its keys the call is made.
/// Source: 07-pfs §3.
#[tokio::test]
async fn temporary_keys_are_dropped() {
    let world = World::new().await;
    let mut main = Holder::new(&world).await;
    let mut media = Holder::of(&world, &main.permanent, -2).await;
    let mut stranger = Holder::new(&world).await;
    for holder in [&mut main, &mut media, &mut stranger] {
        holder.bind().await.unwrap();
    }
    let keeping = |keys: &[&Account]| DropTempAuthKeys {
        except_auth_keys: keys.iter().map(|key| key.key.id().0.cast_signed()).collect(),
    };
    let both = keeping(&[main.temporary(), media.temporary(), stranger.temporary()]);
    assert_eq!(main.call(both).await, Ok(true));
    for holder in [&mut main, &mut media] {
        holder.call(Echo::from("x")).await.unwrap();
    }
    let one = keeping(&[main.temporary()]);
    assert_eq!(main.call(one).await, Ok(true));
    media.is_unknown(&world).await;
    assert_eq!(main.call(Echo::from("x")).await.unwrap(), "x");

    // Its own one as well: the answer still comes.
    assert_eq!(main.call(keeping(&[])).await, Ok(true));
    main.is_unknown(&world).await;
    let mut next = Holder::of(&world, &main.permanent, 2).await;
    next.bind().await.unwrap();
    let dropped = call_under::<DropTempAuthKeys>(&world, &main.permanent, &keeping(&[])).await;
    assert_eq!(dropped, Ok(true));
    next.is_unknown(&world).await;
    call_under::<Echo>(&world, &main.permanent, &Echo::from("x")).await.unwrap();
    stranger.call(Echo::from("x")).await.unwrap();
}

/// Rules:  PFS-03, SEC-41, KEY-15: at its creation and its life the key is deleted; on the
///         connection that used it and on any other the next message gets -404.
/// Source: 07-pfs §1.
#[tokio::test]
async fn key_dies_at_its_time() {
    for bound in [true, false] {
        let world = dated().await;
        let mut holder = Holder::new(&world).await;
        let key = holder.temporary().key.id();
        let end = world.backend.store().key(key, 0).await.unwrap().unwrap().expires.unwrap();
        if bound {
            holder.bind().await.unwrap();
        }
        advance_to(&world, end - 1).await;
        holder.call(Open::from("x")).await.unwrap();
        advance_to(&world, end).await;
        holder.is_unknown(&world).await;
        assert!(world.backend.store().key(key, 0).await.unwrap().is_none(), "it is wiped");
        let direct = call_under::<Echo>(&world, &holder.permanent, &Echo::from("x")).await;
        assert_eq!(direct.unwrap(), "x", "the permanent key lives");
    }
}

/// Rules:  PFS-03, SEC-41: nothing is sent under a key whose time is over, and nobody has to ask:
///         it is wiped at its end.
/// Source: 07-pfs §1.
#[tokio::test]
async fn nothing_is_sent_under_an_expired_key() {
    let world = dated().await;
    let mut holder = Holder::new(&world).await;
    holder.bind().await.unwrap();
    let slow = holder.scribe.write(&Sleep::from("60000"));
    let key = holder.temporary().key.clone();
    holder.wire.send(&key, slow).await;
    holder.call(Echo::from("x")).await.unwrap();
    let permanent = holder.permanent.key.id();
    assert_eq!(world.pusher.to_key(permanent, UPDATE).await, 1);
    until(&mut holder.wire, kind::id_of(&UPDATE)).await;

    let end = world.backend.store().key(key.id(), 0).await.unwrap().unwrap().expires.unwrap();
    // The slow call is done, and a push is made, in the very second.
    advance_to(&world, end).await;
    world.pusher.to_key(permanent, UPDATE).await;
    holder.wire.hear_nothing().await;
    assert!(world.backend.store().key(key.id(), 0).await.unwrap().is_none());
    assert_eq!(world.pusher.to_key(permanent, UPDATE).await, 0, "its sessions are gone");
}

/// Rules:  PFS-03, PFS-11, SEC-41: the key dies with its binding where that ends first; a refreshed
///         binding ends later.
/// Source: 07-pfs §3.
#[tokio::test]
async fn key_dies_with_its_binding() {
    let world = dated().await;
    let mut holder = Holder::new(&world).await;
    let now = holder.now();
    holder.bind_until(now + 100).await.unwrap();
    holder.bind_until(now + 200).await.unwrap();
    let now = u64::try_from(now).unwrap();
    advance_to(&world, now + 199).await;
    assert_eq!(holder.call(Echo::from("x")).await.unwrap(), "x");
    advance_to(&world, now + 200).await;
    holder.is_unknown(&world).await;
}

/// Rules:  PFS-02, PFS-03: keys and bindings are in no file, and after a restart the client hears
///         -404 while its permanent key lives.
/// Source: 07-pfs §1.
#[tokio::test]
async fn temporary_key_does_not_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.db");
    let mut world = World::on(Backend::embedded(&path).await.unwrap(), |_| {}).await;
    let mut holder = Holder::new(&world).await;
    holder.bind().await.unwrap();
    holder.initialise("phone").await.unwrap();
    world.stop();
    let backend = world.backend.clone();
    world.ended().await;
    for closed in [false, true] {
        let (permanent, temporary) = (&holder.permanent.key, &holder.temporary().key);
        assert!(is_on_disk(folder.path(), &permanent.stored()[..]));
        assert!(!is_on_disk(folder.path(), &temporary.stored()[..]), "closed: {closed}");
        assert!(!is_on_disk(folder.path(), &temporary.id().0.to_le_bytes()), "closed: {closed}");
        assert!(!is_on_disk(folder.path(), &temporary.id().0.to_be_bytes()), "closed: {closed}");
        backend.store().close().await;
    }

    let world = World::on(Backend::embedded(&path).await.unwrap(), |_| {}).await;
    holder.wire = connect(&world).await;
    holder.is_unknown(&world).await;
    let saved = call_under::<Describe>(&world, &holder.permanent, &Describe::from("")).await;
    assert_eq!(saved.unwrap(), "Some(7) Some(\"phone\") false");
    let mut next = Holder::of(&world, &holder.permanent, 2).await;
    next.bind().await.unwrap();
    assert_eq!(next.initialise("phone").await.unwrap(), "Some(7) Some(\"phone\") false");
}

/// Rules:  PFS-13, SES-20: nodes that share a store agree: on who is bound to whom, on who has been
///         initialised, and on the salts of every key, which no store holds.
/// Source: decision 8; 06-sessions-salts-time §5.
#[tokio::test]
async fn nodes_that_share_a_store_agree() {
    let backend = Backend::memory();
    let one = World::on(backend.clone(), |_| {}).await;
    let two = World::on(backend.clone(), |_| {}).await;
    let three = World::on(backend, |_| {}).await;
    let mut holder = Holder::new(&one).await;
    call_under::<Describe>(&one, &holder.permanent, &initialised("phone")).await.unwrap();
    holder.bind().await.unwrap();
    let name = named(holder.permanent.key.id(), Some(holder.temporary().key.id()));

    let of_one = future_salts(&mut holder.wire, &mut holder.scribe).await;
    holder.wire = connect(&two).await;
    let of_two = future_salts(&mut holder.wire, &mut holder.scribe).await;
    assert_eq!(of_one.last(), of_two.last());
    assert_eq!(of_one.len(), 64);

    let result = holder.call(WhoAmI::from("")).await;
    assert_eq!(refusal(result), (400, "CONNECTION_NOT_INITED".into()));
    holder.initialise("tablet").await.unwrap();
    holder.wire = connect(&three).await;
    assert_eq!(holder.call(WhoAmI::from("")).await.unwrap(), name.as_str());
    let described = holder.call(Describe::from("")).await.unwrap();
    assert_eq!(described, "Some(7) Some(\"tablet\") false");
}

/// Rule:   SES-26: the salts of a temporary key are its own, before it is bound and after: with one
///         of its permanent key a message gets `bad_server_salt`.
/// Source: 06-sessions-salts-time §5.
#[tokio::test]
async fn salts_of_a_temporary_key_are_its_own() {
    let world = World::new().await;
    let mut holder = Holder::new(&world).await;
    let mut wire = connect(&world).await;
    let of_permanent = future_salts(&mut wire, &mut scribe(&world, &holder.permanent)).await;
    for _ in 0..2 {
        let of_temporary = future_salts(&mut holder.wire, &mut holder.scribe).await;
        assert!(!of_temporary.iter().any(|salt| of_permanent.contains(salt)));
        let mut message = holder.scribe.write(&Open::from("x"));
        let key = holder.temporary().key.clone();
        for wrong in [of_permanent[0], holder.permanent.salt] {
            message.header.salt = wrong;
            holder.wire.send(&key, message.clone()).await;
            until(&mut holder.wire, ctors::BadServerSalt::ID).await;
        }
        message.header.salt = of_temporary[0];
        assert_eq!(holder.ask::<Open>(message).await.unwrap(), "x");
        holder.bind().await.unwrap();
    }
}

/// Rules:  SES-03, SEC-35: who pushes names the permanent key, and means the sessions under
///         its bound temporary keys, too; not under those that have lost their place.
/// Source: 06-sessions-salts-time §1.
#[tokio::test]
async fn update_reaches_the_sessions_of_bound_keys() {
    let world = World::new().await;
    let mut one = Holder::new(&world).await;
    let permanent = one.permanent.key.id();
    let session = one.scribe.session_id;
    one.call(Open::from("x")).await.unwrap();
    assert_eq!(world.pusher.to_key(permanent, UPDATE).await, 0, "it is nobody's yet");
    one.bind().await.unwrap();
    one.call(Echo::from("x")).await.unwrap();
    assert_eq!(world.pusher.to_key(permanent, UPDATE).await, 1);
    until(&mut one.wire, kind::id_of(&UPDATE)).await;
    world.pusher.to_session(permanent, session, UPDATE).await.unwrap();
    until(&mut one.wire, kind::id_of(&UPDATE)).await;

    // The next key with the same session, as some clients have it.
    let mut two = Holder::of(&world, &one.permanent, 2).await;
    two.scribe.session_id = session;
    two.bind().await.unwrap();
    two.call(Echo::from("x")).await.unwrap();
    world.pusher.to_session(permanent, session, UPDATE).await.unwrap();
    until(&mut two.wire, kind::id_of(&UPDATE)).await;
    assert_eq!(world.pusher.to_key(permanent, UPDATE).await, 1);
    until(&mut two.wire, kind::id_of(&UPDATE)).await;
    one.wire.hear_nothing().await;
}

/// Keys that nobody uses are dropped from memory and read again, with what they are bound to; a
/// permanent key stays there as long as a temporary one speaks for it.
#[tokio::test]
async fn bound_key_is_read_again() {
    let world = World::with(|config| {
        config.keys_unused_max = 1;
        config.sessions.idle_max = Duration::from_millis(50);
        config.sessions.ids_kept = Duration::from_millis(50);
    })
    .await;
    let mut holder = Holder::new(&world).await;
    call_under::<Describe>(&world, &holder.permanent, &initialised("phone")).await.unwrap();
    holder.bind().await.unwrap();
    holder.initialise("tablet").await.unwrap();
    let name = named(holder.permanent.key.id(), Some(holder.temporary().key.id()));
    for _ in 0..3 {
        holder.wire = connect(&world).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Others push it out.
        for _ in 0..2 {
            connect(&world).await.exchange(&world).await.unwrap();
        }
        holder.scribe = rewritten(&world, &holder);
        assert_eq!(holder.call(WhoAmI::from("")).await.unwrap(), name.as_str());
    }
    assert_eq!(world.revoker.destroy(holder.permanent.key.id()).await, Ok(true));
    assert_eq!(refusal(holder.call(WhoAmI::from("")).await), unbound());
}

/// Another session of the same key.
fn rewritten(world: &World, holder: &Holder) -> Scribe {
    scribe(world, holder.temporary())
}

/// Hears what becomes of keys, and may want them kept.
#[derive(Default)]
struct Listener {
    keep: AtomicBool,
    asked: Mutex<Vec<AuthKeyId>>,
    bound: Mutex<Vec<(AuthKeyId, AuthKeyId)>>,
}

impl Events for Listener {
    fn key_bound(&self, temporary: AuthKeyId, permanent: AuthKeyId) {
        self.bound.lock().unwrap().push((temporary, permanent));
    }

    fn may_destroy_key(&self, key: AuthKeyId) -> BoxFuture<'_, bool> {
        self.asked.lock().unwrap().push(key);
        Box::pin(async {
            tokio::task::yield_now().await;
            !self.keep.load(Ordering::Relaxed)
        })
    }
}

async fn heard_by(listener: &Arc<Listener>) -> World {
    let events: Arc<dyn Events> = Arc::clone(listener) as _;
    World::start(Setup { events: Some(events), ..Setup::default() }).await
}

/// A server whose date moves with Tokio's clock alone, and whose connections may be silent.
async fn dated() -> World {
    let clock = Clock::starting_at(Clock::system().now().unix);
    let mut setup = Setup { clock, ..Setup::default() };
    setup.config.link.idle_max = Duration::from_secs(1_000_000);
    World::start(setup).await
}

/// Moves the date on, to the beginning of this Unix second, and lets the server do what is due.
async fn advance_to(world: &World, unix: u64) {
    tokio::time::pause();
    let by = Duration::from_secs(unix).saturating_sub(world.clock.now().unix);
    tokio::time::advance(by).await;
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn destroy(wire: &mut Wire, scribe: &mut Scribe) -> DestroyAuthKeyRes {
    let message = scribe.write(&DestroyAuthKey {});
    let key = Arc::clone(&scribe.account.key);
    wire.send(&key, message).await;
    loop {
        for body in heard(wire).await {
            let id = kind::id_of(&body);
            if [kind::DESTROY_AUTH_KEY_OK, kind::DESTROY_AUTH_KEY_NONE, kind::DESTROY_AUTH_KEY_FAIL]
                .contains(&id)
            {
                return DestroyAuthKeyRes::decode(&mut Reader::new(body)).unwrap();
            }
        }
    }
}

/// The salts that the server lists for the key of `scribe`.
async fn future_salts(wire: &mut Wire, scribe: &mut Scribe) -> Vec<i64> {
    let message = scribe.write(&GetFutureSalts { num: 64 });
    let key = Arc::clone(&scribe.account.key);
    wire.send(&key, message).await;
    let body = until(wire, types::FutureSalts::ID).await;
    let salts: types::FutureSalts = chappe_tl::from_bytes(body).unwrap();
    salts.salts.iter().map(|salt| salt.salt).collect()
}

/// The next body of this constructor.
async fn until(wire: &mut Wire, id: u32) -> Bytes {
    loop {
        if let Some(body) = heard(wire).await.into_iter().find(|body| kind::id_of(body) == id) {
            return body;
        }
    }
}

/// Whether any file in the folder holds eight bytes of `secret` cut at multiples of eight.
fn is_on_disk(folder: &std::path::Path, secret: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        content.windows(8).any(|window| secret.chunks(8).any(|chunk| chunk == window))
    })
}
