//! `chappe proxy`: from settings to a running proxy.

mod check;
pub(crate) mod live;
mod ping;

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use chappe_proxy::{Handle, Proxy};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::live::Live;
use super::links;
use super::serve::stop_signal;
use crate::api::Server;
use crate::cli::{ProxyArgs, ProxyCommand};
use crate::config::listen;
use crate::config::proxy::ProxySettings;
use crate::exit::Exit;
use crate::metrics::Page;

pub(crate) fn run(command: ProxyCommand) -> Result<Exit> {
    match command {
        ProxyCommand::Run(args) => {
            let settings = ProxySettings::load(&args)?;
            super::start_logging(&settings.log)?;
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?
                .block_on(serve(settings, args))
        }
        ProxyCommand::Check { json, settings } => {
            super::start_logging("off")?;
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?
                .block_on(check::run(&settings, json))
        }
        ProxyCommand::Links { only, qr, hex, settings } => {
            let settings = ProxySettings::load(&settings)?;
            links::print(&settings, only.as_deref(), qr, hex)
        }
    }
}

async fn serve(settings: ProxySettings, args: ProxyArgs) -> Result<Exit> {
    let stop = stop_signal()?;
    let hangup = signal(SignalKind::hangup())?;
    // First of all, for whatever is made later asks for the recorder once.
    let page = match settings.metrics {
        Some(address) => Some(Page::open(address).await?),
        None => None,
    };
    let api = settings.api.as_ref().map(|api| Server::bind(&api.listen)).transpose()?;
    let proxy = Proxy::new(settings.proxy.clone())?;
    let handle = proxy.handle();
    let page = page.map(|page| page.with_users(users_of(handle.clone())));
    let (listeners, addresses): (Vec<_>, Vec<_>) =
        listen::bind_all(&settings.listen)?.into_iter().unzip();
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let ready = json!({
        "event": "ready",
        "listen": addresses,
        "metrics": page.as_ref().map(Page::address).transpose()?,
        "api": api.as_ref().map(|api| api.address().to_string()),
    });
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    if let Some(page) = page {
        tokio::spawn(page.serve());
    }
    let drain_max = settings.drain_max;
    let live = Arc::new(Live::new(args, settings, handle)?);
    if let Some(api) = api {
        tokio::spawn(api.serve(Arc::clone(&live)));
    }
    tokio::spawn(live.follow(hangup));
    proxy.serve_all(listeners).with_graceful_shutdown(stop, drain_max).await;
    Ok(Exit::Done)
}

/// What is known of users, in JSON.
fn users_of(handle: Handle) -> impl Fn() -> String + Send + Sync + 'static {
    move || json!(handle.statistics()).to_string()
}
