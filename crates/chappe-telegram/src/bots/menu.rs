//! The button beside the text field in a talk with a bot: `bots.setBotMenuButton`.

use chappe_api::functions::bots::{GetBotMenuButton, SetBotMenuButton};
use chappe_api::types::BotMenuButton;
use chappe_api::{ctors, types};
use chappe_server::{Caller, State};

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::store::MenuButton;

/// Longest text on it, in characters, and longest address behind it, in bytes.
const TEXT_MAX: usize = 64;
const URL_MAX: usize = 2048;

pub(crate) async fn set_menu_button(
    State(service): State<Service>,
    caller: Caller,
    call: SetBotMenuButton,
) -> Result<bool, Failure> {
    let bot = service.own_bot(&caller, None).await?.id;
    let button = match &call.button {
        BotMenuButton::BotMenuButtonDefault => None,
        BotMenuButton::BotMenuButtonCommands => Some(MenuButton::Commands),
        BotMenuButton::BotMenuButton(button) => {
            let (label, url) = (text(&button.text)?.trim(), text(&button.url)?);
            if label.is_empty() || label.chars().count() > TEXT_MAX {
                return Err(bad("BUTTON_TEXT_INVALID"));
            }
            if !url.starts_with("https://") || url.len() > URL_MAX {
                return Err(bad("BUTTON_URL_INVALID"));
            }
            Some(MenuButton::Page { text: label.to_owned(), url: url.to_owned() })
        }
    };
    let person = service.whose_menu(bot, &call.user_id).await?;
    service.store.set_menu_button((bot, person), button).await?;
    Ok(true)
}

pub(crate) async fn get_menu_button(
    State(service): State<Service>,
    caller: Caller,
    call: GetBotMenuButton,
) -> Result<BotMenuButton, Failure> {
    let bot = service.own_bot(&caller, None).await?.id;
    let person = service.whose_menu(bot, &call.user_id).await?;
    let button = service.store.menu_button(bot, person.unwrap_or(0)).await?;
    Ok(button.map_or(BotMenuButton::BotMenuButtonDefault, shown))
}

pub(super) fn shown(button: MenuButton) -> BotMenuButton {
    match button {
        MenuButton::Commands => BotMenuButton::BotMenuButtonCommands,
        MenuButton::Page { text, url } => BotMenuButton::BotMenuButton(ctors::BotMenuButton {
            text: text.into(),
            url: url.into(),
        }),
    }
}

impl Service {
    /// Whose button is meant; `None` for that of everybody who has none of their own.
    async fn whose_menu(&self, bot: i64, user: &types::InputUser) -> Result<Option<i64>, Failure> {
        if matches!(user, types::InputUser::InputUserEmpty) {
            return Ok(None);
        }
        let found = self.meant(bot, user).await?.ok_or_else(|| bad("USER_ID_INVALID"))?;
        Ok(Some(found.id))
    }
}
