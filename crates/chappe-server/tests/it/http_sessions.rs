//! Sessions over HTTP, on real sockets: long polls, batches, many connections (12-http §3).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chappe_proto::MsgId;
use chappe_proto::schema::{ctors, functions, types};
use chappe_proto::session::container::Inner;
use tokio::sync::Mutex;

use crate::client::{Client, exchange_on_three};
use crate::functions::{Count, Echo, Fill, Sleep};
use crate::web::{Pen, Web, exchange, post, read, texts};
use crate::world::World;

/// An update as a schema might have it; the server does not look inside.
const UPDATE: Bytes = Bytes::from_static(b"\x01\x00\x00\x99new message!");

/// Rule:   the answer to a request of the key exchange is its response, and the exchange hangs on no
///         connection: each step may come on another one, and on another transport.
/// Source: HTP-14, HTP-09, QRK-04, KEY-32.
#[tokio::test]
async fn key_exchange_over_a_connection_for_each_step() {
    let world = World::new().await;
    let one = exchange(&world).await;
    let two = exchange_on_three(&world).await.unwrap();
    for account in [one, two] {
        let mut pen = Pen::of(&account);
        assert_eq!(echo(&mut pen, &world, "x").await, "x");
    }
}

/// Rule:   calls are answered in the responses to their requests, whether each comes on a connection
///         of its own, all on one, or many at once; exactly one response for each request, and
///         nothing but packets in them: no quick acknowledgements.
/// Source: HTP-09, HTP-12, HTP-20, HTP-03.
#[tokio::test]
async fn hundred_calls_over_many_connections() {
    let world = World::new().await;
    let mut pen = Pen::new(&world).await;
    for number in 0..40 {
        let text = number.to_string();
        assert_eq!(echo(&mut pen, &world, &text).await, text);
    }
    let mut web = Web::connect(world.address).await;
    for number in 0..40 {
        let text = number.to_string();
        let call = pen.call(&Echo::from(&text[..]));
        let answers = pen.ask(&mut web, std::slice::from_ref(&call)).await;
        assert_eq!(texts(&answers), [(call.msg_id, text)]);
    }
    let mut asked = Vec::new();
    for number in 0..20 {
        let call = pen.call(&Sleep::from(&(number * 5).to_string()[..]));
        let packet = pen.packet(std::slice::from_ref(&call));
        let address = world.address;
        let asking = tokio::spawn(async move {
            Web::connect(address).await.post("/api", &packet).await.unwrap().body
        });
        asked.push((call.msg_id, number, asking));
    }
    for (call, number, asking) in asked {
        let answers = pen.open(&asking.await.unwrap());
        assert_eq!(texts(&answers), [(call, (number * 5).to_string())]);
    }
    let call = pen.call(&Fill::from("300000"));
    assert_eq!(texts(&pen.ask(&mut web, &[call]).await)[0].1.len(), 300_000);
}

/// Rule:   a request is held until something is there for its session, and for nobody else's; where
///         nothing comes it is answered with an empty container.
/// Source: HTP-15, HTP-16, HTP-17.
#[tokio::test]
async fn long_poll_hears_what_is_pushed_to_its_session() {
    let world = World::new().await;
    let account = exchange(&world).await;
    let mut pens = [Pen::of(&account), Pen::of(&account), Pen::new(&world).await];
    for pen in &mut pens {
        echo(pen, &world, "x").await;
    }
    let mut polls = Vec::new();
    for pen in &mut pens {
        let waits = [pen.wait(0, 0, 1), pen.wait(50, 20, 3000)];
        let mut web = Web::connect(world.address).await;
        web.write(post("/apiw1", &pen.packet(&waits))).await;
        polls.push(web);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let session = pens[0].scribe.session_id;
    world.pusher.to_session(account.key.id(), session, UPDATE).await.unwrap();
    let answer = polls[0].next().await.unwrap();
    let bodies: Vec<Bytes> =
        pens[0].open(&answer.body).into_iter().map(|inner| inner.body).collect();
    assert_eq!(bodies, [UPDATE]);
    for web in &mut polls[1..] {
        web.hears_nothing().await;
    }
    for (pen, web) in pens[1..].iter().zip(&mut polls[1..]) {
        let answer = web.next().await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(pen.open(&answer.body), []);
    }
}

/// Rule:   the timers of `http_wait` hold a response for more, and what comes leaves together.
/// Source: HTP-18, 12-http §3, QRK-17.
#[tokio::test]
async fn response_is_held_and_carries_all_there_is() {
    let world = World::new().await;
    let mut pen = Pen::new(&world).await;
    let mut web = Web::connect(world.address).await;
    let begun = Instant::now();
    let inners = [
        pen.call(&Sleep::from("100")),
        pen.call(&Sleep::from("200")),
        pen.service(&functions::Ping { ping_id: 8 }),
        pen.wait(2000, 300, 5000),
    ];
    let answers = pen.ask(&mut web, &inners).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(490), "{took:?}");
    assert!(took < Duration::from_millis(1900), "{took:?}");
    assert_eq!(texts(&answers).len(), 2);
    assert!(answers.iter().any(|inner| read::<types::NewSession>(inner).is_some()));
    assert!(answers.iter().any(|inner| read::<types::Pong>(inner).is_some()));
}

