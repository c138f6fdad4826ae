//! 20-telegram-api-service §5.1.

use chappe_api::{ctors, types};

use super::{
    as_document, at_document, bad, big, content, document, download, named, named_big, sent, show,
    small, upload,
};
use crate::messages::{Pair, updates};
use crate::sign_in::{enter, test_numbers};

/// Rule:   the number of a file is its account's: another account's parts under the same number
///         are another file; parts come in any order, from any device, more than once, and the
///         last one counts.
/// Source: FLS-01, FLS-09.
#[tokio::test]
async fn parts_come_in_any_order_from_any_device() {
    let mut pair = Pair::with(test_numbers()).await;
    let mut second = pair.home.client().await;
    enter(&mut second, "9996620001").await;
    let whole = content(5 * 1024 - 7, 1);
    let parts: Vec<_> = whole.chunks(1024).collect();
    pair.bob.ask(small(1, 0, &content(1024, 2))).await.unwrap();
    pair.ada.ask(small(1, 4, parts[4])).await.unwrap();
    second.ask(small(1, 2, &content(1024, 3))).await.unwrap();
    pair.ada.ask(small(1, 0, parts[0])).await.unwrap();
    second.ask(small(1, 3, parts[3])).await.unwrap();
    pair.ada.ask(small(1, 1, parts[1])).await.unwrap();
    second.ask(small(1, 2, parts[2])).await.unwrap();
    let call = show(&pair.to_bob, as_document(named(1, 5, "notes.bin")), 1);
    let file = document(&sent(&mut pair.ada, call).await);
    assert_eq!(file.size, whole.len() as i64);
    assert_eq!(download(&mut pair.ada, &at_document(&file, ""), 4096).await.unwrap(), whole);
    // Bob's part is his alone, and none of Ada's are his.
    let call = show(&pair.to_ada, as_document(named(1, 2, "x")), 1);
    assert_eq!(pair.bob.fail(call).await, bad("FILE_PART_1_MISSING"));
}

/// Rule:   twenty parts may come at once, and each is kept.
/// Source: FLS-09, 20-telegram-api-service §5.1; docs/decisions/0017.
#[tokio::test]
async fn twenty_parts_come_at_once() {
    let mut pair = Pair::with(test_numbers()).await;
    let whole = content(20 * 1024, 1);
    for file in 1..4 {
        let parts = whole.chunks(1024).zip(0..).map(|(part, place)| small(file, place, part));
        for saved in pair.ada.ask_at_once(parts.collect()).await {
            assert_eq!(saved, Ok(true));
        }
        let call = show(&pair.to_bob, as_document(named(file, 20, "notes.bin")), file);
        let file = document(&sent(&mut pair.ada, call).await);
        assert_eq!(download(&mut pair.ada, &at_document(&file, ""), 4096).await.unwrap(), whole);
    }
}

/// Rule:   parts have a size that divides 512 KiB and 1024 divides; all have the same but the
///         last, which is not larger; numbers go from 0 to 3999.
/// Source: FLS-02, FLS-05.
#[tokio::test]
async fn parts_have_a_size_and_a_number() {
    let mut pair = Pair::with(test_numbers()).await;
    let ada = &mut pair.ada;
    let bytes = content(600 << 10, 1);
    for (call, error) in [
        (big(1, -1, 10, &bytes[..1024]), "FILE_PART_INVALID"),
        (big(1, 4000, -1, &bytes[..1024]), "FILE_PART_INVALID"),
        (big(1, 10, 10, &bytes[..1024]), "FILE_PART_INVALID"),
        (big(1, 0, 10, b""), "FILE_PART_EMPTY"),
        (big(1, 0, 10, &bytes[..(512 << 10) + 1]), "FILE_PART_TOO_BIG"),
        (big(1, 0, 10, &bytes[..1000]), "FILE_PART_SIZE_INVALID"),
        (big(1, 0, 10, &bytes[..3072]), "FILE_PART_SIZE_INVALID"),
        (big(1, 0, 0, &bytes[..1024]), "FILE_PARTS_INVALID"),
        (big(1, 0, 4001, &bytes[..1024]), "FILE_PARTS_INVALID"),
        (big(1, 0, -2, &bytes[..1024]), "FILE_PARTS_INVALID"),
    ] {
        assert_eq!(ada.fail(call).await, bad(error));
    }
    ada.ask(big(1, 0, 3, &bytes[..2048])).await.unwrap();
    assert_eq!(ada.fail(big(1, 1, 3, &bytes[..1024])).await, bad("FILE_PART_SIZE_CHANGED"));
    assert_eq!(ada.fail(big(1, 2, 3, &bytes[..4096])).await, bad("FILE_PART_SIZE_CHANGED"));
    assert_eq!(ada.fail(big(1, 1, 4, &bytes[..2048])).await, bad("FILE_PARTS_INVALID"));
    ada.ask(big(1, 2, 3, &bytes[..1])).await.unwrap();
    ada.ask(big(1, 1, 3, &bytes[..2048])).await.unwrap();
    // Of a small file nobody knows which part is the last, until another comes behind it.
    ada.ask(small(2, 1, &bytes[..1000])).await.unwrap();
    assert_eq!(ada.fail(small(2, 2, &bytes[..1000])).await, bad("FILE_PART_SIZE_INVALID"));
    assert_eq!(ada.fail(small(2, 0, &bytes[..512])).await, bad("FILE_PART_SIZE_INVALID"));
    ada.ask(small(2, 0, &bytes[..1024])).await.unwrap();
    ada.ask(small(3, 1, &bytes[..4096])).await.unwrap();
    assert_eq!(ada.fail(small(3, 0, &bytes[..2048])).await, bad("FILE_PART_SIZE_CHANGED"));
    ada.ask(small(3, 0, &bytes[..4096])).await.unwrap();
    assert_eq!(ada.fail(small(3, 2, &bytes[..8192])).await, bad("FILE_PART_SIZE_CHANGED"));
    // The largest part, and the last number.
    ada.ask(big(4, 3999, -1, &bytes[..512 << 10])).await.unwrap();
}

