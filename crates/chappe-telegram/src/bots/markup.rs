//! Keyboards: as bots say them, as they are kept, as clients hear them.

use chappe_api::{ctors, types};
use chappe_tl::Str;

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::{Button, ButtonKind, InlineButton, InlineKind, Markup, Style};

/// Buttons of a keyboard, and of a row of one under a message.
const BUTTONS_MAX: usize = 300;
const INLINE_ROW_MAX: usize = 8;
/// Bytes that a pressed button says.
const DATA_MAX: usize = 64;
/// Characters of a button, of what it puts on the clipboard, and of what a field shows while it
/// is empty.
const TEXT_MAX: usize = 256;
const PLACEHOLDER_MAX: usize = 64;
const URL_MAX: usize = 2048;

impl Service {
    /// The keyboard that `me` wants to send. People have none: what they say is passed over.
    pub(crate) async fn markup(
        &self,
        me: i64,
        said: Option<&types::ReplyMarkup>,
    ) -> Result<Option<Markup>, Failure> {
        let Some(said) = said else { return Ok(None) };
        if !self.store.is_bot(me).await? {
            return Ok(None);
        }
        Ok(Some(match said {
            types::ReplyMarkup::ReplyInlineMarkup(said) => {
                let mut rows = Vec::with_capacity(said.rows.len().min(BUTTONS_MAX));
                check_size(said.rows.iter().map(|row| row.buttons.len()), INLINE_ROW_MAX)?;
                for row in &said.rows {
                    let mut buttons = Vec::with_capacity(row.buttons.len());
                    for button in &row.buttons {
                        buttons.push(self.inline_button(me, button).await?);
                    }
                    rows.push(buttons);
                }
                Markup::Inline { rows, force_reply: said.force_reply }
            }
            types::ReplyMarkup::ReplyKeyboardMarkup(said) => {
                check_size(said.rows.iter().map(|row| row.buttons.len()), BUTTONS_MAX)?;
                let row = |row: &types::KeyboardButtonRow| row.buttons.iter().map(button).collect();
                Markup::Keyboard {
                    rows: said.rows.iter().map(row).collect::<Result<_, Failure>>()?,
                    resize: said.resize,
                    single_use: said.single_use,
                    selective: said.selective,
                    persistent: said.persistent,
                    force_reply: said.force_reply,
                    placeholder: placeholder(said.placeholder.as_ref())?,
                }
            }
            types::ReplyMarkup::ReplyKeyboardForceReply(said) => Markup::ForceReply {
                single_use: said.single_use,
                selective: said.selective,
                placeholder: placeholder(said.placeholder.as_ref())?,
            },
            types::ReplyMarkup::ReplyKeyboardHide(said) => {
                Markup::Hide { selective: said.selective }
            }
        }))
    }

    async fn inline_button(
        &self,
        me: i64,
        button: &types::KeyboardInlineButton,
    ) -> Result<InlineButton, Failure> {
        use types::InlineButtonType as T;
        let kind = match &button.r#type {
            T::InlineButtonTypeCallback(said) => {
                if !(1..=DATA_MAX).contains(&said.data.len()) {
                    return Err(bad("BUTTON_DATA_INVALID"));
                }
                let (data, requires_password) = (said.data.to_vec(), said.requires_password);
                InlineKind::Callback { data, requires_password }
            }
            T::InlineButtonTypeUrl(said) => InlineKind::Url { url: url(&said.url)? },
            T::InlineButtonTypeWebView(said) => InlineKind::WebView { url: url(&said.url)? },
            T::InlineButtonTypeSwitchInline(said) => {
                let (query, same_peer) = (text(&said.query)?.to_owned(), said.same_peer);
                InlineKind::SwitchInline { query, same_peer }
            }
            T::InlineButtonTypeCopy(said) => {
                let copied = text(&said.copy_text)?.to_owned();
                if !(1..=TEXT_MAX).contains(&copied.chars().count()) {
                    return Err(bad("BUTTON_COPY_TEXT_INVALID"));
                }
                InlineKind::Copy { copied }
            }
            T::InputInlineButtonTypeUserProfile(said) => {
                let shown = self.meant(me, &said.user_id).await?;
                InlineKind::Profile { account: shown.ok_or_else(|| bad("BUTTON_USER_INVALID"))?.id }
            }
            T::InlineButtonTypeDisabled => InlineKind::Disabled,
            _ => return Err(bad("BUTTON_TYPE_INVALID")),
        };
        let style = button.style.as_ref().map(style);
        Ok(InlineButton { text: caption(&button.text)?, style, kind })
    }
}

