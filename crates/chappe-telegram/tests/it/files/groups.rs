//! Files in groups, passed on and looked for.

use chappe_api::ctors;
use chappe_api::functions::messages::{
    DeleteChatUser, EditChatDefaultBannedRights, EditChatPhoto, EditMessage, ExportChatInvite,
    ForwardMessages, GetFullChat, ImportChatInvite, ReadMessageContents, Search, SendMultiMedia,
};
use chappe_api::types::{self, DocumentAttribute, MessageAction, MessagesFilter as Filter, Update};
use chappe_backend::sql::sql;
use image::ImageFormat;

use super::pictures::{encoded, picture};
use super::{as_document, as_photo, at_document, at_photo, bad, download, named, show, upload};
use crate::groups::{Group, action, number};
use crate::messages::{find, new_message, say, updates};
use crate::pins::found;

/// Rule:   a group's photo is shown to who is in it and found by them alone; whoever may change what
///         a group is called may change it, and take it away.
/// Source: 20-telegram-api-service §2.2, `messages.editChatPhoto`; §5.5.
#[tokio::test]
async fn group_has_a_photo() {
    let mut group = Group::new().await;
    let chat_id = group.chat_id;
    let bytes = encoded(&picture(640, 640), ImageFormat::Png);
    let file = Some(Box::new(upload(&mut group.ada, 1, &bytes, 512 << 10).await));
    let uploaded = ctors::InputChatUploadedPhoto { file, ..chappe_tl::blank() };
    let photo = types::InputChatPhoto::InputChatUploadedPhoto(uploaded);
    updates(group.ada.ask(EditChatPhoto { chat_id, photo }).await.unwrap());
    let told = group.bob.pushed().await;
    let MessageAction::MessageActionChatEditPhoto(new) = action(&told.updates[0]) else {
        panic!("another action")
    };
    let types::Photo::Photo(photo) = &new.photo else { panic!("no photo") };
    let [types::Chat::Chat(chat)] = &told.chats[..] else { panic!("no group") };
    assert!(
        matches!(&chat.photo, types::ChatPhoto::ChatPhoto(small) if small.photo_id == photo.id)
    );
    assert!(download(&mut group.bob, &at_photo(photo, "c"), 512 << 10).await.is_ok());
    let (peer, photo_id) = (group.peer(), photo.id);
    let location = ctors::InputPeerPhotoFileLocation { big: false, peer, photo_id };
    let location = types::InputFileLocation::InputPeerPhotoFileLocation(location);
    assert!(download(&mut group.cy, &location, 512 << 10).await.is_ok());
    let error = download(&mut group.dan, &location, 512 << 10).await.unwrap_err();
    assert_eq!((error.code, &*error.message), (400, "PEER_ID_INVALID"));
    let full = group.cy.ask(GetFullChat { chat_id }).await.unwrap();
    let types::ChatFull::ChatFull(full) = full.full_chat else { panic!("another kind") };
    assert!(full.chat_photo.is_some());

    let none = || EditChatPhoto { chat_id, photo: types::InputChatPhoto::InputChatPhotoEmpty };
    assert_eq!(group.dan.fail(none()).await, bad("CHAT_ID_INVALID"));
    let banned_rights =
        types::ChatBannedRights { change_info: true, send_photos: true, ..chappe_tl::blank() };
    let ban = EditChatDefaultBannedRights { peer: group.peer(), banned_rights };
    group.ada.ask(ban).await.unwrap();
    let required = (403, "CHAT_ADMIN_REQUIRED".to_owned());
    assert_eq!(group.bob.fail(none()).await, required);
    let bytes = encoded(&picture(64, 64), ImageFormat::Png);
    let file = upload(&mut group.bob, 2, &bytes, 512 << 10).await;
    let call = show(&group.peer(), as_photo(file), 1);
    let forbidden = (403, "CHAT_SEND_PHOTOS_FORBIDDEN".to_owned());
    assert_eq!(group.bob.fail(call).await, forbidden);
    updates(group.ada.ask(none()).await.unwrap());
    assert_eq!(group.ada.fail(none()).await, bad("CHAT_NOT_MODIFIED"));
    let error = download(&mut group.cy, &location, 512 << 10).await.unwrap_err();
    assert_eq!(&*error.message, "LOCATION_INVALID");
}