/// Rule:   what is not acknowledged comes again in a later response, after the resend interval; what
///         is acknowledged does not.
/// Source: HTP-19.
#[tokio::test]
async fn unacknowledged_answers_come_again() {
    let world =
        World::with(|config| config.session.poll.resend_after = Duration::from_millis(400)).await;
    let mut pen = Pen::new(&world).await;
    let mut web = Web::connect(world.address).await;
    let call = pen.call(&Echo::from("x"));
    let first = pen.ask(&mut web, std::slice::from_ref(&call)).await;
    assert_eq!(first.len(), 2);
    let wait = pen.wait(0, 0, 5000);
    let begun = Instant::now();
    let again = pen.ask(&mut web, &[wait]).await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "too soon");
    assert_eq!(again, first);
    let ids = again.iter().map(|inner| inner.msg_id.0).collect();
    let inners = [pen.service(&types::MsgsAck { msg_ids: ids }), pen.wait(0, 0, 900)];
    assert_eq!(pen.ask(&mut web, &inners).await, []);
}

/// Rule:   a connection closed while its request waits loses nothing: what came meanwhile leaves with
///         the next request, on whatever connection.
/// Source: HTP-21, SES-16.
#[tokio::test]
async fn closed_long_poll_loses_nothing() {
    let world = World::new().await;
    let mut pen = Pen::new(&world).await;
    echo(&mut pen, &world, "x").await;
    let session = pen.scribe.session_id;
    let slow = pen.call(&Sleep::from("300"));
    let packet = {
        let wait = pen.wait(5000, 5000, 20_000);
        pen.packet(&[slow.clone(), wait])
    };
    let mut web = Web::connect(world.address).await;
    web.write(post("/api", &packet)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.pusher.to_session(pen.key().id(), session, UPDATE).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(web);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let answers = pen.ask_alone(&world, &[]).await;
    assert!(answers.iter().any(|inner| inner.body == UPDATE), "{answers:?}");
    assert_eq!(texts(&answers), [(slow.msg_id, "300".to_owned())]);
}

/// Rule:   requests that come on one connection before the answer are taken one after another, and
///         answered in their order.
/// Source: HTP-22, HTP-09.
#[tokio::test]
async fn requests_on_one_connection_are_taken_in_turn() {
    let world = World::new().await;
    let mut pen = Pen::new(&world).await;
    echo(&mut pen, &world, "x").await;
    let calls = ["150", "20", "0"].map(|text| pen.call(&Sleep::from(text)));
    let mut wire = Vec::new();
    for call in &calls {
        wire.extend(post("/api", &pen.packet(std::slice::from_ref(call))));
    }
    let mut web = Web::connect(world.address).await;
    web.write(wire).await;
    for call in &calls {
        let answer = web.next().await.unwrap();
        let answered: Vec<MsgId> =
            texts(&pen.open(&answer.body)).into_iter().map(|(id, _)| id).collect();
        assert_eq!(answered, [call.msg_id]);
    }
    web.hears_nothing().await;
}

/// Rule:   a call sent again on another connection under its old id runs once, and is answered.
/// Source: HTP-25 seen from the server, MSG-39.
#[tokio::test]
async fn call_of_a_broken_request_runs_once() {
    let world = World::new().await;
    let mut pen = Pen::new(&world).await;
    let call = pen.call(&Count::from(""));
    let mut web = Web::connect(world.address).await;
    web.write(post("/api", &pen.packet(std::slice::from_ref(&call)))).await;
    drop(web);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answers = pen.ask_alone(&world, std::slice::from_ref(&call)).await;
    assert!(texts(&answers).contains(&(call.msg_id, "1".to_owned())), "{answers:?}");
    let next = pen.call(&Count::from(""));
    let answers = pen.ask_alone(&world, std::slice::from_ref(&next)).await;
    assert!(texts(&answers).contains(&(next.msg_id, "2".to_owned())), "{answers:?}");
}

/// Rule:   a client of MTProto 1.0 that says in every call how it wants to be held, sends them on
///         parallel connections with ids that overtake each other and numbers that begin at 3, is
///         served: each connection in its version, all in one session.
/// Source: QRK-08, V1-01, MSG-34, HTP-16, HTP-20.
#[tokio::test]
async fn older_client_with_parallel_requests_is_served() {
    let world = World::new().await;
    let pen = Pen::new(&world).await.older().counting_from(1);
    let pen = Arc::new(Mutex::new(pen));
    let mut running = Vec::new();
    for number in 0..40u32 {
        let (pen, address) = (Arc::clone(&pen), world.address);
        running.push(tokio::spawn(async move {
            // What is written first is not always sent first.
            let (call, packet) = {
                let mut pen = pen.lock().await;
                let call = pen.call(&Echo::from(&number.to_string()[..]));
                let wait = pen.wait(500, 150, 3000);
                (call.msg_id, pen.packet(&[call, wait]))
            };
            tokio::time::sleep(Duration::from_millis(u64::from(number * 7 % 10))).await;
            let answer = Web::connect(address).await.post("/apiw1", &packet).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.head);
            (call, number, pen.lock().await.open(&answer.body))
        }));
    }
    let (mut calls, mut answers) = (Vec::new(), Vec::new());
    for running in running {
        let (call, number, heard) = running.await.unwrap();
        calls.push((call, number.to_string()));
        answers.extend(heard);
    }
    let mut answered = texts(&answers);
    answered.sort();
    calls.sort();
    assert_eq!(answered, calls);
    assert!(answers.iter().any(|inner| read::<types::NewSession>(inner).is_some()));
    assert!(!answers.iter().any(|inner| read::<ctors::BadMsgNotification>(inner).is_some()));
}

