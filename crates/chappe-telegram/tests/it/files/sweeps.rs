//! What nobody needs is removed: 20-telegram-api-service §5.1, and no orphans.

use std::path::Path;
use std::time::Duration;

use chappe_api::functions::messages::{DeleteMessages, EditMessage, UploadMedia};
use chappe_api::types;
use chappe_telegram::{Blobs, Config};

use super::{
    as_document, as_photo, at_document, bad, content, document, download, named, sent, show, small,
    upload,
};
use crate::client::Client;
use crate::messages::Pair;
use crate::sign_in::test_numbers;

/// A service that keeps files in this folder, and parts for a second.
fn in_folder(folder: &Path) -> Config {
    let mut config = test_numbers();
    config.blobs = Blobs::folder(folder).unwrap();
    config.upload_life = 1;
    config
}

/// Names of all files under a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Waits until so many files are there. Sweeps follow upon calls: this makes some.
async fn settled(client: &mut Client, folder: &Path, count: usize) {
    for _ in 0..100 {
        if files(folder).len() == count {
            return;
        }
        client.ask(delete(0)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{count} files were expected, not {:?}", files(folder));
}

fn delete(id: i32) -> DeleteMessages {
    DeleteMessages { revoke: true, id: vec![id] }
}

/// Rule:   parts that nobody has used are deleted after a time; then they are missing.
/// Source: FLS-06.
#[tokio::test]
async fn unused_parts_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::with(in_folder(folder.path())).await;
    pair.ada.ask(small(1, 0, b"abc")).await.unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    settled(&mut pair.ada, folder.path(), 0).await;
    let call = show(&pair.to_bob, as_document(named(1, 1, "x")), 1);
    assert_eq!(pair.ada.fail(call).await, bad("FILE_PART_0_MISSING"));
}

/// Rule:   the same content is kept once, whoever says it; it is gone when the last message is
///         that shows it, and not before.
/// Source: FLS-08; issue 5, "deduplicated, removed when nothing refers to them".
#[tokio::test]
async fn content_is_kept_once_and_as_long_as_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::with(in_folder(folder.path())).await;
    let whole = content(100_000, 1);
    let of_ada = upload(&mut pair.ada, 1, &whole, 4096).await;
    let of_ada = sent(&mut pair.ada, show(&pair.to_bob, as_document(of_ada), 1)).await;
    let of_bob = upload(&mut pair.bob, 1, &whole, 16_384).await;
    let of_bob = sent(&mut pair.bob, show(&pair.to_ada, as_document(of_bob), 1)).await;
    assert!(document(&of_ada).id != document(&of_bob).id);
    settled(&mut pair.ada, folder.path(), 1).await;
    // Bob keeps his copy of what Ada deletes for herself.
    let alone = DeleteMessages { revoke: false, id: vec![of_ada.id] };
    pair.ada.ask(alone).await.unwrap();
    pair.bob.ask(delete(of_bob.id)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    settled(&mut pair.ada, folder.path(), 1).await;
    let left = document(&super::history(&mut pair.bob, &pair.to_ada).await[0]);
    assert_eq!(download(&mut pair.bob, &at_document(&left, ""), 4096).await.unwrap(), whole);
    let last = super::history(&mut pair.bob, &pair.to_ada).await[0].id;
    pair.bob.ask(delete(last)).await.unwrap();
    settled(&mut pair.bob, folder.path(), 0).await;
    let call = super::part(&at_document(&left, ""), 0, 4096);
    assert_eq!(pair.bob.fail(call).await, bad("LOCATION_INVALID"));
}

/// Rule:   what an edit puts in the place of a file lets go of it.
/// Source: issue 5, "removed when nothing refers to them".
#[tokio::test]
async fn edited_message_lets_go_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::with(in_folder(folder.path())).await;
    let first = upload(&mut pair.ada, 1, b"first", 1024).await;
    let first = sent(&mut pair.ada, show(&pair.to_bob, as_document(first), 1)).await;
    let second = upload(&mut pair.ada, 2, b"second", 1024).await;
    let edit = EditMessage {
        peer: pair.to_bob.clone(),
        id: first.id,
        media: Some(Box::new(as_document(second))),
        ..chappe_tl::blank()
    };
    pair.ada.ask(edit).await.unwrap();
    settled(&mut pair.ada, folder.path(), 1).await;
    for client in [(&mut pair.ada, &pair.to_bob), (&mut pair.bob, &pair.to_ada)] {
        let (client, peer) = client;
        let shown = document(&super::history(client, peer).await[0]);
        assert_eq!(download(client, &at_document(&shown, ""), 4096).await.unwrap(), b"second");
    }
}

/// Rule:   of what a process leaves behind that ends in the middle nothing stays: content that no
///         row names, parts of no upload, half-written files that nobody touches.
/// Source: issue 5, "no orphan files".
#[tokio::test]
async fn orphans_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let orphans = ["blobs/07/0000000000000107", "parts/00000000000000aa/3", "blobs/07/1#2"];
    let mut fresh = None;
    for orphan in orphans {
        let path = folder.path().join(orphan);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"left").unwrap();
        fresh = Some(path);
    }
    let old = std::time::SystemTime::now() - Duration::from_secs(601);
    std::fs::File::options().write(true).open(fresh.unwrap()).unwrap().set_modified(old).unwrap();
    // Somebody may still be writing this one.
    std::fs::write(folder.path().join("blobs/07/2#1"), b"being written").unwrap();
    let mut pair = Pair::with(in_folder(folder.path())).await;
    settled(&mut pair.ada, folder.path(), 1).await;
    assert!(files(folder.path())[0].ends_with("2#1"));
}

/// Rule:   what was kept to be sent and is not, goes too, but not at once.
/// Source: 20-telegram-api-service §2.1, `messages.uploadMedia`.
#[tokio::test]
async fn media_waits_to_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::with(in_folder(folder.path())).await;
    let file = upload(&mut pair.ada, 1, b"later", 1024).await;
    let call =
        UploadMedia { peer: pair.to_bob.clone(), media: as_document(file), ..chappe_tl::blank() };
    let types::MessageMedia::MessageMediaDocument(media) = pair.ada.ask(call).await.unwrap() else {
        panic!("no document")
    };
    let Some(types::Document::Document(shown)) = media.document else { panic!("none") };
    tokio::time::sleep(Duration::from_millis(1500)).await;
    settled(&mut pair.ada, folder.path(), 1).await;
    assert_eq!(download(&mut pair.ada, &at_document(&shown, ""), 4096).await.unwrap(), b"later");
}

/// Rule:   a photo that cannot be made leaves nothing.
/// Source: issue 5, "no orphan files".
#[tokio::test]
async fn refused_photo_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::with(in_folder(folder.path())).await;
    let file = upload(&mut pair.ada, 1, b"no picture", 1024).await;
    let call = show(&pair.to_bob, as_photo(file), 1);
    assert_eq!(pair.ada.fail(call).await, bad("PHOTO_EXT_INVALID"));
    settled(&mut pair.ada, folder.path(), 0).await;
}
