//! Messages that show something: 20-telegram-api-service §2.1 (`messages.sendMedia` and its like).

use chappe_api::ctors;
use chappe_api::functions::messages::{
    EditMessage, SendMedia, SendMessage, SendMultiMedia, UploadMedia,
};
use chappe_api::functions::updates::GetDifference;
use chappe_api::types::updates::Difference;
use chappe_api::types::{self, Update};
use image::ImageFormat;

use super::pictures::{encoded, picture};
use super::{
    as_document, as_photo, at_document, bad, document, download, history, photo, sent, show, upload,
};
use crate::messages::{Pair, new_message, updates};
use crate::sign_in::test_numbers;

fn filename(name: &str) -> types::DocumentAttribute {
    let file_name = name.into();
    types::DocumentAttribute::DocumentAttributeFilename(ctors::DocumentAttributeFilename {
        file_name,
    })
}

/// The name of a document, if it has one.
fn name(document: &ctors::Document) -> Option<String> {
    document.attributes.iter().find_map(|attribute| match attribute {
        types::DocumentAttribute::DocumentAttributeFilename(name) => {
            Some(name.file_name.to_string_lossy().into_owned())
        }
        _ => None,
    })
}

/// Rule:   a document is shown with its caption in both boxes, is pushed, and is in the
///         difference; it has its type in lower case, its size, and the name it was uploaded by.
/// Source: API-08, API-09, UPD-05; 20-telegram-api-service §5.4.
#[tokio::test]
async fn document_reaches_both_boxes() {
    let mut pair = Pair::with(test_numbers()).await;
    let file = upload(&mut pair.ada, 1, b"notes", 1024).await;
    let bold = ctors::MessageEntityBold { offset: 0, length: 4 };
    let call = SendMedia {
        message: "read this".into(),
        entities: Some(vec![types::MessageEntity::MessageEntityBold(bold)]),
        silent: true,
        ..show(&pair.to_bob, as_document(file), 7)
    };
    let answer = updates(pair.ada.ask(call).await.unwrap());
    let Update::UpdateMessageId(id) = &answer.updates[0] else { panic!("no id first") };
    let (ours, pts, count) = new_message(&answer.updates[1]);
    assert_eq!((id.random_id, id.id, pts, count), (7, ours.id, 2, 1));
    assert!(ours.silent && ours.entities.as_ref().is_some_and(|found| found.len() == 1));
    assert_eq!(answer.users.len(), 2);
    let pushed = new_message(&pair.bob.pushed().await.updates[0]).0;
    let difference = GetDifference { pts: 1, ..chappe_tl::blank() };
    let Difference::Difference(missed) = pair.bob.ask(difference).await.unwrap() else {
        panic!("no difference")
    };
    let types::Message::Message(missed) = &missed.new_messages[0] else { panic!("no message") };
    let kept = history(&mut pair.bob, &pair.to_ada).await.remove(0);
    for message in [&pushed, missed, &kept] {
        let document = document(message);
        assert_eq!(message.message.as_str(), Ok("read this"));
        assert_eq!(document.mime_type.as_str(), Ok("application/x-notes"));
        assert_eq!((document.size, document.dc_id), (5, 2));
        assert_eq!(name(&document).as_deref(), Some("notes.bin"));
        let found = download(&mut pair.bob, &at_document(&document, ""), 4096).await.unwrap();
        assert_eq!(found, b"notes");
    }
}

