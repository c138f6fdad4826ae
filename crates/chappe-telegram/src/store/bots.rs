//! Bots: accounts that nobody but the holder of their token signs in to.

use chappe_backend::StoreError;
use chappe_backend::sql::{Statement, sql};
use serde::{Deserialize, Serialize};

use super::{Store, damaged, next};

impl Store {
    /// Makes a bot, known by its username; `None` where somebody else has that.
    pub(crate) async fn insert_bot(
        &self,
        (name, username): (&str, &str),
        secret_hash: [u8; 32],
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let folded = username.to_lowercase();
        let mut transaction = self.database.begin().await?;
        let taken = sql("SELECT 1 FROM username WHERE folded = $1").bind(&*folded);
        if transaction.row(taken).await?.is_some() {
            return Ok(None);
        }
        let id = next(&mut transaction, "account").await?;
        let account = sql("INSERT INTO account (id, first_name, last_name, created, is_bot)
             VALUES ($1, $2, '', $3, 1)");
        transaction.run(account.bind(id).bind(name).bind(now)).await?;
        let bot = sql("INSERT INTO bot (account, secret_hash) VALUES ($1, $2)");
        transaction.run(bot.bind(id).bind(&secret_hash[..])).await?;
        let username_row = sql("INSERT INTO username (folded, account, shown) VALUES ($1, $2, $3)");
        transaction.run(username_row.bind(folded).bind(id).bind(username)).await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// The hash of the secret of a bot, if there is one of this number.
    pub(crate) async fn bot_secret(&self, account: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sql("SELECT secret_hash FROM bot WHERE account = $1").bind(account);
        self.database.row(query).await?.map(|mut row| row.read()).transpose()
    }
}

/// What a bot can be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BotCommand {
    pub(crate) command: String,
    pub(crate) description: String,
}

/// What the button beside the text field does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MenuButton {
    Commands,
    Page { text: String, url: String },
}

