//! `chappe proxy`: from settings to a running proxy.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use chappe_proxy::{Charge, Handle, Proxy};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::serve::stop_signal;
use super::succession::{self, Sockets};
use super::{import, links};
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
        ProxyCommand::Links { only, qr, hex, settings } => {
            let settings = ProxySettings::load(&settings)?;
            links::print(&settings, only.as_deref(), qr, hex)
        }
    }
}

async fn serve(settings: ProxySettings, args: ProxyArgs, passed: Vec<OwnedFd>) -> Result<Exit> {
    let stop = stop_signal()?;
    let hangup = signal(SignalKind::hangup())?;
    let anew = signal(SignalKind::user_defined2())?;
    // Where it lies now: an update puts another one there.
    let program = std::env::current_exe()?;
    let mut sockets = Sockets::gather(passed, settings.proxy.state.as_deref())?;
    // Before all else, for whatever is made later asks for the recorder once.
    let page = match settings.metrics {
        Some(address) => Some(Page::on(sockets.metrics(address).await?)?),
        None => None,
    };
    let (listeners, addresses): (Vec<_>, Vec<_>) =
        sockets.listeners(&settings)?.into_iter().unzip();
    let (predecessor, offered) = sockets.into_parts();
    let takes_over = predecessor.is_some();
    let proxy = Proxy::after(settings.proxy, predecessor)?;
    let handle = proxy.handle();
    let serving = proxy.serve_all(listeners).with_successor(offered, settings.handed_over_max)?;
    let page = page.map(|page| page.with_users(users_of(handle.clone())));
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let ready = json!({
        "event": "ready",
        "listen": addresses,
        "metrics": page.as_ref().map(Page::address).transpose()?,
        "takes-over": takes_over,
    });
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    if let Some(page) = page {
        let handle = handle.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = page.serve() => {}
                // The page is the other process's then.
                () = handle.reached(Charge::HandedOver) => {}
            }
        });
    }
    tokio::spawn(reload_at(hangup, args, settings.files, handle.clone()));
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
    serving.with_graceful_shutdown(stop, settings.drain_max).await;
    if handle.charge() == Charge::Asked {
        bail!("the proxy that runs did not hand over");
    }
    Ok(Exit::Done)
}

/// What is known of users, in JSON.
fn users_of(handle: Handle) -> impl Fn() -> String + Send + Sync + 'static {
    move || json!(handle.statistics()).to_string()
}

/// Time between two looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Reads the settings again at each SIGHUP, and whenever a file that they are in has changed.
async fn reload_at(mut hangup: Signal, args: ProxyArgs, mut files: Vec<PathBuf>, handle: Handle) {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = versions(&files);
    loop {
        tokio::select! {
            hung_up = hangup.recv() => if hung_up.is_none() { return },
            _ = looks.tick() => {
                let found = versions(&files);
                if found == known || found.is_none() {
                    continue;
                }
            }
        }
        known = versions(&files);
        let loaded = ProxySettings::load(&args).and_then(|settings| {
            handle.reload(settings.proxy)?;
            Ok(settings.files)
        });
        match loaded {
            Ok(read) => {
                if read != files {
                    known = versions(&read);
                    files = read;
                }
                tracing::info!("the settings were read again and are in use");
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the settings stay as they were");
            }
        }
    }
}

/// What files are like that were not changed; `None` while one of them is not there.
fn versions(files: &[PathBuf]) -> Option<Vec<(SystemTime, u64)>> {
    let version = |path: &PathBuf| {
        let file = path.metadata().ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    files.iter().map(version).collect()
}
