//! `chappe bench`: how much a server carries.

pub(crate) mod args;
mod child;
mod database;
mod ledger;
mod open_files;
mod pace;
mod plan;
mod process;
mod report;
mod sign_in;
mod spread;
mod telegram;
mod users;

use anyhow::Result;

use self::args::BenchCommand;
use crate::exit::Exit;

pub(crate) fn run(command: BenchCommand) -> Result<Exit> {
    match command {
        BenchCommand::Telegram(args) => telegram::run(*args),
    }
}
