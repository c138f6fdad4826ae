//! The command line. These comments are the texts of `--help`: brackets say what may be left out.

#![allow(rustdoc::broken_intra_doc_links, reason = "brackets are no links here")]

use std::net::SocketAddr;
use std::path::PathBuf;

use chappe_client::{Proxy, Target};
use chappe_net::connect::Endpoint;
use chappe_proto::middle::messages::AdTag;
use chappe_proto::transport::{EndpointSecret, Transport};
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;

use crate::cmd::bench::args::BenchCommand;
use crate::cmd::connect::Library;
use crate::codes::CodeSender;
use crate::config::accounts::{SignUp, TestNumbers};
use crate::config::database::DatabaseUrl;
use crate::config::listen::ListenAddress;
use crate::config::proxy::{Mode, Named};
use crate::config::upstream::Source;

/// MTProto in one binary: a server that unmodified Telegram clients talk to, a client for any
/// schema, and tools for keys and schemas.
#[derive(Debug, Parser)]
#[command(name = "chappe", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server.
    ///
    /// Needs no configuration: the first start makes the data directory with a fresh RSA key and a
    /// database. Once it accepts connections it prints one line of JSON on standard output; logs
    /// go to standard error. SIGTERM or Ctrl-C lets running calls finish, a second one does not.
    Serve(ServeArgs),
    /// Call one function of a server and print its answer as JSON.
    #[command(disable_help_flag = true)]
    Call(CallArgs),
    /// Print a program by which a library signs in to a server, as it is.
    ///
    /// It holds the address, the number of the data centre and the key, and a test account unless
    /// another number is named. Its first lines say what to install and how to run it.
    Connect(ConnectArgs),
    /// Run an MTProto proxy, print the links to it, and look whether it works.
    #[command(subcommand)]
    Proxy(ProxyCommand),
    /// Make accounts and look at them.
    #[command(subcommand)]
    User(UserCommand),
    /// Make bots.
    #[command(subcommand)]
    Bot(BotCommand),
    /// Make RSA keys and look at them.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Read TL schemas.
    #[command(subcommand)]
    Tl(TlCommand),
    /// Find out how much a server carries.
    #[command(subcommand)]
    Bench(BenchCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Settings in TOML; a flag wins over the file. Its keys are the names of the flags, and the
    /// tables below `limits`, which no flag sets.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory of the RSA key and the database, made when absent [default: chappe-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where everything but the RSA key is kept: postgres://USER:PASSWORD@HOST:PORT/DATABASE or
    /// sqlite:FILE; who may list processes sees a flag, so prefer the file where there is a password
    /// [default: the file chappe.db in the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<DatabaseUrl>,
    /// Address to accept connections on, several times for several; port 0 takes a free one, [::]
    /// takes IPv4 as well, unix:PATH is a socket in the file system [default: 127.0.0.1:4430]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Chain of certificates (PEM), the own one first: TLS is understood as well then, with
    /// everything inside it. SIGHUP reads both files again
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Transports to accept on a bare connection or inside TLS, comma separated: abridged,
    /// intermediate, padded, full, obfuscated-abridged and so on [default: all]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) transports: Vec<Transport>,
    /// Accept no packets over HTTP
    #[arg(long)]
    pub(crate) no_http: bool,
    /// Accept no WebSockets
    #[arg(long)]
    pub(crate) no_websocket: bool,
    /// Secret (hexadecimal or base64) that obfuscated clients have to know, several times for
    /// several; others who obfuscate are strangers then, but not those who come by WebSocket
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Vec<EndpointSecret>,
    /// Network of load balancers, which have to speak the PROXY protocol (1 or 2), several times
    /// for several; a socket in the file system counts as 127.0.0.1 [default: none]
    #[arg(long, value_name = "CIDR")]
    pub(crate) proxy_protocol: Vec<IpNet>,
    /// Network of reverse proxies whose X-Real-IP and X-Forwarded-For are believed, several times
    /// for several [default: none]
    #[arg(long, value_name = "CIDR")]
    pub(crate) forwarded_from: Vec<IpNet>,
    /// Number of this data centre [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) dc: Option<i32>,
    /// Address that clients are told to connect to, when it is not the one they came to
    #[arg(long, value_name = "ADDR")]
    pub(crate) advertise: Option<SocketAddr>,
    /// Refuse clients that ask for another data centre, with transport error -444
    #[arg(long)]
    pub(crate) strict_dc: bool,
    /// Refuse clients that use the RSA form of 2013; about half of those in use do
    #[arg(long)]
    pub(crate) no_old_clients: bool,
    /// Refuse clients that speak MTProto 1.0, which was replaced in 2017
    #[arg(long)]
    pub(crate) no_mtproto1: bool,
    /// Refuse calls under permanent keys: clients have to use temporary ones (perfect forward
    /// secrecy); many know none
    #[arg(long)]
    pub(crate) pfs_only: bool,
    /// EXPERIMENTAL: also take messages of sessions as UDP datagrams, on the ports of --listen, in
    /// a form that is this project's own and no transport of Telegram's
    #[arg(long)]
    pub(crate) experimental_udp: bool,
    /// Where proxies connect that bring their clients on links of their own (middle mode); needs
    /// --middle-secret. With port 0 a free one is chosen
    #[arg(long, value_name = "ADDR")]
    pub(crate) middle_listen: Option<ListenAddress>,
    /// What those proxies have to know: a file of 32 to 256 bytes; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) middle_secret: Vec<PathBuf>,
    /// What those proxies dial, where that is translated to the address of --middle-listen on the way
    #[arg(long, value_name = "ADDR")]
    pub(crate) middle_address: Option<SocketAddr>,
    /// Test accounts: numbers 99966XYYYY whose code is X five times; `own` are those whose X is the
    /// number of this data centre [default: own where only this machine itself can connect, else off]
    #[arg(long, value_name = "WHICH")]
    pub(crate) test_numbers: Option<TestNumbers>,
    /// What becomes of a number that has no account, once its code is right [default: automatic]
    #[arg(long, value_name = "HOW")]
    pub(crate) sign_up: Option<SignUp>,
    /// How codes reach people: `log` writes them to the log, for an operator who passes them on;
    /// `command:PROGRAM ARGS` runs a program that finds phone and code as a line of JSON on its
    /// standard input; http://… or https://… is posted the same JSON [default: log]
    #[arg(long, value_name = "HOW")]
    pub(crate) code_sender: Option<CodeSender>,
    /// Where files are kept: a folder, or s3://BUCKET/PREFIX with AWS_ACCESS_KEY_ID and its like in the
    /// environment or in the file [default: `blobs` in the data directory]
    #[arg(long, value_name = "PLACE")]
    pub(crate) blobs: Option<String>,
    /// Address at which Prometheus finds what is counted, as http://ADDR/metrics; nothing guards it
    /// [default: none]
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    /// What to log: error, warn, info, debug, trace, or directives such as chappe_server=debug
    /// [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// Function to call, such as help.getConfig
    #[arg(value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Its arguments as a JSON object, `-` to read them from standard input [default: {}]
    #[arg(value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// Where the server is: HOST:PORT, several separated by commas; by WebSocket or HTTP
    /// ws://HOST[:PORT][/PATH], wss://, http:// or https://; by an MTProto proxy the link to it,
    /// tg://proxy?server=…&port=…&secret=…
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<Target>,
    /// Secret of the server or MTProto proxy at HOST:PORT, which says which transport it speaks
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Option<EndpointSecret>,
    /// Proxy for every connection: socks5://[USER:PASSWORD@]HOST:PORT or http://…
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<Proxy>,
    /// Try obfuscation, WebSocket and HTTP, too, where the network blocks the first way
    #[arg(long)]
    pub(crate) fallback: bool,
    /// Certificates (PEM) of those to believe that a server is who it says, for wss:// and https://
    /// [default: those that browsers believe]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Public RSA key of the server (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Data centre that the server is, negative for its media form [default: 2]
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    pub(crate) dc: i32,
    /// abridged, intermediate, padded or full; the first three also as obfuscated-abridged and so
    /// on [default: intermediate]
    #[arg(long, value_name = "NAME", default_value = "intermediate", hide_default_value = true)]
    pub(crate) transport: Transport,
    /// Keep the auth key in this file and use it again
    #[arg(long, value_name = "FILE")]
    pub(crate) session: Option<PathBuf>,
    /// Send under the stored key itself, for a server that knows no temporary keys; who takes the
    /// key later can read what was sent
    #[arg(long)]
    pub(crate) no_pfs: bool,
    /// Schema to call by [default: Telegram's]
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Send the call as it is, not inside invokeWithLayer and initConnection
    #[arg(long)]
    pub(crate) bare: bool,
    /// Identifier of the application in initConnection [default: 1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    pub(crate) api_id: i32,
    /// Seconds to wait for the answer, connecting included [default: 30]
    #[arg(long, value_name = "SECONDS", default_value_t = 30, hide_default_value = true)]
    pub(crate) timeout: u64,
    /// List the functions of the schema, or those whose name contains METHOD
    #[arg(long)]
    pub(crate) list: bool,
    /// Explain METHOD: its arguments and its answer; without METHOD, print this
    #[arg(long, short)]
    pub(crate) help: bool,
    /// What to log on standard error [default: warn]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProxyCommand {
    /// Run it.
    ///
    /// Once it accepts connections it prints one line of JSON on standard output; logs go to
    /// standard error. The file of its settings is read again when it changes and at SIGHUP, and no
    /// connection is lost by that. SIGTERM or Ctrl-C lets connections go on for a while, a second
    /// one does not.
    ///
    /// Where a proxy runs already with the same state folder this one takes over from it: its
    /// sockets, its counts, and what is left when its connections have ended. SIGUSR2 has the
    /// running one start its program anew in that way.
    Run(ProxyArgs),
    /// Print the links of its users, in every form that is switched on. They give secrets away.
    Links {
        /// One user alone [default: all]
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Draw each link as a QR code, too, the long form for browsers
        #[arg(long)]
        qr: bool,
        /// Write secrets in hexadecimal, for old clients that misread base64
        #[arg(long)]
        hex: bool,
        #[command(flatten)]
        settings: ProxyArgs,
    },
    /// Read users and settings of other proxies, telemt's TOML or mtprotoproxy's config.py, and print
    /// them as settings of this one; what is not carried over is said on standard error.
    Import {
        /// Their files; one in Python is called .py, is read, and never run
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Add the users and the web sites to these settings, which stay as they are otherwise
        #[arg(long, value_name = "FILE")]
        into: Option<PathBuf>,
    },
    /// Look whether it would work here and now: settings, names, the clock, data centres, sites, and
    /// a sign of life over each kind of link, by the proxy that runs here or one started for it.
    ///
    /// Prints a line for each: ok, warn or FAILED, and what to do. Exit status 0 where all is well, 4
    /// where there is a warning, 1 where something failed.
    Check {
        /// Print one object of JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: ProxyArgs,
    },
}

