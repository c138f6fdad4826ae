//! The flags of `chappe bench`. These comments are the texts of `--help`.

#![allow(rustdoc::broken_intra_doc_links, reason = "brackets are no links here")]

use std::path::PathBuf;

use chappe_client::Target;
use clap::{Args, Subcommand};

use super::proxy::args::ProxyBenchArgs;
use crate::config::database::DatabaseUrl;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Let many users sign in and chat, and say how many messages a second a server carries.
    ///
    /// Each user is a client of its own: a connection, a key exchange, a key, a session. They sign
    /// in as test accounts, which makes those that do not exist, and write to each other in pairs
    /// and in basic groups at a given rate, whether or not earlier messages have arrived. A message
    /// counts as acknowledged when its sender has the answer, and as delivered when the other
    /// users' clients were told of it unasked.
    ///
    /// Without --server a server is started for it, with accounts, database and files of its own
    /// in a temporary folder. What is told on standard output is a table; progress goes to standard
    /// error. Exit status 1 if anything failed or is missing.
    Telegram(Box<TelegramArgs>),
    /// Lead clients through a proxy, and say what that takes of the machine.
    ///
    /// Clients and a data centre of the bench's own, on loopback, stand around a proxy that is a
    /// process apart: ours, and any other that a command line starts, all in the same run. Only what
    /// the proxy takes is counted, CPU time and memory of all its processes. What is told on standard
    /// output is a table; progress goes to standard error. Exit status 1 if bytes were left behind or
    /// a connection failed.
    Proxy(Box<ProxyBenchArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct TelegramArgs {
    /// A server that runs, HOST:PORT, with test accounts (--test-numbers own) and limits that let
    /// all users in from one address; it keeps accounts and messages [default: one of its own]
    #[arg(long, value_name = "SERVER", requires = "key")]
    pub(crate) server: Option<Target>,
    /// Public RSA key of that server (PEM)
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) key: Option<PathBuf>,
    /// Process of that server on this machine, for its memory and CPU time
    #[arg(long, value_name = "PID", requires = "server")]
    pub(crate) pid: Option<u32>,
    /// Number of the data centre: it is the X of the test numbers 99966XYYYY
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..=9))]
    pub(crate) dc: i32,
    /// Database of the server, postgres://… or sqlite:FILE: an empty one for a server of its own,
    /// else the one whose size is to be told [default: a SQLite file in the folder of its own server]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<DatabaseUrl>,
    /// Users, of whom each takes an open file here and one in the server. One writes to itself and
    /// listens with a second device; so does the last of an odd number
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) users: u32,
    /// Messages a second of all users together; several, comma separated, are tried one after
    /// the other
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "50", value_parser = rate)]
    pub(crate) rate: Vec<f64>,
    /// Share of the messages that go to groups, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) groups: f64,
    /// Members of a group; each user is in one
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub(crate) group_size: u32,
    /// Bytes of a message's text
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(64..=4096))]
    pub(crate) size: u32,
    /// Seconds for which each rate is held
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) duration: u64,
    /// Seconds of the first rate before anything counts
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) warm_up: u64,
    /// Seconds after each rate in which answers and deliveries may still come; what comes later
    /// is missing
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) wait: u64,
    /// Users that sign in at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) at_once: u32,
    /// Let clients use temporary keys, as some do: two key exchanges for each, not one
    #[arg(long)]
    pub(crate) pfs: bool,
    /// Decides who writes to whom, and in which order
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print JSON in the place of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// What to log on standard error, of clients and of a server of its own [default: error]
    #[arg(long, value_name = "FILTER", default_value = "error", hide_default_value = true)]
    pub(crate) log: String,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    match rate > 0.0 && rate <= 1e6 {
        true => Ok(rate),
        false => Err("a rate is above 0, and a million at most".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().map_err(|error| error.to_string())?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err("a share is from 0 to 1".to_owned()),
    }
}