/// Rule:   an album that is passed on is one there, too, another than it was; its captions may be
///         left out; whoever gets it gets the files.
/// Source: 20-telegram-api-service §2.1, `messages.forwardMessages`.
#[tokio::test]
async fn album_is_passed_on_as_one() {
    let mut group = Group::new().await;
    let mut multi_media = Vec::new();
    for place in 1..=2 {
        let file = upload(&mut group.ada, place, b"a page of it", 512 << 10).await;
        multi_media.push(types::InputSingleMedia {
            media: as_document(file),
            random_id: place,
            message: "page".into(),
            entities: None,
        });
    }
    let peer = group.peer();
    let album = SendMultiMedia { peer: peer.clone(), multi_media, ..chappe_tl::blank() };
    let sent = updates(group.ada.ask(album).await.unwrap());
    let (first, ..) = new_message(&sent.updates[2]);
    let (second, ..) = new_message(&sent.updates[3]);
    assert!(first.grouped_id.is_some() && first.grouped_id == second.grouped_id);
    let to_peer = find(&mut group.ada, &number(3)).await;
    let call = ForwardMessages {
        drop_media_captions: true,
        from_peer: peer.clone(),
        id: vec![first.id, second.id],
        random_id: vec![8, 9],
        to_peer,
        ..chappe_tl::blank()
    };
    group.ada.ask(call).await.unwrap();
    let mut albums = Vec::new();
    for _ in 0..2 {
        let (heard, ..) = new_message(&group.dan.pushed().await.updates[0]);
        assert!(heard.message.is_empty() && heard.fwd_from.is_some());
        let at = at_document(&super::document(&heard), "");
        assert_eq!(download(&mut group.dan, &at, 512 << 10).await.unwrap(), b"a page of it");
        albums.push(heard.grouped_id);
    }
    assert!(albums[0].is_some() && albums[0] == albums[1] && albums[0] != first.grouped_id);
}

/// Rule:   what is said rather than written waits to be heard, and who said it learns that it was;
///         files are found by what they are.
/// Source: 20-telegram-api-service §2.1, `messages.readMessageContents`, `messages.search`.
#[tokio::test]
async fn voice_waits_to_be_heard() {
    let mut group = Group::new().await;
    let peer = group.peer();
    let voice =
        types::DocumentAttribute::DocumentAttributeAudio(Box::new(ctors::DocumentAttributeAudio {
            voice: true,
            duration: 1,
            ..chappe_tl::blank()
        }));
    let file = upload(&mut group.ada, 1, b"hello", 512 << 10).await;
    let spoken = types::InputMedia::InputMediaUploadedDocument(Box::new(
        ctors::InputMediaUploadedDocument {
            file,
            mime_type: "audio/ogg".into(),
            attributes: vec![voice],
            ..chappe_tl::blank()
        },
    ));
    let said = super::sent(&mut group.ada, show(&peer, spoken, 1)).await;
    let file = upload(&mut group.ada, 2, b"notes", 512 << 10).await;
    let written = super::sent(&mut group.ada, show(&peer, as_document(file), 2)).await;
    assert!(said.media_unread && !written.media_unread);
    let (heard, ..) = new_message(&group.bob.pushed().await.updates[0]);
    assert!(heard.media_unread && !heard.mentioned);
    let seen = group.bob.ask(ReadMessageContents { id: vec![heard.id] }).await.unwrap();
    assert_eq!(seen.pts_count, 1);
    let told = group.ada.pushed().await;
    assert!(matches!(
        &told.updates[..],
        [Update::UpdateReadMessagesContents(read)] if read.messages == [said.id]
    ));
    for (filter, expected) in [
        (Filter::InputMessagesFilterVoice, vec![said.id]),
        (Filter::InputMessagesFilterRoundVoice, vec![said.id]),
        (Filter::InputMessagesFilterDocument, vec![written.id]),
        (Filter::InputMessagesFilterPhotos, vec![]),
    ] {
        assert_eq!(found(&mut group.ada, of_kind(&peer, filter)).await, expected);
    }
}

