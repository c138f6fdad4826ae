//! What is fetched of middle servers: whether it is there and of use, and how old what is kept is.

use std::time::Duration;

use crate::cmd::proxy::lists::{NotFetched, Store, fetch, now};
use crate::config::lists::{Lists, Role};
use crate::config::proxy::ProxySettings;
use crate::config::upstream::MiddlePlan;
use crate::web::WebAddress;

use super::Finding;

/// Fetches it, and completes the settings with that or with what is kept.
pub(super) async fn check(settings: &mut ProxySettings) -> Vec<Finding> {
    let Some(plan) = settings.middle.clone() else { return Vec::new() };
    let Some(how) = &plan.fetch else { return Vec::new() };
    let (mut findings, mut lists) = kept(settings, &plan, how.interval);
    for (role, address) in &how.addresses {
        let is_kept = lists.fetched(*role, address).is_some();
        findings.push(match fetch(how, *role, address).await {
            Ok(content) => {
                let message = format!("{address}: {} bytes, of use", content.len());
                lists.put(*role, address, now(), content);
                Finding::ok("lists", message)
            }
            Err(error) => judge(*role, address, &error, is_kept || plan.direct_instead),
        });
    }
    if let Err(error) = settings.fill(&lists) {
        let advice = "name other addresses, or files";
        findings.push(Finding::failed("lists", format!("{error:#}"), advice));
    }
    findings
}

/// What the state folder holds.
fn kept(settings: &ProxySettings, plan: &MiddlePlan, interval: Duration) -> (Vec<Finding>, Lists) {
    let Some(folder) = &settings.proxy.state else {
        let message = "what is fetched of middle servers is kept nowhere";
        let advice = "set `state`, or each start has to fetch it";
        return (vec![Finding::warn("lists", message, advice)], Lists::default());
    };
    let lists = match Store::read(folder) {
        Ok(lists) => lists.unwrap_or_default(),
        Err(error) => {
            let advice = "look whose it is; what is damaged is fetched again";
            let finding = Finding::warn("lists", format!("{error:#}"), advice);
            return (vec![finding], Lists::default());
        }
    };
    let age = plan.fetched(&lists).map(|fetched| now().saturating_sub(fetched));
    let finding = match age {
        None => Finding::ok("lists", "nothing is kept as yet: the first start fetches it"),
        Some(age) if Duration::from_secs(age) > 2 * interval => {
            let message = format!("what is kept is {} old", words(age));
            Finding::warn("lists", message, "look below, and whether the proxy runs")
        }
        Some(age) => Finding::ok("lists", format!("what is kept is {} old", words(age))),
    };
    (vec![finding], lists)
}

fn judge(role: Role, address: &WebAddress, error: &NotFetched, is_spare: bool) -> Finding {
    let message = format!("{address}: {error}");
    let name = role.name();
    let advice =
        format!("open the way there, or name a `middle.fetch-proxy`, or a file as `middle.{name}`");
    match is_spare {
        true => Finding::warn("lists", message, advice),
        false => Finding::failed("lists", message, advice),
    }
}

/// Seconds, in the unit that suits them.
fn words(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_unit_that_suits() {
        for (seconds, text) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 days")]
        {
            assert_eq!(words(seconds), text);
        }
    }
}
