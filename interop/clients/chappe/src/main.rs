//! Our own client: key creation and calls over every framing it has.
//!
//! Takes the steps of `../contract.py` and reports them in the same line of JSON.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use chappe_api::functions::{InitConnection, InvokeWithLayer};
use chappe_client::{Authorities, MtProxy, RawClient, Way, WebConfig};
use chappe_crypto::rsa::PublicKey;
use chappe_proto::transport::Transport;
use chappe_tl::Raw;
use clap::Parser;

use crate::hop::Hop;
use crate::report::Report;

mod files;
mod hop;
mod report;
mod steps;

/// Our own client against an MTProto server on this machine.
#[derive(Debug, Parser)]
struct Args {
    /// Print the transports and exit.
    #[arg(long)]
    list: bool,
    /// Loopback address of the server.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    address: Option<SocketAddr>,
    /// Data centre the server is.
    #[arg(long, default_value_t = 2)]
    dc: i32,
    /// Public key of the server (PEM).
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    key: Option<PathBuf>,
    #[arg(long, required_unless_present = "list")]
    transport: Option<Carrier>,
    /// Calls on one connection.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// Do not cut the connection.
    #[arg(long)]
    no_reconnect: bool,
    /// The line breaks: repeat what fails, and count it.
    #[arg(long)]
    recover: bool,
    /// With --recover: call for so long, however many calls that are.
    #[arg(long)]
    seconds: Option<f64>,
    /// Of an MTProto proxy that leads to the server.
    #[arg(long)]
    link: Option<MtProxy>,
    /// Sign in as this test account, and send a file and fetch it; nothing else.
    #[arg(long)]
    account: Option<u32>,
    /// For all steps.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

/// What the steps work with.
#[derive(Debug)]
struct Target {
    server: SocketAddr,
    dc: i32,
    key: PublicKey,
    transport: Carrier,
    /// The form is in its secret.
    link: Option<MtProxy>,
    hop: Hop,
}

/// What carries packets: a transport on TCP, or a way that has its own.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    Transport(Transport),
    Web(Way),
}

/// The ways that the table has.
const WEB: [Way; 4] = [Way::WebSocket, Way::WebSocketTls, Way::Http, Way::Https];

impl FromStr for Carrier {
    type Err = <Transport as FromStr>::Err;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let web = WEB.into_iter().find(|way| way.name() == name);
        web.map_or_else(|| name.parse().map(Self::Transport), |way| Ok(Self::Web(way)))
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(transport) => transport.fmt(f),
            Self::Web(way) => way.fmt(f),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.list {
        for transport in Transport::ALL {
            println!("{transport}");
        }
        for way in WEB {
            println!("{way}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let target = target(&args).await?;
    let mut report = Report::new(&target.transport.to_string());
    let limit = Duration::from_secs(args.timeout);
    let steps = async {
        if let Some(account) = args.account {
            files::send_and_fetch(&target, account, &mut report).await
        } else if args.recover {
            let time = args.seconds.map(Duration::try_from_secs_f64).transpose()?;
            steps::recover(&target, args.calls, time, &mut report).await
        } else {
            steps::take(&target, args.calls, !args.no_reconnect, &mut report).await
        }
    };
    let outcome = tokio::time::timeout(limit, steps)
        .await
        .unwrap_or_else(|_| Err(anyhow!("the steps did not end within {limit:?}")));
    report.print(outcome.is_ok(), target.hop.connections());
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn target(args: &Args) -> Result<Target> {
    let server = args.address.context("--address is needed")?;
    ensure!(server.ip().is_loopback(), "{server} is not a loopback address");
    let file = args.key.as_deref().context("--key is needed")?;
    let pem = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(Target {
        server,
        dc: args.dc,
        key: PublicKey::from_pem(&pem)?,
        transport: args.transport.context("--transport is needed")?,
        link: args.link.clone(),
        hop: Hop::to(server).await?,
    })
}

async fn connect(target: &Target) -> Result<RawClient> {
    let client =
        RawClient::builder(target.hop.address, [target.key.clone()]).dc(target.dc).init(introduce);
    let client = match target.transport {
        _ if let Some(link) = &target.link => {
            client.mtproxy(MtProxy { endpoint: target.hop.address.into(), ..link.clone() })
        }
        Carrier::Transport(transport) => client.transport(transport),
        Carrier::Web(way) if way.has_tls() => client.way(way).web(trusting()?),
        Carrier::Web(way) => client.way(way),
    };
    Ok(client.connect().await?)
}

/// Believes the certificates in the file that `SSL_CERT_FILE` names.
fn trusting() -> Result<WebConfig> {
    let file = std::env::var_os("SSL_CERT_FILE").context("SSL_CERT_FILE names no file")?;
    let mut web = WebConfig::default();
    web.authorities = Some(Authorities::from_pem(&std::fs::read(file)?)?);
    Ok(web)
}

/// `invokeWithLayer(initConnection(call))`.
fn introduce(call: Bytes) -> Bytes {
    let init = InitConnection {
        api_id: 1,
        device_model: "interop".into(),
        system_version: std::env::consts::OS.into(),
        app_version: env!("CARGO_PKG_VERSION").into(),
        system_lang_code: "en".into(),
        lang_pack: "".into(),
        lang_code: "en".into(),
        proxy: None,
        params: None,
        query: Raw(call),
    };
    let wrapped = InvokeWithLayer { layer: chappe_api::LAYER, query: init };
    chappe_tl::to_bytes(&wrapped).expect("a call and a few words are within every limit")
}
