//! 20-telegram-api-service §5.2 and §5.3.

use bytes::Bytes;
use chappe_api::functions::messages::{GetMessages, SendMedia};
use chappe_api::functions::upload::{GetFile, GetFileHashes};
use chappe_api::types::storage::FileType;
use chappe_api::{ctors, types};
use chappe_crypto::sha256;

use super::{
    as_document, at_document, bad, big, content, document, download, fetch, history, named,
    named_big, part, sent, show, small, upload,
};
use crate::client::Client;
use crate::messages::Pair;
use crate::sign_in::{enter, test_numbers};

const MIB: usize = 1 << 20;

/// Ada shows a file to Bob; as each of them sees it.
async fn shown(pair: &mut Pair, whole: &[u8]) -> (ctors::Document, ctors::Document) {
    let parts = whole.len().div_ceil(512 << 10) as i32;
    for (at, bytes) in whole.chunks(512 << 10).enumerate() {
        pair.ada.ask(big(1, at as i32, parts, bytes)).await.unwrap();
    }
    let call = show(&pair.to_bob, as_document(named_big(1, parts)), 1);
    let ours = document(&sent(&mut pair.ada, call).await);
    (ours, document(&history(&mut pair.bob, &pair.to_ada).await[0]))
}

/// Rule:   offsets and limits are multiples of 4096, or of 1024 with `precise`, limits divide
///         1 MiB without it, and no answer crosses a block of 1 MiB.
/// Source: FLS-10, FLS-11, FLS-12.
#[tokio::test]
async fn parts_are_cut_at_blocks() {
    let mut pair = Pair::with(test_numbers()).await;
    let whole = content(2 * MIB + 5000, 3);
    let (_, file) = shown(&mut pair, &whole).await;
    let bob = &mut pair.bob;
    let location = at_document(&file, "");
    let precise = |offset, limit| GetFile { precise: true, ..part(&location, offset, limit) };
    let max = i64::MAX / 4096 * 4096;
    for (call, error) in [
        (part(&location, 1024, 4096), "OFFSET_INVALID"),
        (part(&location, -4096, 4096), "OFFSET_INVALID"),
        (part(&location, 0, 0), "LIMIT_INVALID"),
        (part(&location, 0, -4096), "LIMIT_INVALID"),
        (part(&location, 0, 1024), "LIMIT_INVALID"),
        (part(&location, 0, 3 * 4096), "LIMIT_INVALID"),
        (part(&location, 0, 2 * MIB as i32), "LIMIT_INVALID"),
        (part(&location, MIB as i64 - 4096, 8192), "LIMIT_INVALID"),
        (precise(1, 1024), "OFFSET_INVALID"),
        (precise(0, 1000), "LIMIT_INVALID"),
        (precise(0, MIB as i32 + 1024), "LIMIT_INVALID"),
        (precise(MIB as i64 - 1024, 2048), "LIMIT_INVALID"),
    ] {
        assert_eq!(bob.fail(call).await, bad(error));
    }
    for (call, range) in [
        (part(&location, 0, MIB as i32), 0..MIB),
        (part(&location, MIB as i64, MIB as i32), MIB..2 * MIB),
        (part(&location, 2 * MIB as i64, MIB as i32), 2 * MIB..whole.len()),
        (part(&location, 4096, 4096), 4096..8192),
        (precise(1024, 3 * 1024), 1024..4096),
        (part(&location, 4 * MIB as i64, 4096), 0..0),
        (part(&location, max, 4096), 0..0),
    ] {
        assert_eq!(fetch(bob, call).await.unwrap().bytes, whole[range]);
    }
    assert!(download(bob, &location, 128 << 10).await.unwrap() == whole);
}

/// Rule:   after the last part of a file whose size is a multiple of it comes an empty one.
/// Source: FLS-12.
#[tokio::test]
async fn end_is_an_empty_part() {
    let mut pair = Pair::with(test_numbers()).await;
    let whole = content(MIB, 5);
    let (_, file) = shown(&mut pair, &whole).await;
    let location = at_document(&file, "");
    let end = fetch(&mut pair.bob, part(&location, MIB as i64, MIB as i32)).await.unwrap();
    assert!(end.bytes.is_empty());
    assert!(download(&mut pair.bob, &location, MIB as i32).await.unwrap() == whole);
}

