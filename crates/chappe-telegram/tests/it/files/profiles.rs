//! Pictures of accounts: 20-telegram-api-service §5.5.

use chappe_api::ctors;
use chappe_api::functions::contacts::AddContact;
use chappe_api::functions::photos::{
    DeletePhotos, GetUserPhotos, UpdateProfilePhoto, UploadProfilePhoto,
};
use chappe_api::functions::users::{GetFullUser, GetUsers};
use chappe_api::types::{self, Update};
use image::ImageFormat;

use super::pictures::{encoded, is_of_it, picture, sizes};
use super::{at_photo, bad, download, fetch, part, upload};
use crate::client::Client;
use crate::messages::Pair;
use crate::sign_in::{enter, test_numbers};

/// Gives somebody a picture of this size.
async fn put_on(client: &mut Client, file: i64, size: (u32, u32)) -> ctors::Photo {
    let bytes = encoded(&picture(size.0, size.1), ImageFormat::Png);
    let file = Some(Box::new(upload(client, file, &bytes, 512 << 10).await));
    let call = UploadProfilePhoto { file, ..chappe_tl::blank() };
    shown(client.ask(call).await.unwrap())
}

fn shown(photo: types::photos::Photo) -> ctors::Photo {
    let types::Photo::Photo(photo) = photo.photo else { panic!("no photo") };
    photo
}

fn input(photo: &ctors::Photo) -> types::InputPhoto {
    types::InputPhoto::InputPhoto(ctors::InputPhoto {
        id: photo.id,
        access_hash: photo.access_hash,
        file_reference: photo.file_reference.clone(),
    })
}

/// The photo that somebody shows, as another sees it.
async fn seen(client: &mut Client, peer: &types::InputPeer) -> Option<i64> {
    let users = client.ask(GetUsers { id: vec![user(peer)] }).await.unwrap();
    let types::User::User(user) = &users[0] else { panic!("nobody") };
    match user.photo.as_ref()? {
        types::UserProfilePhoto::UserProfilePhoto(photo) => {
            assert!(photo.dc_id == 2 && photo.stripped_thumb.is_some());
            Some(photo.photo_id)
        }
        types::UserProfilePhoto::UserProfilePhotoEmpty => None,
    }
}

fn user(peer: &types::InputPeer) -> types::InputUser {
    let types::InputPeer::InputPeerUser(user) = peer else { panic!("not a person") };
    let (user_id, access_hash) = (user.user_id, user.access_hash);
    types::InputUser::InputUser(ctors::InputUser { user_id, access_hash })
}

fn of_peer(peer: &types::InputPeer, photo_id: i64, big: bool) -> types::InputFileLocation {
    let peer = peer.clone();
    let location = ctors::InputPeerPhotoFileLocation { big, peer, photo_id };
    types::InputFileLocation::InputPeerPhotoFileLocation(location)
}

/// Ids of somebody's photos, and how many there are if these are not all.
async fn photos(client: &mut Client, call: GetUserPhotos) -> (Vec<i64>, Option<i32>) {
    let ids = |photos: &[types::Photo]| {
        let id = |photo: &types::Photo| match photo {
            types::Photo::Photo(photo) => photo.id,
            types::Photo::PhotoEmpty(photo) => photo.id,
        };
        photos.iter().map(id).collect()
    };
    match client.ask(call).await.unwrap() {
        types::photos::Photos::Photos(all) => (ids(&all.photos), None),
        types::photos::Photos::PhotosSlice(slice) => (ids(&slice.photos), Some(slice.count)),
    }
}

/// Rule:   a profile's photo is a square of 160, 320, 640 and up to 1280, cut from the middle;
///         everybody who may name its owner gets it, small or large, without a reference.
/// Source: 20-telegram-api-service §5.5; FLS-15.
#[tokio::test]
async fn profile_photo_is_seen_by_others() {
    let mut pair = Pair::with(test_numbers()).await;
    let photo = put_on(&mut pair.ada, 1, (2000, 1500)).await;
    let found: Vec<_> = sizes(&photo).0.into_iter().map(|(form, w, h, _)| (form, w, h)).collect();
    let square = |form: &str, side| (form.to_owned(), side, side);
    assert_eq!(found, [square("a", 160), square("b", 320), square("c", 640), square("d", 1280)]);
    assert_eq!(seen(&mut pair.bob, &pair.to_ada).await, Some(photo.id));
    for (big, side) in [(false, 160), (true, 640)] {
        let location = of_peer(&pair.to_ada, photo.id, big);
        let bytes = download(&mut pair.bob, &location, 512 << 10).await.unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert!(picture.dimensions() == (side, side) && is_of_it(&picture));
    }
    let full = pair.bob.ask(GetFullUser { id: user(&pair.to_ada) }).await.unwrap();
    let Some(types::Photo::Photo(full)) = full.full_user.profile_photo.as_deref() else {
        panic!("no photo")
    };
    assert_eq!(full.id, photo.id);
    fetch(&mut pair.bob, part(&at_photo(full, "d"), 0, 4096)).await.unwrap();
    // A small one is not made larger; the three that clients ask for are there.
    let small = put_on(&mut pair.ada, 2, (200, 300)).await;
    let found: Vec<_> = sizes(&small).0.into_iter().map(|(_, w, _, _)| w).collect();
    assert_eq!(found, [160, 200, 200]);
}

