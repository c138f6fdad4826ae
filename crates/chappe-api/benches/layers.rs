//! The same answer for clients of older layers: 100 messages and 30 users, from bytes to bytes, beside
//! a plain copy and what encoding them costs.

use std::hint::black_box;
use std::sync::Arc;

use chappe_api::{ctors, types};
use chappe_tl::history::History;
use chappe_tl::transcode::{Rules, Shapes, Transcoder};
use chappe_tl::{Bytes, blank, to_bytes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const GET_HISTORY: u32 = 0x4423_e6c5;
const GET_STATE: u32 = 0xedd4_882a;

fn layers(criterion: &mut Criterion) {
    let history = History::parse(chappe_api::SCHEMA, chappe_api::OLDER_LAYERS).expect("it is ours");
    let shapes = Arc::new(Shapes::new(&history).expect("it is ours"));
    let rules = Rules::default();
    let lower = |layer| Transcoder::lowering_with(&history, &shapes, layer, &rules);
    let lifting = Transcoder::lifting_with(&history, &shapes, &rules);
    let value = messages();
    let bytes = to_bytes(&value).expect("nothing in the value is too long");

    let mut group = criterion.benchmark_group("messages.messages");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("copy", |b| b.iter(|| Bytes::copy_from_slice(black_box(&bytes))));
    group.bench_function("encode", |b| b.iter(|| to_bytes(black_box(&value))));
    for layer in [229, 222, 190, 158] {
        let lowering = lower(layer);
        lowering.answer(GET_HISTORY, &bytes).expect("the layer has words for it");
        group.bench_function(format!("lower to {layer}"), |b| {
            b.iter(|| lowering.answer(GET_HISTORY, black_box(&bytes)));
        });
    }
    group.finish();

    let state = types::updates::State { pts: 1, qts: 2, date: 3, seq: 4, unread_count: 5 };
    let state = to_bytes(&state).expect("nothing in the value is too long");
    let lowering = lower(158);
    let mut group = criterion.benchmark_group("small");
    group.bench_function("an answer that never changed", |b| {
        b.iter(|| lowering.answer(GET_STATE, black_box(&state)));
    });
    let call = chappe_api::functions::messages::SendMessage {
        message: "good morning".into(),
        peer: types::InputPeer::InputPeerSelf,
        ..blank()
    };
    let call = to_bytes(&call).expect("nothing in the value is too long");
    group.bench_function("a call of the newest layer", |b| {
        b.iter(|| lifting.call(black_box(&call)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("once");
    group.sample_size(10);
    group.bench_function("read the schemas", |b| {
        b.iter(|| History::parse(chappe_api::SCHEMA, chappe_api::OLDER_LAYERS));
    });
    group.bench_function("make a layer", |b| b.iter(|| lower(black_box(158))));
    group.finish();
}

fn messages() -> types::messages::Messages {
    types::messages::Messages::Messages(ctors::messages::Messages {
        messages: (0..100).map(message).collect(),
        topics: Vec::new(),
        chats: Vec::new(),
        users: (0..30).map(user).collect(),
    })
}

fn message(number: i32) -> types::Message {
    let bold = ctors::MessageEntityBold { offset: number % 7, length: 5 };
    types::Message::Message(Box::new(ctors::Message {
        id: number,
        date: 1_700_000_000 + number,
        peer_id: types::Peer::PeerUser(ctors::PeerUser { user_id: 7 }),
        message: format!("message {number}, as long as messages are on average").into(),
        entities: Some(vec![types::MessageEntity::MessageEntityBold(bold)]),
        ..blank()
    }))
}

fn user(number: i64) -> types::User {
    types::User::User(Box::new(ctors::User {
        id: number,
        access_hash: Some(number << 32),
        first_name: Some("Ada".into()),
        last_name: Some("Lovelace".into()),
        phone: Some("9996620001".into()),
        ..blank()
    }))
}

criterion_group!(benches, layers);
criterion_main!(benches);
