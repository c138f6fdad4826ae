//! What a bot says of itself: `bots.setBotInfo`, and `bot_info` of who asks for the bot.

use chappe_api::functions::bots::{GetBotInfo, SetBotInfo};
use chappe_api::types;
use chappe_server::{Caller, State};
use chappe_tl::Str;

use crate::Service;
use crate::auth::NAME_MAX;
use crate::bots::menu;
use crate::error::{Failure, bad, text};
use crate::store::Account;

/// Longest text about a bot on its page, and to those who have not begun to talk with it, in
/// characters.
const ABOUT_MAX: usize = 120;
const DESCRIPTION_MAX: usize = 512;

pub(crate) async fn set_info(
    State(service): State<Service>,
    caller: Caller,
    call: SetBotInfo,
) -> Result<bool, Failure> {
    let me = service.own_bot(&caller, call.bot.as_ref()).await?;
    check_language(&call.lang_code)?;
    let said = |said: &Option<Str>| {
        Ok::<_, Failure>(said.as_ref().map(text).transpose()?.map(|said| said.trim().to_owned()))
    };
    let (name, about, description) =
        (said(&call.name)?, said(&call.about)?, said(&call.description)?);
    let is_long = |said: &Option<String>, max| {
        said.as_ref().is_some_and(|said: &String| said.chars().count() > max)
    };
    if is_long(&name, NAME_MAX) || name.as_deref() == Some("") {
        return Err(bad("FIRSTNAME_INVALID"));
    }
    if is_long(&about, ABOUT_MAX) || is_long(&description, DESCRIPTION_MAX) {
        return Err(bad("ABOUT_TOO_LONG"));
    }
    service.store.set_profile(me.id, (name.as_deref(), None, about.as_deref())).await?;
    if let Some(description) = description {
        service.store.set_bot_description(me.id, &description).await?;
    }
    Ok(true)
}

pub(crate) async fn get_info(
    State(service): State<Service>,
    caller: Caller,
    call: GetBotInfo,
) -> Result<types::bots::BotInfo, Failure> {
    let me = service.own_bot(&caller, call.bot.as_ref()).await?;
    check_language(&call.lang_code)?;
    let description = service.store.bot_description(me.id).await?;
    Ok(types::bots::BotInfo {
        name: me.first_name.as_str().into(),
        about: me.about.as_str().into(),
        description: description.as_str().into(),
    })
}

/// Texts are kept in no language, for everybody.
fn check_language(lang: &Str) -> Result<(), Failure> {
    if lang.is_empty() { Ok(()) } else { Err(bad("LANG_CODE_INVALID")) }
}

impl Service {
    /// The bot that calls; bots have no other owner here than who holds their token.
    pub(super) async fn own_bot(
        &self,
        caller: &Caller,
        named: Option<&types::InputUser>,
    ) -> Result<Account, Failure> {
        let me = self.me(caller).await?;
        let account = self.store.account(me).await?.filter(|account| account.is_bot);
        let account = account.ok_or_else(|| bad("USER_BOT_REQUIRED"))?;
        match named {
            Some(named) if self.meant(me, named).await?.is_none_or(|named| named.id != me) => {
                Err(bad("BOT_INVALID"))
            }
            _ => Ok(account),
        }
    }

    /// What `viewer` is told of a bot when it asks for it.
    pub(crate) async fn bot_info(
        &self,
        caller: &Caller,
        viewer: i64,
        bot: &Account,
    ) -> Result<types::BotInfo, Failure> {
        let lang = caller.client.as_ref().map(|client| client.lang_code.to_string_lossy());
        let lang = lang.map(|lang| lang.chars().take(2).collect::<String>()).unwrap_or_default();
        let commands = self.commands_for(bot.id, viewer, &lang).await?;
        let description = self.store.bot_description(bot.id).await?;
        let menu_button = match self.store.menu_button(bot.id, viewer).await? {
            Some(button) => menu::shown(button),
            None if commands.is_empty() => types::BotMenuButton::BotMenuButtonDefault,
            None => types::BotMenuButton::BotMenuButtonCommands,
        };
        Ok(types::BotInfo {
            user_id: Some(bot.id),
            description: Some(&*description).filter(|text| !text.is_empty()).map(Into::into),
            commands: Some(commands),
            menu_button: Some(Box::new(menu_button)),
            ..chappe_tl::blank()
        })
    }
}
