//! Media that are nothing but data: contacts, places, dice.

use chappe_api::{ctors, types};
use chappe_server::Caller;
use chappe_tl::Str;

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::phone::Phone;
use crate::store::{Media, Place};

/// Bytes of a name, an address.
const TEXT_MAX: usize = 256;
/// Bytes of a card.
const CARD_MAX: usize = 4096;
/// What can be thrown, and how many sides it has.
const DICE: [(&str, u32); 6] = [("🎲", 6), ("🎯", 6), ("🎳", 6), ("🏀", 5), ("⚽", 5), ("🎰", 64)];

impl Service {
    /// Somebody's card, with the account that has the number.
    pub(super) async fn contact(
        &self,
        caller: &Caller,
        me: i64,
        contact: &ctors::InputMediaContact,
    ) -> Result<Media, Failure> {
        let phone = short(&contact.phone_number, TEXT_MAX)?;
        let first_name = short(&contact.first_name, TEXT_MAX)?;
        if phone.is_empty() || first_name.is_empty() {
            return Err(bad("MEDIA_INVALID"));
        }
        let account = match Phone::parse(&phone) {
            Ok(phone) => {
                self.count_lookups(caller, me, 1)?;
                self.store.account_of_phone(phone.digits()).await?
            }
            Err(_) => None,
        };
        Ok(Media::Contact {
            phone,
            first_name,
            last_name: short(&contact.last_name, TEXT_MAX)?,
            vcard: short(&contact.vcard, CARD_MAX)?,
            account: account.map_or(0, |account| account.id),
        })
    }

    /// The server throws.
    pub(super) fn dice(&self, emoticon: &Str) -> Result<Media, Failure> {
        let said = text(emoticon)?.trim_end_matches('\u{fe0f}');
        let known = DICE.iter().find(|(emoticon, _)| *emoticon == said);
        let (emoticon, sides) = known.ok_or_else(|| bad("EMOTICON_INVALID"))?;
        let value = self.rng().below(*sides) as i32 + 1;
        Ok(Media::Dice { emoticon: (*emoticon).to_owned(), value })
    }
}

pub(super) fn place(point: &types::InputGeoPoint) -> Result<Place, Failure> {
    let types::InputGeoPoint::InputGeoPoint(ctors::InputGeoPoint { lat, long, accuracy_radius }) =
        point
    else {
        return Err(bad("MEDIA_EMPTY"));
    };
    // What is no number is in no range.
    if !(-90.0..=90.0).contains(lat) || !(-180.0..=180.0).contains(long) {
        return Err(bad("MEDIA_INVALID"));
    }
    Ok(Place { latitude: *lat, longitude: *long, accuracy: *accuracy_radius })
}

pub(super) fn venue(venue: &ctors::InputMediaVenue) -> Result<Media, Failure> {
    Ok(Media::Venue {
        place: place(&venue.geo_point)?,
        title: short(&venue.title, TEXT_MAX)?,
        address: short(&venue.address, TEXT_MAX)?,
        provider: short(&venue.provider, TEXT_MAX)?,
        venue: short(&venue.venue_id, TEXT_MAX)?,
        venue_type: short(&venue.venue_type, TEXT_MAX)?,
    })
}

fn short(said: &Str, max: usize) -> Result<String, Failure> {
    let said = text(said)?;
    if said.len() > max {
        return Err(bad("MEDIA_INVALID"));
    }
    Ok(said.to_owned())
}
