//! The steps: the ordinary ones, and those over a line that breaks.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use chappe_api::functions::help::{GetConfig, GetNearestDc};
use chappe_api::types::Config;
use chappe_client::RawClient;
use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};

use crate::report::Report;
use crate::{Target, connect};

/// Over a line that breaks: calls open at once, and how long each may take before it counts as
/// lost.
const WORKERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(45);
/// The pause after each call of a worker, where there are calls for some time: others want to call,
/// too.
const PAUSE: Duration = Duration::from_millis(50);

/// Connects, asks for the configuration, calls, and calls again after a cut.
pub(crate) async fn take(
    target: &Target,
    calls: usize,
    reconnect: bool,
    report: &mut Report,
) -> Result<()> {
    let begun = report.begin("connect");
    let client = connect(target).await?;
    report.begin("config");
    let config = client.invoke(&GetConfig).await?;
    report.set("config", check(&config, target)?);
    report.end("connect", begun);

    let begun = report.begin("calls");
    let alone = calls / 2;
    for _ in 0..alone {
        client.invoke(&GetNearestDc).await?;
    }
    // All at once, so that they are packed into containers.
    try_join_all((alone..calls).map(|_| client.invoke(&GetNearestDc))).await?;
    report.set("calls", calls);
    report.end("calls", begun);

    if reconnect {
        let begun = report.begin("reconnect");
        let before = target.hop.connections();
        target.hop.cut();
        while target.hop.connections() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        client.invoke(&GetNearestDc).await?;
        report.end("reconnect", begun);
    }

    report.begin("close");
    client.close().await;
    Ok(())
}

/// Requires that the configuration names this server as the data centre it is.
fn check(config: &Config, target: &Target) -> Result<Value> {
    let (dc, server) = (target.dc, target.server);
    ensure!(config.this_dc == dc, "help.getConfig: this_dc is {}, not {dc}", config.this_dc);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let expires = u64::try_from(config.expires)?;
    ensure!(expires > now, "help.getConfig: expires is in the past");
    let (ip, port) = (server.ip().to_string(), i32::from(server.port()));
    let is_named = config.dc_options.iter().any(|option| {
        option.id == dc && option.ip_address[..] == *ip.as_bytes() && option.port == port
    });
    // Behind a proxy the server has another address than the client knows.
    ensure!(is_named || target.link.is_some(), "help.getConfig: dc_options lacks this server");
    Ok(json!({ "this_dc": config.this_dc, "dc_options": config.dc_options.len() }))
}

/// Connects and calls, so often or for so long; whatever fails is done again, and counted. Nothing
/// may, of ours.
pub(crate) async fn recover(
    target: &Target,
    calls: usize,
    time: Option<Duration>,
    report: &mut Report,
) -> Result<()> {
    let begun = report.begin("connect");
    let client = connect(target).await?;
    let insist = Insist { client: &client, failed: Cell::new(0), lost: Cell::new(0) };
    insist.call().await;
    report.end("connect", begun);

    let begun = report.begin("calls");
    let made = Cell::new(0);
    let is_enough = || match time {
        Some(time) => begun.elapsed() >= time,
        None => made.get() >= calls,
    };
    let work = async || {
        while !is_enough() {
            made.update(|made| made + 1);
            insist.call().await;
            if time.is_some() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    join_all((0..WORKERS).map(|_| work())).await;
    report.set("calls", made.get());
    report.set("repeated", json!({ "failed": insist.failed.get(), "lost": insist.lost.get() }));
    report.end("calls", begun);
    ensure!(insist.failed.get() + insist.lost.get() == 0, "the client gave calls up");
    Ok(())
}

/// Calls until there is an answer.
struct Insist<'a> {
    client: &'a RawClient,
    failed: Cell<usize>,
    lost: Cell<usize>,
}

impl Insist<'_> {
    async fn call(&self) {
        loop {
            match tokio::time::timeout(PATIENCE, self.client.invoke(&GetNearestDc)).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => {
                    self.failed.update(|count| count + 1);
                    eprintln!("failed: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(_) => {
                    self.lost.update(|count| count + 1);
                    eprintln!("no answer");
                }
            }
        }
    }
}
