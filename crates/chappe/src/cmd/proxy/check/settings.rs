//! The settings themselves, as far as they say nothing impossible; and the names in them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use chappe_net::connect::Endpoint;
use chappe_proxy::{Domain, SiteAddress, UserConfig};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::Finding;
use crate::cmd::links;
use crate::config::proxy::ProxySettings;

/// Longest wait for the addresses of a name.
const NAME_WAIT_MAX: Duration = Duration::from_secs(5);

pub(super) fn check(settings: &ProxySettings) -> Vec<Finding> {
    let proxy = &settings.proxy;
    let served = proxy.users.iter().filter(|user| is_served(user)).count();
    let modes =
        [(proxy.modes.plain, "plain"), (proxy.modes.padded, "padded"), (proxy.modes.tls, "tls")];
    let modes: Vec<&str> =
        modes.iter().filter(|(is_on, _)| *is_on).map(|(_, name)| *name).collect();
    let (users, modes) = (proxy.users.len(), modes.join(", "));
    let mut findings = vec![match served {
        0 => Finding::failed(
            "settings",
            format!("none of {users} users is served"),
            "switch one on, or look at `expires`",
        ),
        _ => Finding::ok("settings", format!("{served} of {users} users are served, in {modes}")),
    }];
    findings.extend(proxy.weak().map(|name| {
        let message = format!("user {name} has a secret that anybody would guess");
        Finding::warn("settings", message, "take one of `openssl rand -hex 16`")
    }));
    if let Err(error) = links::public(settings) {
        let advice = "set `public`, or no links can be printed";
        findings.push(Finding::warn("settings", error.to_string(), advice));
    }
    if proxy.state.is_none() && proxy.users.iter().any(|user| user.quota.is_some()) {
        let message = "users have quotas, and what they use is kept nowhere";
        findings.push(Finding::warn("settings", message, "set `state`, or a restart forgets it"));
    }
    findings
}

/// Whether a user is served today, as far as his settings go.
pub(super) fn is_served(user: &UserConfig) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    user.enabled && user.expires.is_none_or(|expires| now.as_secs() < expires)
}

/// Whether every name has addresses, and those of sites do not lead here.
pub(super) async fn names(settings: &ProxySettings) -> Vec<Finding> {
    let proxy = &settings.proxy;
    let mut named: BTreeMap<String, &'static str> = BTreeMap::new();
    let mut name = |endpoint: &Endpoint, what| {
        if endpoint.ip().is_none() {
            named.entry(endpoint.host().to_owned()).or_insert(what);
        }
    };
    settings.public.iter().for_each(|public| name(public, "`public`"));
    proxy.domains.iter().filter_map(place).for_each(|site| name(&site, "a site"));
    settings.clocks.iter().for_each(|source| name(&source.0, "`clocks`"));
    proxy.direct.proxy.iter().for_each(|proxy| name(proxy.endpoint(), "`direct.proxy`"));
    // The proxy in between resolves what lies behind it.
    if proxy.direct.proxy.is_none() {
        let centres =
            proxy.centres.numbers().filter_map(|dc| proxy.centres.find(dc.try_into().ok()?));
        centres.flatten().for_each(|centre| name(centre, "a data centre"));
    }
    if let Some(fetch) = settings.middle.as_ref().and_then(|middle| middle.fetch.as_ref()) {
        match &fetch.proxy {
            Some(proxy) => name(proxy.endpoint(), "`middle.fetch-proxy`"),
            None => {
                let addresses = fetch.addresses.iter();
                addresses.for_each(|(_, address)| name(address.endpoint(), "what is fetched"));
            }
        }
    }
    if let Some(middle) = &proxy.middle {
        middle.all_servers().into_iter().for_each(|server| name(server, "a middle server"));
    }
    let look = |(name, what): (String, &'static str)| async move {
        match addresses(&name).await {
            Ok(found) => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                Finding::ok("dns", format!("{name}: {}", found.join(", ")))
            }
            Err(error) => {
                let advice = format!("mend the name of {what}, or the resolver of this machine");
                Finding::failed("dns", format!("{name}: {error}"), advice)
            }
        }
    };
    let mut findings = join_all(named.into_iter().map(look)).await;
    if let Some(public) = &settings.public {
        for domain in &proxy.domains {
            findings.extend(leads_here(public, domain).await);
        }
    }
    findings
}

/// Where a site is, unless it is a file.
fn place(domain: &Domain) -> Option<Endpoint> {
    match &domain.at {
        Some(SiteAddress::Tcp(endpoint)) => Some(endpoint.clone()),
        Some(SiteAddress::Unix(_)) => None,
        None => Endpoint::new(&domain.name, 443).ok(),
    }
}

/// A site at whose address clients find the proxy.
async fn leads_here(public: &Endpoint, domain: &Domain) -> Option<Finding> {
    let site = place(domain).filter(|site| site.port() == public.port())?;
    let (ours, its) = (addresses(public.host()).await.ok()?, addresses(site.host()).await.ok()?);
    let same = its.iter().find(|address| ours.contains(address))?;
    let message = format!("{}: {same} is this proxy itself", domain.name);
    Some(Finding::failed("dns", message, "say where the site is, by `at`"))
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, String> {
    let found = timeout(NAME_WAIT_MAX, tokio::net::lookup_host((host, 443))).await;
    let found = found.map_err(|_| "no answer of the resolver".to_owned())?;
    let found: Vec<IpAddr> =
        found.map_err(|error| error.to_string())?.map(|address| address.ip()).collect();
    if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(found) }
}
