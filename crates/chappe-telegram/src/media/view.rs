//! Media as clients hear of them: each time with a fresh reference to their file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chappe_api::{ctors, types};

use super::attributes;
use crate::Service;
use crate::store::{Attribute, Document, Media, Photo, Place, Size};

impl Service {
    /// What a viewer is shown at a Unix second.
    pub(crate) fn shown_media(&self, now: i64, viewer: i64, media: &Media) -> types::MessageMedia {
        use types::MessageMedia as M;
        match media {
            Media::Photo { photo, shown } => M::MessageMediaPhoto(ctors::MessageMediaPhoto {
                spoiler: shown.spoiler,
                photo: Some(Box::new(self.shown_photo(now, viewer, photo))),
                ttl_seconds: shown.ttl,
                ..chappe_tl::blank()
            }),
            Media::Document { document, shown } => {
                let (mut video, mut round, mut voice) = (false, false, false);
                for attribute in &document.attributes {
                    match attribute {
                        Attribute::Video { round: is_round, .. } => {
                            (video, round) = (true, *is_round);
                        }
                        Attribute::Audio { voice: is_voice, .. } => voice = *is_voice,
                        _ => {}
                    }
                }
                M::MessageMediaDocument(ctors::MessageMediaDocument {
                    spoiler: shown.spoiler,
                    video,
                    round,
                    voice,
                    document: Some(self.shown_document(now, viewer, document)),
                    ttl_seconds: shown.ttl,
                    ..chappe_tl::blank()
                })
            }
            Media::Contact { phone, first_name, last_name, vcard, account } => {
                M::MessageMediaContact(Box::new(ctors::MessageMediaContact {
                    phone_number: phone.as_str().into(),
                    first_name: first_name.as_str().into(),
                    last_name: last_name.as_str().into(),
                    vcard: vcard.as_str().into(),
                    user_id: *account,
                }))
            }
            Media::Geo(place) => M::MessageMediaGeo(ctors::MessageMediaGeo { geo: point(place) }),
            Media::Venue { place, title, address, provider, venue, venue_type } => {
                M::MessageMediaVenue(Box::new(ctors::MessageMediaVenue {
                    geo: point(place),
                    title: title.as_str().into(),
                    address: address.as_str().into(),
                    provider: provider.as_str().into(),
                    venue_id: venue.as_str().into(),
                    venue_type: venue_type.as_str().into(),
                }))
            }
            Media::Dice { emoticon, value } => M::MessageMediaDice(ctors::MessageMediaDice {
                value: *value,
                emoticon: emoticon.as_str().into(),
                game_outcome: None,
            }),
        }
    }

    pub(crate) fn shown_photo(&self, now: i64, viewer: i64, photo: &Photo) -> types::Photo {
        let stripped = stripped(photo).map(|bytes| {
            let r#type = "i".into();
            types::PhotoSize::PhotoStrippedSize(ctors::PhotoStrippedSize { r#type, bytes })
        });
        types::Photo::Photo(ctors::Photo {
            id: photo.id,
            access_hash: self.file_hash(viewer, photo.id),
            file_reference: self.file_reference(now, viewer, photo.id),
            date: i32::try_from(photo.date).unwrap_or(i32::MAX),
            sizes: stripped.into_iter().chain(photo.sizes.iter().map(size)).collect(),
            dc_id: self.config.dc,
            ..chappe_tl::blank()
        })
    }

    /// The photo that an account shows, as part of a `user`.
    pub(crate) fn shown_profile_photo(&self, photo: &Photo) -> types::UserProfilePhoto {
        types::UserProfilePhoto::UserProfilePhoto(ctors::UserProfilePhoto {
            photo_id: photo.id,
            stripped_thumb: stripped(photo),
            dc_id: self.config.dc,
            ..chappe_tl::blank()
        })
    }

    /// The photo of a group, as part of a `chat`.
    pub(crate) fn shown_chat_photo(&self, photo: &Photo) -> types::ChatPhoto {
        types::ChatPhoto::ChatPhoto(ctors::ChatPhoto {
            photo_id: photo.id,
            stripped_thumb: stripped(photo),
            dc_id: self.config.dc,
            ..chappe_tl::blank()
        })
    }

    fn shown_document(&self, now: i64, viewer: i64, document: &Document) -> types::Document {
        types::Document::Document(Box::new(ctors::Document {
            id: document.id,
            access_hash: self.file_hash(viewer, document.id),
            file_reference: self.file_reference(now, viewer, document.id),
            date: i32::try_from(document.date).unwrap_or(i32::MAX),
            mime_type: document.mime.as_str().into(),
            size: document.size,
            thumbs: document.thumb.as_ref().map(|thumb| vec![size(thumb)]),
            video_thumbs: None,
            dc_id: self.config.dc,
            attributes: document.attributes.iter().map(attributes::shown).collect(),
        }))
    }
}

fn stripped(photo: &Photo) -> Option<bytes::Bytes> {
    STANDARD.decode(photo.stripped.as_ref()?).ok().map(Into::into)
}

fn size(size: &Size) -> types::PhotoSize {
    types::PhotoSize::PhotoSize(ctors::PhotoSize {
        r#type: size.form.as_str().into(),
        w: size.width,
        h: size.height,
        size: size.bytes,
    })
}

fn point(place: &Place) -> types::GeoPoint {
    types::GeoPoint::GeoPoint(ctors::GeoPoint {
        long: place.longitude,
        lat: place.latitude,
        access_hash: 0,
        accuracy_radius: place.accuracy,
    })
}
