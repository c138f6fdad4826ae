//! The flags of `chappe bench proxy`. These comments are the texts of `--help`.

#![allow(rustdoc::broken_intra_doc_links, reason = "brackets are no links here")]

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::subject::Other;
use crate::config::proxy::Mode;

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Measure {
    /// Memory of connections that wait
    Idle,
    /// Connections that come, have one packet come back, and go
    Handshakes,
    /// Times of packets that come back
    RoundTrips,
    /// Bytes up, and bytes down
    Bulk,
    /// Both directions at once over full sockets: whether every byte arrives
    Stalls,
    /// Memory before and after very many connections
    Soak,
}

#[derive(Debug, Args)]
pub(crate) struct ProxyBenchArgs {
    /// Another proxy to measure in the same run, as NAME=COMMAND for the shell; may be repeated.
    /// {port} stands for the port to listen on, {secret} for 32 hexadecimal digits, {dc_port} for the
    /// port of the data centre on 127.0.0.1, {domain} for the site of fake TLS, {mode} for plain, dd
    /// or ee, {folder} for a temporary folder, {middle_secret} and {middle_servers} for the files by
    /// which links to a middle server are made; {file:PATH} for a copy of a file in which these stand
    /// as well
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(super) command: Vec<Other>,
    /// Measure other proxies alone
    #[arg(long, requires = "command")]
    pub(super) without_own: bool,
    /// Measure ours by links to a middle server, too
    #[arg(long)]
    pub(super) middle: bool,
    /// Forms in which clients come, comma separated: plain, dd, ee
    #[arg(long, value_name = "MODE,...", value_delimiter = ',', default_value = "plain,dd,ee")]
    pub(super) modes: Vec<Mode>,
    /// What to measure, comma separated [default: everything]
    #[arg(long, value_name = "MEASURE,...", value_delimiter = ',')]
    pub(super) only: Vec<Measure>,
    /// The site of fake TLS, as clients name it
    #[arg(long, value_name = "NAME", default_value = "www.example.org")]
    pub(super) domain: String,
    /// Connections that come and go to be counted; a tenth as many come before
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) handshakes: u64,
    /// How many come at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) at_once: u32,
    /// Packets a second whose times are taken, over 50 connections
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rate: u32,
    /// Seconds for which these go round
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) duration: u64,
    /// Mebibytes each way
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) bulk: u64,
    /// Connections that these go over at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) bulk_connections: u64,
    /// Connections that wait
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) idle: u64,
    /// Connections that are slow at both ends
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) stalls: u64,
    /// Kibibytes that each of these sends either way
    #[arg(long, value_name = "KIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) stall_bytes: u64,
    /// Connections that come and go before the memory is looked at again
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) soak: u64,
    /// Seconds that a proxy is left alone before its memory is looked at
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub(super) rest: Duration,
    /// Print JSON in the place of the table
    #[arg(long)]
    pub(super) json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
