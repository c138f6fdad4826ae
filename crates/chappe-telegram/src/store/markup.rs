//! Keyboards of bots, in fields of our own (LAY-01).

use serde::{Deserialize, Serialize};

/// A keyboard, or what is to become of the one on the screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Markup {
    /// Buttons under the message itself.
    Inline { rows: Vec<Vec<InlineButton>>, force_reply: bool },
    /// Buttons in the place of the keyboard, whose texts are sent.
    Keyboard {
        rows: Vec<Vec<Button>>,
        resize: bool,
        single_use: bool,
        selective: bool,
        persistent: bool,
        force_reply: bool,
        placeholder: Option<String>,
    },
    /// The person is asked to reply.
    ForceReply { single_use: bool, selective: bool, placeholder: Option<String> },
    /// The keyboard goes.
    Hide { selective: bool },
}

/// A button under a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InlineButton {
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) style: Option<Style>,
    #[serde(flatten)]
    pub(crate) kind: InlineKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "snake_case")]
pub(crate) enum InlineKind {
    Callback { data: Vec<u8>, requires_password: bool },
    Url { url: String },
    WebView { url: String },
    SwitchInline { query: String, same_peer: bool },
    Copy { copied: String },
    Profile { account: i64 },
    Disabled,
}

/// A button in the place of the keyboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Button {
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) style: Option<Style>,
    #[serde(flatten)]
    pub(crate) kind: ButtonKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "snake_case")]
pub(crate) enum ButtonKind {
    Text,
    RequestPhone,
    RequestLocation,
    RequestPoll { quiz: Option<bool> },
    WebView { url: String },
}

/// How a button looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Style {
    pub(crate) primary: bool,
    pub(crate) danger: bool,
    pub(crate) success: bool,
    /// A custom emoji.
    pub(crate) icon: Option<i64>,
}

impl Markup {
    /// Whether a button under the message says this when it is pressed; `Some(true)` where it
    /// wants the password, too.
    pub(crate) fn callback(&self, pressed: &[u8]) -> Option<bool> {
        let Self::Inline { rows, .. } = self else { return None };
        rows.iter().flatten().find_map(|button| match &button.kind {
            InlineKind::Callback { data, requires_password } if data == pressed => {
                Some(*requires_password)
            }
            _ => None,
        })
    }

    /// Whether it is made of links under the message, which lead to the same wherever it is shown.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        let Self::Inline { rows, .. } = self else { return false };
        rows.iter().flatten().all(|button| matches!(button.kind, InlineKind::Url { .. }))
    }

    pub(crate) fn is_inline(&self) -> bool {
        matches!(self, Self::Inline { .. })
    }
}
