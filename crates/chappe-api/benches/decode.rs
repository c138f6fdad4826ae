//! TL of a realistic answer, here and in grammers-tl-types: `messages.messages` with 100 messages
//! (3 entities each, every fourth with a photo), 30 users and 3 channels.

use std::hint::black_box;

use chappe_api::{ctors, types};
use chappe_tl::{Bytes, Writer, blank, from_bytes, to_bytes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grammers_tl_types::{Deserializable, Serializable, enums};

fn history(criterion: &mut Criterion) {
    let value = messages();
    let bytes = to_bytes(&value).expect("nothing in the value is too long");
    let theirs = enums::messages::Messages::from_bytes(&bytes).expect("one schema, one encoding");
    assert_eq!(theirs.to_bytes(), bytes, "both write the same");
    let decoded: types::messages::Messages = from_bytes(bytes.clone()).expect("it was encoded");
    assert_eq!(to_bytes(&decoded).expect("it was decoded"), bytes);

    let mut group = criterion.benchmark_group("messages.messages");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("decode/chappe", |b| {
        b.iter(|| from_bytes::<types::messages::Messages>(black_box(&bytes).clone()));
    });
    group.bench_function("decode/grammers", |b| {
        b.iter(|| enums::messages::Messages::from_bytes(black_box(&bytes)));
    });
    group.bench_function("encode/chappe", |b| b.iter(|| to_bytes(black_box(&decoded))));
    group.bench_function("encode/grammers", |b| b.iter(|| black_box(&theirs).to_bytes()));
    let mut writer = Writer::new();
    group.bench_function("encode into a used buffer/chappe", |b| {
        b.iter(|| {
            writer.clear();
            chappe_tl::Encode::encode(black_box(&decoded), &mut writer);
            writer.len()
        });
    });
    let mut buffer = Vec::new();
    group.bench_function("encode into a used buffer/grammers", |b| {
        b.iter(|| {
            buffer.clear();
            black_box(&theirs).serialize(&mut buffer);
            buffer.len()
        });
    });
    group.finish();
}

fn messages() -> types::messages::Messages {
    types::messages::Messages::Messages(ctors::messages::Messages {
        messages: (0..100).map(message).collect(),
        topics: Vec::new(),
        chats: (0..3).map(channel).collect(),
        users: (0..30).map(user).collect(),
    })
}

fn message(number: i32) -> types::Message {
    let offset = number % 7;
    let entities = vec![
        types::MessageEntity::MessageEntityBold(ctors::MessageEntityBold { offset, length: 5 }),
        types::MessageEntity::MessageEntityMention(ctors::MessageEntityMention {
            offset: offset + 10,
            length: 8,
        }),
        types::MessageEntity::MessageEntityTextUrl(ctors::MessageEntityTextUrl {
            offset: offset + 20,
            length: 4,
            url: format!("https://example.org/articles/{number}").into(),
        }),
    ];
    types::Message::Message(Box::new(ctors::Message {
        out: number % 2 == 0,
        id: number + 1,
        from_id: Some(peer(number % 30)),
        peer_id: peer(1_000),
        date: 1_700_000_000 + number,
        message: format!("Message {number}: a line of text as people write it, no more.").into(),
        media: (number % 4 == 0).then(|| Box::new(photo(number))),
        entities: Some(entities),
        views_and_forwards: (number % 3 == 0).then_some((100 * number, number)),
        edit_date: (number % 5 == 0).then_some(1_700_000_100 + number),
        ..blank()
    }))
}

fn peer(number: i32) -> types::Peer {
    types::Peer::PeerUser(ctors::PeerUser { user_id: 5_000_000_000 + i64::from(number) })
}

fn photo(number: i32) -> types::MessageMedia {
    let size = |name: &str, w, h| {
        let r#type = name.into();
        types::PhotoSize::PhotoSize(ctors::PhotoSize { r#type, w, h, size: w * h / 8 })
    };
    let stripped = ctors::PhotoStrippedSize { r#type: "i".into(), bytes: filled(number, 120) };
    let progressive = ctors::PhotoSizeProgressive {
        r#type: "y".into(),
        w: 1280,
        h: 960,
        sizes: vec![9_000, 25_000, 60_000, 90_000, 130_000],
    };
    let sizes = vec![
        types::PhotoSize::PhotoStrippedSize(stripped),
        size("m", 320, 240),
        size("x", 800, 600),
        types::PhotoSize::PhotoSizeProgressive(progressive),
    ];
    let photo = ctors::Photo {
        id: 6_000_000_000_000 + i64::from(number),
        access_hash: -77_777_777_777 * i64::from(number),
        file_reference: filled(number, 29),
        date: 1_699_000_000,
        sizes,
        dc_id: 2,
        ..blank()
    };
    types::MessageMedia::MessageMediaPhoto(ctors::MessageMediaPhoto {
        photo: Some(Box::new(types::Photo::Photo(photo))),
        ..blank()
    })
}

fn user(number: i32) -> types::User {
    let photo = ctors::UserProfilePhoto {
        photo_id: 8_000_000_000 + i64::from(number),
        stripped_thumb: Some(filled(number, 100)),
        dc_id: 4,
        ..blank()
    };
    let status = ctors::UserStatusOffline { was_online: 1_700_000_000 - number };
    types::User::User(Box::new(ctors::User {
        contact: true,
        id: 5_000_000_000 + i64::from(number),
        access_hash: Some(0x0123_4567_89ab_cdef ^ i64::from(number)),
        first_name: Some(format!("First{number}").into()),
        last_name: Some("Lastname".into()),
        username: Some(format!("username_{number}").into()),
        phone: Some("15550001234".into()),
        photo: Some(types::UserProfilePhoto::UserProfilePhoto(photo)),
        status: Some(types::UserStatus::UserStatusOffline(status)),
        ..blank()
    }))
}

fn channel(number: i32) -> types::Chat {
    let photo = ctors::ChatPhoto { photo_id: 9_000_000_000, dc_id: 2, ..blank() };
    types::Chat::Channel(Box::new(ctors::Channel {
        broadcast: true,
        id: 1_500_000_000 + i64::from(number),
        access_hash: Some(42),
        title: format!("Channel number {number}").into(),
        username: Some(format!("channel_{number}").into()),
        photo: types::ChatPhoto::ChatPhoto(photo),
        date: 1_600_000_000,
        participants_count: Some(12_345),
        ..blank()
    }))
}

/// Bytes that are not all the same.
fn filled(seed: i32, length: usize) -> Bytes {
    (0..length).map(|at| (at as i32 * 31 + seed) as u8).collect()
}

criterion_group!(benches, history);
criterion_main!(benches);