fn check_size(rows: impl Iterator<Item = usize>, row_max: usize) -> Result<(), Failure> {
    let mut all = 0;
    for row in rows {
        if row == 0 {
            return Err(bad("REPLY_MARKUP_INVALID"));
        }
        all += row;
        if row > row_max || all > BUTTONS_MAX {
            return Err(bad("REPLY_MARKUP_TOO_LONG"));
        }
    }
    if all == 0 { Err(bad("REPLY_MARKUP_INVALID")) } else { Ok(()) }
}

fn button(button: &types::KeyboardButton) -> Result<Button, Failure> {
    use types::ButtonType as T;
    let kind = match &button.r#type {
        T::ButtonTypeDefault => ButtonKind::Text,
        T::ButtonTypeRequestPhone => ButtonKind::RequestPhone,
        T::ButtonTypeRequestGeoLocation => ButtonKind::RequestLocation,
        T::ButtonTypeRequestPoll(said) => ButtonKind::RequestPoll { quiz: said.quiz },
        T::ButtonTypeSimpleWebView(said) => ButtonKind::WebView { url: url(&said.url)? },
        T::ButtonTypeRequestPeer(_) | T::InputButtonTypeRequestPeer(_) => {
            return Err(bad("BUTTON_TYPE_INVALID"));
        }
    };
    Ok(Button { text: caption(&button.text)?, style: button.style.as_ref().map(style), kind })
}

fn style(style: &types::KeyboardButtonStyle) -> Style {
    Style {
        primary: style.bg_primary,
        danger: style.bg_danger,
        success: style.bg_success,
        icon: style.icon,
    }
}

fn caption(said: &Str) -> Result<String, Failure> {
    let said = text(said)?;
    if said.is_empty() || said.chars().count() > TEXT_MAX {
        return Err(bad("BUTTON_TEXT_INVALID"));
    }
    Ok(said.to_owned())
}

fn placeholder(said: Option<&Str>) -> Result<Option<String>, Failure> {
    let said = said.map(text).transpose()?;
    if said.is_some_and(|said| said.chars().count() > PLACEHOLDER_MAX) {
        return Err(bad("REPLY_MARKUP_INVALID"));
    }
    Ok(said.map(str::to_owned))
}

fn url(said: &Str) -> Result<String, Failure> {
    let said = text(said)?;
    if is_url(said) { Ok(said.to_owned()) } else { Err(bad("BUTTON_URL_INVALID")) }
}

/// Whether a client may be told to open this.
pub(super) fn is_url(said: &str) -> bool {
    let is_of_scheme =
        ["http://", "https://", "tg://", "ton://"].iter().any(|scheme| said.starts_with(scheme));
    is_of_scheme && said.len() <= URL_MAX && !said.contains(char::is_whitespace)
}

