//! Data centres and middle servers: whether they can be reached, and answer.

use std::time::Duration;

use chappe_crypto::Rng;
use chappe_net::connect::{self, Endpoint};
use chappe_proxy::{Family, ProxyConfig, try_link};
use futures_util::future::join_all;

use super::Finding;
use crate::cmd::proxy::ping::{NoSign, ping};
use crate::config::proxy::ProxySettings;

/// Numbers of data centres of the test network begin above it.
const TEST: u16 = 10_000;

pub(super) async fn check(settings: &ProxySettings, rng: &mut Rng) -> Vec<Finding> {
    let proxy = &settings.proxy;
    let mut findings = Vec::new();
    if settings.lacks_servers() {
        return vec![Finding::failed("upstream", "no middle server is known", "see above")];
    }
    if let Some(middle) = &proxy.middle {
        let servers = middle.all_servers().into_iter().map(|server| {
            let mut rng = rng.fork();
            async move {
                let name = format!("middle server {server}");
                match try_link(middle, server, &mut rng).await {
                    Ok(()) => Finding::ok("upstream", format!("{name}: takes links")),
                    Err(error) => Finding::failed(
                        "upstream",
                        format!("{name}: {error}"),
                        "look at the clock, at `seen-as`, and whether `secret` is of today",
                    ),
                }
            }
        });
        findings.extend(join_all(servers).await);
        if !middle.direct_instead && !middle.only_tagged {
            return findings;
        }
    }
    let centres = proxy.centres.numbers().filter_map(|dc| i16::try_from(dc).ok()).map(|dc| {
        let rng = rng.fork();
        async move { centre(proxy, dc, rng).await }
    });
    findings.extend(join_all(centres).await.into_iter().flatten());
    findings
}

/// One data centre, at each of its addresses. One that answers is enough.
async fn centre(proxy: &ProxyConfig, dc: i16, mut rng: Rng) -> Vec<Finding> {
    let addresses = proxy.centres.find(dc).unwrap_or_default();
    let allowed = addresses.iter().filter(|address| match proxy.direct.family {
        Family::OnlyV4 => address.ip().is_none_or(|ip| ip.is_ipv4()),
        Family::OnlyV6 => address.ip().is_none_or(|ip| ip.is_ipv6()),
        Family::PreferV4 | Family::PreferV6 => true,
    });
    let asked = allowed.map(|address| {
        let mut rng = rng.fork();
        async move { (address, ask(proxy, address, dc, &mut rng).await) }
    });
    let asked = join_all(asked).await;
    // Nobody comes to the test network by mistake.
    let is_spare = asked.iter().any(|(_, answer)| answer.is_ok()) || dc.unsigned_abs() > TEST;
    let mut findings: Vec<Finding> = asked
        .into_iter()
        .map(|(address, answer)| {
            let name = format!("dc {dc} at {address}");
            match answer {
                Ok(time) => Finding::ok("upstream", format!("{name}: answers in {time:.0?}")),
                Err(error) if is_spare => Finding::warn(
                    "upstream",
                    format!("{name}: {error}"),
                    "nothing, where this machine is not to reach it; else open the way there",
                ),
                Err(error) => Finding::failed(
                    "upstream",
                    format!("{name}: {error}"),
                    "open the way there, or name a `direct.proxy` or `[dc]`",
                ),
            }
        })
        .collect();
    if findings.is_empty() {
        let message = format!("dc {dc}: it has no address of the family");
        findings.push(Finding::warn("upstream", message, "look at `direct.family`"));
    }
    findings
}

async fn ask(
    proxy: &ProxyConfig,
    address: &Endpoint,
    dc: i16,
    rng: &mut Rng,
) -> Result<Duration, NoSign> {
    let direct = &proxy.direct;
    let connecting = async {
        let there = std::slice::from_ref(address);
        let wait_max = direct.connect_wait_max;
        Ok(connect::connect(there, direct.proxy.as_ref(), wait_max).await?.stream)
    };
    ping(connecting, None, dc, rng).await
}