/// Rule:   another's photo needs its owner's hash and has to be its owner's; files of messages are
///         not found this way.
/// Source: FLS-15; UPD-30.
#[tokio::test]
async fn profile_photo_is_found_by_its_owner_alone() {
    let mut pair = Pair::with(test_numbers()).await;
    let photo = put_on(&mut pair.ada, 1, (200, 200)).await;
    let mut eve = pair.home.client().await;
    enter(&mut eve, "9996620003").await;
    let call = part(&of_peer(&pair.to_ada, photo.id, false), 0, 4096);
    assert_eq!(eve.fail(call).await, bad("PEER_ID_INVALID"));
    for location in [
        of_peer(&pair.to_ada, photo.id ^ 1, false),
        of_peer(&types::InputPeer::InputPeerSelf, photo.id, false),
    ] {
        assert_eq!(pair.bob.fail(part(&location, 0, 4096)).await, bad("LOCATION_INVALID"));
    }
    let theirs = UpdateProfilePhoto { id: input(&photo), ..chappe_tl::blank() };
    assert_eq!(pair.bob.fail(theirs).await, bad("PHOTO_ID_INVALID"));
    let none = pair.bob.ask(DeletePhotos { id: vec![input(&photo)] }).await.unwrap();
    assert!(none.is_empty());
    assert_eq!(seen(&mut pair.bob, &pair.to_ada).await, Some(photo.id));
}

/// Rule:   the newest photo is shown, older ones are listed behind it and can be put first again;
///         what is deleted is gone; whoever knows the account, and its other devices, hear of it.
/// Source: 20-telegram-api-service §5.5, §2.1 (`photos.*`).
#[tokio::test]
async fn photos_come_and_go() {
    let mut pair = Pair::with(test_numbers()).await;
    let mut second = pair.home.client().await;
    enter(&mut second, "9996620001").await;
    second.ask(chappe_api::functions::updates::GetState {}).await.unwrap();
    let known = AddContact { id: user(&pair.to_ada), first_name: "A".into(), ..chappe_tl::blank() };
    pair.bob.ask(known).await.unwrap();
    pair.bob.take_pushed();
    let first = put_on(&mut pair.ada, 1, (160, 160)).await;
    for client in [&mut pair.bob, &mut second] {
        let pushed = client.pushed().await;
        let Update::UpdateUser(update) = &pushed.updates[0] else { panic!("another update") };
        assert_eq!((update.user_id, pushed.users.len()), (pair.ids.0, 1));
    }
    let other = put_on(&mut pair.ada, 2, (170, 170)).await;
    let list = |limit, offset, max_id| GetUserPhotos {
        user_id: user(&pair.to_ada),
        offset,
        max_id,
        limit,
    };
    assert_eq!(photos(&mut pair.bob, list(10, 0, 0)).await, (vec![other.id, first.id], None));
    assert_eq!(photos(&mut pair.bob, list(1, 0, 0)).await, (vec![other.id], Some(2)));
    assert_eq!(photos(&mut pair.bob, list(1, 1, 0)).await, (vec![first.id], Some(2)));
    assert_eq!(photos(&mut pair.bob, list(1, 0, first.id)).await, (vec![first.id], Some(2)));
    let again = UpdateProfilePhoto { id: input(&first), ..chappe_tl::blank() };
    assert_eq!(shown(pair.ada.ask(again).await.unwrap()).id, first.id);
    assert_eq!(seen(&mut pair.bob, &pair.to_ada).await, Some(first.id));
    let gone = pair.ada.ask(DeletePhotos { id: vec![input(&first)] }).await.unwrap();
    assert_eq!(gone, [first.id]);
    assert_eq!(seen(&mut pair.bob, &pair.to_ada).await, Some(other.id));
    let empty = types::InputPhoto::InputPhotoEmpty;
    let empty = UpdateProfilePhoto { id: empty, ..chappe_tl::blank() };
    let types::Photo::PhotoEmpty(_) = pair.ada.ask(empty).await.unwrap().photo else {
        panic!("a photo")
    };
    assert_eq!(seen(&mut pair.bob, &pair.to_ada).await, None);
    let call = part(&of_peer(&pair.to_ada, other.id, false), 0, 4096);
    assert_eq!(pair.bob.fail(call).await, bad("LOCATION_INVALID"));
}

/// Rule:   a picture that is too small, or none, is refused; so is one that was shown in a message.
/// Source: 20-telegram-api-service §2.1, `photos.uploadProfilePhoto`, `photos.updateProfilePhoto`.
#[tokio::test]
async fn what_is_no_profile_photo_is_refused() {
    let mut pair = Pair::with(test_numbers()).await;
    let small = encoded(&picture(159, 500), ImageFormat::Png);
    for (at, (bytes, error)) in
        (1_i64..).zip([(&small[..], "PHOTO_CROP_SIZE_SMALL"), (b"x", "PHOTO_EXT_INVALID")])
    {
        let file = Some(Box::new(upload(&mut pair.ada, at, bytes, 1024).await));
        let call = UploadProfilePhoto { file, ..chappe_tl::blank() };
        assert_eq!(pair.ada.fail(call).await, bad(error));
    }
    let none = chappe_tl::blank::<UploadProfilePhoto>();
    assert_eq!(pair.ada.fail(none).await, bad("PHOTO_FILE_MISSING"));
    let bytes = encoded(&picture(300, 300), ImageFormat::Png);
    let file = upload(&mut pair.ada, 9, &bytes, 1024).await;
    let call = super::show(&pair.to_bob, super::as_photo(file), 1);
    let shown = super::photo(&super::sent(&mut pair.ada, call).await);
    let call = UpdateProfilePhoto { id: input(&shown), ..chappe_tl::blank() };
    assert_eq!(pair.ada.fail(call).await, bad("PHOTO_ID_INVALID"));
}