/// Rule:   what a client says of a document comes back: name, size of a picture, video, voice,
///         animation; stickers there are none, and of nonsense nothing.
/// Source: 20-telegram-api-service §5.4.
#[tokio::test]
async fn document_is_what_its_client_says() {
    use types::DocumentAttribute as A;
    let mut pair = Pair::with(test_numbers()).await;
    let file = upload(&mut pair.ada, 1, b"film", 1024).await;
    let thumb = upload(&mut pair.ada, 2, &encoded(&picture(90, 60), ImageFormat::Jpeg), 1024).await;
    let sticker = ctors::DocumentAttributeSticker { alt: "x".into(), ..chappe_tl::blank() };
    let said = vec![
        filename("a.mp4"),
        filename("b.mp4"),
        A::DocumentAttributeVideo(ctors::DocumentAttributeVideo {
            round_message: true,
            supports_streaming: true,
            duration: 12.5,
            w: 640,
            h: -480,
            ..chappe_tl::blank()
        }),
        A::DocumentAttributeImageSize(ctors::DocumentAttributeImageSize { w: 10, h: 20 }),
        A::DocumentAttributeSticker(sticker),
    ];
    let media = ctors::InputMediaUploadedDocument {
        nosound_video: true,
        spoiler: true,
        file,
        thumb: Some(Box::new(thumb)),
        attributes: said,
        ttl_seconds: Some(30),
        ..chappe_tl::blank()
    };
    let media = types::InputMedia::InputMediaUploadedDocument(Box::new(media));
    let message = sent(&mut pair.ada, show(&pair.to_bob, media, 1)).await;
    let Some(types::MessageMedia::MessageMediaDocument(media)) = message.media.as_deref() else {
        panic!("no document")
    };
    assert!(media.spoiler && media.video && media.round && !media.voice);
    assert_eq!(media.ttl_seconds, Some(30));
    let document = document(&message);
    assert_eq!(document.mime_type.as_str(), Ok("application/octet-stream"));
    assert_eq!(name(&document).as_deref(), Some("a.mp4"));
    let [
        _,
        A::DocumentAttributeVideo(video),
        A::DocumentAttributeImageSize(size),
        A::DocumentAttributeAnimated,
    ] = &document.attributes[..]
    else {
        panic!("other attributes")
    };
    assert_eq!((video.duration, video.w, video.h, size.w, size.h), (12.5, 640, 0, 10, 20));
    let Some([types::PhotoSize::PhotoSize(thumb)]) = document.thumbs.as_deref() else {
        panic!("no thumbnail")
    };
    assert_eq!((thumb.r#type.as_str(), thumb.w, thumb.h), (Ok("m"), 90, 60));
    let found = download(&mut pair.ada, &at_document(&document, "m"), 4096).await.unwrap();
    assert_eq!(found.len() as i32, thumb.size);

    let file = upload(&mut pair.ada, 3, b"voice", 1024).await;
    let endless = ctors::DocumentAttributeVideo { duration: f64::NAN, ..chappe_tl::blank() };
    let voice = ctors::DocumentAttributeAudio {
        voice: true,
        duration: 3,
        waveform: Some(vec![7; 300].into()),
        ..chappe_tl::blank()
    };
    let media = ctors::InputMediaUploadedDocument {
        file,
        attributes: vec![
            A::DocumentAttributeAudio(Box::new(voice)),
            A::DocumentAttributeVideo(endless),
        ],
        ..chappe_tl::blank()
    };
    let media = types::InputMedia::InputMediaUploadedDocument(Box::new(media));
    let call = show(&pair.to_bob, media, 2);
    let voice = super::document(&sent(&mut pair.ada, call).await);
    let [A::DocumentAttributeAudio(audio), A::DocumentAttributeVideo(video), _] =
        &voice.attributes[..]
    else {
        panic!("other attributes")
    };
    assert!(audio.voice && audio.waveform.as_ref().is_some_and(|form| form.len() == 128));
    assert!(video.duration.abs() < f64::EPSILON);
}

/// Rule:   captions have at most 1024 units, and may be absent; nothing cannot be shown.
/// Source: 20-telegram-api-service §2.1, `messages.sendMedia`.
#[tokio::test]
async fn caption_has_bounds() {
    let mut pair = Pair::with(test_numbers()).await;
    let file = upload(&mut pair.ada, 1, b"x", 1024).await;
    let with = |message: &str, media| SendMedia {
        message: message.into(),
        ..show(&pair.to_bob, media, 1)
    };
    let long = "x".repeat(1025);
    let story = chappe_tl::blank::<ctors::InputMediaStory>();
    let unknown = types::InputDocument::InputDocumentEmpty;
    let unknown = ctors::InputMediaDocument { id: unknown, ..chappe_tl::blank() };
    for (call, error) in [
        (with(&long, as_document(file.clone())), "MEDIA_CAPTION_TOO_LONG"),
        (with("", types::InputMedia::InputMediaEmpty), "MEDIA_EMPTY"),
        (with("", types::InputMedia::InputMediaDocument(Box::new(unknown))), "MEDIA_EMPTY"),
        (with("", types::InputMedia::InputMediaStory(story)), "MEDIA_INVALID"),
    ] {
        assert_eq!(pair.ada.fail(call).await, bad(error));
    }
    let longest = "x".repeat(1024);
    let message = sent(&mut pair.ada, with(&longest, as_document(file))).await;
    assert_eq!(message.message.as_str(), Ok(&*longest));
}

/// Rule:   an album is one call: its messages share a group, have an id each, and come in their
///         order; ten at most, and all of them or none.
/// Source: 20-telegram-api-service §2.1, `messages.sendMultiMedia`; UPD-05.
#[tokio::test]
async fn album_is_one_call() {
    let mut pair = Pair::with(test_numbers()).await;
    let mut album = Vec::new();
    for at in 1..=3_i64 {
        let bytes = encoded(&picture(50 + at as u32, 50), ImageFormat::Png);
        let file = upload(&mut pair.ada, at, &bytes, 1024).await;
        let media =
            UploadMedia { peer: pair.to_bob.clone(), media: as_photo(file), ..chappe_tl::blank() };
        let types::MessageMedia::MessageMediaPhoto(kept) = pair.ada.ask(media).await.unwrap()
        else {
            panic!("no photo")
        };
        let Some(types::Photo::Photo(kept)) = kept.photo.as_deref() else { panic!("none") };
        let (id, access_hash) = (kept.id, kept.access_hash);
        let file_reference = kept.file_reference.clone();
        let id =
            types::InputPhoto::InputPhoto(ctors::InputPhoto { id, access_hash, file_reference });
        let media = ctors::InputMediaPhoto { id, ..chappe_tl::blank() };
        album.push(types::InputSingleMedia {
            media: types::InputMedia::InputMediaPhoto(Box::new(media)),
            random_id: at,
            message: format!("no. {at}").as_str().into(),
            entities: None,
        });
    }
    let call = |multi_media| SendMultiMedia {
        peer: pair.to_bob.clone(),
        multi_media,
        ..chappe_tl::blank()
    };
    assert_eq!(pair.ada.fail(call(Vec::new())).await, bad("MEDIA_EMPTY"));
    let many = vec![album[0].clone(); 11];
    assert_eq!(pair.ada.fail(call(many)).await, bad("MULTI_MEDIA_TOO_LONG"));
    let mut flawed = album.clone();
    flawed[2].media = types::InputMedia::InputMediaEmpty;
    assert_eq!(pair.ada.fail(call(flawed)).await, bad("MEDIA_EMPTY"));
    assert!(history(&mut pair.ada, &pair.to_bob).await.is_empty());

    let answer = updates(pair.ada.ask(call(album.clone())).await.unwrap());
    let mut names = Vec::new();
    for update in &answer.updates[..3] {
        let Update::UpdateMessageId(name) = update else { panic!("no ids first") };
        names.push((name.random_id, name.id));
    }
    let ours: Vec<_> = answer.updates[3..].iter().map(|new| new_message(new).0).collect();
    let ids: Vec<_> = (1_i64..).zip(ours.iter().map(|message| message.id)).collect();
    assert_eq!(names, ids);
    let group = ours[0].grouped_id;
    assert!(group.is_some() && ours.iter().all(|message| message.grouped_id == group));
    for at in 1..=3 {
        let heard = new_message(&pair.bob.pushed().await.updates[0]).0;
        assert_eq!(heard.message.to_string_lossy(), format!("no. {at}"));
        assert_eq!((heard.grouped_id, photo(&heard).sizes.len()), (group, 2));
    }
    // What comes again is what was sent.
    let again = updates(pair.ada.ask(call(album)).await.unwrap());
    assert_eq!(new_message(&again.updates[5]).0.id, ours[2].id);
    assert_eq!(history(&mut pair.bob, &pair.to_ada).await.len(), 3);
}

/// Rule:   an edit may put another file in the place of one, or only another caption beside it; a
///         message of text gets a file; others see it.
/// Source: 20-telegram-api-service §2.1, `messages.editMessage`.
#[tokio::test]
async fn edit_changes_what_is_shown() {
    let mut pair = Pair::with(test_numbers()).await;
    let file = upload(&mut pair.ada, 1, b"first", 1024).await;
    let first = sent(&mut pair.ada, show(&pair.to_bob, as_document(file), 1)).await;
    let text = SendMessage {
        peer: pair.to_bob.clone(),
        message: "text".into(),
        random_id: 2,
        ..chappe_tl::blank()
    };
    let text = new_message(&updates(pair.ada.ask(text).await.unwrap()).updates[1]).0;
    for _ in 0..2 {
        pair.bob.pushed().await;
    }
    let edit = |id| EditMessage { peer: pair.to_bob.clone(), id, ..chappe_tl::blank() };
    let caption = EditMessage { message: Some("caption".into()), ..edit(first.id) };
    pair.ada.ask(caption).await.unwrap();
    let Update::UpdateEditMessage(edited) = &pair.bob.pushed().await.updates[0] else {
        panic!("no edit")
    };
    let types::Message::Message(edited) = &edited.message else { panic!("no message") };
    assert_eq!(edited.message.as_str(), Ok("caption"));
    assert_eq!(document(edited).id, document(&first).id);
    assert_eq!(pair.ada.fail(edit(first.id)).await, bad("MESSAGE_NOT_MODIFIED"));
    let none = EditMessage { message: Some("".into()), ..edit(text.id) };
    assert_eq!(pair.ada.fail(none).await, bad("MESSAGE_EMPTY"));

    let file = upload(&mut pair.ada, 2, b"second", 1024).await;
    let media = Some(Box::new(as_document(file)));
    pair.ada.ask(EditMessage { media: media.clone(), ..edit(text.id) }).await.unwrap();
    pair.ada.ask(EditMessage { media, ..edit(first.id) }).await.unwrap();
    let kept = history(&mut pair.bob, &pair.to_ada).await;
    let texts: Vec<_> = kept.iter().map(|message| message.message.to_string_lossy()).collect();
    assert_eq!(texts, ["text", "caption"]);
    for message in &kept {
        let location = at_document(&document(message), "");
        assert_eq!(download(&mut pair.bob, &location, 4096).await.unwrap(), b"second");
    }
}

/// Rule:   contacts, places and dice are plain data; the server throws.
/// Source: 20-telegram-api-service §5.4.
#[tokio::test]
async fn plain_media_come_back() {
    let mut pair = Pair::with(test_numbers()).await;
    let contact = ctors::InputMediaContact {
        phone_number: "+9996620002".into(),
        first_name: "Bob".into(),
        ..chappe_tl::blank()
    };
    let contact = types::InputMedia::InputMediaContact(Box::new(contact));
    let message = sent(&mut pair.ada, show(&types::InputPeer::InputPeerSelf, contact, 1)).await;
    let Some(types::MessageMedia::MessageMediaContact(contact)) = message.media.as_deref() else {
        panic!("no contact")
    };
    assert_eq!((contact.user_id, contact.first_name.as_str()), (pair.ids.1, Ok("Bob")));

    let point = |lat, long| {
        let accuracy_radius = Some(5);
        types::InputGeoPoint::InputGeoPoint(ctors::InputGeoPoint { lat, long, accuracy_radius })
    };
    let place =
        |geo_point| types::InputMedia::InputMediaGeoPoint(ctors::InputMediaGeoPoint { geo_point });
    for nowhere in [point(91.0, 0.0), point(0.0, f64::NAN), point(0.0, f64::INFINITY)] {
        let call = show(&pair.to_bob, place(nowhere), 2);
        assert_eq!(pair.ada.fail(call).await, bad("MEDIA_INVALID"));
    }
    let message = sent(&mut pair.ada, show(&pair.to_bob, place(point(48.5, -2.25)), 2)).await;
    let Some(types::MessageMedia::MessageMediaGeo(geo)) = message.media.as_deref() else {
        panic!("no place")
    };
    let types::GeoPoint::GeoPoint(geo) = &geo.geo else { panic!("nowhere") };
    assert_eq!((geo.lat, geo.long, geo.accuracy_radius), (48.5, -2.25, Some(5)));

    let venue = ctors::InputMediaVenue {
        geo_point: point(1.0, 2.0),
        title: "Tower".into(),
        ..chappe_tl::blank()
    };
    let venue = types::InputMedia::InputMediaVenue(Box::new(venue));
    let message = sent(&mut pair.ada, show(&pair.to_bob, venue, 3)).await;
    let Some(types::MessageMedia::MessageMediaVenue(venue)) = message.media.as_deref() else {
        panic!("no venue")
    };
    assert_eq!(venue.title.as_str(), Ok("Tower"));

    let dice = |emoticon: &str| {
        let emoticon = emoticon.into();
        types::InputMedia::InputMediaDice(ctors::InputMediaDice { emoticon })
    };
    let call = show(&pair.to_bob, dice("x"), 4);
    assert_eq!(pair.ada.fail(call).await, bad("EMOTICON_INVALID"));
    for at in 0..20 {
        let message = sent(&mut pair.ada, show(&pair.to_bob, dice("🎲"), 10 + at)).await;
        let Some(types::MessageMedia::MessageMediaDice(dice)) = message.media.as_deref() else {
            panic!("no dice")
        };
        assert!((1..=6).contains(&dice.value) && dice.emoticon.as_str() == Ok("🎲"));
    }
}
