//! What a message says, in fields of our own: no layer of the schema is stored (LAY-01).

use chappe_backend::StoreError;
use serde::{Deserialize, Serialize};

use super::messages::kinds;
use super::{Action, Forwarded, Markup, damaged};

/// Text, what it is dressed in, and what is shown with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) entities: Vec<Entity>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) silent: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) noforwards: bool,
    /// A keyboard under it, or what is to become of the one on the screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) markup: Option<Markup>,
    /// The bot whose inline result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) via_bot: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forwarded: Option<Forwarded>,
    /// What happened, of a message that the service writes; it has no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Action>,
    pub(crate) media: Option<Media>,
    /// What is said in one go, and shown as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) album: Option<i64>,
}

/// A part of a text that is shown in some way. Places are UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entity {
    pub(crate) offset: i32,
    pub(crate) length: i32,
    #[serde(flatten)]
    pub(crate) kind: EntityKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum EntityKind {
    Unknown,
    Mention,
    Hashtag,
    BotCommand,
    Url,
    Email,
    Bold,
    Italic,
    Code,
    Pre { language: String },
    TextUrl { url: String },
    MentionName { account: i64 },
    Phone,
    Cashtag,
    Underline,
    Strike,
    BankCard,
    Spoiler,
    CustomEmoji { document: i64 },
    Blockquote { collapsed: bool },
}

/// What a message shows. Files are described here in full, so that a history is read from one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Media {
    Photo {
        photo: Photo,
        #[serde(flatten)]
        shown: Shown,
    },
    Document {
        document: Document,
        #[serde(flatten)]
        shown: Shown,
    },
    Contact {
        phone: String,
        first_name: String,
        last_name: String,
        vcard: String,
        /// Whose number it is, or 0.
        account: i64,
    },
    Geo(Place),
    Venue {
        place: Place,
        title: String,
        address: String,
        provider: String,
        venue: String,
        venue_type: String,
    },
    Dice {
        emoticon: String,
        value: i32,
    },
}

/// How a file is shown in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) spoiler: bool,
    /// Seconds after it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Photo {
    pub(crate) id: i64,
    /// Unix second.
    pub(crate) date: i64,
    /// From small to large.
    pub(crate) sizes: Vec<Size>,
    /// In the few bytes that Telegram makes of it, in base 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stripped: Option<String>,
}

impl Photo {
    /// Whether it is cut to be shown as a profile's.
    pub(crate) fn is_of_profile(&self) -> bool {
        self.sizes.iter().any(|size| size.form == "c")
    }
}

/// One of the pictures of a photo, or a thumbnail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    /// A letter.
    pub(crate) form: String,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) bytes: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) id: i64,
    /// Unix second.
    pub(crate) date: i64,
    pub(crate) mime: String,
    pub(crate) size: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) thumb: Option<Size>,
    pub(crate) attributes: Vec<Attribute>,
}

/// What a client says of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Attribute {
    Filename {
        name: String,
    },
    ImageSize {
        width: i32,
        height: i32,
    },
    Animated,
    Video {
        round: bool,
        streaming: bool,
        nosound: bool,
        /// Seconds, finite.
        duration: f64,
        width: i32,
        height: i32,
    },
    Audio {
        voice: bool,
        duration: i32,
        title: Option<String>,
        performer: Option<String>,
        waveform: Option<Vec<u8>>,
    },
}

/// A point on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Degrees, finite.
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) accuracy: Option<i32>,
}

impl Document {
    /// What it is, in a bit.
    fn kind(&self) -> i64 {
        let kind = |attribute: &Attribute| match attribute {
            Attribute::Animated => Some(kinds::GIF),
            Attribute::Video { round: true, .. } => Some(kinds::ROUND),
            Attribute::Video { .. } => Some(kinds::VIDEO),
            Attribute::Audio { voice: true, .. } => Some(kinds::VOICE),
            Attribute::Audio { .. } => Some(kinds::MUSIC),
            Attribute::Filename { .. } | Attribute::ImageSize { .. } => None,
        };
        // What is a silent video to those who made it is a film to nobody.
        let is_gif = self.attributes.contains(&Attribute::Animated);
        let found = self.attributes.iter().find_map(kind);
        if is_gif { kinds::GIF } else { found.unwrap_or(kinds::FILE) }
    }
}

impl Content {
    /// Whom it names without a username.
    pub(crate) fn named(&self) -> impl Iterator<Item = i64> {
        self.entities.iter().filter_map(|entity| match entity.kind {
            EntityKind::MentionName { account } => Some(account),
            _ => None,
        })
    }

    /// Whether it says the same and shows something of the same kind.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let kind = |content: &Self| content.media.as_ref().map(std::mem::discriminant);
        self.text == other.text && kind(self) == kind(other)
    }

    /// The text as searches compare it: in lower case, whatever the script.
    pub(super) fn folded(&self) -> String {
        self.text.to_lowercase()
    }

    /// What it is besides a text, in bits.
    pub(crate) fn kinds(&self) -> i64 {
        let is_url =
            |entity: &Entity| matches!(entity.kind, EntityKind::Url | EntityKind::TextUrl { .. });
        let url = if self.entities.iter().any(is_url) { kinds::URL } else { 0 };
        let media = match &self.media {
            Some(Media::Photo { .. }) => kinds::PHOTO,
            Some(Media::Document { document, .. }) => document.kind(),
            Some(Media::Contact { .. }) => kinds::CONTACT,
            Some(Media::Geo(_) | Media::Venue { .. }) => kinds::PLACE,
            Some(Media::Dice { .. }) | None => 0,
        };
        url | media
    }

    /// Whether it is said rather than written, so that whoever it is to has yet to hear it.
    pub(super) fn is_spoken(&self) -> bool {
        self.kinds() & (kinds::VOICE | kinds::ROUND) != 0
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }

    pub(super) fn from_json(json: &str) -> Result<Self, StoreError> {
        serde_json::from_str(json).map_err(|error| damaged(&format!("a message: {error}")))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(flag: &bool) -> bool {
    !flag
}
