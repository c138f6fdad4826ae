//! What a bot can be told to do: `bots.setBotCommands` and the like.

use chappe_api::functions::bots::{GetBotCommands, ResetBotCommands, SetBotCommands};
use chappe_api::{ctors, types};
use chappe_server::{Caller, Pusher, State};

use crate::Service;
use crate::error::{Failure, bad, text};
use crate::messages::{Named, peer_of};
use crate::store::{BotCommand, Peer};

/// Commands of one list.
const COMMANDS_MAX: usize = 100;
/// Characters of a command, and of what is said of it.
const COMMAND: std::ops::RangeInclusive<usize> = 1..=32;
const DESCRIPTION: std::ops::RangeInclusive<usize> = 1..=256;
/// People who are told at once that the commands of a bot are others; the rest learn it when they
/// ask for the bot.
const TOLD_MAX: i64 = 200;

pub(crate) async fn set_commands(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: SetBotCommands,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let (scope, lang) = service.list_of(me, &call.scope, &call.lang_code).await?;
    if call.commands.len() > COMMANDS_MAX {
        return Err(bad("BOT_COMMANDS_TOO_MUCH"));
    }
    let commands = call.commands.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    service.store.set_bot_commands(me, (&scope, lang), Some(&commands)).await?;
    service.tell_of_commands(&caller, &pusher, me).await?;
    Ok(true)
}

pub(crate) async fn reset_commands(
    State(service): State<Service>,
    caller: Caller,
    pusher: Pusher,
    call: ResetBotCommands,
) -> Result<bool, Failure> {
    let me = service.me(&caller).await?;
    let (scope, lang) = service.list_of(me, &call.scope, &call.lang_code).await?;
    service.store.set_bot_commands(me, (&scope, lang), None).await?;
    service.tell_of_commands(&caller, &pusher, me).await?;
    Ok(true)
}

pub(crate) async fn get_commands(
    State(service): State<Service>,
    caller: Caller,
    call: GetBotCommands,
) -> Result<Vec<types::BotCommand>, Failure> {
    let me = service.me(&caller).await?;
    let (scope, lang) = service.list_of(me, &call.scope, &call.lang_code).await?;
    let commands = service.store.bot_commands(me, &scope, lang).await?;
    Ok(commands.unwrap_or_default().iter().map(shown).collect())
}

fn read(command: &types::BotCommand) -> Result<BotCommand, Failure> {
    let (name, description) = (text(&command.command)?, text(&command.description)?);
    let is_of_them = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !COMMAND.contains(&name.len()) || !name.bytes().all(is_of_them) {
        return Err(bad("BOT_COMMAND_INVALID"));
    }
    if !DESCRIPTION.contains(&description.chars().count()) {
        return Err(bad("BOT_COMMAND_DESCRIPTION_INVALID"));
    }
    Ok(BotCommand { command: name.to_owned(), description: description.to_owned() })
}

fn shown(command: &BotCommand) -> types::BotCommand {
    types::BotCommand {
        ephemeral: false,
        command: command.command.as_str().into(),
        description: command.description.as_str().into(),
    }
}

impl Service {
    /// By what a list of commands is kept: whom it is for, and their language.
    async fn list_of<'c>(
        &self,
        me: i64,
        scope: &types::BotCommandScope,
        lang: &'c chappe_tl::Str,
    ) -> Result<(String, &'c str), Failure> {
        use types::BotCommandScope as S;
        let lang = text(lang)?;
        if !lang.is_empty() && (lang.len() != 2 || !lang.bytes().all(|b| b.is_ascii_lowercase())) {
            return Err(bad("LANG_CODE_INVALID"));
        }
        let scope = match scope {
            S::BotCommandScopeDefault => "default".to_owned(),
            S::BotCommandScopeUsers => "users".to_owned(),
            S::BotCommandScopeChats => "chats".to_owned(),
            S::BotCommandScopeChatAdmins => "chat_admins".to_owned(),
            S::BotCommandScopePeer(of) => format!("peer {}", self.scoped(me, &of.peer).await?),
            S::BotCommandScopePeerAdmins(of) => {
                format!("admins {}", self.scoped(me, &of.peer).await?)
            }
            S::BotCommandScopePeerUser(of) => {
                let user = self.meant(me, &of.user_id).await?;
                let user = user.ok_or_else(|| bad("USER_ID_INVALID"))?;
                format!("member {} {}", self.scoped(me, &of.peer).await?, user.id)
            }
        };
        Ok((scope, lang))
    }

    /// A chat, as scopes name it: groups below zero.
    async fn scoped(&self, me: i64, peer: &types::InputPeer) -> Result<i64, Failure> {
        Ok(match self.peer(me, peer).await? {
            Peer::Account(account) => account,
            Peer::Chat(chat) => -chat,
        })
    }

    /// The commands that somebody is shown in a private chat with a bot: of the narrowest scope
    /// that has any, in their language or else in none.
    pub(super) async fn commands_for(
        &self,
        bot: i64,
        viewer: i64,
        lang: &str,
    ) -> Result<Vec<types::BotCommand>, Failure> {
        for scope in [format!("peer {viewer}"), "users".to_owned(), "default".to_owned()] {
            for lang in [lang, ""] {
                if let Some(commands) = self.store.bot_commands(bot, &scope, lang).await? {
                    return Ok(commands.iter().map(shown).collect());
                }
            }
        }
        Ok(Vec::new())
    }

    async fn tell_of_commands(
        &self,
        caller: &Caller,
        pusher: &Pusher,
        bot: i64,
    ) -> Result<(), Failure> {
        for account in self.store.acquaintances(bot, TOLD_MAX).await? {
            let commands = self.commands_for(bot, account, "").await?;
            let told = ctors::UpdateBotCommands {
                peer: peer_of(Peer::Account(bot)),
                bot_id: bot,
                commands,
            };
            let update = types::Update::UpdateBotCommands(told);
            let mut named = Named::default();
            named.account(bot);
            let now = caller.now.unix_seconds();
            let updates = self.updates(account, vec![update], named, now).await?;
            self.push(pusher, account, &updates, None).await?;
        }
        Ok(())
    }
}