/// Rule:   small files and large ones are two kinds: what was said as one cannot be used as the
///         other; either may have any size.
/// Source: FLS-03.
#[tokio::test]
async fn kind_of_an_upload_is_kept() {
    let mut pair = Pair::with(test_numbers()).await;
    let bytes = content(1500, 1);
    let ada = &mut pair.ada;
    ada.ask(big(1, 0, 2, &bytes[..1024])).await.unwrap();
    ada.ask(big(1, 1, 2, &bytes[1024..])).await.unwrap();
    ada.ask(small(2, 0, &bytes)).await.unwrap();
    for file in [named(1, 2, "x"), named_big(2, 1)] {
        let call = show(&pair.to_bob, as_document(file), 1);
        assert_eq!(pair.ada.fail(call).await, bad("FILE_PART_0_MISSING"));
    }
    let call = show(&pair.to_bob, as_document(named_big(1, 2)), 1);
    assert_eq!(document(&sent(&mut pair.ada, call).await).size, 1500);
}

/// Rule:   a large file may be said to have -1 parts until its end is known; then it has as many
///         as its use says.
/// Source: FLS-04.
#[tokio::test]
async fn number_of_parts_may_be_unknown() {
    let mut pair = Pair::with(test_numbers()).await;
    let whole = content(10_000, 9);
    let mut parts = whole.chunks(4096).enumerate().collect::<Vec<_>>();
    let (last, end) = parts.pop().unwrap();
    for (at, bytes) in parts {
        pair.ada.ask(big(1, at as i32, -1, bytes)).await.unwrap();
    }
    pair.ada.ask(big(1, last as i32, 3, end)).await.unwrap();
    for parts in [2, 4, 0, -1, 4001] {
        let call = show(&pair.to_bob, as_document(named_big(1, parts)), 1);
        assert_eq!(pair.ada.fail(call).await, bad("FILE_PARTS_INVALID"));
    }
    let call = show(&pair.to_bob, as_document(named_big(1, 3)), 1);
    let file = document(&sent(&mut pair.ada, call).await);
    assert_eq!(download(&mut pair.ada, &at_document(&file, ""), 4096).await.unwrap(), whole);
    // More parts than a file is said to have are of another file.
    let file = upload(&mut pair.ada, 2, &whole, 1024).await;
    let types::InputFile::InputFile(ctors::InputFile { id, .. }) = file else { panic!("big") };
    let call = show(&pair.to_bob, as_document(named(id, 3, "x")), 2);
    assert_eq!(pair.ada.fail(call).await, bad("FILE_PARTS_INVALID"));
}

/// Rule:   who uses a file hears which part is missing, and may send it then.
/// Source: FLS-06.
#[tokio::test]
async fn missing_part_is_named() {
    let mut pair = Pair::with(test_numbers()).await;
    let whole = content(3000, 4);
    let call = || show(&pair.to_bob, as_document(named(1, 3, "x")), 1);
    assert_eq!(pair.ada.fail(call()).await, bad("FILE_PART_0_MISSING"));
    pair.ada.ask(small(1, 0, &whole[..1024])).await.unwrap();
    pair.ada.ask(small(1, 2, &whole[2048..])).await.unwrap();
    assert_eq!(pair.ada.fail(call()).await, bad("FILE_PART_1_MISSING"));
    pair.ada.ask(small(1, 1, &whole[1024..2048])).await.unwrap();
    let file = document(&sent(&mut pair.ada, call()).await);
    assert_eq!(download(&mut pair.ada, &at_document(&file, ""), 4096).await.unwrap(), whole);
}