/// Rule:   each request is of its own version, also on one connection.
/// Source: MSG-34.
#[tokio::test]
async fn versions_may_change_between_requests() {
    let world = World::new().await;
    let account = exchange(&world).await;
    let (mut newer, mut older) = (Pen::of(&account), Pen::of(&account).older());
    let mut web = Web::connect(world.address).await;
    for _ in 0..3 {
        for pen in [&mut newer, &mut older] {
            let call = pen.call(&Echo::from("x"));
            assert_eq!(texts(&pen.ask(&mut web, &[call]).await)[0].1, "x");
        }
    }
}

/// Rule:   a session goes over from streams to HTTP and back.
/// Source: SES-03, SES-09.
#[tokio::test]
async fn session_moves_between_transports() {
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("x")).await.unwrap();
    let mut pen = Pen::of(&client.account);
    let call = pen.call(&Sleep::from("200"));
    let packet = pen.packet(std::slice::from_ref(&call));
    let mut web = Web::connect(world.address).await;
    web.write(post("/api", &packet)).await;
    drop(web);
    // The same session on a stream: the answer comes there.
    let mut wire = crate::client::Wire::connect(world.address).await;
    let key = Arc::clone(pen.key());
    let message = pen.scribe.write_with(2, Bytes::from(ack()));
    wire.send(&key, message).await;
    loop {
        let crate::client::Heard::Message(message) = wire.hear().await else {
            panic!("no message")
        };
        let inner = Inner { msg_id: MsgId(0), seq_no: 0, body: message.body.clone() };
        let inners = chappe_proto::session::container::unpack(message.header.msg_id, &message.body)
            .unwrap_or_else(|_| vec![inner]);
        if texts(&inners).contains(&(call.msg_id, "200".to_owned())) {
            break;
        }
    }
}

fn ack() -> Vec<u8> {
    chappe_tl::to_bytes(&types::MsgsAck { msg_ids: vec![] }).unwrap().to_vec()
}

