//! `chappe proxy`: from settings to a running proxy.

mod check;
mod lists;
pub(crate) mod live;
mod ping;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Result, bail};
use chappe_proxy::{Charge, Handle, Proxy};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::lists::Store;
use self::live::Live;
use super::serve::stop_signal;
use super::succession::{self, Sockets};
use super::{import, links};
use crate::api::Server;
use crate::cli::{ProxyArgs, ProxyCommand};
use crate::config::proxy::ProxySettings;
use crate::exit::Exit;
use crate::metrics::Page;
use crate::systemd;

pub(crate) fn run(command: ProxyCommand) -> Result<Exit> {
    match command {
        ProxyCommand::Run(args) => {
            let passed = systemd::passed_sockets()?;
            let settings = ProxySettings::load(&args)?;
            super::start_logging(&settings.log)?;
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?
                .block_on(serve(settings, args, passed))
        }
        ProxyCommand::Import { files, into } => import::run(&files, into.as_deref()),
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

async fn serve(mut settings: ProxySettings, args: ProxyArgs, passed: Vec<OwnedFd>) -> Result<Exit> {
    let stop = stop_signal()?;
    let hangup = signal(SignalKind::hangup())?;
    let anew = signal(SignalKind::user_defined2())?;
    let store = Store::open(settings.proxy.state.as_deref());
    lists::complete(&mut settings, &store).await?;
    // Where it lies now: an update puts another one there.
    let program = std::env::current_exe()?;
    let mut sockets = Sockets::gather(passed, settings.proxy.state.as_deref())?;
    // Before all else, for whatever is made later asks for the recorder once.
    let page = match settings.metrics {
        Some(address) => Some(Page::on(sockets.metrics(address).await?)?),
        None => None,
    };
    let api = match &settings.api {
        Some(api) => Some(Server::on(sockets.api(&api.listen)?)),
        None => None,
    };
    let (listeners, addresses): (Vec<_>, Vec<_>) =
        sockets.listeners(&settings)?.into_iter().unzip();
    let (predecessor, offered) = sockets.into_parts();
    let takes_over = predecessor.is_some();
    let proxy = Proxy::after(settings.proxy.clone(), predecessor)?;
    let handle = proxy.handle();
    let serving = proxy.serve_all(listeners).with_successor(offered, settings.handed_over_max)?;
    let page = page.map(|page| page.with_users(users_of(handle.clone())));
    let drain_max = settings.drain_max;
    // Before anybody is told: whoever changes the file then is to be noticed.
    let live = Arc::new(Live::new(args, settings, store, handle.clone())?);
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let ready = json!({
        "event": "ready",
        "listen": addresses,
        "metrics": page.as_ref().map(Page::address).transpose()?,
        "api": api.as_ref().map(|api| api.address().to_string()),
        "takes-over": takes_over,
    });
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    if let Some(page) = page {
        tokio::spawn(succession::while_in_charge(handle.clone(), page.serve()));
    }
    if let Some(api) = api {
        tokio::spawn(succession::while_in_charge(handle.clone(), api.serve(Arc::clone(&live))));
    }
    let keep = lists::keep(Arc::clone(&live));
    tokio::spawn(succession::while_in_charge(handle.clone(), keep));
    tokio::spawn(live.follow(hangup));
    tokio::spawn(succession::restart_at(anew, program, handle.clone()));
    tokio::spawn(succession::tell(handle.clone()));
    let stop = {
        let handle = handle.clone();
        async move {
            stop.await;
            if handle.charge() == Charge::Held {
                systemd::tell_stopping();
            }
        }
    };
    serving.with_graceful_shutdown(stop, drain_max).await;
    if handle.charge() == Charge::Asked {
        bail!("the proxy that runs did not hand over");
    }
    Ok(Exit::Done)
}

/// What is known of users, in JSON.
fn users_of(handle: Handle) -> impl Fn() -> String + Send + Sync + 'static {
    move || json!(handle.statistics()).to_string()
}
