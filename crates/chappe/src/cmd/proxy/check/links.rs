//! The links, from one end to the other (PRX-06): by the proxy that runs here, or else by one that is
//! started for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use chappe_crypto::Rng;
use chappe_net::listen::bind;
use chappe_proxy::{AccessConfig, Proxy, ProxyConfig, UserConfig};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Finding;
use super::settings::is_served;
use crate::cmd::links;
use crate::cmd::proxy::ping::{NoSign, ping};
use crate::config::listen::ListenAddress;
use crate::config::proxy::ProxySettings;

/// Longest wait for a proxy that runs.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(2);
/// The data centre that clients come to first.
const MAIN: i16 = 2;

pub(super) async fn check(settings: &ProxySettings, rng: &mut Rng) -> Vec<Finding> {
    let proxy = &settings.proxy;
    let users = travellers(proxy);
    if users.is_empty() {
        return vec![Finding::failed("link", "nobody is served", "see above")];
    }
    if settings.lacks_servers() {
        return vec![Finding::failed("link", "no middle server is known", "see above")];
    }
    let (address, started) = match running(&settings.listen, &proxy.access).await {
        Some(address) => (address, None),
        None => match start(proxy) {
            Ok((address, task)) => (address, Some(task)),
            Err(error) => {
                return vec![Finding::failed("link", format!("{error:#}"), "see above")];
            }
        },
    };
    let dc = if proxy.centres.find(MAIN).is_some() { Some(MAIN) } else { first(proxy) };
    let mut findings = Vec::new();
    // One after the other: he may have no more than one connection.
    let links = users
        .into_iter()
        .flat_map(|user| links::of(proxy, user).into_iter().map(move |link| (user, link)));
    for (user, link) in links {
        let connecting = async { Ok(TcpStream::connect(address).await?) };
        let dc = dc.unwrap_or(MAIN);
        let answer = ping(connecting, Some(&link.secret), dc, rng).await;
        let form = match &link.domain {
            Some(domain) => format!("{} as {domain}", link.mode),
            None => link.mode.to_owned(),
        };
        let what = match started {
            Some(_) => format!("{form}, {} by a proxy started for it to dc {dc}", user.name),
            None => format!("{form}, {} by the proxy at {address} to dc {dc}", user.name),
        };
        findings.push(judge(&what, started.is_some(), answer));
    }
    if let Some(task) = started {
        task.abort();
    }
    findings
}

/// Somebody who is served, for each way that users take to their data centres.
fn travellers(proxy: &ProxyConfig) -> Vec<&UserConfig> {
    let by_middle =
        |user: &UserConfig| proxy.middle.as_ref().is_some_and(|middle| middle.serves(user));
    let mut users: Vec<&UserConfig> = Vec::new();
    for user in proxy.users.iter().filter(|user| is_served(user)) {
        if users.iter().all(|other| by_middle(other) != by_middle(user)) {
            users.push(user);
        }
    }
    users
}

fn judge(what: &str, is_ours: bool, answer: Result<Duration, NoSign>) -> Finding {
    match answer {
        Ok(time) => Finding::ok("link", format!("{what}: answers in {time:.0?}")),
        Err(error) => {
            let advice = match is_ours {
                true => "see what is said of the data centre above",
                false => "see above; or what runs there has other settings, or no room for him",
            };
            Finding::failed("link", format!("{what}: {error}"), advice)
        }
    }
}

fn first(proxy: &ProxyConfig) -> Option<i16> {
    proxy.centres.numbers().find_map(|dc| i16::try_from(dc).ok())
}

/// Where a proxy listens, or something else where it should, that would take us for anybody.
async fn running(addresses: &[ListenAddress], access: &AccessConfig) -> Option<SocketAddr> {
    for address in addresses {
        let ListenAddress::Tcp(address) = address else { continue };
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        // To an address of this machine connections come from that same address.
        if !access.admits(ip) || access.is_balancer(ip) {
            continue;
        }
        let here = SocketAddr::new(ip, address.port());
        if matches!(timeout(CONNECT_WAIT_MAX, TcpStream::connect(here)).await, Ok(Ok(_))) {
            return Some(here);
        }
    }
    None
}

/// Starts a proxy for this machine alone, which leaves no traces.
fn start(proxy: &ProxyConfig) -> Result<(SocketAddr, JoinHandle<()>)> {
    let mut proxy = proxy.clone();
    proxy.state = None;
    proxy.strangers.measure = false;
    proxy.access = AccessConfig::default();
    let listener = bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), false)?;
    let address = listener.local_addr()?;
    Ok((address, tokio::spawn(Proxy::new(proxy)?.serve_all([listener]).into_future())))
}