impl Store {
    /// Gives a person a button for talks with a bot, or (`None`) everybody who has none; no button
    /// takes it away.
    pub(crate) async fn set_menu_button(
        &self,
        (bot, account): (i64, Option<i64>),
        button: Option<MenuButton>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_apart().await?;
        let place = |statement: Statement| statement.bind(bot).bind(account.unwrap_or(0));
        let change = match button {
            None => place(sql("DELETE FROM bot_menu_button WHERE bot = $1 AND account = $2")),
            Some(button) => {
                let (text, url) = match button {
                    MenuButton::Commands => (None, None),
                    MenuButton::Page { text, url } => (Some(text), Some(url)),
                };
                let keep = sql("INSERT INTO bot_menu_button (bot, account, text, url)
                     VALUES ($1, $2, $3, $4)
                     ON CONFLICT (bot, account)
                     DO UPDATE SET text = excluded.text, url = excluded.url");
                place(keep).bind(text).bind(url)
            }
        };
        transaction.run(change).await?;
        transaction.commit().await
    }

    /// The button that somebody has in the talk with a bot, if the bot gave one.
    pub(crate) async fn menu_button(
        &self,
        bot: i64,
        account: i64,
    ) -> Result<Option<MenuButton>, StoreError> {
        let query = sql("SELECT text, url FROM bot_menu_button
             WHERE bot = $1 AND account IN (0, $2) ORDER BY account DESC LIMIT 1");
        let Some(mut row) = self.database.row(query.bind(bot).bind(account)).await? else {
            return Ok(None);
        };
        let (text, url): (Option<String>, Option<String>) = (row.read()?, row.read()?);
        let page = text.zip(url).map(|(text, url)| MenuButton::Page { text, url });
        Ok(Some(page.unwrap_or(MenuButton::Commands)))
    }

    /// Whether an account is a bot.
    pub(crate) async fn is_bot(&self, account: i64) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM bot WHERE account = $1").bind(account);
        Ok(self.database.row(query).await?.is_some())
    }

    /// What a bot says to those who have not begun to talk with it.
    pub(crate) async fn bot_description(&self, bot: i64) -> Result<String, StoreError> {
        let query = sql("SELECT description FROM bot WHERE account = $1").bind(bot);
        self.database.row(query).await?.map_or(Ok(String::new()), |mut row| row.read())
    }

    pub(crate) async fn set_bot_description(
        &self,
        bot: i64,
        description: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let change = sql("UPDATE bot SET description = $2, info_version = info_version + 1
             WHERE account = $1");
        transaction.run(change.bind(bot).bind(description)).await?;
        transaction.commit().await
    }

    /// Lets a bot answer inline queries, under this placeholder, or not any more.
    pub(crate) async fn set_inline_placeholder(
        &self,
        bot: i64,
        placeholder: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let change = sql("UPDATE bot SET inline_placeholder = $2 WHERE account = $1");
        transaction.run(change.bind(bot).bind(placeholder.map(str::to_owned))).await?;
        transaction.commit().await
    }

    /// The commands of a bot for a scope in a language, which are none unless they were set.
    pub(crate) async fn bot_commands(
        &self,
        bot: i64,
        scope: &str,
        lang: &str,
    ) -> Result<Option<Vec<BotCommand>>, StoreError> {
        let query =
            sql("SELECT commands FROM bot_commands WHERE bot = $1 AND scope = $2 AND lang = $3");
        let row = self.database.row(query.bind(bot).bind(scope).bind(lang)).await?;
        row.map(|mut row| {
            let commands: String = row.read()?;
            serde_json::from_str(&commands).map_err(|error| damaged(&format!("commands: {error}")))
        })
        .transpose()
    }

    /// Sets the commands of a bot, or takes them away.
    pub(crate) async fn set_bot_commands(
        &self,
        bot: i64,
        (scope, lang): (&str, &str),
        commands: Option<&[BotCommand]>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        let delete = sql("DELETE FROM bot_commands WHERE bot = $1 AND scope = $2 AND lang = $3");
        transaction.run(delete.bind(bot).bind(scope).bind(lang)).await?;
        if let Some(commands) = commands {
            let commands = serde_json::to_string(commands).expect("strings are JSON");
            let insert = sql("INSERT INTO bot_commands (bot, scope, lang, commands)
                 VALUES ($1, $2, $3, $4)");
            transaction.run(insert.bind(bot).bind(scope).bind(lang).bind(commands)).await?;
        }
        let change = sql("UPDATE bot SET info_version = info_version + 1 WHERE account = $1");
        transaction.run(change.bind(bot)).await?;
        transaction.commit().await
    }

    /// Notes that somebody has written to a bot.
    pub(crate) async fn acquaint(&self, bot: i64, account: i64) -> Result<(), StoreError> {
        if self.is_acquainted(bot, account).await? {
            return Ok(());
        }
        let mut transaction = self.database.begin().await?;
        let insert = sql("INSERT INTO bot_acquaintance (bot, account) VALUES ($1, $2)
             ON CONFLICT (bot, account) DO NOTHING");
        transaction.run(insert.bind(bot).bind(account)).await?;
        transaction.commit().await
    }

    /// Whether somebody has ever written to a bot.
    pub(crate) async fn is_acquainted(&self, bot: i64, account: i64) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM bot_acquaintance WHERE bot = $1 AND account = $2");
        Ok(self.database.row(query.bind(bot).bind(account)).await?.is_some())
    }

    /// Whether somebody has ever written to a bot, or was in a group with it.
    pub(crate) async fn has_met(&self, bot: i64, account: i64) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM bot_acquaintance WHERE bot = $1 AND account = $2
             UNION ALL SELECT 1 FROM chat_member AS own
                 JOIN chat_member AS other ON other.chat = own.chat AND other.account = $2
                 WHERE own.account = $1
             LIMIT 1");
        Ok(self.database.row(query.bind(bot).bind(account)).await?.is_some())
    }

    /// Who has ever written to a bot, `limit` at most.
    pub(crate) async fn acquaintances(&self, bot: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        let query =
            sql("SELECT account FROM bot_acquaintance WHERE bot = $1 ORDER BY account LIMIT $2");
        let rows = self.database.rows(query.bind(bot).bind(limit)).await?;
        rows.into_iter().map(|mut row| row.read()).collect()
    }
}