/// Rule:   an MD5 of 32 hex digits has to be right; anything else is not looked at.
/// Source: FLS-07.
#[tokio::test]
async fn checksum_has_to_be_right() {
    let mut pair = Pair::with(test_numbers()).await;
    let with = |id, checksum: &str| {
        let (name, md5_checksum) = ("abc".into(), checksum.into());
        let file = ctors::InputFile { id, parts: 1, name, md5_checksum };
        as_document(types::InputFile::InputFile(file))
    };
    let wrong = "00000000000000000000000000000000";
    let right = "900150983cd24fb0d6963f7d28e17f72";
    let upper = right.to_uppercase();
    pair.ada.ask(small(1, 0, b"abc")).await.unwrap();
    let call = show(&pair.to_bob, with(1, wrong), 1);
    assert_eq!(pair.ada.fail(call).await, bad("MD5_CHECKSUM_INVALID"));
    sent(&mut pair.ada, show(&pair.to_bob, with(1, right), 2)).await;
    for (id, checksum) in [(2, ""), (3, "short"), (4, &*upper)] {
        pair.ada.ask(small(id, 0, b"abc")).await.unwrap();
        sent(&mut pair.ada, show(&pair.to_bob, with(id, checksum), id)).await;
    }
}

/// Rule:   a call that comes again is answered as before, with the parts used up; and the same
///         parts may be used for another message soon after.
/// Source: API-12; 20-telegram-api-service §5.1.
#[tokio::test]
async fn repeat_needs_no_parts() {
    let mut pair = Pair::with(test_numbers()).await;
    let file = upload(&mut pair.ada, 1, &content(2000, 5), 1024).await;
    let first = sent(&mut pair.ada, show(&pair.to_bob, as_document(file.clone()), 7)).await;
    let again = sent(&mut pair.ada, show(&pair.to_bob, as_document(file.clone()), 7)).await;
    assert_eq!((first.id, document(&first).id), (again.id, document(&again).id));
    let other = sent(&mut pair.ada, show(&pair.to_bob, as_document(file), 8)).await;
    assert!(other.id > first.id && document(&other).size == 2000);
    // Under the same number begins another file.
    let file = upload(&mut pair.ada, 1, b"short", 1024).await;
    let call = show(&pair.to_bob, as_document(file), 9);
    assert_eq!(document(&sent(&mut pair.ada, call).await).size, 5);
}

/// Rule:   an account has only so much under way.
/// Source: 20-telegram-api-service §2.1, FLOOD_WAIT_X of every row.
#[tokio::test]
async fn account_has_only_so_much_under_way() {
    let mut config = test_numbers();
    config.uploads_max_bytes = 4096;
    let mut pair = Pair::with(config).await;
    let bytes = content(2048, 1);
    pair.ada.ask(small(1, 0, &bytes)).await.unwrap();
    // What comes again takes the place of what was there.
    pair.ada.ask(small(1, 0, &bytes)).await.unwrap();
    pair.ada.ask(small(1, 1, &bytes)).await.unwrap();
    assert_eq!(pair.ada.fail(small(2, 0, b"x")).await, (420, "FLOOD_WAIT_300".to_owned()));
    pair.bob.ask(small(2, 0, b"x")).await.unwrap();
    let call = show(&pair.to_bob, as_document(named(1, 2, "x")), 1);
    sent(&mut pair.ada, call).await;
    pair.ada.ask(small(2, 0, b"x")).await.unwrap();
}

/// Rule:   who is not signed in says no files and gets none.
/// Source: API-04.
#[tokio::test]
async fn strangers_have_no_files() {
    let mut pair = Pair::with(test_numbers()).await;
    let file = upload(&mut pair.ada, 1, b"abc", 1024).await;
    let shown = updates(pair.ada.ask(show(&pair.to_bob, as_document(file), 1)).await.unwrap());
    let shown = document(&crate::messages::new_message(&shown.updates[1]).0);
    let mut stranger = pair.home.client().await;
    let signed_out = (401, "AUTH_KEY_UNREGISTERED".to_owned());
    assert_eq!(stranger.fail(small(1, 0, b"abc")).await, signed_out);
    let call = super::part(&at_document(&shown, ""), 0, 4096);
    assert_eq!(stranger.fail(call).await, signed_out);
}
