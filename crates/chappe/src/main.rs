//! `chappe`: one binary that serves, calls, makes keys and reads schemas.
//!
//! Everything here only assembles the libraries: it parses, starts logging, runs one command.

mod api;
mod cli;
mod cmd;
mod codes;
mod config;
mod exit;
mod metrics;
mod systemd;
mod web;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(args) => cmd::serve::run(args),
        Command::Bench(command) => cmd::bench::run(command),
        Command::Bot(command) => cmd::accounts::bot(command),
        Command::Call(args) => cmd::call::run(args),
        Command::Connect(args) => cmd::connect::run(args),
        Command::Keys(command) => cmd::keys::run(command),
        Command::Proxy(command) => cmd::proxy::run(command),
        Command::Tl(command) => cmd::tl::run(command),
        Command::User(command) => cmd::accounts::user(command),
    };
    outcome
        .unwrap_or_else(|error| {
            eprintln!("chappe: {error:#}");
            Exit::of(&error)
        })
        .into()
}