/// Rule:   an edit lets go of what each box showed, which is not the same where somebody was away; a
///         file goes with the last box that shows it, and not before.
/// Source: 20-telegram-api-service §2.1, `messages.editMessage`; issue 5, "removed when nothing refers
///         to them".
#[tokio::test]
async fn edit_lets_go_of_what_each_box_showed() {
    let mut group = Group::new().await;
    let (peer, chat_id, myself) = (group.peer(), group.chat_id, types::InputPeer::InputPeerSelf);
    let mut shown = Vec::new();
    let first = as_document(upload(&mut group.ada, 1, b"first", 1024).await);
    let first = super::sent(&mut group.ada, show(&peer, first, 1)).await;
    shown.push(super::document(&first).id);
    let user_id = types::InputUser::InputUserSelf;
    group.cy.ask(DeleteChatUser { revoke_history: false, chat_id, user_id }).await.unwrap();
    for (file_id, text) in [(2, b"second"), (3, b"third.")] {
        let file = as_document(upload(&mut group.ada, file_id, text, 1024).await);
        let media = Some(Box::new(file));
        let edit = EditMessage { peer: peer.clone(), id: first.id, media, ..chappe_tl::blank() };
        let edited = updates(group.ada.ask(edit).await.unwrap());
        let Update::UpdateEditMessage(edit) = &edited.updates[0] else { panic!("no edit") };
        let types::Message::Message(message) = &edit.message else { panic!("no message") };
        shown.push(super::document(message).id);
        if file_id == 2 {
            // Somebody else shows it, too, and who was away is back.
            let call = ForwardMessages {
                from_peer: peer.clone(),
                id: vec![first.id],
                random_id: vec![9],
                to_peer: myself.clone(),
                ..chappe_tl::blank()
            };
            group.ada.ask(call).await.unwrap();
            let export = ExportChatInvite { peer: peer.clone(), ..chappe_tl::blank() };
            let types::ExportedChatInvite::ChatInviteExported(link) =
                group.ada.ask(export).await.unwrap()
            else {
                panic!("no link")
            };
            let hash = link.link.as_str().unwrap().rsplit_once('+').unwrap().1.into();
            group.cy.ask(ImportChatInvite { hash }).await.unwrap();
        }
    }
    for (file, expected) in shown.into_iter().zip([0, 1, 3]) {
        let query = sql("SELECT uses FROM file WHERE id = $1").bind(file);
        let row = group.home.database().row(query).await.unwrap();
        // One that nothing shows may be gone by now.
        let uses = row.map_or(0, |mut row| row.read::<i64>().unwrap());
        assert_eq!(uses, expected);
    }
}

/// Rule:   each right that is taken from members keeps one kind of file off, and no other; the old
///         right to send media all of them.
/// Source: 20-telegram-api-service §2.2, `messages.editChatDefaultBannedRights`.
#[tokio::test]
async fn banned_rights_are_of_one_kind_each() {
    let mut group = Group::new().await;
    let peer = group.peer();
    let video = |round_message| {
        let video = ctors::DocumentAttributeVideo { round_message, ..chappe_tl::blank() };
        vec![DocumentAttribute::DocumentAttributeVideo(video)]
    };
    let audio = |voice| {
        let audio = ctors::DocumentAttributeAudio { voice, ..chappe_tl::blank() };
        vec![DocumentAttribute::DocumentAttributeAudio(Box::new(audio))]
    };
    let kinds = [
        ("VIDEOS", video(false)),
        ("ROUNDVIDEOS", video(true)),
        ("AUDIOS", audio(false)),
        ("VOICES", audio(true)),
        ("GIFS", vec![DocumentAttribute::DocumentAttributeAnimated]),
        ("DOCS", vec![]),
    ];
    let media = |place: usize, attributes: &[DocumentAttribute]| {
        let document = ctors::InputMediaUploadedDocument {
            file: named(place as i64 + 1, 1, "x"),
            mime_type: "application/x".into(),
            attributes: attributes.to_vec(),
            ..chappe_tl::blank()
        };
        types::InputMedia::InputMediaUploadedDocument(Box::new(document))
    };
    for place in 0..kinds.len() {
        upload(&mut group.bob, place as i64 + 1, b"hello", 512 << 10).await;
    }
    let rights = |kind: &str| types::ChatBannedRights {
        send_media: kind == "all",
        send_videos: kind == "VIDEOS",
        send_roundvideos: kind == "ROUNDVIDEOS",
        send_audios: kind == "AUDIOS",
        send_voices: kind == "VOICES",
        send_gifs: kind == "GIFS",
        send_docs: kind == "DOCS",
        ..chappe_tl::blank()
    };
    let mut random_id = 0;
    for banned in ["all", "VIDEOS", "ROUNDVIDEOS", "AUDIOS", "VOICES", "GIFS", "DOCS"] {
        let banned_rights = rights(banned);
        let ban = EditChatDefaultBannedRights { peer: peer.clone(), banned_rights };
        group.ada.ask(ban).await.unwrap();
        for (place, (kind, attributes)) in kinds.iter().enumerate() {
            random_id += 1;
            let call = show(&peer, media(place, attributes), random_id);
            if banned == "all" || banned == *kind {
                let error = (403, format!("CHAT_SEND_{kind}_FORBIDDEN"));
                assert_eq!(group.bob.fail(call).await, error, "{banned}");
            } else {
                group.bob.ask(call).await.unwrap();
            }
        }
    }
    // What has nothing to do with files is said as before.
    group.bob.ask(say(&peer, "https://example.org", 100)).await.unwrap();
}

fn of_kind(peer: &types::InputPeer, filter: Filter) -> Search {
    Search { peer: peer.clone(), filter, limit: 10, ..chappe_tl::blank() }
}
