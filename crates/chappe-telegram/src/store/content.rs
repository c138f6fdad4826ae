//! What a message says, in fields of our own: no layer of the schema is stored (LAY-01).

use chappe_backend::StoreError;
use serde::{Deserialize, Serialize};

use super::messages::kinds;
use super::{Action, Forwarded, Markup, damaged};

/// Text and what it is dressed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl Content {
    /// Whom it names without a username.
    pub(crate) fn named(&self) -> impl Iterator<Item = i64> {
        self.entities.iter().filter_map(|entity| match entity.kind {
            EntityKind::MentionName { account } => Some(account),
            _ => None,
        })
    }

    /// The text as searches compare it: in lower case, whatever the script.
    pub(super) fn folded(&self) -> String {
        self.text.to_lowercase()
    }

    /// What it is besides a text, in bits.
    pub(super) fn kinds(&self) -> i64 {
        let is_url =
            |entity: &Entity| matches!(entity.kind, EntityKind::Url | EntityKind::TextUrl { .. });
        if self.entities.iter().any(is_url) { kinds::URL } else { 0 }
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
