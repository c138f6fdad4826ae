//! `chappe bench`: how much a server or a proxy carries.

pub(crate) mod args;
mod child;
mod database;
mod ledger;
mod open_files;
mod pace;
mod plan;
mod process;
mod progress;
mod proxy;
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
        BenchCommand::Proxy(args) => proxy::run(&args),
    }
}
