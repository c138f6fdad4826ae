//! `chappe serve`: the Telegram service on this machine.

use std::fs::DirBuilder;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chappe_crypto::rsa::PrivateKey;
use chappe_net::tls::Certificate;
use chappe_proto::handshake::server::DcPolicy;
use chappe_server::{RsaIdentity, Server, ServerConfig};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::files::{PRIVATE_KEY, PUBLIC_KEY, read, write_new};
use super::keys::{fingerprint, write_pair};
use crate::cli::ServeArgs;
use crate::config::listen::{self, ListenAddress};
use crate::config::serve::ServeConfig;
use crate::exit::Exit;
use crate::metrics::Page;

pub(crate) fn run(args: ServeArgs) -> Result<Exit> {
    let config = ServeConfig::load(args)?;
    super::start_logging(&config.log)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config))
}

async fn serve(config: ServeConfig) -> Result<Exit> {
    let stop = stop_signal()?;
    // First of all, for whatever is made later asks for the recorder once.
    let page = match config.metrics {
        Some(address) => Some(Page::open(address).await?),
        None => None,
    };
    let identity = open_identity(&config.data)?;
    let fingerprint = fingerprint(identity.public());
    let backend = config.database.open().await?;
    let _hold = match backend.database() {
        Some(database) => Some(database.hold().await?),
        None => None,
    };
    let certificate = config.tls.as_ref().map(Certificates::open).transpose()?;
    let reload = signal(SignalKind::hangup())?;
    let (listeners, addresses): (Vec<_>, Vec<_>) =
        listen::bind_all(&config.listen)?.into_iter().unzip();
    let sockets = match config.experimental_udp {
        true => listen::bind_datagrams(&addresses)?,
        false => Vec::new(),
    };
    let middle = match &config.middle {
        Some(middle) => Some((middle.bind()?, middle.secrets()?)),
        None => None,
    };
    let reachable = config.advertise.or_else(|| reachable(&addresses));
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();

    let mut telegram = chappe_telegram::Config::default();
    telegram.dc = config.dc;
    telegram.advertise = config.advertise;
    telegram.test_numbers = config.test_numbers.into();
    telegram.sign_up = config.sign_up.into();
    telegram.code_sender = config.code_sender.sender();
    telegram.blobs = config.blobs.open(&config.data)?;
    let rng = chappe_net::entropy::rng()?;
    let router = chappe_telegram::router(telegram, &backend, rng).await?;
    let mut settings = ServerConfig::default();
    settings.handshake.old_clients = config.old_clients;
    settings.link.mtproto1 = config.mtproto1;
    settings.pfs_only = config.pfs_only;
    if !config.transports.is_empty() {
        settings.detect.transports = config.transports;
    }
    settings.detect.http &= config.http;
    settings.detect.websocket &= config.websocket;
    settings.detect.secrets = config.secrets.into_iter().map(|endpoint| endpoint.secret).collect();
    settings.websocket.origins = config.websocket_origins;
    settings.websocket.without_subprotocol = config.websocket_without_subprotocol;
    settings.http.cors_everywhere = config.cors_everywhere;
    settings.http.private_network = config.private_network;
    settings.proxy_protocol_from = config.proxy_protocol;
    settings.middle.address = config.middle.as_ref().and_then(|middle| middle.address);
    settings.forwarded_from = config.forwarded_from;
    if config.strict_dc {
        settings.handshake.dc = DcPolicy::Only { dc: config.dc, test: false, media: true };
    }
    config.limits.apply(&mut settings)?;
    let mut builder =
        Server::builder().identity(identity).backend(backend).router(router).config(settings);
    if let Some(certificates) = &certificate {
        builder = builder.certificate(certificates.current.clone());
    }
    let server = builder.build()?;

    let ready = json!({
        "event": "ready",
        "listen": addresses,
        "middle": middle.as_ref().map(|((_, address), _)| address.to_string()),
        "tls": certificate.is_some(),
        "dc": config.dc,
        "metrics": page.as_ref().map(Page::address).transpose()?,
        "public_key": config.data.join(PUBLIC_KEY),
        "fingerprint": fingerprint,
    });
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    tell_how_to_connect(reachable, config.dc, &config.data);
    if let Some(address) = config.advertise {
        tracing::info!(%address, "clients are told to come back to this address");
    }
    if let Some(page) = page {
        tokio::spawn(page.serve());
    }
    tokio::spawn(reload_at(reload, certificate));
    if !sockets.is_empty() {
        tracing::warn!("datagrams are taken, an experiment that is no transport of Telegram's");
    }
    let serving = server.serve_all(listeners).with_graceful_shutdown(stop);
    let serving = sockets.into_iter().fold(serving, chappe_server::Serve::experimental_udp);
    match middle {
        Some(((listener, _), secrets)) => serving.middle(listener, secrets).await?,
        None => serving.await?,
    }
    Ok(Exit::Done)
}