/// Settings of a proxy.
#[derive(Debug, Default, Args)]
pub(crate) struct ProxyArgs {
    /// Settings in TOML; a flag wins over the file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address to accept connections on, several times for several; port 0 takes a free one, [::]
    /// takes IPv4 as well, unix:PATH is a socket in the file system [default: 0.0.0.0:443]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Where clients find it, for links: HOST:PORT
    #[arg(long, value_name = "ADDR")]
    pub(crate) public: Option<Endpoint>,
    /// Somebody to serve, NAME=SECRET with a secret of 32 hexadecimal digits, several times for
    /// several; who may list processes sees a flag, so prefer the file
    #[arg(long, value_name = "NAME=SECRET")]
    pub(crate) user: Vec<Named<EndpointSecret>>,
    /// Forms in which users may come, comma separated: plain, padded, tls [default: padded, and tls
    /// where there is a domain]
    #[arg(long, value_name = "MODE,...", value_delimiter = ',')]
    pub(crate) modes: Vec<Mode>,
    /// Web site that the proxy seems to be, NAME or NAME=HOST:PORT or NAME=unix:PATH, several times
    /// for several; strangers see the first
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Vec<String>,
    /// Where a data centre is, N=HOST:PORT, several times for several; then Telegram's own are not
    /// known any more
    #[arg(long, value_name = "N=ADDR")]
    pub(crate) dc: Vec<Named<Endpoint>>,
    /// Proxy for connections to data centres: socks5://[USER:PASSWORD@]HOST:PORT or http://…
    #[arg(long, value_name = "URL")]
    pub(crate) upstream_proxy: Option<Proxy>,
    /// Go to data centres by middle servers: the file `proxy-secret` that is published for proxies,
    /// or its address, https://…; needs --middle-servers
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) middle_secret: Option<Source>,
    /// The file `proxy-multi.conf` that is published beside it, or its address; files are read again
    /// when they change, and addresses once a day
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) middle_servers: Option<Source>,
    /// For whom the proxy advertises, by middle servers, which are Telegram's unless others are
    /// named: 32 hexadecimal digits
    #[arg(long, value_name = "TAG")]
    pub(crate) ad_tag: Option<AdTag>,
    /// Folder of what outlives the process: what users with a quota have passed, which greetings
    /// came, and where another process asks to take over
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Address at which Prometheus finds what is counted, as http://ADDR/metrics, and /users has
    /// it by user in JSON; nothing guards it [default: none]
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    /// What to log: error, warn, info, debug, trace, or directives such as chappe_proxy=debug
    /// [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// Where a server keeps its accounts.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Data directory of the server [default: chappe-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Database of the server, if it has one by --database
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<DatabaseUrl>,
    /// Settings of the server, which name both
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Library that signs in.
    pub(crate) library: Library,
    /// Where the server is.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4430")]
    pub(crate) address: SocketAddr,
    /// Number of the data centre.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) dc: i32,
    /// Data directory of the server, for its key.
    #[arg(long, value_name = "DIR", default_value = "chappe-data")]
    pub(crate) data: PathBuf,
    /// Its public key (PEM), where the data directory is not at hand.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Number to sign in with; its code is asked for [default: a test account, whose code is known]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) phone: Option<String>,
    /// Secret that the server was started with, which MadelineProto needs.
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account, also while the server runs; prints it as a line of JSON.
    Add {
        /// Its phone number, with the country code.
        phone: String,
        /// First name.
        #[arg(long, value_name = "NAME")]
        first_name: String,
        /// Last name.
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        last_name: String,
        /// The name that leads to it, without @.
        #[arg(long, value_name = "NAME")]
        username: Option<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print every account as a line of JSON.
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BotCommand {
    /// Make a bot, also while the server runs; prints its token, which nobody can see again.
    Create {
        /// What it is called.
        name: String,
        /// The name that leads to it, without @.
        username: String,
        /// It answers inline queries; this is shown before one is typed.
        #[arg(long, value_name = "PLACEHOLDER")]
        inline: Option<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Let a bot answer inline queries, or not any more.
    Inline {
        /// The name that leads to it, without @.
        username: String,
        /// What is shown before a query is typed; without it the bot answers none.
        placeholder: Option<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Print the public half of a key, in PEM, and its fingerprint.
    Show {
        /// A PEM file, private or public, or the data directory of a server.
        path: PathBuf,
        /// Print SPKI ("BEGIN PUBLIC KEY"), not PKCS#1 ("BEGIN RSA PUBLIC KEY").
        #[arg(long)]
        spki: bool,
    },
    /// Make a 2048-bit RSA key: FILE (mode 0600) and its public half, FILE with `.pub.pem`.
    New {
        /// Where to write the private key; an existing file is never overwritten.
        path: PathBuf,
    },
    /// Print the fingerprint by which clients and servers name a key.
    Fingerprint {
        /// A PEM file, private or public, or the data directory of a server.
        path: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TlCommand {
    /// Read a schema and report what is wrong with it.
    Check {
        /// The schema.
        file: PathBuf,
        /// Accept these names with an id that is not their CRC-32.
        #[arg(long, value_name = "NAME")]
        allow: Vec<String>,
    },
    /// Print a definition, or all constructors of a type.
    Show {
        /// Name of a constructor, function or type, or an id such as 0x05162463.
        name: String,
        /// The schema [default: Telegram's]
        file: Option<PathBuf>,
    },
    /// Print what changed from one schema to another; exit status 1 if anything did.
    Diff {
        /// The old schema.
        old: PathBuf,
        /// The new schema [default: Telegram's]
        new: Option<PathBuf>,
    },
}