/// A keyboard as clients hear it.
pub(crate) fn shown_markup(markup: &Markup) -> types::ReplyMarkup {
    match markup {
        Markup::Inline { rows, force_reply } => {
            let row = |row: &Vec<InlineButton>| types::KeyboardInlineButtonRow {
                buttons: row.iter().map(shown_inline).collect(),
            };
            let rows = rows.iter().map(row).collect();
            let shown = ctors::ReplyInlineMarkup { force_reply: *force_reply, rows };
            types::ReplyMarkup::ReplyInlineMarkup(shown)
        }
        Markup::Keyboard {
            rows,
            resize,
            single_use,
            selective,
            persistent,
            force_reply,
            placeholder,
        } => {
            let row = |row: &Vec<Button>| types::KeyboardButtonRow {
                buttons: row.iter().map(shown_button).collect(),
            };
            types::ReplyMarkup::ReplyKeyboardMarkup(ctors::ReplyKeyboardMarkup {
                resize: *resize,
                single_use: *single_use,
                selective: *selective,
                persistent: *persistent,
                force_reply: *force_reply,
                rows: rows.iter().map(row).collect(),
                placeholder: placeholder.as_deref().map(Into::into),
            })
        }
        Markup::ForceReply { single_use, selective, placeholder } => {
            types::ReplyMarkup::ReplyKeyboardForceReply(ctors::ReplyKeyboardForceReply {
                single_use: *single_use,
                selective: *selective,
                placeholder: placeholder.as_deref().map(Into::into),
            })
        }
        Markup::Hide { selective } => {
            let hide = ctors::ReplyKeyboardHide { selective: *selective };
            types::ReplyMarkup::ReplyKeyboardHide(hide)
        }
    }
}

fn shown_inline(button: &InlineButton) -> types::KeyboardInlineButton {
    use types::InlineButtonType as T;
    let r#type = match &button.kind {
        InlineKind::Callback { data, requires_password } => {
            let (data, requires_password) = (data.clone().into(), *requires_password);
            T::InlineButtonTypeCallback(ctors::InlineButtonTypeCallback { requires_password, data })
        }
        InlineKind::Url { url } => {
            T::InlineButtonTypeUrl(ctors::InlineButtonTypeUrl { url: url.as_str().into() })
        }
        InlineKind::WebView { url } => {
            T::InlineButtonTypeWebView(ctors::InlineButtonTypeWebView { url: url.as_str().into() })
        }
        InlineKind::SwitchInline { query, same_peer } => {
            T::InlineButtonTypeSwitchInline(ctors::InlineButtonTypeSwitchInline {
                same_peer: *same_peer,
                query: query.as_str().into(),
                peer_types: None,
            })
        }
        InlineKind::Copy { copied } => {
            let copy_text = copied.as_str().into();
            T::InlineButtonTypeCopy(ctors::InlineButtonTypeCopy { copy_text })
        }
        InlineKind::Profile { account } => {
            let user_id = *account;
            T::InlineButtonTypeUserProfile(ctors::InlineButtonTypeUserProfile { user_id })
        }
        InlineKind::Disabled => T::InlineButtonTypeDisabled,
    };
    let style = button.style.as_ref().map(shown_style);
    types::KeyboardInlineButton { style, text: button.text.as_str().into(), r#type }
}

fn shown_button(button: &Button) -> types::KeyboardButton {
    use types::ButtonType as T;
    let r#type = match &button.kind {
        ButtonKind::Text => T::ButtonTypeDefault,
        ButtonKind::RequestPhone => T::ButtonTypeRequestPhone,
        ButtonKind::RequestLocation => T::ButtonTypeRequestGeoLocation,
        ButtonKind::RequestPoll { quiz } => {
            T::ButtonTypeRequestPoll(ctors::ButtonTypeRequestPoll { quiz: *quiz })
        }
        ButtonKind::WebView { url } => {
            let url = url.as_str().into();
            T::ButtonTypeSimpleWebView(ctors::ButtonTypeSimpleWebView { url })
        }
    };
    let style = button.style.as_ref().map(shown_style);
    types::KeyboardButton { style, text: button.text.as_str().into(), r#type }
}

fn shown_style(style: &Style) -> types::KeyboardButtonStyle {
    types::KeyboardButtonStyle {
        bg_primary: style.primary,
        bg_danger: style.danger,
        bg_success: style.success,
        icon: style.icon,
    }
}
