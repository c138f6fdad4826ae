//! Files that are sent again, and such as are gone by then.

use chappe_api::functions::messages::{EditMessage, ForwardMessages, SendMedia, SendMultiMedia};
use chappe_api::{ctors, types};
use chappe_backend::sql::sql;

use super::{as_document, as_photo, bad, document, history, named, sent, show, upload};
use crate::messages::{Pair, new_message, updates};

/// Rule:   a repeat of a `random_id` gives what was sent under it, though its parts are used up; with
///         another peer, other words or another kind of file it is refused.
/// Source: API-12, 20-telegram-api-service §2.1, `messages.sendMedia`, `sendMultiMedia`.
#[tokio::test]
async fn repeated_file_has_to_be_what_it_was() {
    let mut pair = Pair::new().await;
    let (peer, myself) = (pair.to_bob.clone(), types::InputPeer::InputPeerSelf);
    let file = as_document(upload(&mut pair.ada, 1, b"a page of it", 1024).await);
    let said = |peer: &types::InputPeer, media: &types::InputMedia, text: &str| SendMedia {
        message: text.into(),
        ..show(peer, media.clone(), 7)
    };
    let first = sent(&mut pair.ada, said(&peer, &file, "page one")).await;
    let again = sent(&mut pair.ada, said(&peer, &file, "page one")).await;
    assert_eq!(again.id, first.id);
    let shown = document(&first);
    let known = |id| ctors::InputDocument {
        id,
        access_hash: shown.access_hash,
        file_reference: shown.file_reference.clone(),
    };
    let known = |id| {
        let id = types::InputDocument::InputDocument(known(id));
        let input = ctors::InputMediaDocument { id, ..chappe_tl::blank() };
        types::InputMedia::InputMediaDocument(Box::new(input))
    };
    let by_name = sent(&mut pair.ada, said(&peer, &known(shown.id), "page one")).await;
    assert_eq!(by_name.id, first.id);
    let duplicate = bad("RANDOM_ID_DUPLICATE");
    for call in [
        said(&myself, &file, "page one"),
        said(&peer, &file, "page two"),
        said(&peer, &as_photo(named(1, 1, "x")), "page one"),
        said(&peer, &known(shown.id + 1), "page one"),
    ] {
        assert_eq!(pair.ada.fail(call).await, duplicate);
    }
    let album = |peer: &types::InputPeer| SendMultiMedia {
        peer: peer.clone(),
        multi_media: vec![types::InputSingleMedia {
            media: file.clone(),
            random_id: 7,
            message: "page one".into(),
            entities: None,
        }],
        ..chappe_tl::blank()
    };
    assert_eq!(pair.ada.fail(album(&myself)).await, duplicate);
    let again = updates(pair.ada.ask(album(&peer)).await.unwrap());
    assert_eq!(new_message(&again.updates[1]).0.id, first.id);
    assert_eq!(history(&mut pair.bob, &pair.to_ada).await.len(), 1);
}

/// Rule:   what is gone is not shown: a forward or an edit that comes too late is refused whole.
/// Source: 20-telegram-api-service §2.1, `messages.forwardMessages`, `MEDIA_INVALID`.
#[tokio::test]
async fn file_that_is_gone_is_not_shown_again() {
    let mut pair = Pair::new().await;
    let (peer, myself) = (pair.to_bob.clone(), types::InputPeer::InputPeerSelf);
    let file = as_document(upload(&mut pair.ada, 1, b"a page of it", 1024).await);
    let first = sent(&mut pair.ada, show(&peer, file, 1)).await;
    // As a sweep does that comes between the two, once nothing shows it.
    let mut sweep = pair.home.database().begin().await.unwrap();
    let delete = sql("DELETE FROM file WHERE id = $1").bind(document(&first).id);
    assert_eq!(sweep.run(delete).await, Ok(1));
    sweep.commit().await.unwrap();
    let forward = ForwardMessages {
        from_peer: peer.clone(),
        id: vec![first.id],
        random_id: vec![2],
        to_peer: myself.clone(),
        ..chappe_tl::blank()
    };
    assert_eq!(pair.ada.fail(forward).await, bad("MEDIA_INVALID"));
    assert!(history(&mut pair.ada, &myself).await.is_empty());
    let message = Some("page one".into());
    let edit = EditMessage { peer, id: first.id, message, ..chappe_tl::blank() };
    assert_eq!(pair.ada.fail(edit).await, bad("MESSAGE_ID_INVALID"));
}