/// Rule:   a connection serves whatever sessions and keys its requests name, one after another, and
///         none hears of the other.
/// Source: HTP-15, TRN-41.
#[tokio::test]
async fn one_connection_serves_many_sessions() {
    let world = World::new().await;
    let account = exchange(&world).await;
    let mut pens = [Pen::of(&account), Pen::of(&account), Pen::new(&world).await];
    let mut web = Web::connect(world.address).await;
    for round in 0..3 {
        for pen in &mut pens {
            let text = format!("{round}");
            let call = pen.call(&Echo::from(&text[..]));
            assert_eq!(texts(&pen.ask(&mut web, &[call]).await)[0].1, text);
        }
    }
}

/// Rule:   at a graceful stop requests that wait are answered, and their connections end.
/// Source: HTP-09.
#[tokio::test]
async fn waiting_requests_are_answered_at_a_stop() {
    let mut world = World::new().await;
    let mut pen = Pen::new(&world).await;
    echo(&mut pen, &world, "x").await;
    let (mut poll, mut slow, mut idle) = (
        Web::connect(world.address).await,
        Web::connect(world.address).await,
        Web::connect(world.address).await,
    );
    let warm = pen.call(&Echo::from("x"));
    pen.ask(&mut idle, &[warm]).await;
    let wait = pen.wait(0, 0, 50_000);
    let call = pen.call(&Sleep::from("300"));
    poll.write(post("/api", &pen.packet(&[wait]))).await;
    slow.write(post("/api", &pen.packet(std::slice::from_ref(&call)))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.stop();
    let answer = slow.next().await.unwrap();
    assert_eq!(texts(&pen.open(&answer.body)), [(call.msg_id, "300".to_owned())]);
    let answer = poll.next().await.unwrap();
    assert_eq!(pen.open(&answer.body), []);
    for web in [&mut poll, &mut slow, &mut idle] {
        web.ends().await;
    }
    world.ended().await;
}

/// Rule:   the answer to `destroy_auth_key` arrives; whoever waits under that key hears 404.
/// Source: SVC-37, HTP-10.
#[tokio::test]
async fn destroyed_key_is_told_in_responses() {
    let world = World::new().await;
    let account = exchange(&world).await;
    let (mut pen, mut other) = (Pen::of(&account), Pen::of(&account));
    echo(&mut other, &world, "x").await;
    let mut poll = Web::connect(world.address).await;
    let wait = other.wait(0, 0, 50_000);
    poll.write(post("/api", &other.packet(&[wait]))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut web = Web::connect(world.address).await;
    let destroy = pen.inner(true, chappe_tl::to_bytes(&functions::DestroyAuthKey {}).unwrap());
    let wait = pen.wait(5000, 5000, 20_000);
    let answers = pen.ask(&mut web, &[destroy, wait]).await;
    assert!(answers.iter().any(|inner| inner.body[..] == 0xf660_e1d4u32.to_le_bytes()));
    assert_eq!(poll.next().await.unwrap().status, 404);
    let packet = pen.packet(&[]);
    assert_eq!(web.post("/api", &packet).await.map(|answer| answer.status), Some(404));
}

/// Rule:   connections of HTTP have a bound of their own, which a client with a connection for each
///         of many calls does not meet.
/// Source: SES-07, HTP-20.
#[tokio::test]
async fn many_connections_of_a_session_are_bounded() {
    let world = World::with(|config| config.sessions.http_links_per_key_max = 30).await;
    let mut pen = Pen::new(&world).await;
    let mut polls = Vec::new();
    for _ in 0..30 {
        let mut web = Web::connect(world.address).await;
        let call = pen.call(&Echo::from("x"));
        pen.ask(&mut web, &[call]).await;
        polls.push(web);
    }
    let packet = pen.packet(&[]);
    let mut web = Web::connect(world.address).await;
    assert_eq!(web.post("/api", &packet).await.unwrap().status, 429);
    drop(polls);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(echo(&mut pen, &world, "x").await, "x");
}

/// Calls on a connection of its own and waits for the answer, which may come later than what else
/// there is.
async fn echo(pen: &mut Pen, world: &World, text: &str) -> String {
    let call = pen.call(&Echo::from(text));
    let answers = pen.ask_alone(world, std::slice::from_ref(&call)).await;
    let answer = texts(&answers).into_iter().find(|(id, _)| *id == call.msg_id);
    answer.expect("the call is answered").1
}
