//! `chappe user` and `chappe bot`: the accounts of a server, also while it runs.

use std::io::Write;

use anyhow::{Result, bail};
use chappe_telegram::{Admin, User};
use serde_json::json;

use crate::cli::{BotCommand, PlaceArgs, UserCommand};
use crate::config;
use crate::config::database::DatabaseConfig;
use crate::exit::Exit;

/// Accounts read at once.
const PAGE: u32 = 500;

pub(crate) fn user(command: UserCommand) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            UserCommand::Add { phone, first_name, last_name, username, place } => {
                let admin = open(place).await?;
                let name = (first_name.as_str(), last_name.as_str());
                let id = admin.add_user(&phone, name, username.as_deref(), now()).await?;
                print(&json!({ "id": id, "phone": phone, "username": username }))?;
            }
            UserCommand::List { place } => {
                let admin = open(place).await?;
                let mut from = 0;
                loop {
                    let users = admin.users(from, PAGE).await?;
                    let Some(last) = users.last() else { break };
                    from = last.id + 1;
                    for User { id, phone, first_name, last_name, username, is_bot, .. } in users {
                        print(&json!({
                            "id": id,
                            "phone": phone,
                            "first_name": first_name,
                            "last_name": last_name,
                            "username": username,
                            "bot": is_bot,
                        }))?;
                    }
                }
            }
        }
        Ok(Exit::Done)
    })
}

pub(crate) fn bot(command: BotCommand) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            BotCommand::Create { name, username, inline, place } => {
                let mut admin = open(place).await?;
                let token = admin.create_bot(&name, &username, now()).await?;
                if inline.is_some() {
                    admin.set_inline(&username, inline.as_deref()).await?;
                }
                print(&json!({ "username": username, "token": token }))?;
            }
            BotCommand::Inline { username, placeholder, place } => {
                let admin = open(place).await?;
                admin.set_inline(&username, placeholder.as_deref()).await?;
                print(&json!({ "username": username, "inline": placeholder }))?;
            }
        }
        Ok(Exit::Done)
    })
}

async fn open(place: PlaceArgs) -> Result<Admin> {
    let database = config::serve::database(place)?;
    if let DatabaseConfig::Sqlite(file) = &database
        && !file.exists()
    {
        bail!("there is no {}; `chappe serve` makes it at its first start", file.display());
    }
    let backend = database.open().await?;
    Ok(Admin::open(&backend, chappe_net::entropy::rng()?).await?)
}

fn print(line: &serde_json::Value) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn now() -> i64 {
    chappe_net::Clock::system().now().unix_seconds()
}