/// Rule:   a file is told to be what its first bytes say, and is never to be fetched elsewhere.
/// Source: FLS-13, FLS-14, FLS-17.
#[tokio::test]
async fn file_is_what_its_first_bytes_say() {
    let mut pair = Pair::with(test_numbers()).await;
    let kinds: [(&[u8], FileType); 10] = [
        (b"\xff\xd8\xff\xe0rest", FileType::FileJpeg),
        (b"\x89PNG\r\n\x1a\nrest", FileType::FilePng),
        (b"GIF89a", FileType::FileGif),
        (b"RIFF\0\0\0\0WEBPVP8 ", FileType::FileWebp),
        (b"%PDF-1.7", FileType::FilePdf),
        (b"ID3\x04", FileType::FileMp3),
        (b"\xff\xfb\x90\x64", FileType::FileMp3),
        (b"\0\0\0\x18ftypmp42", FileType::FileMp4),
        (b"RIFF\0\0\0\0WAVEfmt ", FileType::FileUnknown),
        (b"x", FileType::FileUnknown),
    ];
    for (at, (bytes, kind)) in (1_i64..).zip(kinds) {
        let file = upload(&mut pair.ada, at, bytes, 1024).await;
        let call = show(&pair.to_bob, as_document(file), at);
        let file = document(&sent(&mut pair.ada, call).await);
        assert_eq!(file.dc_id, 2);
        let call = GetFile { cdn_supported: true, ..part(&at_document(&file, ""), 0, 4096) };
        let found = fetch(&mut pair.ada, call).await.unwrap();
        assert_eq!(std::mem::discriminant(&found.r#type), std::mem::discriminant(&kind));
        assert_eq!((found.mtime, &found.bytes[..]), (file.date, bytes));
    }
}

/// Rule:   a file is named by its number, its hash and its reference, all three its viewer's own:
///         what another was given is of no use, and a number without them says nothing of whether
///         there is such a file.
/// Source: FLS-15; 20-telegram-api-service §5.3; issue 5, "nothing leaks".
#[tokio::test]
async fn another_viewers_names_are_of_no_use() {
    let mut pair = Pair::with(test_numbers()).await;
    let (ours, theirs) = shown(&mut pair, &content(5000, 6)).await;
    assert_eq!(ours.id, theirs.id);
    assert!(ours.access_hash != theirs.access_hash && ours.file_reference != theirs.file_reference);
    let mut eve = pair.home.client().await;
    enter(&mut eve, "9996620003").await;
    let nowhere = bad("LOCATION_INVALID");
    let absent = ctors::Document { id: theirs.id ^ 1, ..theirs.clone() };
    for document in [&ours, &theirs, &absent] {
        assert_eq!(eve.fail(part(&at_document(document, ""), 0, 4096)).await, nowhere);
        let call = GetFileHashes { location: at_document(document, ""), offset: 0 };
        assert_eq!(eve.fail(call).await, nowhere);
        let call = again(&types::InputPeer::InputPeerSelf, document, 1);
        assert_eq!(eve.fail(call).await, bad("DOCUMENT_INVALID"));
    }
    // Bob has his own hash, and with Ada's reference gets nothing.
    let mixed = ctors::Document { file_reference: ours.file_reference.clone(), ..theirs.clone() };
    let old = bad("FILE_REFERENCE_EXPIRED");
    assert_eq!(pair.bob.fail(part(&at_document(&mixed, ""), 0, 4096)).await, old);
    for (reference, error) in [
        (Bytes::new(), "FILE_REFERENCE_EMPTY"),
        (Bytes::from_static(b"\x01"), "FILE_REFERENCE_INVALID"),
        (Bytes::from_static(&[2; 13]), "FILE_REFERENCE_INVALID"),
        (Bytes::from_static(&[1; 13]), "FILE_REFERENCE_EXPIRED"),
    ] {
        let mut named = theirs.clone();
        named.file_reference = reference;
        assert_eq!(pair.bob.fail(part(&at_document(&named, ""), 0, 4096)).await, bad(error));
        let call = again(&pair.to_ada, &named, 2);
        assert_eq!(pair.bob.fail(call).await, bad(error));
    }
    // A form that there is not, a document as a photo, and what has no files here.
    let as_photo =
        types::InputFileLocation::InputPhotoFileLocation(ctors::InputPhotoFileLocation {
            id: theirs.id,
            access_hash: theirs.access_hash,
            file_reference: theirs.file_reference.clone(),
            thumb_size: "".into(),
        });
    let secret = ctors::InputEncryptedFileLocation { id: theirs.id, access_hash: 1 };
    for location in [
        at_document(&theirs, "m"),
        as_photo,
        types::InputFileLocation::InputEncryptedFileLocation(secret),
        types::InputFileLocation::InputTakeoutFileLocation,
    ] {
        assert_eq!(pair.bob.fail(part(&location, 0, 4096)).await, nowhere);
    }
    // Whoever was shown it may show it on.
    let shown = sent(&mut pair.bob, again(&pair.to_ada, &theirs, 3)).await;
    assert_eq!(document(&shown).id, theirs.id);
}

/// Rule:   references last for a time; then the message gives another.
/// Source: 20-telegram-api-service §5.3.
#[tokio::test]
async fn old_reference_is_fetched_anew() {
    let mut config = test_numbers();
    config.file_reference_life = Some(1);
    let mut pair = Pair::with(config).await;
    let whole = content(3000, 7);
    let (file, _) = shown(&mut pair, &whole).await;
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let old = bad("FILE_REFERENCE_EXPIRED");
    assert_eq!(pair.ada.fail(part(&at_document(&file, ""), 0, 4096)).await, old);
    assert_eq!(pair.ada.fail(again(&pair.to_bob, &file, 2)).await, old);
    let anew = document(&by_id(&mut pair.ada, 1).await);
    assert_eq!((anew.id, anew.access_hash), (file.id, file.access_hash));
    assert_eq!(download(&mut pair.ada, &at_document(&anew, ""), 4096).await.unwrap(), whole);

    let mut config = test_numbers();
    config.file_reference_life = None;
    let mut pair = Pair::with(config).await;
    let (file, _) = shown(&mut pair, &whole).await;
    let again = document(&by_id(&mut pair.ada, 1).await);
    assert_eq!(file.file_reference, again.file_reference);
    fetch(&mut pair.ada, part(&at_document(&file, ""), 0, 4096)).await.unwrap();
}

/// Rule:   hashes are those of 128 KiB each, from the asked one on, for a block at least.
/// Source: FLS-16.
#[tokio::test]
async fn hashes_are_of_128_kib() {
    let mut pair = Pair::with(test_numbers()).await;
    let whole = content(MIB + 200_000, 8);
    let (_, file) = shown(&mut pair, &whole).await;
    let location = at_document(&file, "");
    let ask = |offset| GetFileHashes { location: location.clone(), offset };
    assert_eq!(pair.bob.fail(ask(-1)).await, bad("OFFSET_INVALID"));
    let (mut offset, mut covered) = (0, 0);
    loop {
        let hashes = pair.bob.ask(ask(offset)).await.unwrap();
        let Some(last) = hashes.last() else { break };
        offset = last.offset + i64::from(last.limit);
        assert!(offset == whole.len() as i64 || offset >= (covered + MIB) as i64);
        for types::FileHash { offset, limit, hash } in &hashes {
            assert_eq!(*offset, covered as i64);
            let range = covered..covered + *limit as usize;
            assert_eq!(hash[..], sha256(&[&whole[range.clone()]]));
            covered = range.end;
        }
    }
    assert_eq!(covered, whole.len());
    let middle = pair.bob.ask(ask(200_000)).await.unwrap();
    assert_eq!((middle[0].offset, middle[0].limit), (131_072, 131_072));
}

/// Rule:   a file of another kind of upload is served the same; one byte is a file.
/// Source: FLS-03, FLS-12.
#[tokio::test]
async fn smallest_file_is_one_byte() {
    let mut pair = Pair::with(test_numbers()).await;
    pair.ada.ask(small(1, 0, b"x")).await.unwrap();
    let call = show(&pair.to_bob, as_document(named(1, 1, "x")), 1);
    let file = document(&sent(&mut pair.ada, call).await);
    assert_eq!(download(&mut pair.ada, &at_document(&file, ""), 4096).await.unwrap(), b"x");
}

/// Shows a document that was shown before.
fn again(peer: &types::InputPeer, document: &ctors::Document, random_id: i64) -> SendMedia {
    let id = ctors::InputDocument {
        id: document.id,
        access_hash: document.access_hash,
        file_reference: document.file_reference.clone(),
    };
    let media = ctors::InputMediaDocument {
        id: types::InputDocument::InputDocument(id),
        ..chappe_tl::blank()
    };
    show(peer, types::InputMedia::InputMediaDocument(Box::new(media)), random_id)
}

async fn by_id(client: &mut Client, id: i32) -> ctors::Message {
    let id = types::InputMessage::InputMessageId(ctors::InputMessageId { id });
    let found = client.ask(GetMessages { id: vec![id] }).await.unwrap();
    let types::messages::Messages::Messages(found) = found else { panic!("a slice") };
    let types::Message::Message(message) = &found.messages[0] else { panic!("none") };
    (**message).clone()
}