/// The first address that a client on this machine can name.
fn reachable(addresses: &[ListenAddress]) -> Option<SocketAddr> {
    addresses.iter().find_map(|address| match address {
        ListenAddress::Tcp(address) if address.ip().is_unspecified() => {
            Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()))
        }
        ListenAddress::Tcp(address) => Some(*address),
        ListenAddress::Unix(_) => None,
    })
}

/// Names the commands that come next for whoever starts a server for the first time.
fn tell_how_to_connect(address: Option<SocketAddr>, dc: i32, data: &Path) {
    let Some(address) = address else { return };
    let here = format!("--address {address} --dc {dc} --data {}", data.display());
    tracing::info!("a program that signs in here: chappe connect telethon {here}");
    tracing::info!(
        "in the place of telethon: kurigram, mtcute, gramjs, grammers, ferogram, tdlib, gotd, \
         madelineproto"
    );
}

/// The certificate in use, and where it comes from.
struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    current: Certificate,
}

impl Certificates {
    fn open((chain, key): &(PathBuf, PathBuf)) -> Result<Self> {
        let current = Certificate::from_pem(read(chain)?.as_bytes(), read(key)?.as_bytes())
            .with_context(|| unusable(chain, key))?;
        Ok(Self { chain: chain.clone(), key: key.clone(), current })
    }

    fn reload(&self) -> Result<()> {
        let Self { chain, key, current } = self;
        current
            .replace(read(chain)?.as_bytes(), read(key)?.as_bytes())
            .with_context(|| unusable(chain, key))
    }
}

fn unusable(chain: &Path, key: &Path) -> String {
    format!("{} and {} are of no use", chain.display(), key.display())
}

/// Reads the certificate again at each SIGHUP, which does nothing where there is none.
async fn reload_at(mut hangup: Signal, certificates: Option<Certificates>) {
    while hangup.recv().await.is_some() {
        match certificates.as_ref().map(Certificates::reload) {
            Some(Ok(())) => tracing::info!("the certificate was read again and is in use"),
            Some(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "the certificate stays as it was");
            }
            None => tracing::info!("there is no certificate to read again"),
        }
    }
}

/// Opens the RSA key of a data directory; the first start makes both.
fn open_identity(data: &Path) -> Result<RsaIdentity> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("cannot make the data directory {}", data.display()))?;
    let (private, public) = (data.join(PRIVATE_KEY), data.join(PUBLIC_KEY));
    if !private.exists() {
        tracing::info!(path = %private.display(), "making an RSA key");
        write_pair(&PrivateKey::generate(&mut chappe_net::entropy::rng()?), &private)?;
    }
    let identity = RsaIdentity::from_pem_file(&private)
        .context("a server needs an RSA key of 2048 bits; `chappe keys new` makes one")?;
    if !public.exists() {
        write_new(&public, 0o644, &identity.public().to_pem())?;
    }
    Ok(identity)
}

/// Completes at the first SIGTERM or SIGINT; the second one ends the process at once.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: what is under way may finish; a second signal does not wait");
        tokio::spawn(async move {
            next().await;
            std::process::exit(130);
        });
    })
}
